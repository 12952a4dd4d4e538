//! Words → text: quotes and escapes removed, variables replaced.
//!
//! Knows: the substitution language. Does not know: where values come from.
//!
//! Invariant: the time is bounded: depth, size and steps have limits, and reaching
//! one is an [`ExpandError`].
//!
//! Spec: dockerfile.md 1.4 (V1–V9); sandbox.md, "Limits".

mod error;
mod lexer;
mod output;
mod pattern;
#[cfg(test)]
mod tests;

pub use error::ExpandError;
use lexer::Lexer;

/// A word after expansion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expanded {
    /// The text; at most 128 KiB.
    pub text: String,
    /// Names that have no value and that the word gives no alternative for
    /// (`$a`, `${a}`, `${a#p}`, not `${a-w}`), each once, in order. They became
    /// empty (V2).
    pub undefined: Vec<String>,
}

/// Expands `word`; `lookup` knows the variables' values.
///
/// Alternatives that are not chosen (`w` of `${v:-w}` when `v` is set) are checked
/// for syntax, but their variables are not looked up.
///
/// # Errors
/// The first problem in the word, with its place: see [`ExpandError::offset`].
pub fn expand(
    word: &str,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Expanded, ExpandError> {
    let mut lexer = Lexer::new(word, escape, lookup);
    let output = lexer.word()?;
    Ok(Expanded {
        text: output.text(),
        undefined: lexer.undefined(),
    })
}

/// Expands the `body` of a heredoc that is a file: quotes stay, `\` escapes (H4).
/// The result has at most 4 MiB.
///
/// # Errors
/// As [`expand`].
pub fn expand_body(
    body: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Expanded, ExpandError> {
    let mut lexer = Lexer::of_body(body, lookup);
    let output = lexer.word()?;
    Ok(Expanded {
        text: output.text(),
        undefined: lexer.undefined(),
    })
}

/// Expands `word`, then splits it at white space that is neither quoted nor
/// escaped (V8): `EXPOSE $PORTS` may name several ports. Empty words vanish.
///
/// # Errors
/// As [`expand`].
pub fn expand_words(
    word: &str,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<String>, ExpandError> {
    Ok(Lexer::new(word, escape, lookup).word()?.words())
}
