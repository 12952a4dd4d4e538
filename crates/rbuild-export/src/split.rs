//! The files of images for several platforms, side by side: a directory for each.
//!
//! Knows: what the directories are called (`linux_amd64`, `linux_arm_v7`: BuildKit's
//! `platform-split`). Does not know: which files there are.

use std::io::Write;

use rbuild_layer::{Form, PackOptions, pack};
use rbuild_oci::Platform;
use rbuild_store::{Session, StagedLayer};

use crate::{AttestedFiles, Error};

/// What the directory of `platform` is called.
pub fn subdirectory(platform: &Platform) -> String {
    platform.to_string().replace('/', "_")
}

/// Copies of trees in directories beside each other; they are gone with the session.
pub struct Split(StagedLayer);

impl Split {
    /// None.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn new(session: &Session) -> Result<Self, Error> {
        Ok(Self(session.new_layer()?))
    }

    /// Adds the files of an image for `platform`, and what is said of them.
    ///
    /// # Errors
    /// As [`crate::write_tree`].
    pub fn add(&self, platform: &Platform, files: &AttestedFiles<'_>) -> Result<(), Error> {
        let name = subdirectory(platform);
        let cannot = || Error::directory(&name);
        let all = &self.0.diff;
        all.mkdir(name.as_bytes(), 0o755).map_err(cannot())?;
        files.write_into(&all.child(name.as_bytes()).map_err(cannot())?)
    }

    /// Writes all as a tar to `out`.
    ///
    /// # Errors
    /// [`Error::Pack`].
    pub fn write_tar(&self, out: &mut dyn Write) -> Result<(), Error> {
        pack(&[&self.0.diff], &PackOptions::new(Form::Plain), out)
            .map(drop)
            .map_err(Error::Pack)
    }
}

#[cfg(test)]
mod tests {
    use super::subdirectory;

    #[test]
    fn directories_are_called_as_buildkit_calls_them() {
        let called = |text: &str| subdirectory(&text.parse().unwrap());
        assert_eq!(called("linux/amd64"), "linux_amd64");
        assert_eq!(called("linux/arm/v7"), "linux_arm_v7");
        assert_eq!(called("linux/arm64/v8"), "linux_arm64");
    }
}
