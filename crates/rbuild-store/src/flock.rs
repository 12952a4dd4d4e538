//! Locks on open files, flock(2), that end when they are dropped.
//!
//! To close the file is not enough: a process that another thread has just forked has it open
//! too, and keeps the lock until it executes its program. So the lock is given back by name.

use std::{
    fs::{File, TryLockError},
    io,
    ops::Deref,
};

use crate::error::{Error, Result};

/// An open file with a lock on it, which ends when this is dropped, or with the process.
///
/// All functions fail with [`Error::Lock`] where there are no locks; `what` says which it was.
#[derive(Debug)]
pub struct Flock(File);

impl Flock {
    /// Waits until nobody else has a lock on `file`.
    pub fn exclusive(file: File, what: impl FnOnce() -> String) -> Result<Self> {
        file.lock().map_err(failed(what))?;
        Ok(Self(file))
    }

    /// Waits until nobody has an exclusive lock on `file`.
    pub fn shared(file: File, what: impl FnOnce() -> String) -> Result<Self> {
        file.lock_shared().map_err(failed(what))?;
        Ok(Self(file))
    }

    /// `None` if somebody has a lock on `file`.
    pub fn try_exclusive(file: File, what: impl FnOnce() -> String) -> Result<Option<Self>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(failed(what)(source)),
        }
    }

    /// `None` if somebody has an exclusive lock on `file`.
    pub fn try_shared(file: File, what: impl FnOnce() -> String) -> Result<Option<Self>> {
        match file.try_lock_shared() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(failed(what)(source)),
        }
    }
}

impl Deref for Flock {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Flock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

fn failed(what: impl FnOnce() -> String) -> impl FnOnce(io::Error) -> Error {
    |source| Error::Lock {
        what: what(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// The file, as somebody else opens it.
    fn reopened(dir: &tempfile::TempDir) -> File {
        File::create(dir.path().join("lock")).unwrap()
    }

    fn what() -> String {
        "lock".to_owned()
    }

    #[test]
    fn a_lock_ends_when_it_is_dropped_though_a_child_has_the_file_open() {
        let dir = tempfile::tempdir().unwrap();
        let held = Flock::exclusive(reopened(&dir), what).unwrap();
        let inherited = Stdio::from(held.try_clone().unwrap());
        let mut child = Command::new("sleep")
            .arg("1000")
            .stdin(inherited)
            .spawn()
            .unwrap();
        let during = Flock::try_shared(reopened(&dir), what).unwrap();
        drop(held);
        let after = Flock::try_exclusive(reopened(&dir), what).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(during.is_none() && after.is_some());
    }

    #[test]
    fn shared_locks_keep_an_exclusive_one_away() {
        let dir = tempfile::tempdir().unwrap();
        let one = Flock::shared(reopened(&dir), what).unwrap();
        let other = Flock::try_shared(reopened(&dir), what).unwrap();
        assert!(other.is_some());
        drop(one);
        assert!(
            Flock::try_exclusive(reopened(&dir), what)
                .unwrap()
                .is_none()
        );
    }
}
