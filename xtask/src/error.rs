//! Why a task stopped.

use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

/// A task could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program could not be started.
    #[error("cannot start `{program}`")]
    Start {
        /// Its name or path.
        program: String,
        /// The cause.
        source: io::Error,
    },
    /// A program ended with anything but 0.
    #[error("`{line}` failed ({status})")]
    Failed {
        /// The command line.
        line: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// A file could not be read or written.
    #[error("cannot {action} `{path}`")]
    File {
        /// The verb.
        action: &'static str,
        /// The operand.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Packages are missing and this user may not install them.
    #[error("packages are missing: {packages}\ninstall them with:\n  {line}")]
    Packages {
        /// Their names, separated by spaces.
        packages: String,
        /// The command line for an administrator.
        line: String,
    },
    /// This host has no package manager that we know.
    #[error("neither apt-get nor dnf is here; these programs are missing: {programs}")]
    NoInstaller {
        /// Their names, separated by spaces.
        programs: String,
    },
    /// This user has no subordinate ids and we may not add them.
    #[error("user `{name}` has no range in /etc/subuid\nadd one with:\n  {line}")]
    Range {
        /// The user.
        name: String,
        /// The command line for an administrator.
        line: String,
    },
    /// House rules are broken; they were printed.
    #[error("{count} house rules are broken (docs/style.md)")]
    Tidy {
        /// How many findings.
        count: usize,
    },
    /// The test kit could not make something.
    #[error("cannot prepare the surroundings of a build")]
    Surroundings {
        /// The cause.
        #[from]
        source: rbuild_testkit::Error,
    },
}

impl Error {
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

/// Runs `command` with our own terminal; it must end with 0.
pub fn run(command: &mut Command) -> Result<(), Error> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::Failed {
            line: command_line(command),
            status,
        }),
        Err(source) => Err(Error::Start {
            program: command_line(command),
            source,
        }),
    }
}

/// Runs `command` and returns its standard output; it must end with 0.
pub fn capture(command: &mut Command) -> Result<String, Error> {
    let started = command.stderr(std::process::Stdio::inherit()).output();
    let output = started.map_err(|source| Error::Start {
        program: command_line(command),
        source,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Error::Failed {
        line: command_line(command),
        status: output.status,
    })
}

/// The command as one would type it.
pub fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
