//! Key locks: two builds that compute the same key do the work once.

use rbuild_sys::Dir;

use crate::{
    Key, Session,
    error::{Context, Result},
    flock::Flock,
    wait::{Wait, Waited},
};

/// The right to compute a key. Ends when it is dropped, or with its process.
#[derive(Debug)]
pub struct KeyLock {
    staging: Dir,
    name: String,
    _flock: Flock,
}

impl Session {
    /// Waits until nobody else computes `key`, then claims it. Look the key up again afterwards.
    ///
    /// Never waits longer than the holder's process lives.
    ///
    /// # Errors
    /// [`Error::Write`] if the lock cannot be created, [`Error::Lock`] if there are no locks,
    /// [`Error::GaveUp`].
    pub fn key_lock(&self, key: &Key, wait: &mut Wait<'_>) -> Result<KeyLock> {
        let name = format!("key-{key}");
        let what = || format!("staging/{name}");
        let staging = self.store().make_subdirectory("staging").writing(what)?;
        let mut waited = Waited::new();
        loop {
            let file = staging
                .open_or_create(name.as_bytes(), 0o600)
                .writing(what)?;
            let Some(flock) = Flock::try_exclusive(file, what)? else {
                waited.longer(&what, wait)?;
                continue;
            };
            // The holder before us unlinked it: others will not see our lock.
            if rbuild_sys::file_stat(&*flock).writing(what)?.links > 0 {
                return Ok(KeyLock {
                    staging,
                    name,
                    _flock: flock,
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
