//! A network of one's own, with a way out: a network namespace that pasta(1) connects.
//!
//! pasta makes ordinary sockets of this machine of what commands send, so no privileges are
//! needed. What is not reachable through it: loopback and abstract sockets of the machine, and
//! the addresses that it shares with the namespace.
//!
//! Invariant: pasta ends with the builder, as every command does; it has no files and no sockets
//! that could be left.

use std::{
    env,
    ffi::CString,
    fs::{self, File},
    io::{PipeReader, Read},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use rbuild_sys::{
    self as sys, Child, Exec, Guardian, NetworkNamespace, SpawnError, Step, new_network_namespace,
    set_nonblocking, spawn,
};

use crate::{error::Error, etc_files::NAME_SERVER};

/// The namespace, connected while this lives.
#[derive(Debug)]
pub(crate) struct PrivateNetwork {
    namespace: OwnedFd,
    _pasta: Child,
    /// Held, so that pasta can go on complaining; never read.
    _complaints: PipeReader,
}

/// What pasta takes a fraction of a second for must not hang a build.
const PATIENCE: Duration = Duration::from_secs(10);

/// More than pasta says before it gives up.
const MAX_COMPLAINT: usize = 4096;

impl PrivateNetwork {
    /// Makes the namespace, in which `ping_groups` may ping, and starts pasta. Takes some 20 ms.
    ///
    /// # Errors
    /// [`Error::NoPasta`], [`Error::NoTun`], [`Error::Pasta`] or [`Error::Prepare`]: there is no
    /// way to have one on this machine.
    pub(crate) fn start(guardian: &Guardian, ping_groups: &str) -> Result<Self, Error> {
        let program = program()?;
        File::options()
            .read(true)
            .write(true)
            .open("/dev/net/tun")
            .map_err(|source| Error::NoTun { source })?;
        let namespace = new_network_namespace(|| settle(ping_groups)).map_err(prepare)?;
        let (complaints, complain) = std::io::pipe().map_err(io("pipe"))?;
        set_nonblocking(&complaints).map_err(prepare)?;
        // Who writes more than anybody reads is not made to wait.
        set_nonblocking(&complain).map_err(prepare)?;
        let (mut ready, pid) = std::io::pipe().map_err(io("pipe"))?;
        let stdio = [namespace.as_fd(), pid.as_fd(), complain.as_fd()];
        let pasta = launch(guardian, &program, stdio)?;
        drop((pid, complain));
        match is_ready(&pasta, &mut ready) {
            true => Ok(Self {
                namespace,
                _pasta: pasta,
                _complaints: complaints,
            }),
            false => Err(Error::Pasta {
                said: complaint(complaints),
            }),
        }
    }

    pub(crate) fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }
}

/// Where pasta is, by our `PATH`; never in the working directory, which may be a stranger's.
fn program() -> Result<PathBuf, Error> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join("pasta"))
        .find(|file| file.is_file())
        .ok_or(Error::NoPasta)
}

/// In the new namespace: what cannot be set stays as it is.
fn settle(ping_groups: &str) {
    let set = |name: &str, value: &str| fs::write(format!("/proc/sys/net/{name}"), value);
    let _ = set("ipv4/ping_group_range", ping_groups);
    // Nobody else is there who could have the same address; looking for him takes a second.
    let _ = set("ipv6/conf/default/accept_dad", "0");
}

/// What pasta is told. The namespace is its standard input and where it says that it is ready is
/// its standard output, since some versions close every other descriptor, and all have dropped
/// the right to look at ours before they open these.
fn arguments() -> Vec<String> {
    let forward = NAME_SERVER.to_string();
    let words = [
        "pasta",
        "--foreground",
        "--quiet",
        "--config-net",
        "--netns",
        "/proc/self/fd/0",
        "--no-netns-quit",
        "--pid",
        "/proc/self/fd/1",
        // Of the user namespace, if we are not root.
        "--runas",
        "0:0",
        // The machine's loopback interface is not reachable, by whatever address or port.
        "--no-map-gw",
        "--tcp-ports",
        "none",
        "--udp-ports",
        "none",
        "--tcp-ns",
        "none",
        "--udp-ns",
        "none",
        "--dns-forward",
        &forward,
    ];
    words.map(str::to_owned).to_vec()
}

/// Starts it below the guardian, in the machine's network.
fn launch(guardian: &Guardian, program: &Path, stdio: [BorrowedFd<'_>; 3]) -> Result<Child, Error> {
    let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| Error::Nul { what: "the PATH" });
    let arguments = arguments();
    let argv = arguments.iter().map(|word| text(word.as_bytes()));
    let exec = Exec::new(
        vec![text(program.as_os_str().as_bytes())?],
        argv.collect::<Result<_, _>>()?,
        vec![text(b"PATH=/usr/bin:/bin")?],
    );
    let [input, output, errors] = stdio;
    let descriptor = |from, to| Step::Descriptor { from, to };
    let steps = [
        Step::ResetSignals,
        Step::NewSession,
        descriptor(input, 0),
        descriptor(output, 1),
        descriptor(errors, 2),
        Step::CloseOnExec,
        Step::Exec(exec),
    ];
    spawn(guardian, NetworkNamespace::Shared, &steps).map_err(|error| match error {
        SpawnError::Start(source) => prepare(source),
        SpawnError::Step { errno, .. } => Error::Pasta {
            said: format!("{}: {errno}", program.display()),
        },
    })
}

/// Waits until pasta has said its number; false if it ended instead, or was ended because it
/// takes too long.
fn is_ready(pasta: &Child, ready: &mut PipeReader) -> bool {
    thread::scope(|scope| {
        let (done, over) = mpsc::channel::<()>();
        scope.spawn(move || {
            if over.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                pasta.kill();
            }
        });
        let mut number = [0; 16];
        let said = ready.read(&mut number);
        drop(done);
        matches!(said, Ok(1..))
    })
}

/// The last line that pasta wrote, but for those about where to write.
fn complaint(mut from: PipeReader) -> String {
    let mut bytes = vec![0; MAX_COMPLAINT];
    let count = from.read(&mut bytes).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..count]);
    let mut lines = text.lines().rev().map(str::trim);
    let line = lines.find(|line| !line.is_empty() && !line.contains("syslog"));
    line.unwrap_or("it says nothing").to_owned()
}

fn prepare(source: sys::Error) -> Error {
    Error::Prepare {
        what: "a network".to_owned(),
        source,
    }
}

fn io(call: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| {
        prepare(sys::Error {
            call,
            operand: String::new(),
            source,
        })
    }
}
