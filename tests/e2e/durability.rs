//! When what rbuild writes must survive a crash of the machine: `--sync` (store.md section 8).
//!
//! Knows: the system calls that wait for a disk. That a process may die at each of them is
//! crash.rs's.

use std::process::Command;

use rbuild_testkit::{Host, Need, Output};

use crate::surroundings::host_with;

const DOCKERFILE: &str = "FROM alpine\nRUN echo a > /a\nCOPY file /file\nRUN cat /file > /b\n";

/// The calls that wait for a disk, and those that make things appear.
const CALLS: &str = "?fsync,?fdatasync,?syncfs,?sync,?sync_file_range,?msync,?linkat,?renameat2";

/// `strace rbuild args…`; see fault.rs for why it is inside the user namespace.
fn traced(host: &Host, args: &[&str]) -> Command {
    let rbuild = host.rbuild(args);
    let mut command = host.account.inside("strace");
    command
        .args(["-f", "-o", "strace.log", "-e", &format!("trace={CALLS}")])
        .arg("--")
        .arg(rbuild.get_program())
        .args(rbuild.get_args())
        .current_dir(host.scratch.path());
    command
}

/// Those calls in a build with a name, from nothing, and in the export of its result.
#[track_caller]
fn calls(host: &Host, change: impl Fn(&mut Command)) -> String {
    let build = ["bud", "--no-cache", "-t", "it", "ctx"];
    let mut log = String::new();
    for args in [&build[..], &["push", "it", "oci:out:it"]] {
        let mut command = traced(host, args);
        change(&mut command);
        Output::of_success(&mut command).unwrap();
        log += &std::fs::read_to_string(host.scratch.path().join("strace.log")).unwrap();
    }
    log
}

fn waits_for_a_disk(log: &str) -> bool {
    log.contains("sync(") || log.contains("syncfs(") || log.contains("sync_file_range(")
}

#[test]
fn nothing_waits_for_the_disk_where_nobody_asks_for_that_store_8() {
    let Some(host) = host_with(&[Need::Tool("strace")]) else {
        return;
    };
    host.scratch.file("ctx/file", "x").unwrap();
    host.scratch.file("ctx/Dockerfile", DOCKERFILE).unwrap();
    for usual in [
        calls(&host, |_| {}),
        calls(&host, |command| {
            // The flag wins.
            command.arg("--sync=commit").env("RBUILD_SYNC", "none");
        }),
    ] {
        for call in ["fdatasync(", "syncfs(", "fsync("] {
            assert!(usual.contains(call), "{call}: {usual}");
        }
        let syncs = usual.matches("syncfs(").count();
        assert_eq!(
            syncs, 1,
            "an image of several layers is synced once: {usual}"
        );
    }
    for fast in [
        calls(&host, |command| {
            command.arg("--sync=none");
        }),
        calls(&host, |command| {
            command.env("RBUILD_SYNC", "none");
        }),
    ] {
        assert!(fast.contains("renameat2("), "{fast}");
        assert!(!waits_for_a_disk(&fast), "{fast}");
    }
    host.run(&["--sync=none", "store", "check"]).success();
}

#[test]
fn a_wish_that_is_none_is_refused() {
    let Some(host) = host_with(&[]) else { return };
    let mut command = host.rbuild(&["images"]);
    let output = Output::of(command.env("RBUILD_SYNC", "often")).unwrap();
    output.failure().saying("RBUILD_SYNC is `often`");
}
