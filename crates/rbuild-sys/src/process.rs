//! Processes by descriptor, and waiting for several things at once. pidfd_open(2), poll(2).

use std::{
    io::{PipeReader, PipeWriter},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    io::Errno,
    process::{
        Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, WaitOptions, getrlimit,
        pidfd_send_signal, setrlimit, waitid, waitpid,
    },
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};

use crate::error::{Context, Error, Result};

/// A child process. Killed and reaped when dropped before it was waited for.
#[derive(Debug)]
pub struct Child {
    pidfd: OwnedFd,
    waited: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this status.
    Exited(u8),
    /// This signal killed it.
    Killed(u8),
}

impl Child {
    pub(crate) fn new(pidfd: OwnedFd) -> Self {
        Self {
            pidfd,
            waited: false,
        }
    }

    /// Sends SIGKILL. A process that has ended already is fine.
    pub fn kill(&self) {
        // It can only fail for a process that is gone.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Waits until the process has ended and frees its number.
    ///
    /// # Errors
    /// `CHILD` if it was waited for before.
    pub fn wait(&mut self) -> Result<Ended> {
        let status = loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Err(Errno::INTR) | Ok(None) => {}
                answer => break answer.on("waitid", "")?,
            }
        };
        self.waited = true;
        let status = status.expect("the loop above ends with a status or an error");
        let byte = |number: i32| u8::try_from(number & 0xFF).expect("masked to eight bits");
        Ok(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Ended::Exited(byte(code)),
            (None, signal) => Ended::Killed(byte(signal.unwrap_or(0))),
        })
    }
}

impl AsFd for Child {
    /// Readable when the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.waited {
            self.kill();
            let _ = self.wait();
        }
    }
}

/// A flag that can be raised once, by anybody, and that [`wait_readable`] sees. eventfd(2).
#[derive(Clone, Debug)]
pub struct Flag(Arc<OwnedFd>);

impl Flag {
    /// A flag that is down.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn new() -> Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).on("eventfd", "")?;
        Ok(Self(Arc::new(fd)))
    }

    /// Raises it, for ever. Raising it twice is fine.
    pub fn raise(&self) {
        // A counter that is full is a raised flag too.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        let mut fds = [PollFd::new(&*self.0, PollFlags::IN)];
        let now = Timespec::default();
        poll(&mut fds, Some(&now)).is_ok_and(|count| count > 0)
    }
}

impl AsFd for Flag {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A point in time that [`wait_readable`] sees. timerfd_create(2).
#[derive(Debug)]
pub struct Timer(OwnedFd);

impl Timer {
    /// Readable when so much time is over, with the time that the machine sleeps.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn after(time: Duration) -> Result<Self> {
        let fd = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)
            .on("timerfd_create", "")?;
        // Zero would switch it off.
        let time = time.max(Duration::from_nanos(1));
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: seconds,
                tv_nsec: time.subsec_nanos().into(),
            },
        };
        timerfd_settime(&fd, TimerfdTimerFlags::empty(), &once).on("timerfd_settime", "")?;
        Ok(Self(fd))
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What one waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Something to read, or a hang-up.
    Read,
    /// Room to write, or a hang-up.
    Write,
}

