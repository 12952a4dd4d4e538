//! A small disk of a test's own, with the store on it: it can be full, out of inodes, read-only.

use std::path::{Path, PathBuf};

use rbuild_testkit::{Account, Base, Host, Need, Output};

use crate::surroundings::host_with;

/// A tmpfs in the scratch directory, mounted by root; it goes with this value.
pub struct Disk {
    root: Account,
    path: PathBuf,
}

/// What there is too little of.
#[derive(Clone, Copy, Debug)]
pub enum Scarce {
    /// So many bytes are free.
    Bytes(u64),
    /// So many files can be made.
    Inodes(u64),
}

/// A user whose store, with `alpine` in it, is on a disk with these mount options (tmpfs(5)); the disk is
/// to go first.
#[track_caller]
pub fn host_on_disk(options: &str, more: &[Need]) -> Option<(Host, Disk)> {
    let mut host = host_with(&[&[Need::Root], more].concat())?;
    let disk = Disk::mount(&host, options);
    host.store = disk.path.join("store");
    host.import(Base::Busybox);
    Some((host, disk))
}

impl Disk {
    fn mount(host: &Host, options: &str) -> Self {
        let disk = Self {
            root: Account::root().unwrap(),
            path: host.scratch.dir("disk").unwrap(),
        };
        disk.as_root("mount", &["-t", "tmpfs", "-o", options, "none"]);
        let like = format!("--reference={}", host.scratch.path().display());
        disk.as_root("chown", &[&like]);
        disk
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Mounts it anew, with other options.
    #[track_caller]
    pub fn remount(&self, options: &str) {
        self.as_root("mount", &["-o", &format!("remount,{options}")]);
    }

    /// Makes room scarce. What fills it is not in the store.
    #[track_caller]
    pub fn fill(&self, left: Scarce) {
        let ballast = self.path.join("ballast");
        let script = match left {
            Scarce::Bytes(left) => format!(
                "mkdir {0} && free=$(stat -f -c '%a * %S' {1}) && \
                 fallocate -l $(($free - {left} - 8192)) {0}/file",
                ballast.display(),
                self.path.display()
            ),
            Scarce::Inodes(left) => format!(
                "mkdir {0} && cd {0} && seq $(($(stat -f -c %d .) - {left})) | xargs touch",
                ballast.display()
            ),
        };
        Output::of_success(self.root.command("sh").args(["-c", &script])).unwrap();
    }

    /// Makes room again.
    #[track_caller]
    pub fn empty(&self) {
        let ballast = self.path.join("ballast");
        Output::of_success(self.root.command("rm").arg("-rf").arg(ballast)).unwrap();
    }

    /// Runs `program args… PATH` as root.
    #[track_caller]
    fn as_root(&self, program: &str, args: &[&str]) {
        Output::of_success(self.root.command(program).args(args).arg(&self.path)).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self
            .root
            .command("umount")
            .arg("-l")
            .arg(&self.path)
            .output();
    }
}
