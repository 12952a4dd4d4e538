//! Whenever rbuild is killed, and whichever of its writes fails: old images stay usable, the same
//! command works afterwards without any repair, the disk comes back, nothing else is touched.
//!
//! store.md, faults 1–15, 19: the calls are made to fail in the binary itself. `RBUILD_TORTURE=1` (`cargo xtask torture`) tries every single call
//! instead of the first ones, and more moments.

use std::{
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rbuild_testkit::{Base, Host, Need, Registry};

use crate::{
    fault::{Fault, Instead, Struck, is_torture},
    surroundings::host_with,
    witness::Witness,
};

/// A stage, a COPY, RUNs, and a file that is copied with its holes.
const BUILD: &str = "FROM alpine AS made\nRUN echo made > /made\n\
    FROM alpine\nCOPY file /file\nCOPY --from=made /made /made\nRUN mkdir /d && echo a > /d/a\n";

/// The calls that change a store, and those with which it is read and locked.
const CALLS: [&str; 14] = [
    "fsync",
    "fdatasync",
    "syncfs",
    "rename",
    "renameat",
    "renameat2",
    "linkat",
    "unlinkat",
    "mkdirat",
    "symlinkat",
    "ftruncate",
    "copy_file_range",
    "flock",
    "write",
];

/// What fails how (faults 14, 15, 19).
const FAILURES: [(&str, &str); 20] = [
    ("fsync", "EIO"),
    ("fdatasync", "EIO"),
    ("syncfs", "EIO"),
    ("renameat", "ENOSPC"),
    ("renameat2", "ENOSPC"),
    ("renameat2", "EIO"),
    ("mkdirat", "EDQUOT"),
    ("mkdirat", "ENOSPC"),
    ("linkat", "EMLINK"),
    ("linkat", "EDQUOT"),
    ("symlinkat", "ENOSPC"),
    ("unlinkat", "EIO"),
    ("write", "ENOSPC"),
    ("write", "EDQUOT"),
    ("pwrite64", "EIO"),
    ("copy_file_range", "EIO"),
    ("sendfile", "EIO"),
    ("fallocate", "ENOSPC"),
    ("ftruncate", "EIO"),
    ("openat2", "EMFILE"),
];

/// Calls that have a substitute; with it the command succeeds (fault 15).
const SUBSTITUTED: [(&str, &str); 5] = [
    ("copy_file_range", "EXDEV"),
    ("copy_file_range", "EOPNOTSUPP"),
    ("copy_file_range", "EINVAL"),
    ("sendfile", "EINVAL"),
    ("openat", "EOPNOTSUPP"),
];

/// Which occurrences of a call are tried.
fn occurrences() -> Vec<usize> {
    match is_torture() {
        true => (1..400).collect(),
        false => vec![1, 2, 5],
    }
}

/// One command that changes a store, and what must be done before it.
struct Scenario {
    witness: Witness,
    before: Vec<Vec<String>>,
    args: Vec<String>,
    /// The names that it makes.
    images: Vec<String>,
    _registry: Option<Registry>,
}

impl Scenario {
    #[track_caller]
    fn build() -> Option<Self> {
        let host = host_with(&[Need::Tool("strace")])?;
        host.scratch.file("ctx/file", "x".repeat(200_000)).unwrap();
        host.scratch.file("ctx/Dockerfile", BUILD).unwrap();
        Some(Self::of(
            host,
            &[],
            &["bud", "--jobs", "1", "-t", "new", "ctx"],
        ))
    }

    /// Pulls `new` from a registry, where it came from here.
    #[track_caller]
    fn pull() -> Option<Self> {
        let host = host_with(&[Need::Tool("strace"), Need::Tool("docker-registry")])?;
        let registry = Registry::start(&host).unwrap();
        let there = format!("{}/new:1", registry.address());
        host.scratch.file("ctx/file", "x".repeat(200_000)).unwrap();
        host.build(BUILD, &["-t", "new"]).success();
        let secure = "--tls-verify=false";
        host.run(&["push", secure, "new", &format!("docker://{there}")])
            .success();
        host.run(&["rmi", "new"]).success();
        host.scratch
            .file("pull.Dockerfile", format!("FROM {there}\n"))
            .unwrap();
        let args = ["bud", secure, "-f", "pull.Dockerfile", "-t", "new", "ctx"];
        let mut scenario = Self::of(host, &[], &args);
        scenario.images.push(there);
        scenario._registry = Some(registry);
        Some(scenario)
    }

    /// Removes the image `new`, or prunes what is left of it.
    #[track_caller]
    fn removal(args: &[&str]) -> Option<Self> {
        let mut scenario = Self::build()?;
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        let build = std::mem::replace(&mut scenario.args, args);
        scenario.before = vec![build];
        if scenario.args[0] == "prune" {
            scenario.before.push(words(&["rmi", "new"]));
        }
        Some(scenario)
    }

    /// Imports `new` from the archive of its root file system.
    #[track_caller]
    fn import() -> Option<Self> {
        let host = host_with(&[Need::Tool("strace")])?;
        let archive = Base::Busybox.archive();
        Some(Self::of(host, &[], &["import", archive.to_str()?, "new"]))
    }

    fn of(host: Host, before: &[&[&str]], args: &[&str]) -> Self {
        Self {
            witness: Witness::of(host),
            before: before.iter().map(|args| words(args)).collect(),
            args: words(args),
            images: words(&["new"]),
            _registry: None,
        }
    }

    #[track_caller]
    fn prepare(&self) {
        for args in &self.before {
            self.witness.works(&texts(args));
        }
    }

    #[track_caller]
    fn strike(&self, fault: Fault) -> Struck {
        self.prepare();
        fault.strike(self.witness.host(), &texts(&self.args))
    }

    /// I1, I2, I5, I6.
    #[track_caller]
    #[expect(
        clippy::print_stderr,
        reason = "a failure has to say what it came after"
    )]
    fn holds(&self, after: &dyn std::fmt::Debug) {
        eprintln!("{} {after:?}", self.args[0]);
        self.witness.old_images_work();
        // What was removed already cannot be removed again.
        if self.args[0] != "rmi" {
            self.witness.works(&texts(&self.args));
        }
        self.witness.the_disk_comes_back(&self.images);
    }

    /// Kills it at every call that was chosen.
    #[track_caller]
    fn survives_kills(&self) {
        let mut hits = 0;
        for call in CALLS {
            for nth in occurrences() {
                let instead = Instead::Kills;
                let fault = Fault { call, nth, instead };
                let struck = self.strike(fault);
                if !struck.hit {
                    self.witness.the_disk_comes_back(&self.images);
                    break;
                }
                hits += 1;
                self.holds(&fault);
            }
        }
        assert!(hits >= 5, "only {hits} calls were hit");
    }

    /// Lets every call fail that was chosen.
    #[track_caller]
    fn survives_failures(&self) {
        let mut hits = 0;
        for (call, errno) in FAILURES {
            for nth in occurrences() {
                let instead = Instead::Fails(errno);
                let fault = Fault { call, nth, instead };
                let struck = self.strike(fault);
                if !struck.hit {
                    self.witness.the_disk_comes_back(&self.images);
                    break;
                }
                hits += 1;
                let output = &struck.output;
                assert!(!output.says("panicked"), "{fault:?}: {output}");
                let said = output.says("error");
                assert!(output.status == 0 || said, "{fault:?}: {output}");
                self.holds(&fault);
            }
        }
        assert!(hits >= 5, "only {hits} calls were hit");
    }

    /// Kills it, with all that it started, `count` times at some moment of its life.
    #[track_caller]
    fn survives_moments(&self, count: u32) {
        let start = Instant::now();
        self.prepare();
        self.witness.works(&texts(&self.args));
        let life = start.elapsed();
        self.witness.the_disk_comes_back(&self.images);
        for moment in 0..count {
            self.prepare();
            let mut command = self.witness.host().rbuild(&texts(&self.args));
            std::os::unix::process::CommandExt::process_group(&mut command, 0);
            let (out, err) = (Stdio::null(), Stdio::null());
            let mut child = command.stdout(out).stderr(err).spawn().unwrap();
            sleep(scattered(life, moment));
            let group = Pid::from_raw(i32::try_from(child.id()).unwrap());
            killpg(group, Signal::SIGKILL).unwrap();
            child.wait().unwrap();
            self.holds(&moment);
        }
    }
}

