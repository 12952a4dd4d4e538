//! What one source argument of COPY names.
//!
//! The named file and everything on the way to it is followed through symlinks inside of the
//! root; `..` and absolute paths stay in it. dockerfile.md 1.10, C1 and C13 to C16.

use std::collections::VecDeque;

use rbuild_sys::{Dir, Errno, Error as SysError, FileKind, Stat};

use crate::{
    error::{Error, Result, shown},
    ignore::IgnoreRules,
    pattern::{Dialect, Pattern},
    walk::is_visible,
};

/// Most symlinks on the way to a source, as in path_resolution(7).
const MAX_LINKS: usize = 40;

/// A file or directory to copy.
#[derive(Debug)]
pub struct Source {
    /// The base name as it was asked for or matched, symlinks not followed; empty for the root.
    pub name: Vec<u8>,
    /// Path in the root with all symlinks followed; empty for the root.
    pub path: Vec<u8>,
    /// What is there; never a symlink.
    pub stat: Stat,
    /// The directory that `entry` is in.
    pub dir: Dir,
    /// Last component of `path`; empty if the source is the root, which is then `dir` itself.
    pub entry: Vec<u8>,
}

/// The sources below `root` that `pattern` names: one for a path, any number, sorted, for a
/// wildcard. `rules` take away what the ignore file excludes.
///
/// # Errors
/// [`Error::NotFound`] and [`Error::Ignored`] for a path, or a matched symlink that leads
/// nowhere; [`Error::Wildcard`]; [`Error::Read`].
pub fn sources(root: &Dir, pattern: &[u8], rules: Option<&IgnoreRules>) -> Result<Vec<Source>> {
    let parts = clean(pattern);
    let wildcard = parts.iter().any(|part| has_wildcard(part));
    let paths = if wildcard {
        expand(root, &parts)?
    } else {
        vec![parts.join(&b'/')]
    };
    let mut found = Vec::with_capacity(paths.len());
    for path in paths {
        let Some(source) = resolve(root, &path)? else {
            return Err(Error::NotFound { path: shown(&path) });
        };
        let linked = source.path != path;
        let hidden = rules.is_some_and(|rules| linked && rules.excludes(&path));
        if !hidden && is_visible(&source, rules)? {
            found.push(source);
        } else if !wildcard {
            return Err(Error::Ignored { path: shown(&path) });
        }
    }
    Ok(found)
}

/// The components of `path` as seen from the root.
fn clean(path: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    for part in path.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts
}

/// Whether `part` has a wildcard that is not escaped.
fn has_wildcard(part: &[u8]) -> bool {
    let mut bytes = part.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

/// The paths that exist and match `parts`, one component after the other.
fn expand(root: &Dir, parts: &[&[u8]]) -> Result<Vec<Vec<u8>>> {
    let mut paths = vec![Vec::new()];
    for part in parts {
        let pattern =
            Pattern::compile(part, Dialect::Component).map_err(|why| Error::Wildcard {
                pattern: shown(part),
                why,
            })?;
        let mut next = Vec::new();
        for path in paths {
            let read = |source| Error::Read {
                path: shown(&path),
                source,
            };
            let Some(dir) = directory(root.resolve_dir(&path)).map_err(read)? else {
                continue;
            };
            if has_wildcard(part) {
                let entries = dir.entries().map_err(read)?;
                let matched = entries.iter().filter(|entry| pattern.matches(&entry.name));
                next.extend(matched.map(|entry| join(&path, &entry.name)));
            } else if SysError::absent(dir.stat(part)).map_err(read)?.is_some() {
                next.push(join(&path, part));
            }
        }
        paths = next;
    }
    Ok(paths)
}

/// `None` if there is no such directory.
fn directory<T>(opened: rbuild_sys::Result<T>) -> rbuild_sys::Result<Option<T>> {
    match opened {
        Err(error) if error.is(Errno::NOTDIR) || error.is(Errno::LOOP) => Ok(None),
        opened => SysError::absent(opened),
    }
}

pub(crate) fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() {
        name.to_vec()
    } else {
        [parent, b"/", name].concat()
    }
}

/// Follows `path` (clean) to what is there; `None` if it leads nowhere.
fn resolve(root: &Dir, path: &[u8]) -> Result<Option<Source>> {
    let read = |source| Error::Read {
        path: shown(path),
        source,
    };
    let name = path.rsplit(|&b| b == b'/').next().unwrap_or(b"").to_vec();
    let mut todo: VecDeque<Vec<u8>> = path.split(|&b| b == b'/').map(<[u8]>::to_vec).collect();
    let mut done: Vec<Vec<u8>> = Vec::new();
    let mut here = root.try_clone().map_err(read)?;
    let mut links = 0;
    while let Some(part) = todo.pop_front() {
        match &part[..] {
            b"" | b"." => continue,
            b".." => {
                done.pop();
                here = root.resolve_dir(&done.join(&b'/')).map_err(read)?;
                continue;
            }
            _ => {}
        }
        let Some(stat) = SysError::absent(here.stat(&part)).map_err(read)? else {
            return Ok(None);
        };
        match stat.kind {
            FileKind::Symlink => {
                links += 1;
                if links > MAX_LINKS {
                    return Ok(None);
                }
                let target = here.read_link(&part).map_err(read)?;
                if target.starts_with(b"/") {
                    done.clear();
                    here = root.try_clone().map_err(read)?;
                }
                for part in target.rsplit(|&b| b == b'/') {
                    todo.push_front(part.to_vec());
                }
            }
            FileKind::Directory => {
                here = here.child(&part).map_err(read)?;
                done.push(part);
            }
            _ if todo.iter().all(|rest| rest.is_empty() || rest == b".") => {
                let path = join(&done.join(&b'/'), &part);
                return Ok(Some(Source {
                    name,
                    path,
                    stat,
                    dir: here,
                    entry: part,
                }));
            }
            _ => return Ok(None),
        }
    }
    let stat = here.stat_self().map_err(read)?;
    let entry = done.pop();
    let parent = done.join(&b'/');
    let dir = root.resolve_dir(&parent).map_err(read)?;
    let path = entry
        .as_ref()
        .map_or_else(Vec::new, |entry| join(&parent, entry));
    Ok(Some(Source {
        name,
        path,
        stat,
        dir,
        entry: entry.unwrap_or_default(),
    }))
}

#[cfg(test)]
mod tests;
