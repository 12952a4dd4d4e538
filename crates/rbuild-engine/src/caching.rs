//! Which results of earlier builds count.
//!
//! Spec: dockerfile.md K2; cli.md 2.2, wish 7.

use std::collections::BTreeSet;

use rbuild_plan::StageId;

/// Which results of earlier builds count, and which must.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caching {
    /// Stages whose steps are executed whatever is known; their results replace the old ones.
    pub refreshed: Stages,
    /// How old a result may be, in seconds; `None`: any age.
    pub max_age: Option<i64>,
    /// Stages whose steps must not be executed: what is not known is [`crate::Error::Uncached`].
    pub required: Stages,
}

/// Some of a plan's stages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stages {
    /// None.
    #[default]
    None,
    /// These.
    Only(BTreeSet<StageId>),
    /// All.
    All,
}

impl Caching {
    /// Every step is executed (K2).
    pub fn refreshed() -> Self {
        Self {
            refreshed: Stages::All,
            ..Self::default()
        }
    }

    /// Whether a result from the time `created` is too old at the time `now`, both in seconds
    /// since 1970.
    pub(crate) fn is_expired(&self, created: i64, now: i64) -> bool {
        self.max_age
            .is_some_and(|max_age| now.saturating_sub(created) >= max_age)
    }
}

impl Stages {
    /// Whether `stage` is one of them.
    pub fn has(&self, stage: StageId) -> bool {
        match self {
            Self::None => false,
            Self::Only(stages) => stages.contains(&stage),
            Self::All => true,
        }
    }
}
