//! Limits by control groups: in a group that root has given to the user, as a service manager does.
//!
//! Which controllers there are is the machine's affair; where they belong to cgroup v1 there are
//! none for version 2. So what is written where is tested on directories
//! (`control_group/tests.rs` of rbuild-sandbox), and here that there are groups, who is in them,
//! and what is left of them.

use std::{
    fs,
    io::Write,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread::sleep,
    time::Duration,
};

use nix::unistd::{Uid, User};
use rbuild_testkit::{Host, Output, skip, wait_until};

use crate::surroundings::host;

/// A control group that belongs to the user of a host.
struct Group {
    dir: PathBuf,
    /// As in `/proc/self/cgroup`.
    name: String,
}

impl Group {
    /// `None`, and said so, where that cannot be had.
    #[track_caller]
    fn given_to(host: &Host) -> Option<Self> {
        let Some(top) = version_2().filter(|_| Uid::effective().is_root()) else {
            skip("only root can give a control group of version 2 to a user");
            return None;
        };
        let scratch = host.scratch.path().file_name().unwrap().to_str().unwrap();
        let name = format!("/rbuild-test-{scratch}");
        Some(Self::made(host, top.join(&name[1..]), name))
    }

    /// One in it.
    fn inner(&self, host: &Host, name: &str) -> Self {
        Self::made(host, self.dir.join(name), format!("{}/{name}", self.name))
    }

    fn made(host: &Host, dir: PathBuf, name: String) -> Self {
        let user = User::from_name(&host.account.name).unwrap().unwrap();
        let give = |path: &Path| chown(path, Some(user.uid.as_raw()), None).unwrap();
        fs::create_dir(&dir).unwrap();
        give(&dir);
        for file in ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
            give(&dir.join(file));
        }
        Self { dir, name }
    }

    /// Starts `rbuild args…` in it; its standard input stays open.
    fn start(&self, host: &Host, args: &[&str]) -> Child {
        let rbuild = host.rbuild(args);
        // It must be in the group before it looks where it is.
        let mut waiting = host.account.command("sh");
        waiting.args(["-c", "read go; exec \"$@\"", "sh"]);
        waiting.arg(rbuild.get_program()).args(rbuild.get_args());
        waiting.current_dir(host.scratch.path());
        let streams = waiting.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = streams.stderr(Stdio::piped()).spawn().unwrap();
        fs::write(self.dir.join("cgroup.procs"), child.id().to_string()).unwrap();
        child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        child
    }

    fn run(&self, host: &Host, args: &[&str]) -> Output {
        Output::from(self.start(host, args).wait_with_output().unwrap())
    }

    /// The groups in it and how many processes they have, without the numbers in names.
    fn dump(&self) -> Vec<String> {
        let mut found = Vec::new();
        for dir in below(&self.dir) {
            let name = dir.strip_prefix(&self.dir).unwrap().to_str().unwrap();
            let procs = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
            let name = name.replace(|c: char| c.is_ascii_digit(), "");
            found.push(format!("{name} {}", procs.lines().count()));
        }
        found.sort();
        found
    }

    /// Waits until nothing is in it.
    #[track_caller]
    fn expect_empty(&self, what: &str) {
        let procs = || fs::read_to_string(self.dir.join("cgroup.procs")).unwrap();
        wait_until(
            || format!("{what}: {:#?} {}", self.dump(), procs()),
            || self.dump().is_empty() && procs().is_empty(),
        );
    }

    /// Waits until it looks like that.
    #[track_caller]
    fn expect(&self, expected: &[&str]) {
        let seen = || self.dump();
        wait_until(|| format!("{:#?}", seen()), || seen() == expected);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::write(self.dir.join("cgroup.kill"), "1");
        for dir in below(&self.dir).iter().rev() {
            let _ = fs::remove_dir(dir);
        }
        let _ = fs::remove_dir(&self.dir);
    }
}

/// All directories in `dir`, outer ones first.
fn below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let dirs = entries.map(|entry| entry.path()).filter(|it| it.is_dir());
    dirs.flat_map(|dir| [vec![dir.clone()], below(&dir)].concat())
        .collect()
}

/// Where all groups of version 2 are mounted.
fn version_2() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let of = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let whole = line.contains(" - cgroup2 ") && fields[3] == "/";
        whole.then(|| PathBuf::from(fields[4]))
    };
    mounts.lines().find_map(of)
}

