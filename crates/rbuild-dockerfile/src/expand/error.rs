//! Why a word cannot be expanded, and where in the word.

/// Why a word cannot be expanded. `at` is a byte offset into the word; the other
/// fields are what the message quotes.
#[expect(missing_docs, reason = "the fields are explained once, above")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// `"…` or `'…` (V4).
    #[error("the quote `{quote}` is never closed")]
    UnclosedQuote { at: usize, quote: char },

    /// `${…` (V5).
    #[error("`${{` is never closed")]
    UnclosedBrace { at: usize },

    /// `${}`, `${{x}`, `${:…}` (V5).
    #[error("there is no variable's name after `${{`")]
    NoName { at: usize },

    /// `${v^^}` and others that the language does not have (V5).
    #[error("unknown operator `{operator}` in a substitution")]
    UnknownOperator { at: usize, operator: String },

    /// `${v:?message}` without a value.
    #[error("{name}: {message}")]
    Required {
        at: usize,
        name: String,
        message: String,
    },

    /// A pattern may escape `*`, `?`, `/`, `}` and the escape character only (V6).
    #[error("`{escape}` cannot be used in a pattern")]
    PatternEscape { at: usize, escape: String },

    /// `${a:-${b:-${c:-…`.
    #[error("substitutions are nested deeper than the limit of {limit}")]
    TooDeep { at: usize, limit: usize },

    /// Values add up to too much.
    #[error("the expanded word is longer than the limit of {limit} bytes")]
    TooLong { at: usize, limit: usize },

    /// Long patterns on long values.
    #[error("the patterns in the word take too long to match")]
    TooCostly { at: usize },
}

impl ExpandError {
    /// Where the problem is: a byte offset into the word, at most its length.
    pub fn offset(&self) -> usize {
        match self {
            Self::UnclosedQuote { at, .. }
            | Self::UnclosedBrace { at }
            | Self::NoName { at }
            | Self::UnknownOperator { at, .. }
            | Self::Required { at, .. }
            | Self::PatternEscape { at, .. }
            | Self::TooDeep { at, .. }
            | Self::TooLong { at, .. }
            | Self::TooCostly { at } => *at,
        }
    }
}
