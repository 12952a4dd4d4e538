//! A disk of its own for each store: a new ext4 in a sparse file.
//!
//! ext4 does not use the inodes of deleted files again for minutes, and looks at each of them for
//! every new file: 50,000 files took 38 s of system time where as many had been deleted, and
//! 1 s elsewhere. What one builder throws away must not be paid for by the next one.

use std::path::{Path, PathBuf};
use std::process::Command;

use rbuild_testkit::Account;

use crate::error::{Error, run};

/// Bytes that fit on a disk; what is not written takes no room.
const SIZE: &str = "60G";

/// A mounted disk; unmounted and deleted with its value.
#[derive(Debug)]
pub struct Disk {
    image: PathBuf,
    mountpoint: PathBuf,
    account: Account,
}

impl Disk {
    /// Mounts an empty disk at the directory `mountpoint`, which then is that of `account`.
    ///
    /// # Errors
    /// Where there are no loop devices, or we may not mount.
    pub fn mount(mountpoint: &Path, account: &Account) -> Result<Self, Error> {
        let image = mountpoint.with_extension("ext4");
        make(&image, mountpoint)?;
        let disk = Self {
            image,
            mountpoint: mountpoint.to_owned(),
            account: account.clone(),
        };
        disk.account.give(&disk.mountpoint)?;
        Ok(disk)
    }

    /// Empties it, without any trace of what was on it.
    pub fn renew(&self) -> Result<(), Error> {
        self.unmount()?;
        make(&self.image, &self.mountpoint)?;
        Ok(self.account.give(&self.mountpoint)?)
    }

    fn unmount(&self) -> Result<(), Error> {
        run(Command::new("umount").arg(&self.mountpoint))?;
        std::fs::remove_file(&self.image).map_err(Error::file("remove", &self.image))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = self.unmount() {
            eprintln!("{}: {error}", self.mountpoint.display());
        }
    }
}

fn make(image: &Path, mountpoint: &Path) -> Result<(), Error> {
    run(Command::new("truncate").args(["-s", SIZE]).arg(image))?;
    run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image))?;
    // Nothing is written in the background while somebody is measured.
    run(Command::new("mount")
        .args(["-o", "loop,discard,noinit_itable"])
        .args([image, mountpoint]))
}
