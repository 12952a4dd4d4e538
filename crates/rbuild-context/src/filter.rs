//! What is taken away from a tree before sources are copied from it.
//!
//! Two lists of patterns, seen from two places: the ignore file from the root of the context,
//! `--exclude` from the source. A path must pass both. dockerfile.md 1.10, C16 and C25.

use crate::{
    Source,
    error::{Error, Result},
    ignore::{IgnoreRules, Verdict},
    source::join,
};

/// What is not selected. The default takes nothing away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// The ignore file; its patterns are for paths from the root. `None` for trees of stages
    /// and images, git and URLs (C16, X7).
    pub ignored: Option<&'a IgnoreRules>,
    /// `--exclude`; its patterns are for paths below each source directory, for the name of a
    /// source that is a file, and, where parents are kept, for paths from the pivot.
    pub excluded: Option<&'a IgnoreRules>,
}

/// What is known of a path, by both lists.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verdicts {
    ignored: Verdict,
    excluded: Verdict,
}

/// One path as both lists see it.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// From the root.
    pub path: &'a [u8],
    /// From where `--exclude` counts.
    pub below: &'a [u8],
}

impl Filter<'_> {
    /// Whether `--exclude` matches the name of `source`, whose parents are dropped: nothing of
    /// it is left then.
    pub(crate) fn skips(&self, source: &Source) -> bool {
        let named = source.kept().is_none() && !source.name.is_empty();
        self.excluded
            .is_some_and(|rules| named && rules.excludes(&source.name))
    }

    /// The verdicts on `source` itself.
    pub(crate) fn judge_source(&self, source: &Source) -> Verdicts {
        let whole = |rules: Option<&IgnoreRules>, path: &[u8]| {
            rules.map_or_else(Verdict::default, |rules| rules.judge_whole(path))
        };
        Verdicts {
            ignored: whole(self.ignored, &source.path),
            excluded: whole(self.excluded, source.kept().unwrap_or_default()),
        }
    }

    /// The verdicts on `seen` from those on its parent.
    pub(crate) fn judge(&self, parent: Verdicts, seen: Seen<'_>) -> Verdicts {
        Verdicts {
            ignored: self.ignored.map_or(parent.ignored, |rules| {
                rules.judge(parent.ignored, seen.path)
            }),
            excluded: self.excluded.map_or(parent.excluded, |rules| {
                rules.judge(parent.excluded, seen.below)
            }),
        }
    }

    /// Where `relative` below `source` is, as `--exclude` counts; empty if nobody asks.
    pub(crate) fn below(&self, source: &Source, relative: &[u8]) -> Vec<u8> {
        match (source.kept(), relative) {
            _ if self.excluded.is_none() => Vec::new(),
            (Some(kept), b"") => kept.to_vec(),
            (Some(kept), relative) => join(kept, relative),
            (None, relative) => relative.to_vec(),
        }
    }

    /// Whether one of the lists takes it away.
    pub(crate) fn hides(&self, verdicts: Verdicts) -> bool {
        let hides = |rules: Option<&IgnoreRules>, verdict| {
            rules.is_some_and(|rules| rules.is_excluded(verdict))
        };
        hides(self.ignored, verdicts.ignored) || hides(self.excluded, verdicts.excluded)
    }

    /// Whether something below the hidden directory `seen` may be included again.
    pub(crate) fn may_show_below(&self, verdicts: Verdicts, seen: Seen<'_>) -> bool {
        let may = |rules: Option<&IgnoreRules>, verdict, path| {
            rules.is_none_or(|rules| {
                !rules.is_excluded(verdict) || rules.may_include_below(verdict, path)
            })
        };
        may(self.ignored, verdicts.ignored, seen.path)
            && may(self.excluded, verdicts.excluded, seen.below)
    }
}

impl IgnoreRules {
    /// The rules of `--exclude`, one pattern each, in order; the last one that matches decides.
    ///
    /// # Errors
    /// [`Error::Exclude`] for the first that is no pattern.
    pub fn from_patterns<T: AsRef<str>>(patterns: &[T]) -> Result<Self> {
        let mut rules = Self::default();
        for pattern in patterns {
            let pattern = pattern.as_ref();
            rules.push(pattern).map_err(|why| Error::Exclude {
                pattern: pattern.to_owned(),
                why,
            })?;
        }
        Ok(rules)
    }
}
