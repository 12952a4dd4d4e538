//! What making mount points leaves in the directory of a tree's changes, and its removal.
//!
//! An overlay copies a directory up before it makes anything in it; removing that again leaves
//! the copy, which would be in the layer as a change that nobody made (R4, buildah #4739).
//!
//! Invariant: only a copy that is empty and equal to the directory below it is removed.

use rbuild_sys::{Dir, Error, Stat};

/// Directories that may have been copied up, as they were before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces(Vec<CopiedUp>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct CopiedUp {
    /// Names from the root of the tree down.
    path: Vec<Vec<u8>>,
    before: Stat,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Attributes with this prefix are overlayfs' own.
const OVERLAY: &[u8] = b"user.overlay.";
const OPAQUE: &[u8] = b"user.overlay.opaque";

impl Traces {
    /// Remembers the directory at `path` as it is now; the first time counts.
    pub(crate) fn remember(&mut self, path: &[Vec<u8>], dir: &Dir) -> Result<(), Error> {
        if !path.is_empty() && !self.0.iter().any(|known| known.path == path) {
            self.0.push(CopiedUp {
                path: path.to_vec(),
                before: dir.stat_self()?,
                xattrs: dir.xattrs(b"")?,
            });
        }
        Ok(())
    }

    /// Removes them from `changes`, the upper directory of the tree: empty when the run began,
    /// its overlay unmounted by now. What the command changed itself stays.
    ///
    /// # Errors
    /// As statx(2) and rmdir(2).
    pub fn erase(&self, changes: &Dir) -> Result<(), Error> {
        let mut deepest_first: Vec<&CopiedUp> = self.0.iter().collect();
        deepest_first.sort_by_key(|copied| std::cmp::Reverse(copied.path.len()));
        for copied in deepest_first {
            let Some((name, parents)) = copied.path.split_last() else {
                continue;
            };
            if let Some(parent) = open_below(changes, parents)? {
                copied.erase(&parent, name)?;
            }
        }
        Ok(())
    }
}

impl CopiedUp {
    fn erase(&self, parent: &Dir, name: &[u8]) -> Result<(), Error> {
        let Some(dir) = open_below(parent, &[name.to_vec()])? else {
            return Ok(());
        };
        if dir.entries()?.is_empty() && self.is_like(&dir)? {
            let mtime = parent.stat_self()?.mtime;
            parent.rmdir(name)?;
            rbuild_sys::set_file_mtime(parent, mtime)?;
        }
        Ok(())
    }

    fn is_like(&self, dir: &Dir) -> Result<bool, Error> {
        let metadata = |stat: &Stat| (stat.mode, stat.uid, stat.gid, stat.mtime);
        let mut xattrs = dir.xattrs(b"")?;
        let is_opaque = xattrs.iter().any(|(key, _)| key == OPAQUE);
        xattrs.retain(|(key, _)| !key.starts_with(OVERLAY));
        let same = metadata(&dir.stat_self()?) == metadata(&self.before);
        Ok(same && !is_opaque && xattrs == self.xattrs)
    }
}

/// The directory at `names` below `dir`, no symlink followed; `None` if there is none.
fn open_below(dir: &Dir, names: &[Vec<u8>]) -> Result<Option<Dir>, Error> {
    let mut here = dir.try_clone()?;
    for name in names {
        let stat = Error::absent(here.stat(name))?;
        if !stat.is_some_and(|stat| stat.is_dir()) {
            return Ok(None);
        }
        here = here.child(name)?;
    }
    Ok(Some(here))
}
