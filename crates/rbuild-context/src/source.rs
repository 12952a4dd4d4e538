//! What one source argument of COPY names.
//!
//! The named file and everything on the way to it is followed through symlinks inside of the
//! root; `..` and absolute paths stay in it. dockerfile.md 1.10, C1, C13 to C16, C24.
//!
//! A source holds no descriptor of its own: there may be as many as a wildcard matches.

use std::{collections::VecDeque, sync::Arc};

use rbuild_sys::{Dir, Error as SysError, FileKind, Stat};

use crate::{
    error::{Error, Result, shown},
    filter::Filter,
    walk::{Visit, is_visible},
};

mod glob;

/// Most symlinks on the way to a source, as in path_resolution(7).
const MAX_LINKS: usize = 40;

/// How sources are selected.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    /// What is not selected.
    pub filter: Filter<'a>,
    /// What becomes of the directories on the way to a source.
    pub parents: Parents,
}

/// Whether a source goes below the destination with the directories that it is in (C24).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parents {
    /// Only its name counts. `**` in a wildcard is `*`.
    #[default]
    Dropped,
    /// `--parents`: its path counts, from the pivot `/./` on if there is one. `**` is any number
    /// of directories.
    Kept,
}

/// A file or directory to copy.
#[derive(Clone, Debug)]
pub struct Source {
    /// The base name as it was asked for or matched, symlinks not followed; empty for the root.
    pub name: Vec<u8>,
    /// Path in the root with all symlinks followed; empty for the root.
    pub path: Vec<u8>,
    /// What is there; never a symlink.
    pub stat: Stat,
    /// Path as it was asked for or matched.
    asked: Vec<u8>,
    /// Length of the part of `asked` that is left off, if parents are kept.
    pivot: Option<usize>,
    root: Arc<Dir>,
}

impl Source {
    /// Where the source itself goes below the destination if its parents are kept, as it was
    /// asked for or matched; `None` if they are dropped.
    pub fn kept(&self) -> Option<&[u8]> {
        let kept = &self.asked[self.pivot?..];
        Some(kept.strip_prefix(b"/").unwrap_or(kept))
    }

    /// Opens the directory that it is in, and says under which name; the name is empty if the
    /// source is the root, which is then the directory itself.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn open(&self) -> Result<(Dir, &[u8])> {
        let (parent, name) = split(&self.path);
        let dir = self.root.resolve_dir(parent);
        let dir = dir.map_err(|source| Error::Read {
            path: shown(parent),
            source,
        })?;
        Ok((dir, name))
    }

    /// Calls `visit` for each directory on the way to where a source with kept parents goes, the
    /// outermost first, the source itself not; `relative` is the path below the destination.
    /// Nothing if parents are dropped.
    ///
    /// # Errors
    /// [`Error::Read`], and the first failure of `visit`.
    pub fn visit_parents<E: From<Error>>(
        &self,
        mut visit: impl FnMut(&Visit<'_>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let kept = self.kept().unwrap_or_default();
        let before = self.asked.len() - kept.len();
        for end in (0..kept.len()).filter(|&at| kept[at] == b'/') {
            let path = &self.asked[..before + end];
            let Some((path, stat)) = resolve(&self.root, path)? else {
                return Err(Error::NotFound { path: shown(path) }.into());
            };
            let (parent, name) = split(&path);
            let dir = self.root.resolve_dir(parent);
            let dir = dir.map_err(|source| Error::Read {
                path: shown(parent),
                source,
            })?;
            visit(&Visit {
                dir: &dir,
                name,
                relative: &kept[..end],
                stat: &stat,
            })?;
        }
        Ok(())
    }
}

/// The sources below `root` that `pattern` names: one for a path, any number, sorted, for a
/// wildcard. What the filter's ignore file takes away does not exist; what `--exclude` takes away
/// is left out.
///
/// `pattern` is as written: with [`Parents::Kept`] a `/./` in it is the pivot.
///
/// # Errors
/// [`Error::NotFound`] and [`Error::Ignored`] for a path, or a matched symlink that leads
/// nowhere; [`Error::Wildcard`]; [`Error::Read`].
pub fn sources(root: &Dir, pattern: &[u8], selection: &Selection<'_>) -> Result<Vec<Source>> {
    let Selection { filter, parents } = selection;
    let (parts, pivot) = components(pattern, *parents);
    let wildcard = parts.iter().any(|part| has_wildcard(part));
    let paths = if wildcard {
        glob::expand(root, &parts, pivot, selection)?
    } else {
        vec![parts.join(&b'/')]
    };
    let root = Arc::new(root.try_clone().map_err(|source| Error::Read {
        path: String::new(),
        source,
    })?);
    let mut found = Vec::with_capacity(paths.len());
    for asked in paths {
        let Some((path, stat)) = resolve(&root, &asked)? else {
            return Err(Error::NotFound {
                path: shown(&asked),
            });
        };
        let source = Source {
            name: split(&asked).1.to_vec(),
            pivot: (*parents == Parents::Kept).then(|| pivot.length(&asked)),
            path,
            stat,
            asked,
            root: Arc::clone(&root),
        };
        let linked = source.path != source.asked;
        let hidden = filter
            .ignored
            .is_some_and(|rules| linked && rules.excludes(&source.asked));
        let unfiltered = Filter {
            excluded: None,
            ..*filter
        };
        if hidden || !is_visible(&source, &unfiltered)? {
            if !wildcard {
                return Err(Error::Ignored {
                    path: shown(&source.asked),
                });
            }
        } else if filter.excluded.is_none() || is_visible(&source, filter)? {
            found.push(source);
        }
    }
    Ok(found)
}

/// How many components of a pattern are before its pivot, and of a path that it matches: `**`
/// before the pivot is `*`.
#[derive(Clone, Copy)]
struct Pivot(usize);

impl Pivot {
    /// The length of the part of `path` that is before the pivot.
    fn length(self, path: &[u8]) -> usize {
        let ends = (0..path.len()).filter(|&at| path[at] == b'/');
        let mut ends = ends.chain([path.len()]);
        match self.0 {
            0 => 0,
            count => ends.nth(count - 1).unwrap_or(path.len()),
        }
    }
}

/// The components of `pattern`, and where its pivot is.
fn components(pattern: &[u8], parents: Parents) -> (Vec<&[u8]>, Pivot) {
    let pivot = pattern.windows(3).position(|three| three == b"/./");
    match pivot.filter(|_| parents == Parents::Kept) {
        None => (clean(pattern), Pivot(0)),
        Some(at) => {
            let mut parts = clean(&pattern[..at]);
            let pivot = Pivot(parts.len());
            parts.extend(clean(&pattern[at + 3..]));
            (parts, pivot)
        }
    }
}

/// The components of `path` as seen from the root.
pub(crate) fn clean(path: &[u8]) -> Vec<&[u8]> {
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
pub(crate) fn has_wildcard(part: &[u8]) -> bool {
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

pub(crate) fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() {
        name.to_vec()
    } else {
        [parent, b"/", name].concat()
    }
}

/// Parent and name of a clean path.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// Follows `path` (clean) to what is there: its path without symlinks, and what it is; `None` if
/// it leads nowhere.
fn resolve(root: &Dir, path: &[u8]) -> Result<Option<(Vec<u8>, Stat)>> {
    let read = |source| Error::Read {
        path: shown(path),
        source,
    };
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
                return Ok(Some((join(&done.join(&b'/'), &part), stat)));
            }
            _ => return Ok(None),
        }
    }
    let stat = here.stat_self().map_err(read)?;
    Ok(Some((done.join(&b'/'), stat)))
}

#[cfg(test)]
mod tests;
