//! A system call of rbuild that goes wrong on purpose, by `strace -e inject=`.
//!
//! Knows: strace's command line. Does not know: what must hold afterwards.
//!
//! strace cannot follow a user through setuid newuidmap. So the whole command runs inside the
//! user namespace in which that user is root: rbuild makes one of its own in it, as it does for
//! real root, and the store is the same.

use std::process::Command;

use rbuild_testkit::{Host, Output};

/// Whether everything is to be tried, which takes long: `cargo xtask torture`.
pub fn is_torture() -> bool {
    std::env::var_os("RBUILD_TORTURE").is_some_and(|value| value == "1")
}

/// What happens instead of a call.
#[derive(Clone, Copy, Debug)]
pub enum Instead {
    /// It fails with this errno and does nothing.
    Fails(&'static str),
    /// The process is killed before it is done.
    Kills,
}

/// The `nth` time that a thread makes this system call, something else happens.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Its name; unknown ones, of other architectures, are never made.
    pub call: &'static str,
    /// Counts from 1.
    pub nth: usize,
    /// What happens.
    pub instead: Instead,
}

/// How a command with a fault in it ended.
pub struct Struck {
    /// What it said.
    pub output: Output,
    /// Whether it came to the fault at all.
    pub hit: bool,
}

impl Fault {
    /// `rbuild args…` with this fault in it. Returns when none of its processes is left.
    ///
    /// # Panics
    /// If some are left after 30 seconds.
    #[track_caller]
    pub fn strike(self, host: &Host, args: &[&str]) -> Struck {
        let log = host.scratch.path().join("strace.log");
        let output = Output::of(&mut self.command(host, args)).unwrap();
        let log = std::fs::read_to_string(log).unwrap();
        let hit = match self.instead {
            Instead::Fails(_) => log.contains("(INJECTED)"),
            // A call that does not return.
            Instead::Kills => log.contains("= ?\n"),
        };
        assert_ne!(output.status, 124, "{self:?}: processes are left: {output}");
        Struck { output, hit }
    }

    fn command(self, host: &Host, args: &[&str]) -> Command {
        let Self { call, nth, .. } = self;
        // The kernel ignores signals from where `--seccomp-bpf` stops a process.
        let (instead, speed) = match self.instead {
            Instead::Fails(errno) => (format!("error={errno}"), "--seccomp-bpf"),
            Instead::Kills => ("signal=SIGKILL".to_owned(), "--quiet=attach"),
        };
        let rbuild = host.rbuild(args);
        let mut command = host.account.inside("timeout");
        command
            .args(["30", "strace", speed, "-f", "-o", "strace.log"])
            .args(["-e", &format!("trace=?{call}")])
            .args(["-e", &format!("inject=?{call}:{instead}:when={nth}")])
            .arg("--")
            .arg(rbuild.get_program())
            .args(rbuild.get_args())
            .env("TMPDIR", host.scratch.path().join("tmp"))
            .current_dir(host.scratch.path());
        command
    }
}
