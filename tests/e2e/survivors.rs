//! Builds that are killed at random moments, in every way that there is, leave nothing.
//!
//! What belongs to a build is told by the kernel, not by names: its user namespace, which setuid
//! programs and daemons are in too, and its process group, which its helpers outside of that are in.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rbuild_testkit::{Host, Need, Size, Terminal, wait_until};

use crate::surroundings::host_with;

/// How a build is ended.
#[derive(Clone, Copy, Debug)]
enum End {
    Signal(Signal),
    /// Its terminal is closed.
    HangUp,
}

/// Each so often; together they are more than a hundred.
const ENDS: [(End, u32); 4] = [
    (End::Signal(Signal::SIGKILL), 45),
    (End::Signal(Signal::SIGQUIT), 25),
    (End::Signal(Signal::SIGTERM), 10),
    (End::HangUp, 25),
];

/// A build takes about as long.
const LONGEST: u64 = 400;

/// Commands with daemons: of the same session and of others, that ignore signals, of other users.
const DOCKERFILE: &str = "FROM alpine\n\
    RUN setsid sleep 4711 & (trap '' HUP TERM INT QUIT; exec sleep 4711) & sleep 0.03\n\
    RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t \
        setuidgid 1000 setsid sleep 4711 & sleep 0.03; echo 1 > /c/f\n\
    USER 1000:1000\n\
    RUN sh -c 'setsid sleep 4711 & setsid sleep 4711 &'; exec sleep 4711\n";

/// A build that runs.
enum Running {
    Alone(Child),
    InTerminal(Terminal),
}

impl Running {
    fn start(host: &Host, end: End) -> Self {
        let args = ["bud", "--no-cache", "ctx"];
        match end {
            End::HangUp => Self::InTerminal(host.in_terminal(
                &args,
                Size {
                    rows: 25,
                    columns: 80,
                },
            )),
            End::Signal(_) => {
                let mut command = host.rbuild(&args);
                command.process_group(0).stdin(Stdio::null());
                let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
                Self::Alone(quiet.spawn().unwrap())
            }
        }
    }

    fn id(&self) -> u32 {
        match self {
            Self::Alone(child) => child.id(),
            Self::InTerminal(terminal) => terminal.id(),
        }
    }

    fn end(self, end: End) -> ExitStatus {
        let id = Pid::from_raw(i32::try_from(self.id()).unwrap());
        match (self, end) {
            (Self::InTerminal(terminal), _) => terminal.hang_up(),
            (Self::Alone(mut child), End::Signal(signal)) => {
                kill(id, signal).unwrap();
                child.wait().unwrap()
            }
            (Self::Alone(_), End::HangUp) => unreachable!("it was started in a terminal"),
        }
    }
}

/// What the kernel knows of a build.
struct Traced {
    group: String,
    namespace: Option<PathBuf>,
}

impl Traced {
    /// The build of process `id`; its user namespace if it has one by now.
    fn of(id: u32) -> Self {
        let own = fs::read_link("/proc/self/ns/user").unwrap();
        let namespace = fs::read_link(format!("/proc/{id}/ns/user")).ok();
        Self {
            group: id.to_string(),
            namespace: namespace.filter(|namespace| *namespace != own),
        }
    }

    /// Its processes that live.
    fn processes(&self) -> Vec<String> {
        let all = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        all.filter_map(|entry| self.own(&entry.path())).collect()
    }

    /// What is known of the process at `path`, if it is one and lives.
    fn own(&self, path: &Path) -> Option<String> {
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        // Behind the name, which may have anything in it: state, parent, process group, …, flags.
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // Process 1 of a namespace is no zombie before the host's process 1 has taken notice of
        // all others; it runs nothing any more.
        let flags: u32 = fields.get(6)?.parse().ok()?;
        let dead = fields[0] == "Z" || flags & EXITING != 0;
        let namespace = fs::read_link(path.join("ns/user")).ok();
        let ours =
            fields[2] == self.group || (self.namespace.is_some() && namespace == self.namespace);
        (ours && !dead).then_some(stat)
    }
}

