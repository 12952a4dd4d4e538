//! Everything that belongs to a source: parents first, siblings by their names' bytes.
//!
//! Invariant: what the ignore file excludes is never visited, except a directory that something
//! visited is in. Memory does not grow with the number of files, descriptors not with the depth.

use rbuild_sys::{Descent, Dir, Entry, Stat};

use crate::{
    Source,
    error::{Error, Result, shown},
    ignore::{IgnoreRules, Verdict},
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
    verdict: Verdict,
    /// Whether it has been visited itself.
    visited: bool,
    /// Length of its path below the source.
    relative: usize,
}

struct Walk<'a, V> {
    source: &'a Source,
    rules: &'a IgnoreRules,
    visit: V,
    descent: Descent,
    levels: Vec<Level>,
    /// Path of the current entry below the source.
    relative: Vec<u8>,
}

/// Calls `visit` for `source` and all that is below it and not excluded by `rules`.
///
/// # Errors
/// [`Error::Read`], and the first failure of `visit`.
pub fn walk<E: From<Error>>(
    source: &Source,
    rules: Option<&IgnoreRules>,
    mut visit: impl FnMut(&Visit<'_>) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let none = IgnoreRules::default();
    let rules = rules.unwrap_or(&none);
    let verdict = rules.judge_whole(&source.path);
    let visited = !rules.is_excluded(verdict);
    let Source {
        dir, entry, stat, ..
    } = source;
    if visited {
        visit(&Visit {
            dir,
            name: entry,
            relative: b"",
            stat,
        })?;
    }
    if !stat.is_dir() || !(visited || rules.may_include_below(verdict, &source.path)) {
        return Ok(());
    }
    let read = |source_error| Error::Read {
        path: shown(&source.path),
        source: source_error,
    };
    let top = if entry.is_empty() {
        dir.try_clone()
    } else {
        dir.child(entry)
    };
    let mut walk = Walk {
        source,
        rules,
        visit,
        descent: Descent::new(top.map_err(read)?, DESCRIPTORS),
        levels: Vec::new(),
        relative: Vec::new(),
    };
    walk.push_level(entry.clone(), *stat, (verdict, visited))?;
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
            .map_or_else(Verdict::default, |level| level.verdict);
        if !self.relative.is_empty() {
            self.relative.push(b'/');
        }
        self.relative.extend_from_slice(&entry.name);
        let path = self.path();
        let verdict = self.rules.judge(parent, &path);
        let visited = !self.rules.is_excluded(verdict);
        if !visited && !self.rules.may_include_below(verdict, &path) {
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
            self.push_level(entry.name, stat, (verdict, visited))?;
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
                None => self.source.dir.try_clone(),
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

    /// Goes into the current directory, of which `known` says the verdict and whether it was
    /// visited.
    fn push_level(&mut self, name: Vec<u8>, stat: Stat, known: (Verdict, bool)) -> Result<()> {
        let (verdict, visited) = known;
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
            verdict,
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

/// Whether anything of `source` is left by `rules`.
pub(crate) fn is_visible(source: &Source, rules: Option<&IgnoreRules>) -> Result<bool> {
    match walk(source, rules, |_| Err(Stop::Seen)) {
        Ok(()) => Ok(source.path.is_empty()),
        Err(Stop::Seen) => Ok(true),
        Err(Stop::Failed(error)) => Err(error),
    }
}
