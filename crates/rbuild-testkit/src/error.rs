//! What can go wrong around a test: the world's failures, not the product's.

use std::io;
use std::path::PathBuf;
use std::process::Command;

/// A test's surroundings could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such account on this host.
    #[error("there is no user `{name}` on this host")]
    Account {
        /// The name looked up.
        name: String,
        /// What the user database said, if it said anything.
        source: Option<nix::Error>,
    },
    /// A program could not be started or waited for.
    #[error("cannot run `{program}`")]
    Program {
        /// The program's name or path.
        program: String,
        /// The cause.
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("`{program}` failed: {stderr}")]
    Failed {
        /// The program's name or path.
        program: String,
        /// What it wrote to its standard error.
        stderr: String,
    },
    /// A file or directory could not be made, read or given away.
    #[error("cannot {action} `{path}`")]
    File {
        /// The verb: `create`, `read`, `copy`…
        action: &'static str,
        /// The operand.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A registry was started and does not answer.
    #[error("the registry on port {port} does not answer")]
    Registry {
        /// The port on 127.0.0.1.
        port: u16,
    },
}

impl Error {
    /// For `map_err`: names the program of `command`.
    pub(crate) fn program(command: &Command) -> impl FnOnce(io::Error) -> Self + use<> {
        let program = command.get_program().display().to_string();
        move |source| Self::Program { program, source }
    }

    /// For `map_err`: names the action and the path that an I/O error is about.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File {
            action,
            path,
            source,
        }
    }
}
