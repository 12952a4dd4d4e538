//! Finds the places of mounts in a tree, makes those that are missing, and removes them again.
//!
//! Walks from directory to directory by handle, follows symlinks as if the tree were all there
//! is, and goes into the mounts that are attached before, so that one can be inside of another.
//!
//! Invariant: what was made is removed through the handle of its directory, and only if it is
//! still the same file, and empty: never by path. A command that puts a symlink in its place
//! makes us delete nothing (CVE-2024-23652).

use std::os::fd::{AsFd, OwnedFd};

use rbuild_sys::{Dir, Errno, Error, FileKind, OFlags, Stat, Timestamp, file_stat, set_file_mtime};

use crate::{mount::Shape, traces::Traces};

/// Follows at most so many symlinks, as the kernel does.
const MAX_LINKS: usize = 40;

/// What to do with directories on the way that do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parents {
    Make,
    Require,
}

/// The places of the mounts of one run. Dropping it removes what it made.
pub(crate) struct MountPoints {
    tree: Dir,
    /// Roots of mounts, and where they are: names from the root down, without symlinks.
    entered: Vec<(Vec<Vec<u8>>, Dir)>,
    /// In the order in which they were made.
    made: Vec<Placeholder>,
    traces: Traces,
}

/// A place for a mount.
pub(crate) struct MountPoint {
    /// What to attach over.
    pub(crate) place: OwnedFd,
    /// Names from the root down, without symlinks.
    pub(crate) path: Vec<Vec<u8>>,
}

/// Something empty that was not in the tree.
struct Placeholder {
    parent: Dir,
    name: Vec<u8>,
    stat: Stat,
    /// Keeps the inode, so that its number cannot become another file's.
    _open: OwnedFd,
    /// Of the directory: before the placeholder, and with it.
    mtimes: (Timestamp, Timestamp),
}

/// One way through the tree.
struct Walk {
    /// From the root down; the root has no name.
    levels: Vec<Level>,
    links: usize,
}

struct Level {
    name: Vec<u8>,
    dir: Dir,
    /// In a mount, not in the tree itself.
    in_mount: bool,
}

impl MountPoints {
    pub(crate) fn new(tree: Dir) -> Self {
        Self {
            tree,
            entered: Vec::new(),
            made: Vec::new(),
            traces: Traces::default(),
        }
    }

    /// From now on `root` is what is at `path`.
    pub(crate) fn enter(&mut self, path: Vec<Vec<u8>>, root: Dir) {
        self.entered.push((path, root));
    }

    /// Finds what `path` leads to, or makes it.
    ///
    /// # Errors
    /// `NOTDIR` or `ISDIR` if it is of another shape, `BUSY` for the root, `LOOP`, and as
    /// mkdir(2).
    pub(crate) fn locate(
        &mut self,
        path: &str,
        shape: Shape,
        parents: Parents,
    ) -> Result<MountPoint, Error> {
        let mut walk = Walk {
            levels: vec![Level {
                name: Vec::new(),
                dir: self.tree.try_clone()?,
                in_mount: false,
            }],
            links: 0,
        };
        let mut left: Vec<Vec<u8>> = names(path.as_bytes()).rev().collect();
        let refused = |errno| Err(Error::new("mount", path, errno));
        while let Some(name) = left.pop() {
            if name == b".." {
                walk.levels.truncate((walk.levels.len() - 1).max(1));
                continue;
            }
            match Error::absent(walk.here().stat(&name))? {
                None if left.is_empty() && shape == Shape::File => {
                    let place = self.make(&walk, &name, Shape::File)?;
                    return Ok(MountPoint {
                        place,
                        path: walk.path_to(name),
                    });
                }
                None if left.is_empty() || parents == Parents::Make => {
                    let made = self.make(&walk, &name, Shape::Directory)?;
                    drop(made);
                    self.go_into(&mut walk, name)?;
                }
                None => return refused(Errno::NOENT),
                Some(stat) if stat.is_dir() => self.go_into(&mut walk, name)?,
                Some(stat) if stat.kind == FileKind::Symlink => walk.follow(&name, &mut left)?,
                Some(_) if left.is_empty() && shape == Shape::File => {
                    return Ok(MountPoint {
                        place: open_file(walk.here(), &name)?,
                        path: walk.path_to(name),
                    });
                }
                Some(_) => return refused(Errno::NOTDIR),
            }
        }
        match shape {
            Shape::File => refused(Errno::ISDIR),
            Shape::Directory if walk.levels.len() == 1 => refused(Errno::BUSY),
            Shape::Directory => Ok(MountPoint {
                path: walk.path(),
                place: walk.here().try_clone()?.into(),
            }),
        }
    }

    /// Removes what was made. What a command left in it keeps it, and is in the layer then.
    pub(crate) fn remove(mut self) -> Traces {
        self.remove_made();
        std::mem::take(&mut self.traces)
    }

