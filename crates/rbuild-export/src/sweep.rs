//! What a directory has and a result has not is removed.
//!
//! Knows: which names those are. Does not know: whether they may go.
//!
//! Invariant: all is done below the directory's handle and on its mount. A link is removed, never
//! followed; what is mounted somewhere below stays, and is an error.

use std::path::{Path, PathBuf};

use rbuild_sys::{self as sys, Descent, Dir, Entry, FileKind, Timestamp, set_file_mtime};

use crate::Error;

/// How many directories are held open, of each tree.
const OPEN: usize = 32;

/// Removes from `dir`, which has all of `trees`, what none of them has. Only the last of them, which
/// is on top, has directories that are gone into; directories get the times of its own again.
///
/// # Errors
/// [`Error::Remove`]; what was found before is gone then.
pub(crate) fn sweep((dir, path): (&Dir, &Path), trees: &[&Dir]) -> Result<(), Error> {
    let Some((tree, beside)) = trees.split_last() else {
        return Ok(());
    };
    let mut sweep = Sweep {
        there: Descent::new(dir.try_clone().map_err(Error::directory(path))?, OPEN),
        result: Descent::new(tree.try_clone().map_err(Error::directory(path))?, OPEN),
        path: path.to_owned(),
    };
    let mut more = Vec::new();
    for tree in beside {
        more.extend(tree.entries().map_err(Error::directory(path))?);
    }
    let mut levels = vec![sweep.level(&more)?];
    while let Some(level) = levels.last_mut() {
        match level.pop() {
            Some(name) => {
                sweep.enter(&name)?;
                levels.push(sweep.level(&[])?);
            }
            None => {
                levels.pop();
                sweep.leave()?;
            }
        }
    }
    Ok(())
}

/// The same directory twice.
struct Sweep {
    there: Descent,
    result: Descent,
    path: PathBuf,
}

impl Sweep {
    /// Removes what the current directory has beside the result's and `more`; returns the names of
    /// the directories in both.
    fn level(&self, more: &[Entry]) -> Result<Vec<Vec<u8>>, Error> {
        let (there, result) = (self.there.dir(), self.result.dir());
        let at_path = || Error::directory(&self.path);
        let wanted = result.entries().map_err(at_path())?;
        let find = |name: &[u8]| {
            let index = wanted.binary_search_by(|entry| entry.name.as_slice().cmp(name));
            index.ok().map(|index| wanted[index].kind)
        };
        let is_wanted = |name: &[u8]| {
            // Sockets are in no result.
            let is_there = find(name).is_some_and(|kind| kind != FileKind::Socket);
            is_there || more.iter().any(|entry| entry.name == name)
        };
        let (left, removed) = remove_others((there, &self.path), is_wanted)?;
        if removed > 0 {
            let seconds = result.stat_self().map_err(at_path())?.mtime.seconds;
            let time = Timestamp {
                seconds,
                nanoseconds: 0,
            };
            set_file_mtime(there, time).map_err(at_path())?;
        }
        let both = left.into_iter().filter(|entry| {
            let kinds = (entry.kind, find(&entry.name));
            kinds == (FileKind::Directory, Some(FileKind::Directory))
        });
        Ok(both.map(|entry| entry.name).collect())
    }

    fn enter(&mut self, name: &[u8]) -> Result<(), Error> {
        self.path.push(shown(name));
        let path = &self.path;
        self.there.enter_here(name).map_err(removing(path))?;
        self.result.enter(name).map_err(Error::directory(path))
    }

    fn leave(&mut self) -> Result<(), Error> {
        self.there.leave().map_err(removing(&self.path))?;
        self.result.leave().map_err(Error::directory(&self.path))?;
        self.path.pop();
        Ok(())
    }
}

/// Removes what is in `dir` and not wanted; returns what is left, and how many names were removed.
///
/// # Errors
/// [`Error::Remove`].
pub(crate) fn remove_others(
    (dir, path): (&Dir, &Path),
    is_wanted: impl Fn(&[u8]) -> bool,
) -> Result<(Vec<Entry>, usize), Error> {
    let there = dir.entries().map_err(Error::directory(path))?;
    let (left, others): (Vec<Entry>, Vec<Entry>) =
        there.into_iter().partition(|entry| is_wanted(&entry.name));
    for entry in &others {
        let removed = dir.remove_all(&entry.name);
        removed.map_err(|source| removing(&path.join(shown(&entry.name)))(source))?;
    }
    Ok((left, others.len()))
}

fn removing(path: &Path) -> impl FnOnce(sys::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::Remove { path, source }
}

/// `name` as one that nothing is read from.
fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).escape_debug().to_string()
}
