//! Wildcards → the paths that exist and match.
//!
//! One component of the pattern after the other, so that nothing is read which cannot match.
//! Literal components and `*` go through symlinked directories, `**` does not: a link to its own
//! parent would have no end.

use std::collections::BTreeSet;

use rbuild_sys::{Dir, Errno, Error as SysError, FileKind};

use super::{Parents, Pivot, Selection, has_wildcard, join};
use crate::{
    error::{Error, Result, shown},
    ignore::IgnoreRules,
    pattern::{Dialect, Pattern},
};

/// Any number of directories.
const ANY: &[u8] = b"**";

/// The paths below `root` that match `parts`, sorted; nothing below a directory that matches.
pub(super) fn expand(
    root: &Dir,
    parts: &[&[u8]],
    pivot: Pivot,
    selection: &Selection<'_>,
) -> Result<Vec<Vec<u8>>> {
    let deep = selection.parents == Parents::Kept && parts.contains(&ANY);
    let is_any = |index: usize, part: &[u8]| {
        let last = index + 1 == parts.len(); // a directory is matched whole, so `*` says the same
        deep && part == ANY && index >= pivot.0 && !last
    };
    let mut paths = BTreeSet::from([Vec::new()]);
    for (index, part) in parts.iter().enumerate() {
        paths = if is_any(index, part) {
            directories(root, paths, selection.filter.ignored)?
        } else {
            step(root, &paths, part)?
        };
    }
    if deep {
        drop_covered(root, &mut paths)?;
    }
    Ok(paths.into_iter().collect())
}

/// What `part` names in the directories `paths`.
fn step(root: &Dir, paths: &BTreeSet<Vec<u8>>, part: &[u8]) -> Result<BTreeSet<Vec<u8>>> {
    let pattern = Pattern::compile(part, Dialect::Component).map_err(|why| Error::Wildcard {
        pattern: shown(part),
        why,
    })?;
    let mut next = BTreeSet::new();
    for path in paths {
        let Some(dir) = directory(root, path)? else {
            continue;
        };
        let read = failed(path);
        if has_wildcard(part) {
            let entries = dir.entries().map_err(read)?;
            let matched = entries.iter().filter(|entry| pattern.matches(&entry.name));
            next.extend(matched.map(|entry| join(path, &entry.name)));
        } else {
            let name = unescaped(part);
            if SysError::absent(dir.stat(&name)).map_err(read)?.is_some() {
                next.insert(join(path, &name));
            }
        }
    }
    Ok(next)
}

/// `paths` and all directories below them, except those that the ignore file hides whole.
fn directories(
    root: &Dir,
    paths: BTreeSet<Vec<u8>>,
    rules: Option<&IgnoreRules>,
) -> Result<BTreeSet<Vec<u8>>> {
    let mut todo: Vec<Vec<u8>> = paths.into_iter().collect();
    let mut found = BTreeSet::new();
    while let Some(path) = todo.pop() {
        let hidden = rules.is_some_and(|rules| rules.excludes(&path) && !rules.must_descend(&path));
        if hidden || found.contains(&path) {
            continue;
        }
        let Some(dir) = directory(root, &path)? else {
            continue;
        };
        let entries = dir.entries().map_err(failed(&path))?;
        let below = entries.iter().filter(|e| e.kind == FileKind::Directory);
        todo.extend(below.map(|entry| join(&path, &entry.name)));
        found.insert(path);
    }
    Ok(found)
}

/// Removes what comes along with a directory that matched.
fn drop_covered(root: &Dir, paths: &mut BTreeSet<Vec<u8>>) -> Result<()> {
    let mut kept: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut directories: BTreeSet<Vec<u8>> = BTreeSet::new();
    for path in std::mem::take(paths) {
        let mut ends = (0..path.len()).filter(|&at| path[at] == b'/');
        if ends.any(|end| directories.contains(&path[..end])) {
            continue;
        }
        let (parent, name) = super::split(&path);
        let dir = root.resolve_dir(parent).map_err(failed(&path))?;
        if dir.stat(name).map_err(failed(&path))?.is_dir() {
            directories.insert(path.clone());
        }
        kept.insert(path);
    }
    *paths = kept;
    Ok(())
}

/// `None` if there is no such directory.
fn directory(root: &Dir, path: &[u8]) -> Result<Option<Dir>> {
    let opened = match root.resolve_dir(path) {
        Err(error) if error.is(Errno::NOTDIR) || error.is(Errno::LOOP) => Ok(None),
        opened => SysError::absent(opened),
    };
    opened.map_err(failed(path))
}

/// `part`, which has no wildcard, without its backslashes.
fn unescaped(part: &[u8]) -> Vec<u8> {
    let mut bytes = part.iter();
    let mut name = Vec::with_capacity(part.len());
    while let Some(&byte) = bytes.next() {
        name.push(if byte == b'\\' {
            *bytes.next().unwrap_or(&byte)
        } else {
            byte
        });
    }
    name
}

fn failed(path: &[u8]) -> impl Fn(SysError) -> Error + '_ {
    |source| Error::Read {
        path: shown(path),
        source,
    }
}
