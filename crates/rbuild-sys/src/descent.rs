//! A way down into a tree of any depth with a bounded number of descriptors.
//!
//! Invariant: [`Descent::dir`] is the directory that was entered, never another one that a
//! rename put in its place: a level that is opened again is compared by device and inode.

use std::collections::VecDeque;

use crate::{Dir, Errno, Error, error::Result};

/// Longest part of a path that is resolved at once; below `PATH_MAX`.
const CHUNK: usize = 2048;

/// The directories from a root down to the current one; only the deepest few are open.
#[derive(Debug)]
pub struct Descent {
    root: Dir,
    levels: Vec<Level>,
    /// Handles of the last `open.len()` levels.
    open: VecDeque<Dir>,
    limit: usize,
}

#[derive(Debug)]
struct Level {
    name: Vec<u8>,
    dev: u64,
    ino: u64,
}

impl Descent {
    /// Starts at `root`; keeps at most `limit` (at least 1) more descriptors.
    pub fn new(root: Dir, limit: usize) -> Self {
        Self {
            root,
            levels: Vec::new(),
            open: VecDeque::new(),
            limit: limit.max(1),
        }
    }

    /// The current directory.
    pub fn dir(&self) -> &Dir {
        self.open.back().unwrap_or(&self.root)
    }

    /// Number of directories below the root.
    pub fn depth(&self) -> usize {
        self.levels.len()
    }

    /// Goes into the directory `name` of the current one.
    ///
    /// # Errors
    /// As [`Dir::child`].
    pub fn enter(&mut self, name: &[u8]) -> Result<()> {
        let child = self.dir().child(name)?;
        self.go(name, child)
    }

    /// The same, unless something is mounted there.
    ///
    /// # Errors
    /// As [`Dir::child_here`].
    pub fn enter_here(&mut self, name: &[u8]) -> Result<()> {
        let child = self.dir().child_here(name)?;
        self.go(name, child)
    }

    fn go(&mut self, name: &[u8], child: Dir) -> Result<()> {
        let stat = child.stat_self()?;
        self.levels.push(Level {
            name: name.to_vec(),
            dev: stat.dev,
            ino: stat.ino,
        });
        if self.open.len() == self.limit {
            self.open.pop_front();
        }
        self.open.push_back(child);
        Ok(())
    }

    /// Goes back to the parent of the current directory; nothing happens at the root.
    ///
    /// # Errors
    /// `STALE` if the parent was moved meanwhile.
    pub fn leave(&mut self) -> Result<()> {
        self.levels.pop();
        self.open.pop_back();
        if self.open.is_empty() && !self.levels.is_empty() {
            let dir = self.reopen(self.levels.len())?;
            self.open.push_back(dir);
        }
        Ok(())
    }

    /// A handle on the directory `depth` levels below the root.
    ///
    /// # Errors
    /// `STALE` if it was moved meanwhile; `INVAL` if `depth` is below the current directory.
    pub fn ancestor(&self, depth: usize) -> Result<Dir> {
        let closed = self.levels.len() - self.open.len();
        match depth {
            0 => self.root.try_clone(),
            depth if depth > self.levels.len() => Err(Error::new("openat", "", Errno::INVAL)),
            depth if depth > closed => self.open[depth - closed - 1].try_clone(),
            depth => self.reopen(depth),
        }
    }

    /// Walks from the root to level `depth` again, a chunk of names at a time.
    fn reopen(&self, depth: usize) -> Result<Dir> {
        let mut here = self.root.try_clone()?;
        let mut chunk: Vec<u8> = Vec::new();
        for (index, level) in self.levels[..depth].iter().enumerate() {
            chunk.extend_from_slice(&level.name);
            chunk.push(b'/');
            if chunk.len() < CHUNK && index + 1 < depth {
                continue;
            }
            here = here.resolve_dir(&chunk)?;
            chunk.clear();
            let stat = here.stat_self()?;
            if (stat.dev, stat.ino) != (level.dev, level.ino) {
                return Err(Error::new("openat", &level.name, Errno::STALE));
            }
        }
        Ok(here)
    }
}

#[cfg(test)]
mod tests {
    use super::Descent;
    use crate::{Dir, Errno};

    #[test]
    fn a_tree_deeper_than_the_limit_is_walked_down_and_up() {
        let temp = tempfile::tempdir().unwrap();
        let mut descent = Descent::new(Dir::open(temp.path()).unwrap(), 4);
        let name = [b'd'; 100];
        let mut inodes = Vec::new();
        for _ in 0..60 {
            inodes.push(descent.dir().stat_self().unwrap().ino);
            descent.dir().mkdir(&name, 0o755).unwrap();
            descent.enter(&name).unwrap();
        }
        assert_eq!(
            descent.ancestor(30).unwrap().stat_self().unwrap().ino,
            inodes[30]
        );
        while let Some(ino) = inodes.pop() {
            descent.leave().unwrap();
            assert_eq!(descent.dir().stat_self().unwrap().ino, ino);
        }
        assert_eq!(descent.depth(), 0);
    }

    #[test]
    fn a_level_that_was_swapped_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let root = Dir::open(temp.path()).unwrap();
        std::fs::create_dir_all(temp.path().join("a/b")).unwrap();
        let mut descent = Descent::new(root, 1);
        descent.enter(b"a").unwrap();
        descent.enter(b"b").unwrap();
        std::fs::rename(temp.path().join("a"), temp.path().join("old")).unwrap();
        std::fs::create_dir(temp.path().join("a")).unwrap();
        assert!(descent.leave().unwrap_err().is(Errno::STALE));
    }
}
