//! What a step does to its tree, one file for each kind.

pub mod copy;
mod directory;
pub mod place;
pub mod run;
pub mod workdir;

use rbuild_sys::Error as SysError;

/// Why a step failed. Which step it was, and where in the Dockerfile, is said by
/// [`crate::Error::Step`].
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The command ended, but not well.
    #[error("the command exited with status {status}")]
    Status {
        /// As a shell reports it: 128 + number for a signal.
        status: u8,
    },
    /// The command could not be run.
    #[error(transparent)]
    Sandbox(rbuild_sandbox::Error),
    /// `USER` or `--chown` names nobody.
    #[error("cannot find the user `{user}`")]
    User {
        /// As written.
        user: String,
        /// Why.
        source: rbuild_sandbox::UserError,
    },
    /// The files to copy cannot be found or read.
    #[error(transparent)]
    Source(#[from] rbuild_context::Error),
    /// `COPY file /dir/name` where `/dir/name` is a directory.
    #[error("cannot replace the directory `{path}` with a file")]
    OntoDirectory {
        /// In the image.
        path: String,
    },
    /// A directory is wanted where something else is.
    #[error("`{path}` is not a directory, so nothing can be put into it")]
    OntoFile {
        /// In the image.
        path: String,
    },
    /// The tree cannot be written.
    #[error("cannot write `{path}` in the image")]
    Write {
        /// In the image.
        path: String,
        /// Why.
        source: SysError,
    },
    /// The tree cannot be read.
    #[error("cannot read `{path}` in the image")]
    Read {
        /// In the image.
        path: String,
        /// Why.
        source: SysError,
    },
}

impl StepError {
    fn write(path: impl Into<String>, source: SysError) -> Self {
        Self::Write {
            path: path.into(),
            source,
        }
    }
}

/// A path of the tree for a message.
fn shown(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path).trim_matches('/'))
}
