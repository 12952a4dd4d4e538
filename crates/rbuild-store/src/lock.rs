//! Key locks: two builds that compute the same key do the work once.

use std::{
    fs::{File, TryLockError},
    thread::sleep,
    time::{Duration, Instant},
};

use rbuild_sys::Dir;

use crate::{
    Key, Session,
    error::{Context, Error, Result},
};

/// How long a wait stays silent.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// The right to compute a key. Ends when it is dropped, or with its process.
#[derive(Debug)]
pub struct KeyLock {
    staging: Dir,
    name: String,
    /// Keeps the flock.
    _file: File,
}

impl Session {
    /// Waits until nobody else computes `key`, then claims it. Calls `waiting` once if that
    /// takes longer than a second. Look the key up again afterwards.
    ///
    /// Never waits longer than the holder's process lives.
    ///
    /// # Errors
    /// [`Error::Write`] if the lock cannot be created, [`Error::Lock`] if there are no locks.
    pub fn key_lock(&self, key: &Key, waiting: &mut dyn FnMut()) -> Result<KeyLock> {
        let name = format!("key-{key}");
        let what = || format!("staging/{name}");
        let staging = self.store().make_subdirectory("staging").writing(what)?;
        let mut told = false;
        let mut tell = || {
            if !std::mem::replace(&mut told, true) {
                waiting();
            }
        };
        loop {
            let file = staging
                .open_or_create(name.as_bytes(), 0o600)
                .writing(what)?;
            lock(&file, &mut tell).map_err(|source| Error::Lock {
                what: what(),
                source,
            })?;
            // The holder before us unlinked it: others will not see our lock.
            if rbuild_sys::file_stat(&file).writing(what)?.links > 0 {
                return Ok(KeyLock {
                    staging,
                    name,
                    _file: file,
                });
            }
        }
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        // While the lock is still held, so that it is this file that goes.
        let _ = self.staging.unlink(self.name.as_bytes());
    }
}

fn lock(file: &File, waiting: &mut dyn FnMut()) -> std::io::Result<()> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(20)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    waiting();
    file.lock()
}