/// Waits until at least one of `fds` can be read or was hung up; says for each whether it is so.
///
/// # Errors
/// As poll(2).
pub fn wait_readable<const N: usize>(fds: [BorrowedFd<'_>; N]) -> Result<[bool; N]> {
    wait_ready(fds.map(|fd| (fd, Interest::Read)))
}

/// Waits until there is what one of `fds` is waited for; says for each whether it is so.
///
/// # Errors
/// As poll(2).
pub fn wait_ready<const N: usize>(fds: [(BorrowedFd<'_>, Interest); N]) -> Result<[bool; N]> {
    let mut polled = fds.map(|(fd, interest)| {
        let flags = match interest {
            Interest::Read => PollFlags::IN,
            Interest::Write => PollFlags::OUT,
        };
        PollFd::from_borrowed_fd(fd, flags)
    });
    loop {
        match poll(&mut polled, None) {
            Err(Errno::INTR) => {}
            answer => {
                answer.on("poll", "")?;
                break;
            }
        }
    }
    Ok(polled.map(|fd| !fd.revents().is_empty()))
}

/// Makes reading from `fd` return at once.
///
/// # Errors
/// As fcntl(2).
pub fn set_nonblocking(fd: impl AsFd) -> Result<()> {
    let flags = rustix::fs::fcntl_getfl(&fd).on("fcntl", "F_GETFL")?;
    rustix::fs::fcntl_setfl(&fd, flags | rustix::fs::OFlags::NONBLOCK).on("fcntl", "F_SETFL")
}

/// The hard limit on open files; `None` if there is none. getrlimit(2).
pub fn open_files_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Raises the soft limit on open files to the hard one, as far as the kernel lets us.
pub fn raise_open_files_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // As it was is as good as it gets.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// User and group that this process acts as.
pub fn effective_ids() -> (u32, u32) {
    (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    )
}

/// Forks; the child runs `child` and exits with what it returns, and is killed with this thread.
///
/// # Safety
/// The process must have one thread only: locks held by other threads stay locked in the child.
pub(crate) unsafe fn fork(child: impl FnOnce() -> u8) -> Result<Pid> {
    // SAFETY: the caller promises that there is no other thread.
    match unsafe { libc::fork() } {
        -1 => Err(Error::last("fork", "")),
        0 => {
            // SAFETY: plain numbers; `_exit` runs no destructors and flushes nothing twice.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::_exit(child().into())
            }
        }
        pid => Ok(Pid::from_raw(pid).expect("fork returns a positive number to the parent")),
    }
}

/// Waits for the process `pid`.
pub(crate) fn reap(pid: Pid) -> Result<()> {
    loop {
        match waitpid(Some(pid), WaitOptions::empty()) {
            Err(Errno::INTR) => {}
            answer => return answer.on("waitpid", "").map(drop),
        }
    }
}

/// Number of threads of this process.
///
/// # Errors
/// Without /proc.
pub fn thread_count() -> Result<usize> {
    let list = std::fs::read_dir("/proc/self/task").map_err(|source| Error {
        call: "open",
        operand: "/proc/self/task".to_owned(),
        source,
    })?;
    Ok(list.count())
}

/// Refuses to make `call`, a fork, while there are other threads: what they hold would be held for
/// ever in the copy.
///
/// # Errors
/// `INVAL`.
pub(crate) fn require_one_thread(call: &'static str) -> Result<()> {
    match thread_count()? {
        1 => Ok(()),
        _ => Err(Error::new(call, "more than one thread", Errno::INVAL)),
    }
}

/// A pipe whose end tells who reads it that the other one is gone.
///
/// # Errors
/// As pipe(2).
pub(crate) fn pipe() -> Result<(PipeReader, PipeWriter)> {
    std::io::pipe().map_err(|source| Error {
        call: "pipe",
        operand: String::new(),
        source,
    })
}

/// Runs `probe` in a child process and returns the text that it made; what it does to
/// its namespaces ends with it.
///
/// # Errors
/// When there is more than one thread, or as fork(2).
pub fn in_child(probe: impl FnOnce() -> String) -> Result<String> {
    use std::io::{Read, Write};
    require_one_thread("fork")?;
    let (mut reader, mut writer) = pipe()?;
    // SAFETY: there is one thread, as was just counted.
    let pid = unsafe {
        fork(move || {
            let written = writer.write_all(probe().as_bytes());
            u8::from(written.is_err())
        })
    }?;
    let mut text = String::new();
    let read = reader.read_to_string(&mut text).map_err(|source| Error {
        call: "read",
        operand: String::new(),
        source,
    });
    reap(pid)?;
    read?;
    Ok(text)
}
