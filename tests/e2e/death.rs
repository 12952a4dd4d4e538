//! Nothing survives the builder: SIGKILL, ^C, and what is left afterwards.

use std::fs;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rbuild_testkit::{Host, wait_until};

use crate::surroundings::host;

/// A build that hangs in a RUN with a daemon beside it.
struct Hanging {
    child: Child,
    marker: String,
}

impl Hanging {
    /// Starts it and returns when both processes run; `number` tells them
    /// from those of other tests.
    fn start(host: &Host, number: u32) -> Self {
        let marker = format!("{}{number}", std::process::id());
        let dockerfile = format!("FROM alpine\nRUN setsid sleep {marker} & sleep {marker}\n");
        host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
        let child = host
            .rbuild(&["bud", "-t", "hanging", "ctx"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let hanging = Self { child, marker };
        hanging.wait_for(2);
        hanging
    }

    #[track_caller]
    fn wait_for(&self, number: usize) {
        wait_for(&self.marker, number);
    }

    fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            signal,
        )
        .unwrap();
    }
}

/// Waits until there are so many of them.
#[track_caller]
fn wait_for(marker: &str, number: usize) {
    let there = || sleepers(marker);
    wait_until(
        || format!("{} of {number} processes", there()),
        || there() == number,
    );
}

/// How many processes with the command line `sleep MARKER` the host has.
fn sleepers(marker: &str) -> usize {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let expected = format!("sleep\0{marker}\0");
    lines.filter(|line| *line == expected.as_bytes()).count()
}

#[test]
fn after_sigkill_no_process_lives_and_the_next_build_works() {
    let Some(host) = host() else { return };
    let mut hanging = Hanging::start(&host, 1);
    hanging.signal(Signal::SIGKILL);
    hanging.wait_for(0);
    hanging.child.wait().unwrap();
    host.build("FROM alpine\nRUN echo works > /a\n", &["-t", "next"])
        .success();
    assert_eq!(
        host.run(&["run", "next", "cat", "/a"]).success().stdout,
        "works\n"
    );
    host.run(&["inspect", "hanging"]).failure();
}

#[test]
fn a_signal_ends_the_build_with_128_and_its_number_and_leaves_no_process_fault_36() {
    let Some(host) = host() else { return };
    let signals = [
        (Signal::SIGINT, 130),
        (Signal::SIGTERM, 143),
        (Signal::SIGHUP, 129),
        (Signal::SIGQUIT, 131),
    ];
    for (number, (signal, expected)) in (20..).zip(signals) {
        let mut hanging = Hanging::start(&host, number);
        hanging.signal(signal);
        let status = hanging.child.wait().unwrap();
        assert_eq!(status.code(), Some(expected), "{signal}: {status}");
        hanging.wait_for(0);
        host.run(&["inspect", "hanging"]).failure();
    }
}

#[test]
fn nobody_who_reads_is_an_end_without_processes_faults_37_38() {
    let Some(host) = host() else { return };
    let marker = format!("{}4", std::process::id());
    let talkative = format!("FROM alpine\nRUN setsid sleep {marker} & yes\n");
    host.scratch.file("ctx/Dockerfile", talkative).unwrap();
    let mut build = host.rbuild(&["bud", "ctx"]);
    let piped = build.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = piped.stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&marker, 1);
    drop((child.stdout.take(), child.stderr.take()));
    let ended = || child.try_wait().unwrap().is_some();
    wait_until(|| "the build goes on", ended);
    assert_eq!(child.wait().unwrap().code(), Some(141));
    wait_for(&marker, 0);
}

#[test]
fn an_ended_run_takes_its_daemons_with_it() {
    let Some(host) = host() else { return };
    let marker = format!("{}3", std::process::id());
    let dockerfile = format!("FROM alpine\nRUN setsid sleep {marker} & true\n");
    host.build(&dockerfile, &[]).success();
    assert_eq!(sleepers(&marker), 0);
}
