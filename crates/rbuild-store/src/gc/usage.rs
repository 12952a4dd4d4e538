//! How much of the disk is used, as du(1) counts: blocks, and a file with several names once.

use std::collections::HashSet;

use rbuild_sys::{Dir, Error};

use crate::{
    Store,
    error::{Context, Result},
};

/// Adds up blocks.
#[derive(Debug, Default)]
pub struct Meter {
    /// Files with several names that were counted: file system and number.
    seen: HashSet<(u64, u64)>,
}

/// What the store needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// One for each entry of the store's directory, by name.
    pub parts: Vec<Part>,
    /// Bytes of the directory itself.
    pub own: u64,
}

/// One entry of the store's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// `layers`, `blobs`, …
    pub name: String,
    /// Bytes on disk.
    pub size: u64,
}

impl Usage {
    /// What `du` says of the store.
    pub fn total(&self) -> u64 {
        self.own + self.parts.iter().map(|part| part.size).sum::<u64>()
    }
}

impl Store {
    /// Measures everything. To be called inside the user namespace: layers can have directories
    /// that only their owners may look into.
    ///
    /// # Errors
    /// [`crate::Error::Read`] if a directory cannot be read.
    pub fn usage(&self) -> Result<Usage> {
        let mut meter = Meter::default();
        let mut measure = || {
            let mut parts = Vec::new();
            for entry in self.root().entries()? {
                parts.push(Part {
                    size: meter.measure(self.root(), &entry.name)?,
                    name: String::from_utf8_lossy(&entry.name).into_owned(),
                });
            }
            let own = self.root().stat_self()?.blocks * 512;
            Ok(Usage { parts, own })
        };
        measure().reading(|| "the sizes".to_owned())
    }
}

impl Meter {
    /// Bytes of `name` and what is below it. What vanishes meanwhile counts nothing.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn measure(&mut self, dir: &Dir, name: &[u8]) -> rbuild_sys::Result<u64> {
        let (mut total, is_dir) = self.one(dir, name)?;
        let mut levels: Vec<(Dir, Vec<Vec<u8>>)> = Vec::new();
        if is_dir {
            levels.extend(self.enter(dir, name, &mut total)?);
        }
        while let Some((here, left)) = levels.last_mut() {
            match left.pop() {
                Some(name) => {
                    let next = self.enter(here, &name, &mut total)?;
                    levels.extend(next);
                }
                None => drop(levels.pop()),
            }
        }
        Ok(total)
    }

    /// Counts what is in the directory `name`; returns it and the names of its directories.
    fn enter(
        &mut self,
        dir: &Dir,
        name: &[u8],
        total: &mut u64,
    ) -> rbuild_sys::Result<Option<(Dir, Vec<Vec<u8>>)>> {
        let Some(here) = Error::absent(dir.child(name))? else {
            return Ok(None);
        };
        let mut directories = Vec::new();
        for entry in Error::absent(here.entries())?.unwrap_or_default() {
            let (size, is_dir) = self.one(&here, &entry.name)?;
            *total += size;
            if is_dir {
                directories.push(entry.name);
            }
        }
        Ok(Some((here, directories)))
    }

    fn one(&mut self, dir: &Dir, name: &[u8]) -> rbuild_sys::Result<(u64, bool)> {
        let Some(stat) = Error::absent(dir.stat(name))? else {
            return Ok((0, false));
        };
        let shared = !stat.is_dir() && stat.links > 1;
        if shared && !self.seen.insert((stat.dev, stat.ino)) {
            return Ok((0, false));
        }
        Ok((stat.blocks * 512, stat.is_dir()))
    }
}
