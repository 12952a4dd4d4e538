//! `# check=…`: which rules are wanted.
//!
//! Spec: dockerfile.md D5.

/// What a `# check=` says; by default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Rules that are not reported.
    pub skip: Rules,
    /// A reported rule makes the build fail. Only the directive can say so, not a
    /// comment above an instruction.
    pub error: bool,
    /// Experimental rules that are reported all the same.
    pub experimental: Rules,
}

/// A set of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Every rule there is.
    All,
    /// Those with these names, as written; case does not count.
    Named(Vec<String>),
}

impl Default for Rules {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

impl Rules {
    /// Whether `rule` is among them.
    pub fn contains(&self, rule: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|name| name.eq_ignore_ascii_case(rule)),
        }
    }

    /// Adds those of `more`.
    pub(crate) fn extend(&mut self, more: Self) {
        match (&mut *self, more) {
            (Self::Named(names), Self::Named(more)) => names.extend(more),
            (_, Self::All) => *self = Self::All,
            (Self::All, Self::Named(_)) => {}
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Named(names) if names.is_empty())
    }
}
