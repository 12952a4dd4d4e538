//! What to run, and in what.

use std::{os::fd::BorrowedFd, time::Duration};

use rbuild_oci::ImagePath;

use crate::{capability::CapabilitySet, console::Console, mount::Mount, users::Identity};

/// One command.
#[derive(Clone, Debug)]
pub struct Spec<'root> {
    /// The tree: the root of a mount that is attached nowhere. The run uses it up: it is attached
    /// in the command's mount namespace and ends with it, so that another run needs another mount.
    /// (The descriptor still reads it, and keeps it busy, until it is closed.)
    pub root: BorrowedFd<'root>,
    /// Program and arguments, at least the program.
    pub argv: Vec<String>,
    /// The whole environment, `NAME=value`. The program is looked up in its `PATH`.
    pub env: Vec<String>,
    /// Working directory; it must exist.
    pub cwd: ImagePath,
    /// As whom.
    pub identity: Identity,
    /// Upper bound of what the command and its children can do as root.
    pub capabilities: CapabilitySet,
    /// Name of the machine, as the command sees it.
    pub hostname: String,
    /// Where input comes from and output goes to.
    pub stdio: Stdio<'root>,
    /// What is mounted beside `/proc`, `/sys`, `/dev` and the files of `/etc`. Targets can be
    /// inside of each other; of equal ones the last is seen.
    pub mounts: Vec<Mount<'root>>,
    /// What the command can reach.
    pub network: Network,
    /// What it is kept from inside of its namespaces.
    pub security: Security,
    /// After so long it is ended; `None`: it has all the time in the world.
    pub timeout: Option<Duration>,
}

/// The network of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// The builder's.
    Host,
    /// One that the commands of a sandbox share, with a way out but none to the builder's
    /// loopback interface and abstract sockets.
    Private,
    /// Nothing but its own loopback interface, which is up.
    None,
}

/// What a command is kept from inside of its namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Dangerous system calls fail; parts of `/proc` and `/sys` are hidden or read-only.
    Sandbox,
    /// Nothing: all system calls, all of `/proc`, and `/sys` as far as the user may write it.
    Insecure,
}

/// The standard descriptors of a command.
#[derive(Clone, Copy, Debug)]
pub enum Stdio<'a> {
    /// No input; output is collected through pipes. The command has a session of its own and
    /// no terminal.
    Capture,
    /// The builder's own output; the session stays.
    Inherit(Input),
    /// A terminal in the command's own `/dev/pts`, shown by the console. It belongs to the
    /// command's session.
    Terminal(&'a Console),
}

/// What a command reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The builder's standard input.
    Builders,
    /// Nothing.
    Nothing,
}

/// Where programs are looked up if the environment has no `PATH`.
pub(crate) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Spec<'_> {
    /// The program as written; empty if there is none.
    pub(crate) fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// Paths at which the program is to be tried, in order. execvp(3).
    pub(crate) fn candidates(&self) -> Vec<String> {
        let program = self.program();
        if program.is_empty() || program.contains('/') {
            return vec![program.to_owned()];
        }
        let path = self
            .env
            .iter()
            .rev()
            .find_map(|pair| pair.strip_prefix("PATH="));
        let dirs = path.unwrap_or(DEFAULT_PATH).split(':');
        let in_dir = |dir: &str| match dir {
            "" => format!("./{program}"),
            dir => format!("{}/{program}", dir.trim_end_matches('/')),
        };
        dirs.map(in_dir).collect()
    }
}