/// PF_EXITING of the kernel's `sched.h`.
const EXITING: u32 = 4;

/// Mounts and sockets of the host that have `scratch` in their names.
fn names_of_the_host(scratch: &Path) -> BTreeSet<String> {
    let scratch = scratch.to_str().unwrap();
    let files = ["/proc/self/mountinfo", "/proc/net/unix"];
    let text = files.map(|file| fs::read_to_string(file).unwrap()).concat();
    let lines = text.lines().filter(|line| line.contains(scratch));
    lines.map(str::to_owned).collect()
}

/// Numbers without a pattern that matters, the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[test]
fn a_second_after_a_build_was_killed_at_any_moment_nothing_of_it_is_left() {
    // Who is not root cannot see the namespaces of others.
    let Some(host) = host_with(&[Need::Root]) else {
        return;
    };
    host.scratch.file("ctx/Dockerfile", DOCKERFILE).unwrap();
    let mut random = Random(20_261_121);
    let mut inside = 0;
    for (end, count) in ENDS {
        for round in 0..count {
            let build = Running::start(&host, end);
            let moment = random.below(LONGEST);
            sleep(Duration::from_millis(moment));
            let traced = Traced::of(build.id());
            inside += u32::from(traced.namespace.is_some());
            build.end(end);
            let alive = || traced.processes();
            wait_until(
                || format!("{end:?} {round} after {moment} ms: {:#?}", alive()),
                || alive().is_empty(),
            );
            let left = names_of_the_host(host.scratch.path());
            assert!(
                left.is_empty(),
                "{end:?} {round} after {moment} ms: {left:#?}"
            );
        }
    }
    assert!(
        inside > 50,
        "only {inside} builds had come into their namespaces"
    );
    host.run(&["store", "check"]).success();
    host.build("FROM alpine\nRUN echo works > /a\n", &["-t", "next"])
        .success();
    // The last command's own is under a mount as long as it lives.
    let leftovers = fs::read_dir(host.store.join("staging")).unwrap().count();
    assert!(
        leftovers <= 1,
        "sessions sweep what the dead left: {leftovers}"
    );
}

#[test]
fn an_interrupt_at_the_keyboard_ends_the_build_with_130() {
    let Some(host) = host_with(&[]) else { return };
    let dockerfile = "FROM alpine\nRUN trap '' INT; setsid sleep 4711 & echo up; sleep 4711\n";
    host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
    let size = Size {
        rows: 25,
        columns: 80,
    };
    let mut terminal = host.in_terminal(&["bud", "ctx"], size);
    terminal.expect("] up");
    terminal.enter("\x03");
    let (status, said) = terminal.wait();
    assert_eq!(status.code(), Some(130), "{said}");
}

#[test]
fn a_second_interrupt_at_the_keyboard_does_not_wait_for_what_hangs() {
    let Some(host) = host_with(&[]) else { return };
    // After the first one it is given 1.5 s. A busy machine can take as long for the second.
    let took = || after_a_second_interrupt(&host);
    assert!((0..5).any(|_| took() < Duration::from_secs(1)));
}

/// How long a build that waits for a registry lives then.
fn after_a_second_interrupt(host: &Host) -> Duration {
    // It takes every call and never answers.
    let registry = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = registry.local_addr().unwrap();
    let dockerfile = format!("FROM {address}/hangs\n");
    host.scratch.file("ctx/Dockerfile", &dockerfile).unwrap();
    let size = Size {
        rows: 25,
        columns: 80,
    };
    let mut terminal = host.in_terminal(&["bud", "--tls-verify=false", "ctx"], size);
    let _call = registry.accept().unwrap();
    terminal.enter("\x03");
    // Two at once are one.
    sleep(Duration::from_millis(200));
    let start = Instant::now();
    terminal.enter("\x03");
    let (status, said) = terminal.wait();
    assert_eq!(status.code(), Some(130), "{said}");
    start.elapsed()
}
