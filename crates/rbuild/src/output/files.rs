//! The files of what was built, where nobody has asked for an image.
//!
//! Knows: that layers are merged, and where the files of several platforms are.
//! Does not know: images; none is made, so nothing is packed, hashed or kept for one.

use std::path::{Path, PathBuf};

use rbuild_export::{AttestedFiles, Split, merged, subdirectory, write_tree, write_tree_tar};
use rbuild_oci::Platform;
use rbuild_store::LayerId;

use super::{Ends, Kind, Output};
use crate::{failure::Failure, target::Target};

/// What was built for a platform.
pub struct Files {
    /// The platform.
    pub platform: Platform,
    /// Bottom first.
    pub layers: Vec<LayerId>,
}

impl Output {
    /// Whether only files are written, and no image.
    pub fn is_files(&self) -> bool {
        matches!(self.kind, Kind::Local(_) | Kind::Tar(_))
    }

    /// Writes the files of `all`, at least one; nothing if an image is wanted.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write_files(&self, all: &[Files], ends: Ends<'_>) -> Result<(), Failure> {
        match (&self.kind, all) {
            (Kind::Local(path), all) => {
                for one in all {
                    let path = self.directory(path, &one.platform, all.len());
                    write_tree(ends.store, &one.layers, ends.empty, &path)?;
                }
                Ok(())
            }
            (Kind::Tar(target), [one]) if !self.is_split(1) => {
                let (store, empty) = (ends.store, ends.empty);
                target.write(&mut |out| Ok(write_tree_tar(store, &one.layers, empty, out)?))
            }
            (Kind::Tar(target), all) => write_split(target, all, ends),
            _ => Ok(()),
        }
    }

    /// Whether each of `count` platforms has a directory of its own.
    pub(super) fn is_split(&self, count: usize) -> bool {
        self.split.unwrap_or(count > 1)
    }

    /// Where in `path` the files for `platform` go, one of `count`.
    pub(super) fn directory(&self, path: &Path, platform: &Platform, count: usize) -> PathBuf {
        match self.is_split(count) {
            true => path.join(subdirectory(platform)),
            false => path.to_owned(),
        }
    }
}

/// The files for several platforms in one tar.
fn write_split(target: &Target, all: &[Files], ends: Ends<'_>) -> Result<(), Failure> {
    let split = Split::new(ends.session)?;
    for one in all {
        let tree = merged(ends.store, &one.layers, ends.empty)?;
        let files = AttestedFiles::new(ends.session, &tree, &[], 0)?;
        split.add(&one.platform, &files)?;
    }
    target.write(&mut |out| Ok(split.write_tar(out)?))
}
