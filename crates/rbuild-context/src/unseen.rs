//! What a `COPY` asks for and does not get, told before anything is copied.
//!
//! Knows: ignore files and wildcards. Does not know: instructions, nor what is said about it.
//!
//! Spec: dockerfile.md 1.18, `CopyIgnoredFile`, `EmptyWildcard`.

use rbuild_sys::Dir;

use crate::{
    Filter, IgnoreRules, Parents, Selection,
    source::{clean, has_wildcard, sources},
};

/// Why a pattern finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// The ignore file excludes the path.
    Ignored,
    /// The wildcard matches nothing.
    Unmatched,
}

/// Whether `pattern` below `root` finds nothing because `ignored` excludes it, or because it is a
/// wildcard. A path that is not there is no matter of this, nor is what cannot be read.
///
/// Where `ignored` includes something again, a path is not judged, as in BuildKit: it may be
/// meant as it is.
pub fn unseen(
    root: &Dir,
    ignored: Option<&IgnoreRules>,
    (pattern, parents): (&[u8], Parents),
) -> Option<Unseen> {
    let parts = clean(pattern);
    if parts.iter().any(|part| has_wildcard(part)) {
        let filter = Filter {
            ignored,
            excluded: None,
        };
        let found = sources(root, pattern, &Selection { filter, parents });
        return found
            .is_ok_and(|found| found.is_empty())
            .then_some(Unseen::Unmatched);
    }
    let path = parts.join(&b'/');
    let rules = ignored.filter(|rules| !rules.has_exceptions());
    rules
        .is_some_and(|rules| !path.is_empty() && rules.excludes(&path))
        .then_some(Unseen::Ignored)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rbuild_sys::Dir;

    use super::{Unseen, unseen};
    use crate::{IgnoreRules, Parents};

    #[test]
    fn a_pattern_is_told_that_finds_nothing_because_of_what_it_is() {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("src")).unwrap();
        fs::write(scratch.path().join("src/a.c"), "").unwrap();
        fs::write(scratch.path().join("notes.md"), "").unwrap();
        let root = Dir::open(scratch.path()).unwrap();
        for (ignore, pattern, expected) in [
            ("", "src/a.c", None),
            ("", "src/*.c", None),
            ("", "src/*.h", Some(Unseen::Unmatched)),
            ("", "missing", None),
            ("*.md", "notes.md", Some(Unseen::Ignored)),
            ("*.md", "*.md", Some(Unseen::Unmatched)),
            ("src", "src/a.c", Some(Unseen::Ignored)),
            ("src", "./src/../src/a.c", Some(Unseen::Ignored)),
            ("*.md\n!notes.md", "other.md", None),
            ("*", "", None),
        ] {
            let rules = IgnoreRules::parse(ignore).unwrap();
            let pattern_of = (pattern.as_bytes(), Parents::Dropped);
            let found = unseen(&root, Some(&rules), pattern_of);
            assert_eq!(found, expected, "`{pattern}` where `{ignore}` is ignored");
        }
    }
}
