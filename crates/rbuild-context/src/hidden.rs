//! What the ignore file hides of a whole context: for those who would show the rest in place.
//!
//! Invariant: a path is hidden here if and only if no walk of the context visits it.

use std::collections::BTreeSet;

use rbuild_sys::Dir;

use crate::{
    Filter, IgnoreRules, Selection,
    error::{Error, Result, shown},
    source::{join, sources},
    walk::walk,
};

/// The paths below `root` that `rules` hide, in their order. What is below a hidden directory is
/// not listed; nor is a directory of which something is visible.
///
/// # Errors
/// [`Error::Read`].
pub fn hidden(root: &Dir, rules: &IgnoreRules) -> Result<Vec<Vec<u8>>> {
    let filter = Filter {
        ignored: Some(rules),
        excluded: None,
    };
    let selection = Selection {
        filter,
        ..Selection::default()
    };
    let (mut visible, mut directories) = (BTreeSet::new(), Vec::new());
    for source in sources(root, b"", &selection)? {
        walk(&source, &filter, |visit| {
            visible.insert(visit.relative.to_vec());
            if visit.stat.is_dir() {
                directories.push(visit.relative.to_vec());
            }
            Ok::<(), Error>(())
        })?;
    }
    // Where nothing is visible, not even the root was visited.
    if directories.first().is_none_or(|first| !first.is_empty()) {
        directories.insert(0, Vec::new());
    }
    let mut hidden = Vec::new();
    for directory in directories {
        let entries = root.resolve_dir(&directory).and_then(|dir| dir.entries());
        let entries = entries.map_err(|source| Error::Read {
            path: shown(&directory),
            source,
        })?;
        let paths = entries.iter().map(|entry| join(&directory, &entry.name));
        hidden.extend(paths.filter(|path| !visible.contains(path)));
    }
    hidden.sort();
    Ok(hidden)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rbuild_sys::Dir;

    use super::hidden;
    use crate::IgnoreRules;

    /// What is hidden of `a b d/e d/f d/s/g`.
    #[track_caller]
    fn check(ignore: &str, expected: &str) {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("d/s")).unwrap();
        for file in ["a", "b", "d/e", "d/f", "d/s/g"] {
            fs::write(temp.path().join(file), "").unwrap();
        }
        let rules = IgnoreRules::parse(ignore).unwrap();
        let found = hidden(&Dir::open(temp.path()).unwrap(), &rules).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|path| String::from_utf8_lossy(path))
            .collect();
        assert_eq!(found.join(" "), expected, "`{ignore}`");
    }

    #[test]
    fn i9_what_no_copy_would_take_is_hidden() {
        check("", "");
        check("b", "b");
        check("*", "a b d");
        check("d", "d");
        check("d\n!d/e", "d/f d/s");
        check("d\n!d/s", "d/e d/f");
        check("d\n!d/none", "d");
        check("**/e", "d/e");
        check("*\n!a\n!d/s/g", "b d/e d/f");
    }
}
