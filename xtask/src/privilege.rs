//! What this process may do to the system: everything, everything through
//! sudo, or nothing.

use std::process::{Command, Stdio};

use nix::unistd::Uid;

/// How to run a command as root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// We are root.
    Root,
    /// `sudo -n` works.
    Sudo,
    /// Not at all.
    None,
}

impl Privilege {
    /// Finds out by trying; never asks for a password.
    pub fn probe() -> Self {
        if Uid::effective().is_root() {
            return Self::Root;
        }
        let sudo = Command::new("sudo")
            .args(["-n", "true"])
            .stderr(Stdio::null())
            .status();
        if sudo.is_ok_and(|status| status.success()) {
            Self::Sudo
        } else {
            Self::None
        }
    }

    /// `program` as root, or `None` if that is impossible.
    pub fn command(self, program: &str) -> Option<Command> {
        match self {
            Self::Root => Some(Command::new(program)),
            Self::Sudo => {
                let mut command = Command::new("sudo");
                command.args(["-n", program]);
                Some(command)
            }
            Self::None => None,
        }
    }
}