/// A moment within `life`; the golden ratio spreads them evenly, however many there are.
fn scattered(life: Duration, moment: u32) -> Duration {
    life.mul_f64((f64::from(moment) * 0.618_034).fract())
}

fn words(args: &[&str]) -> Vec<String> {
    args.iter().map(|&arg| arg.to_owned()).collect()
}

fn texts(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[test]
fn a_build_can_be_killed_at_every_call() {
    let Some(build) = Scenario::build() else {
        return;
    };
    build.survives_kills();
}

#[test]
fn a_build_survives_every_failing_call() {
    let Some(build) = Scenario::build() else {
        return;
    };
    build.survives_failures();
}

#[test]
fn a_pull_can_be_killed_at_every_call() {
    let Some(pull) = Scenario::pull() else { return };
    pull.survives_kills();
}

#[test]
fn a_pull_survives_every_failing_call() {
    let Some(pull) = Scenario::pull() else { return };
    pull.survives_failures();
}

#[test]
fn an_import_can_be_killed_at_every_call() {
    let Some(import) = Scenario::import() else {
        return;
    };
    import.survives_kills();
}

#[test]
fn an_import_survives_every_failing_call() {
    let Some(import) = Scenario::import() else {
        return;
    };
    import.survives_failures();
}

#[test]
fn a_prune_can_be_killed_at_every_call() {
    let args = ["prune", "--all", "--force"];
    let Some(prune) = Scenario::removal(&args) else {
        return;
    };
    prune.survives_kills();
}

#[test]
fn a_prune_survives_every_failing_call() {
    let args = ["prune", "--all", "--force"];
    let Some(prune) = Scenario::removal(&args) else {
        return;
    };
    prune.survives_failures();
}

#[test]
fn a_removal_can_be_killed_at_every_call() {
    let Some(removal) = Scenario::removal(&["rmi", "new"]) else {
        return;
    };
    removal.survives_kills();
}

#[test]
fn a_build_can_be_killed_at_any_moment() {
    let Some(build) = Scenario::build() else {
        return;
    };
    build.survives_moments(if is_torture() { 500 } else { 50 });
}

#[test]
fn a_pull_can_be_killed_at_any_moment() {
    let Some(pull) = Scenario::pull() else { return };
    pull.survives_moments(if is_torture() { 300 } else { 25 });
}

#[test]
fn a_prune_can_be_killed_at_any_moment() {
    let args = ["prune", "--all", "--force"];
    let Some(prune) = Scenario::removal(&args) else {
        return;
    };
    prune.survives_moments(if is_torture() { 300 } else { 25 });
}

#[test]
fn a_call_that_the_file_system_lacks_has_a_substitute() {
    let Some(build) = Scenario::build() else {
        return;
    };
    for (call, errno) in SUBSTITUTED {
        let instead = Instead::Fails(errno);
        let fault = Fault {
            call,
            nth: 1,
            instead,
        };
        build.strike(fault).output.success();
        build.holds(&fault);
    }
}
