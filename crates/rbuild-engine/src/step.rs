//! What a step does to its tree, one file for each kind.

pub mod copy;
mod directory;
pub(crate) mod mounts;
pub mod place;
pub mod run;
pub mod workdir;

use std::time::Duration;

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
    /// The command was ended because it took too long.
    #[error("the command was ended: it took longer than {}", shown_duration(*.limit))]
    Timeout {
        /// How much time it had.
        limit: Duration,
    },
    /// The command ended, but not well, and it had no room to write to. Not every program says
    /// so itself.
    #[error("the command exited with status {status}: No space left on the store's disk")]
    Full {
        /// As a shell reports it.
        status: u8,
    },
    /// The command ended, but not well, and processes of it were killed because of their memory.
    #[error("the command exited with status {status}: it needs more memory than it may have")]
    OutOfMemory {
        /// As a shell reports it.
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
    /// `COPY --link --chown` names somebody: who that is depends on what is below (C22).
    #[error("cannot find the user `{user}`: a linked copy does not see the accounts of its base")]
    LinkedUser {
        /// As written.
        user: String,
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
    /// `--checksum` is not a digest.
    #[error("cannot use the checksum")]
    Checksum(#[source] rbuild_oci::Error),
    /// A source of ADD looks like a repository and is none.
    #[error("`{url}` is not a git repository")]
    NoRepository {
        /// As written, expanded.
        url: String,
    },
    /// The flag and the URL's query do not agree (C27).
    #[error("`{url}` says something else about `keep-git-dir` than `--keep-git-dir={flag}`")]
    GitDir {
        /// As written, expanded.
        url: String,
        /// The flag's value.
        flag: bool,
    },
    /// An archive cannot be unpacked.
    #[error(transparent)]
    Archive(#[from] crate::fetch::FetchError),
    /// A secret or agent that a mount requires was not given.
    #[error("the {what} `{id}` is required here: give it with {flag}")]
    Missing {
        /// What it is.
        what: &'static str,
        /// Its name.
        id: String,
        /// How to give it.
        flag: &'static str,
    },
    /// A device that the command requires is not on this machine.
    #[error("the device `{path}` is required here, and this machine has none of that name")]
    Device {
        /// On the host.
        path: String,
    },
    /// The tree cannot be mounted for an archive.
    #[error("cannot mount the image")]
    Mount(#[source] rbuild_snapshot::Error),
    /// Another stage's tree cannot be opened.
    #[error("cannot open the tree of another stage")]
    Tree(#[source] Box<crate::Error>),
    /// Something that was to be copied or mounted cannot be put aside.
    #[error("cannot prepare {what}")]
    Stage {
        /// E.g. a heredoc.
        what: String,
        /// Why.
        source: SysError,
    },
    /// The store refused.
    #[error("cannot use the store")]
    Store(#[from] rbuild_store::Error),
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
    /// What the user could try.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Sandbox(error) => error.hint(),
            Self::Source(error) => error.hint().map(str::to_owned),
            Self::Full { .. } => Some("`rbuild prune` deletes what no image needs".to_owned()),
            Self::OutOfMemory { .. } => Some("give it more: --memory".to_owned()),
            Self::LinkedUser { .. } => Some("give numbers, or leave --link out".to_owned()),
            _ => None,
        }
    }

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

/// A time for a message: `90 s`, `0.5 s`.
fn shown_duration(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
