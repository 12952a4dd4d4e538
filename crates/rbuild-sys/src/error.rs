//! A failed system call: which one, on what, why.

use std::io;

use rustix::io::Errno;

/// What every function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// A system call failed.
#[derive(Debug, thiserror::Error)]
#[error("{call}{}", shown(operand))]
pub struct Error {
    /// Name of the call, as in section 2 of the manual.
    pub call: &'static str,
    /// What it was to work on, as text; empty where that has no name.
    pub operand: String,
    /// The kernel's answer.
    pub source: io::Error,
}

impl Error {
    /// `call` on `operand` failed with `errno`.
    pub fn new(call: &'static str, operand: impl AsRef<[u8]>, errno: Errno) -> Self {
        let operand = String::from_utf8_lossy(operand.as_ref()).into_owned();
        Self {
            call,
            operand,
            source: errno.into(),
        }
    }

    /// `call` on `operand` failed just now, for the reason in `errno`.
    pub(crate) fn last(call: &'static str, operand: impl AsRef<[u8]>) -> Self {
        let operand = String::from_utf8_lossy(operand.as_ref()).into_owned();
        Self {
            call,
            operand,
            source: io::Error::last_os_error(),
        }
    }

    /// The kernel's answer as a number.
    pub fn errno(&self) -> Option<Errno> {
        Errno::from_io_error(&self.source)
    }

    /// Whether the answer was `errno`.
    pub fn is(&self, errno: Errno) -> bool {
        self.errno() == Some(errno)
    }

    /// What to try, if there is something: a disk that is full, or an owner that no id of this
    /// user stands for (T51).
    pub fn hint(&self) -> Option<&'static str> {
        if self.is(Errno::NOSPC) || self.is(Errno::DQUOT) {
            return Some(
                "if the store is on that disk, `rbuild prune` deletes what no image needs",
            );
        }
        let changes_owner = ["fchown", "fchownat"].contains(&self.call);
        (changes_owner && self.is(Errno::INVAL)).then_some(
            "the owner is beyond the ids that this user has; `rbuild info` says how many",
        )
    }

    /// `None` if the reason is that there is no such file.
    ///
    /// # Errors
    /// Every other failure.
    pub fn absent<T>(result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn shown(operand: &str) -> String {
    match operand {
        "" => String::new(),
        named => format!("(`{named}`)"),
    }
}

/// Adds the call and its operand to a bare errno.
pub(crate) trait Context<T> {
    fn on(self, call: &'static str, operand: impl AsRef<[u8]>) -> Result<T>;
}

impl<T> Context<T> for rustix::io::Result<T> {
    fn on(self, call: &'static str, operand: impl AsRef<[u8]>) -> Result<T> {
        self.map_err(|errno| Error::new(call, operand, errno))
    }
}