    fn remove_made(&mut self) {
        for placeholder in self.made.drain(..).rev() {
            // What cannot be removed stays, empty, in the layer.
            let _ = placeholder.remove();
        }
    }

    fn go_into(&self, walk: &mut Walk, name: Vec<u8>) -> Result<(), Error> {
        let dir = walk.here().child(&name)?;
        let path = walk.path_to(name.clone());
        let mount = self.entered.iter().rev().find(|(at, _)| *at == path);
        let in_mount = mount.is_some() || walk.top().in_mount;
        let dir = match mount {
            Some((_, root)) => root.try_clone()?,
            None => dir,
        };
        walk.levels.push(Level {
            name,
            dir,
            in_mount,
        });
        Ok(())
    }

    /// Makes `name` where `walk` has come to; returns a handle on it.
    fn make(&mut self, walk: &Walk, name: &[u8], shape: Shape) -> Result<OwnedFd, Error> {
        if !walk.top().in_mount {
            for (depth, level) in walk.levels.iter().enumerate() {
                let path: Vec<_> = walk.path().into_iter().take(depth).collect();
                self.traces.remember(&path, &level.dir)?;
            }
        }
        let (placeholder, place) = Placeholder::make(walk.here().try_clone()?, name, shape)?;
        self.made.push(placeholder);
        Ok(place)
    }
}

impl Drop for MountPoints {
    fn drop(&mut self) {
        self.remove_made();
    }
}

impl Walk {
    fn top(&self) -> &Level {
        self.levels.last().expect("the root is never left")
    }

    fn here(&self) -> &Dir {
        &self.top().dir
    }

    fn path(&self) -> Vec<Vec<u8>> {
        let levels = self.levels.iter().skip(1);
        levels.map(|level| level.name.clone()).collect()
    }

    fn path_to(&self, name: Vec<u8>) -> Vec<Vec<u8>> {
        let mut path = self.path();
        path.push(name);
        path
    }

    /// Puts what the symlink `name` says before what is `left` (reversed).
    fn follow(&mut self, name: &[u8], left: &mut Vec<Vec<u8>>) -> Result<(), Error> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Error::new("mount", name, Errno::LOOP));
        }
        let text = self.here().read_link(name)?;
        if text.first() == Some(&b'/') {
            self.levels.truncate(1);
        }
        left.extend(names(&text).rev());
        Ok(())
    }
}

/// The components of `path` that mean something.
fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    let parts = path.split(|&b| b == b'/');
    parts
        .filter(|part| !matches!(*part, b"" | b"."))
        .map(<[u8]>::to_vec)
}

/// A handle on the file `name`, which is no symlink.
fn open_file(dir: &Dir, name: &[u8]) -> Result<OwnedFd, Error> {
    let file = dir.resolve(name, OFlags::PATH | OFlags::NOFOLLOW)?;
    match file_stat(&file)?.kind {
        FileKind::Symlink => Err(Error::new("open", name, Errno::LOOP)),
        _ => Ok(file),
    }
}

impl Placeholder {
    fn make(parent: Dir, name: &[u8], shape: Shape) -> Result<(Self, OwnedFd), Error> {
        let before = parent.stat_self()?.mtime;
        let open: OwnedFd = match shape {
            Shape::Directory => {
                parent.mkdir(name, 0o755)?;
                parent.set_mode(name, 0o755)?;
                parent.child(name)?.into()
            }
            Shape::File => {
                drop(parent.create(name, 0o644)?);
                parent.set_mode(name, 0o644)?;
                open_file(&parent, name)?
            }
        };
        let place = open.try_clone().map_err(|source| Error {
            call: "dup",
            operand: String::new(),
            source,
        })?;
        let made = Self {
            stat: file_stat(open.as_fd())?,
            mtimes: (before, parent.stat_self()?.mtime),
            parent,
            name: name.to_vec(),
            _open: open,
        };
        Ok((made, place))
    }

    fn remove(&self) -> Result<(), Error> {
        let Some(now) = Error::absent(self.parent.stat(&self.name))? else {
            return Ok(());
        };
        let identity = |stat: &Stat| (stat.kind, stat.ino, stat.dev);
        if identity(&now) != identity(&self.stat) {
            return Ok(());
        }
        let mtime = self.parent.stat_self()?.mtime;
        match now.kind {
            // The kernel refuses if there is anything in it.
            FileKind::Directory => self.parent.rmdir(&self.name)?,
            _ if now.size == 0 => self.parent.unlink(&self.name)?,
            _ => return Ok(()),
        }
        let (before, with) = self.mtimes;
        let mtime = if mtime == with { before } else { mtime };
        set_file_mtime(&self.parent, mtime)
    }
}

#[cfg(test)]
mod tests;
