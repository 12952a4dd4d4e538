//! What a program under test said, as text that assertions can quote.

use std::fmt;
use std::io::Write;
use std::process::{self, Command, Stdio};
use std::thread;

use crate::Error;

/// The end of a program: status and both streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Exit status; 128 + the signal's number if a signal ended it.
    pub status: i32,
    /// Standard output; bytes that are no UTF-8 are replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

impl Output {
    /// Runs `command` to its end, with nothing on its standard input.
    ///
    /// # Errors
    /// [`Error::Program`] if it cannot be started.
    pub fn of(command: &mut Command) -> Result<Self, Error> {
        let output = command.stdin(Stdio::null()).output();
        Ok(Self::from(output.map_err(Error::program(command))?))
    }

    /// Like [`Output::of`], with `input` on its standard input, which it need not read.
    ///
    /// # Errors
    /// [`Error::Program`] if it cannot be started.
    pub fn of_input(command: &mut Command, input: &[u8]) -> Result<Self, Error> {
        let piped = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = piped.spawn().map_err(Error::program(command))?;
        let stdin = child.stdin.take();
        let output = thread::scope(|scope| {
            scope.spawn(|| stdin.map(|mut stdin| stdin.write_all(input)));
            child.wait_with_output()
        });
        Ok(Self::from(output.map_err(Error::program(command))?))
    }

    /// Like [`Output::of`], for programs that must succeed.
    ///
    /// # Errors
    /// [`Error::Failed`] if it ends with anything but 0.
    pub fn of_success(command: &mut Command) -> Result<Self, Error> {
        let output = Self::of(command)?;
        if output.status == 0 {
            return Ok(output);
        }
        let program = command.get_program().display().to_string();
        Err(Error::Failed {
            program,
            stderr: output.to_string(),
        })
    }

    /// Is `text` in one of the streams?
    pub fn says(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }

    /// Itself, if one of the streams contains `text`.
    ///
    /// # Panics
    /// With both streams in the message, if none does: for use in tests.
    #[track_caller]
    pub fn saying(self, text: &str) -> Self {
        assert!(self.says(text), "`{text}` was not said: {self}");
        self
    }

    /// Itself, if the status was 0.
    ///
    /// # Panics
    /// With both streams in the message, if it was not: for use in tests.
    #[track_caller]
    pub fn success(self) -> Self {
        assert_eq!(self.status, 0, "{self}");
        self
    }

    /// Itself, if the status was anything but 0.
    ///
    /// # Panics
    /// With both streams in the message, if it was 0: for use in tests.
    #[track_caller]
    pub fn failure(self) -> Self {
        assert_ne!(self.status, 0, "{self}");
        self
    }
}

impl From<process::Output> for Output {
    fn from(output: process::Output) -> Self {
        Self {
            status: exit_status(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "status {status}\n--- stdout\n{stdout}--- stderr\n{stderr}---"
        )
    }
}

/// The status as a shell reports it (bash(1), "EXIT STATUS").
fn exit_status(status: process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_counts_from_128() {
        let output = Output::of(Command::new("sh").args(["-c", "echo a; kill -9 $$"])).unwrap();
        assert_eq!((output.status, output.stdout.as_str()), (137, "a\n"));
    }

    #[test]
    fn input_need_not_be_read() {
        let large = vec![b'x'; 1 << 20];
        let count = Output::of_input(Command::new("wc").arg("-c"), &large).unwrap();
        assert_eq!(count.stdout, "1048576\n");
        assert_eq!(
            Output::of_input(&mut Command::new("true"), &large)
                .unwrap()
                .status,
            0
        );
    }
}
