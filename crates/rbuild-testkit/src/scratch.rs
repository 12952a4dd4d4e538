//! A directory that a test user owns and that disappears with its value,
//! whatever subordinate ids own the files in it.
//!
//! Invariant: modes do not depend on the umask of whoever runs the tests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Account, Error};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A temporary directory on a disk (`/var/tmp`), mode 0755.
#[derive(Debug)]
pub struct Scratch {
    account: Account,
    path: PathBuf,
}

impl Scratch {
    /// Makes an empty directory that belongs to `account`.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be made or given away.
    pub fn new(account: &Account) -> Result<Self, Error> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(format!("/var/tmp/rbuild-{}-{number}", process::id()));
        fs::create_dir(&path).map_err(Error::file("create", &path))?;
        let scratch = Self {
            account: account.clone(),
            path,
        };
        account.give(&scratch.path)?;
        Ok(scratch)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a directory in it, parents included, all of them the account's
    /// and of mode 0755.
    ///
    /// # Errors
    /// [`Error::File`] if that fails.
    pub fn dir(&self, name: &str) -> Result<PathBuf, Error> {
        let mut path = self.path.clone();
        for part in Path::new(name).components() {
            path.push(part);
            if !path.is_dir() {
                fs::create_dir(&path).map_err(Error::file("create", &path))?;
                self.adopt(&path, self.directory_mode())?;
            }
        }
        Ok(path)
    }

    /// Writes a file of mode 0644 in it and returns its path; directories
    /// on the way are made.
    ///
    /// # Errors
    /// [`Error::File`] if that fails.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf, Error> {
        if let Some((parent, _)) = name.rsplit_once('/') {
            self.dir(parent)?;
        }
        let path = self.path.join(name);
        fs::write(&path, content).map_err(Error::file("write", &path))?;
        self.adopt(&path, 0o644)?;
        Ok(path)
    }

    /// 0755; open to everybody where the directory stays ours and a user
    /// behind sudo works in it.
    fn directory_mode(&self) -> u32 {
        if self.account.is_behind_sudo() {
            0o777
        } else {
            0o755
        }
    }

    fn adopt(&self, path: &Path, mode: u32) -> Result<(), Error> {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(path, permissions).map_err(Error::file("chmod", path))?;
        self.account.give(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if fs::remove_dir_all(&self.path).is_err() {
            // Files of subordinate ids can only be removed from inside.
            let _ = self
                .account
                .inside("rm")
                .arg("-rf")
                .arg(&self.path)
                .output();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_directory_is_gone_after_its_value() {
        let account = Account::current().unwrap();
        let scratch = Scratch::new(&account).unwrap();
        let file = scratch.file("a/b/c", "x").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"x");
        drop(scratch);
        assert!(!file.exists());
    }
}
