//! The files of what was built, where nobody has asked for an image.
//!
//! Knows: that layers are merged, and where the files of several platforms are.
//! Does not know: images; none is made, so nothing is packed, hashed or kept for one.

use rbuild_export::{
    AttestedFiles, Replica, Split, merged, subdirectory, write_tree, write_tree_tar,
};
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
        matches!(self.kind, Kind::Local(..) | Kind::Tar(_))
    }

    /// Writes the files of `all`, at least one; nothing if an image is wanted.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write_files(&self, all: &[Files], ends: Ends<'_>) -> Result<(), Failure> {
        match (&self.kind, all) {
            (Kind::Local(path, others), all) => {
                let to = ends.replica(path, *others)?;
                let platforms: Vec<&Platform> = all.iter().map(|one| &one.platform).collect();
                self.write_parts(&to, &platforms, |number, to| {
                    let layers = &all[number].layers;
                    Ok(write_tree(ends.store, layers, ends.empty, to)?)
                })
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

    /// Lets `write` write what there is for each of `platforms` to its place in `to`.
    pub(super) fn write_parts(
        &self,
        to: &Replica,
        platforms: &[&Platform],
        mut write: impl FnMut(usize, &Replica) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if !self.is_split(platforms.len()) {
            return (0..platforms.len()).try_for_each(|number| write(number, to));
        }
        let names: Vec<String> = platforms.iter().map(|it| subdirectory(it)).collect();
        for (number, name) in names.iter().enumerate() {
            write(number, &to.part(name)?)?;
        }
        Ok(to.finish(&names)?)
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
