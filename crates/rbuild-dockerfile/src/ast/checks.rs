//! `# check=…`: which rules are wanted.
//!
//! Spec: dockerfile.md D5.

use std::collections::BTreeSet;

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
    /// Those with these names; lower case, for case does not count.
    Named(BTreeSet<String>),
}

impl Default for Rules {
    fn default() -> Self {
        Self::Named(BTreeSet::new())
    }
}

impl Rules {
    /// Whether `rule` is among them.
    pub fn contains(&self, rule: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(&rule.to_ascii_lowercase()),
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