#[test]
fn builder_and_command_have_a_group_each_that_goes_with_them() {
    let Some(host) = host() else { return };
    let Some(group) = Group::given_to(&host) else {
        return;
    };
    let script = "sed -n 's/^0:://p' /proc/self/cgroup; cd /sys/fs/cgroup; head -n 1 cgroup.procs; \
                  mkdir x 2>&1; setsid sleep 4711 <&- & exec cat";
    let args = [
        "run",
        "-i",
        "--network=none",
        "--cgroup-parent",
        &group.name,
        "alpine",
    ];
    let mut child = group.start(&host, &[&args[..], &["sh", "-c", script]].concat());
    let expected = ["rbuild- 0", "rbuild-/builder 3", "rbuild-/run- 2"];
    group.expect(&expected);
    drop(child.stdin.take());
    let output = Output::from(child.wait_with_output().unwrap()).success();
    // Its own group is all that it sees, and it cannot change it (CVE-2023-25809).
    let expected = "/\n1\nmkdir: can't create directory 'x': Read-only file system\n";
    assert_eq!(output.stdout, expected);
    group.expect_empty("after the end");
}

#[test]
fn a_group_that_was_named_has_the_commands_of_several_builds() {
    let Some(host) = host() else { return };
    let Some(group) = Group::given_to(&host) else {
        return;
    };
    let (here, builds) = (group.inner(&host, "here"), group.inner(&host, "builds"));
    // `bud` would make one wait for the result of the other.
    let args = [
        "run",
        "-i",
        "--network=none",
        "--cgroup-parent",
        &builds.name,
    ];
    let args = [&args[..], &["alpine", "cat"]].concat();
    let both = [(); 2].map(|()| here.start(&host, &args));
    let expected = ["rbuild- 0", "rbuild- 0", "rbuild-/run- 1", "rbuild-/run- 1"];
    builds.expect(&expected);
    for mut child in both {
        drop(child.stdin.take());
        Output::from(child.wait_with_output().unwrap()).success();
    }
    builds.expect_empty("after both");
    here.expect_empty("the builders were here");
}

#[test]
fn nothing_is_left_of_a_group_when_its_builder_is_killed_at_any_moment() {
    let Some(host) = host() else { return };
    let Some(group) = Group::given_to(&host) else {
        return;
    };
    let dockerfile = "FROM alpine\nRUN setsid sleep 4711 & sleep 0.03\nRUN sleep 4711\n";
    host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
    let args = ["bud", "--no-cache", "--cgroup-parent", &group.name, "ctx"];
    let mut divided = 0;
    // In milliseconds; the group is made in the first ones.
    for moment in (0..20).chain((20..150).step_by(7)) {
        let mut child = group.start(&host, &args);
        sleep(Duration::from_millis(moment));
        divided += u32::from(!group.dump().is_empty());
        child.kill().unwrap();
        child.wait().unwrap();
        group.expect_empty(&format!("killed after {moment} ms"));
    }
    assert!(divided > 10, "only {divided} builds had come that far");
}

#[test]
fn limits_that_cannot_be_are_an_error_before_any_work() {
    let Some(host) = host() else { return };
    let Some(group) = Group::given_to(&host) else {
        return;
    };
    host.scratch
        .file("ctx/Dockerfile", "FROM alpine\nRUN echo worked\n")
        .unwrap();
    let name = format!("--cgroup-parent={}/not-there", group.name);
    for (flag, why) in [
        (name.as_str(), "cannot have control groups in"),
        ("--cgroup-parent=relative", "is no control group"),
        ("--cgroup-parent=/", "control group"),
    ] {
        let output = group.run(&host, &["bud", flag, "ctx"]);
        assert_eq!(output.status, 1, "{output}");
        assert!(output.stderr.contains(why), "{output}");
        assert!(!output.stderr.contains("worked"), "{output}");
    }
    // Nobody gave this test's own group to the user.
    let output = host.run(&["bud", "--memory=64m", "ctx"]);
    assert_eq!(output.status, 1, "{output}");
    assert!(output.stderr.contains("control group"), "{output}");
    assert!(output.stderr.contains("hint: "), "{output}");
    let output = host.run(&["run", "--memory=64m", "alpine", "true"]);
    assert_eq!(output.status, 125, "{output}");
    group.expect_empty("nothing was made");
}

#[test]
fn no_limit_needs_no_control_group() {
    let Some(host) = host() else { return };
    let flags = ["--pids-limit=-1", "--memory=0", "--cpu-quota=-1"];
    host.run(&[&["run"], &flags[..], &["alpine", "true"]].concat())
        .success();
}

#[test]
fn a_low_soft_limit_on_open_files_does_not_limit_the_layers() {
    let Some(host) = host() else { return };
    let steps: String = (0..70).map(|n| format!("RUN echo {n} > /{n}\n")).collect();
    host.scratch
        .file(
            "ctx/Dockerfile",
            format!("FROM alpine\n{steps}RUN ulimit -Sn\n"),
        )
        .unwrap();
    let rbuild = host.rbuild(&["bud", "--network=none", "ctx"]);
    let mut low = host.account.command("sh");
    low.args(["-c", "ulimit -Sn 40; exec \"$@\"", "sh"]);
    low.arg(rbuild.get_program()).args(rbuild.get_args());
    let output = Output::of_success(low.current_dir(host.scratch.path())).unwrap();
    // A command's own is as always.
    assert!(output.stderr.contains("1024"), "{output}");
}
