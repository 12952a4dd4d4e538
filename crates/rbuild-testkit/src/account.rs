//! Who runs the program under test.
//!
//! Tests often run as root in CI, but rbuild is made for users without
//! privileges: an [`Account`] starts commands as somebody else, with a clean
//! environment, and can look at that user's files from inside the user
//! namespace in which their owners are the ones an image has.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Gid, Uid, User, chown};

use crate::Error;

/// The test user with a subordinate id range.
const WITH_RANGE: &str = "rbuild-sub";
/// The test user without one.
const WITHOUT_RANGE: &str = "rbuild-nosub";

/// A user of this host, as far as tests care.
#[derive(Clone, Debug)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// Home directory.
    pub home: PathBuf,
    uid: Uid,
    gid: Gid,
}

impl Account {
    /// The user that rbuild is made for: `rbuild-sub` when tests run as root,
    /// else whoever runs them.
    ///
    /// # Errors
    /// [`Error::Account`] if there is no such user.
    pub fn unprivileged() -> Result<Self, Error> {
        if Uid::effective().is_root() {
            Self::named(WITH_RANGE)
        } else {
            Self::current()
        }
    }

    /// A user that owns no subordinate ids.
    ///
    /// # Errors
    /// [`Error::Account`] if there is no such user.
    pub fn without_range() -> Result<Self, Error> {
        Self::named(WITHOUT_RANGE)
    }

    /// Real root.
    ///
    /// # Errors
    /// [`Error::Account`] if the host's user database has no root.
    pub fn root() -> Result<Self, Error> {
        Self::named("root")
    }

    /// Whoever runs this process.
    ///
    /// # Errors
    /// [`Error::Account`] if the user database does not know this user id.
    pub fn current() -> Result<Self, Error> {
        let uid = Uid::effective();
        let found = User::from_uid(uid);
        Self::found(found, &uid.to_string())
    }

    fn named(name: &str) -> Result<Self, Error> {
        Self::found(User::from_name(name), name)
    }

    fn found(found: nix::Result<Option<User>>, name: &str) -> Result<Self, Error> {
        let lacking = |source| Error::Account {
            name: name.to_owned(),
            source,
        };
        let user = found
            .map_err(|errno| lacking(Some(errno)))?
            .ok_or_else(|| lacking(None))?;
        Ok(Self {
            name: user.name,
            home: user.dir,
            uid: user.uid,
            gid: user.gid,
        })
    }

    /// Is this real root?
    pub fn is_root(&self) -> bool {
        self.uid.is_root()
    }

    /// Does `/etc/subuid` give this user a range, by name or by number?
    pub fn has_range(&self) -> bool {
        let uid = self.uid.to_string();
        let lines = std::fs::read_to_string("/etc/subuid").unwrap_or_default();
        lines
            .lines()
            .filter_map(|line| line.split(':').next())
            .any(|who| who == self.name || who == uid)
    }

    /// A command that runs `program` as this user with nothing in its
    /// environment but `HOME`, `USER` and `PATH`.
    ///
    /// The process started is the program itself: its id can be signalled.
    /// From a user that is neither root nor this one, `sudo -n` stands between.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = if self.is_behind_sudo() {
            let mut command = Command::new("sudo");
            command
                .args(["-n", "-H", "-u", &self.name, "--"])
                .arg(program);
            command
        } else {
            Command::new(program)
        };
        if self.uid != Uid::effective() && Uid::effective().is_root() {
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
        command
            .env_clear()
            .env("HOME", &self.home)
            .env("USER", &self.name)
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            );
        command
    }

    /// Like [`Account::command`], inside a user namespace that maps this
    /// user to 0 and its subordinate ids to 1…: the owners that an image has.
    pub fn inside(&self, program: impl AsRef<OsStr>) -> Command {
        if self.is_root() {
            return self.command(program);
        }
        let mut command = self.command("unshare");
        command
            .args(["--user", "--map-auto", "--map-root-user", "--"])
            .arg(program);
        command
    }

    /// Makes `path` this user's own, as far as we may: through sudo a user can
    /// run programs, but files stay ours.
    ///
    /// # Errors
    /// [`Error::File`] if the owner cannot be changed.
    pub fn give(&self, path: &Path) -> Result<(), Error> {
        if self.is_behind_sudo() {
            return Ok(());
        }
        chown(path, Some(self.uid), Some(self.gid))
            .map_err(|errno| Error::file("give away", path)(errno.into()))
    }

    /// Are we neither root nor this user?
    pub(crate) fn is_behind_sudo(&self) -> bool {
        let own = Uid::effective();
        !own.is_root() && own != self.uid
    }
}
