//! Everything that belongs to a source: parents first, siblings by their names' bytes.
//!
//! Invariant: what the filter takes away is never visited, except a directory that something
//! visited is in. Memory does not grow with the number of files, descriptors not with the depth.

use rbuild_sys::{Descent, Dir, Entry, Stat};

use crate::{
    Source,
    error::{Error, Result, shown},
    filter::{Filter, Seen, Verdicts},
};

/// Descriptors of one walk.
const DESCRIPTORS: usize = 32;

/// One file or directory of a source.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// The directory that it is in.
    pub dir: &'a Dir,
    /// Its name there; empty if the source is the root, which is then `dir` itself.
    pub name: &'a [u8],
    /// Its path below the source; empty for the source itself.
    pub relative: &'a [u8],
    /// What it is; a symlink below the source is a symlink.
    pub stat: &'a Stat,
}

/// A directory that the walk is in.
struct Level {
    name: Vec<u8>,
    stat: Stat,
    /// What is still to be seen in it, in reverse order.
    left: Vec<Entry>,
    verdicts: Verdicts,
    /// Whether it has been visited itself.
    visited: bool,
    /// Length of its path below the source.
    relative: usize,
}

struct Walk<'a, V> {
    source: &'a Source,
    filter: &'a Filter<'a>,
    visit: V,
    /// The directory that the source is in.
    above: Dir,
    descent: Descent,
    levels: Vec<Level>,
    /// Path of the current entry below the source.
    relative: Vec<u8>,
}

/// Calls `visit` for `source` and all that is below it and passes `filter`.
///
/// # Errors
/// [`Error::Read`], and the first failure of `visit`.
pub fn walk<E: From<Error>>(
    source: &Source,
    filter: &Filter<'_>,
    mut visit: impl FnMut(&Visit<'_>) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    if filter.skips(source) {
        return Ok(());
    }
    let verdicts = filter.judge_source(source);
    let visited = !filter.hides(verdicts);
    let below = filter.below(source, b"");
    let seen = Seen {
        path: &source.path,
        below: &below,
    };
    let entered = source.stat.is_dir() && (visited || filter.may_show_below(verdicts, seen));
    if !visited && !entered {
        return Ok(());
    }
    let (above, name) = source.open()?;
    if visited {
        visit(&Visit {
            dir: &above,
            name,
            relative: b"",
            stat: &source.stat,
        })?;
    }
    if !entered {
        return Ok(());
    }
    let top = if name.is_empty() {
        above.try_clone()
    } else {
        above.child(name)
    };
    let top = top.map_err(|error| Error::Read {
        path: shown(&source.path),
        source: error,
    })?;
    let mut walk = Walk {
        source,
        filter,
        visit,
        above,
        descent: Descent::new(top, DESCRIPTORS),
        levels: Vec::new(),
        relative: Vec::new(),
    };
    walk.push_level(name.to_vec(), source.stat, (verdicts, visited))?;
    walk.run()
}

impl<V> Walk<'_, V> {
    fn run<E: From<Error>>(&mut self) -> std::result::Result<(), E>
    where
        V: FnMut(&Visit<'_>) -> std::result::Result<(), E>,
    {
        while let Some(level) = self.levels.last_mut() {
            self.relative.truncate(level.relative);
            match level.left.pop() {
                Some(entry) => self.entry(entry)?,
                None => {
                    self.levels.pop();
                    self.descent.leave().map_err(|source| self.failed(source))?;
                }
            }
        }
        Ok(())
    }

    fn entry<E: From<Error>>(&mut self, entry: Entry) -> std::result::Result<(), E>
    where
        V: FnMut(&Visit<'_>) -> std::result::Result<(), E>,
    {
        let parent = self
            .levels
            .last()
            .map_or_else(Verdicts::default, |level| level.verdicts);
        if !self.relative.is_empty() {
            self.relative.push(b'/');
        }
        self.relative.extend_from_slice(&entry.name);
        let (path, below) = (self.path(), self.filter.below(self.source, &self.relative));
        let seen = Seen {
            path: &path,
            below: &below,
        };
        let verdicts = self.filter.judge(parent, seen);
        let visited = !self.filter.hides(verdicts);
        if !visited && !self.filter.may_show_below(verdicts, seen) {
            return Ok(());
        }
        let stat = self
            .descent
            .dir()
            .stat(&entry.name)
            .map_err(|source| self.failed(source))?;
        if visited {
            self.visit_parents()?;
            let Self {
                descent,
                relative,
                visit,
                ..
            } = self;
            visit(&Visit {
                dir: descent.dir(),
                name: &entry.name,
                relative,
                stat: &stat,
            })?;
        }
        if stat.is_dir() {
            self.descent
                .enter(&entry.name)
                .map_err(|source| self.failed(source))?;
            self.push_level(entry.name, stat, (verdicts, visited))?;
        }
        Ok(())
    }

    /// Visits the excluded directories that something visible turned up in.
    fn visit_parents<E: From<Error>>(&mut self) -> std::result::Result<(), E>
    where
        V: FnMut(&Visit<'_>) -> std::result::Result<(), E>,
    {
        for depth in 0..self.levels.len() {
            if self.levels[depth].visited {
                continue;
            }
            let dir = match depth.checked_sub(1) {
                Some(parent) => self.descent.ancestor(parent),
                None => self.above.try_clone(),
            };
            let dir = dir.map_err(|source| self.failed(source))?;
            let level = &mut self.levels[depth];
            level.visited = true;
            let relative = &self.relative[..level.relative];
            (self.visit)(&Visit {
                dir: &dir,
                name: &level.name,
                relative,
                stat: &level.stat,
            })?;
        }
        Ok(())
    }

    /// Goes into the current directory, of which `known` says the verdicts and whether it was
    /// visited.
    fn push_level(&mut self, name: Vec<u8>, stat: Stat, known: (Verdicts, bool)) -> Result<()> {
        let (verdicts, visited) = known;
        let mut left = self
            .descent
            .dir()
            .entries()
            .map_err(|source| self.failed(source))?;
        left.reverse();
        let relative = self.relative.len();
        self.levels.push(Level {
            name,
            stat,
            left,
            verdicts,
            visited,
            relative,
        });
        Ok(())
    }

    /// Path of the current entry in the root.
    fn path(&self) -> Vec<u8> {
        match &self.relative[..] {
            b"" => self.source.path.clone(),
            relative => crate::source::join(&self.source.path, relative),
        }
    }

    fn failed(&self, source: rbuild_sys::Error) -> Error {
        Error::Read {
            path: shown(&self.path()),
            source,
        }
    }
}

/// Why a search ended early.
enum Stop {
    Seen,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Whether anything of `source` passes `filter`.
pub(crate) fn is_visible(source: &Source, filter: &Filter<'_>) -> Result<bool> {
    match walk(source, filter, |_| Err(Stop::Seen)) {
        Ok(()) => Ok(source.path.is_empty()),
        Err(Stop::Seen) => Ok(true),
        Err(Stop::Failed(error)) => Err(error),
    }
}
