//! Which files a digest counted, for those who want to name them later.

use std::io;

use rbuild_context::FileDigests;
use rbuild_plan::Listing;
use rbuild_sys::Stat;

/// Is told of each file that a digest counts.
pub trait List {
    /// Whether it wants to be told at all.
    fn is_wanted(&self) -> bool;

    /// Adds the file or directory `path`, which `print` stands for.
    fn add(&mut self, path: &[u8], print: u64);
}

/// Nobody wants to know.
pub struct Unlisted;

impl List for Unlisted {
    fn is_wanted(&self) -> bool {
        false
    }

    fn add(&mut self, _: &[u8], _: u64) {}
}

impl List for Listing {
    fn is_wanted(&self) -> bool {
        true
    }

    fn add(&mut self, path: &[u8], print: u64) {
        Self::add(self, path, print);
    }
}

/// Digests from elsewhere, and the list of what they are of.
pub struct Listed<'a> {
    /// Knows digests.
    pub known: &'a mut dyn FileDigests,
    /// Is told.
    pub list: &'a mut dyn List,
}

impl FileDigests for Listed<'_> {
    fn digest(
        &mut self,
        stat: &Stat,
        compute: &mut dyn FnMut() -> io::Result<[u8; 32]>,
    ) -> io::Result<[u8; 32]> {
        self.known.digest(stat, compute)
    }

    fn counted(&mut self, path: &dyn Fn() -> Vec<u8>, print: &dyn Fn() -> u64) {
        if self.list.is_wanted() {
            self.list.add(&path(), print());
        }
    }
}
