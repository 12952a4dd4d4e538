//! Starts a command in namespaces of its own, at a cost that does not depend on our size.
//!
//! Clones with CLONE_VM|CLONE_VFORK: no page table is copied, the calling thread sleeps until
//! the child has executed its program, the other threads go on. clone(2), vfork(2).

use std::{
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    ptr,
};

use libc::{c_int, c_void};
use rustix::{io::Errno, process::Pid};

use crate::{
    Guardian, child,
    error::{Error, Result},
    process::{Child, reap},
    step::Step,
};

/// Why [`spawn`] failed.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There is no child.
    #[error("cannot start a process")]
    Start(#[source] Error),

    /// The child could not do this step; it has ended.
    #[error("step {index} failed")]
    Step {
        /// Index in the list of steps.
        index: usize,
        /// The kernel's answer.
        errno: Errno,
    },
}

/// Which network a command is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkNamespace {
    /// Ours.
    Shared,
    /// A new one: nothing but `lo`, which is down.
    New,
}

/// What all sides see.
struct Shared<'a, 'fd> {
    steps: &'a [Step<'fd>],
    network: NetworkNamespace,
    /// The guardian, whose pid namespace the second child is in.
    guardian: c_int,
    /// Of the second and of the third child.
    stacks: [Stack; 2],
    /// The second child; 0 if there is none.
    between: c_int,
    /// The command; 0, and an errno, if there is none.
    pid: c_int,
    errno: c_int,
    pidfd: c_int,
    failed: Option<(usize, c_int)>,
}

/// Starts a process in new mount, pid, ipc and uts namespaces, and in `network`, which carries out `steps`; the
/// last one must be [`Step::Exec`]. Its pid namespace is nested below the guardian's, and it is
/// process 1 of it. Returns when the program runs.
///
/// # Errors
/// [`SpawnError::Step`] tells which step failed; nothing of it is left then.
pub fn spawn(
    guardian: &Guardian,
    network: NetworkNamespace,
    steps: &[Step<'_>],
) -> std::result::Result<Child, SpawnError> {
    let stack = Stack::new().map_err(SpawnError::Start)?;
    let mut shared = Shared {
        steps,
        network,
        guardian: guardian.as_fd().as_raw_fd(),
        stacks: [
            Stack::new().map_err(SpawnError::Start)?,
            Stack::new().map_err(SpawnError::Start)?,
        ],
        between: 0,
        pid: 0,
        errno: 0,
        pidfd: -1,
        failed: None,
    };
    let child = {
        let _blocked = BlockedSignals::new();
        clone(&stack, &mut shared)
    };
    // A child that becomes another user makes the memory it shares with us undumpable, which
    // would hide our own /proc/self from us.
    if guardian.dumpable {
        set_dumpable();
    }
    let mut child = child.map_err(SpawnError::Start)?;
    match shared.failed {
        None => Ok(child),
        Some((index, errno)) => {
            child.wait().map_err(SpawnError::Start)?;
            let errno = Errno::from_raw_os_error(errno);
            Err(SpawnError::Step { index, errno })
        }
    }
}

/// A new pid namespace can only be nested below another by a process which is inside of that
/// one, and only a new process gets inside. So there are three clones, each but the first for us
/// (CLONE_PARENT): the first child says that its children belong into the guardian's namespace
/// and makes the second one, which is there and makes the third one, which is the command.
///
/// We never say so ourselves: an unprivileged process cannot take it back, and could start no
/// thread any more.
fn clone(stack: &Stack, shared: &mut Shared<'_, '_>) -> Result<Child> {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::SIGCHLD;
    let argument = ptr::from_mut(shared).cast::<c_void>();
    // SAFETY: the stack is ours alone and outlives the child's use of our memory, as the kernel
    // suspends this thread until the child has ended (CLONE_VFORK); so does `shared`. All signals
    // are blocked: no handler runs in the child.
    let pid = unsafe { libc::clone(outside, stack.top(), flags, argument) };
    let Some(pid) = Pid::from_raw(pid.max(0)) else {
        return Err(Error::last("clone", ""));
    };
    reap(pid)?;
    if let Some(between) = Pid::from_raw(shared.between) {
        reap(between)?;
    }
    match shared.pid {
        0 => Err(Error::new(
            "clone",
            "CLONE_NEWPID",
            Errno::from_raw_os_error(shared.errno),
        )),
        // SAFETY: the kernel has just made this descriptor, in the table that the first child
        // shares with us (CLONE_FILES), and nobody else knows its number.
        _ => Ok(Child::new(unsafe { OwnedFd::from_raw_fd(shared.pidfd) })),
    }
}

/// The whole life of the first child.
extern "C" fn outside(argument: *mut c_void) -> c_int {
    let flags =
        libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PARENT | libc::CLONE_FILES | libc::SIGCHLD;
    // SAFETY: as in `between`.
    unsafe {
        let shared = argument.cast::<Shared<'_, '_>>();
        let joined = libc::setns((*shared).guardian, libc::CLONE_NEWPID);
        let pid = match joined {
            0 => libc::clone(between, (*shared).stacks[0].top(), flags, argument),
            failed => failed,
        };
        if pid == -1 {
            (*shared).errno = *libc::__errno_location();
        } else {
            (*shared).between = pid;
        }
        libc::_exit(0)
    }
}

/// The whole life of the second child.
extern "C" fn between(argument: *mut c_void) -> c_int {
    let flags = libc::CLONE_VM
        | libc::CLONE_VFORK
        | libc::CLONE_PARENT
        | libc::CLONE_PIDFD
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::SIGCHLD;
    // SAFETY: `clone` passes a `Shared` that nobody else uses while this child runs, except for
    // its own child, while which runs this one is suspended. The stack is that child's.
    unsafe {
        let shared = argument.cast::<Shared<'_, '_>>();
        let pidfd = &raw mut (*shared).pidfd;
        let top = (*shared).stacks[1].top();
        let network = match (*shared).network {
            NetworkNamespace::Shared => 0,
            NetworkNamespace::New => libc::CLONE_NEWNET,
        };
        let pid = libc::clone(command, top, flags | network, argument, pidfd);
        if pid == -1 {
            (*shared).errno = *libc::__errno_location();
        } else {
            (*shared).pid = pid;
        }
        libc::_exit(0)
    }
}

/// What the third child does until it executes its program.
extern "C" fn command(argument: *mut c_void) -> c_int {
    // SAFETY: as in `between`; this is the child, its signals are blocked, and `_exit` follows,
    // which ends this process only.
    unsafe {
        let shared = argument.cast::<Shared<'_, '_>>();
        (*shared).failed = Some(child::run((*shared).steps));
        libc::_exit(127)
    }
}

/// Memory for the child's stack, with a page below it that must not be touched.
struct Stack(*mut c_void);

impl Stack {
    const SIZE: usize = 128 * 1024;
    const GUARD: usize = 64 * 1024;

    fn new() -> Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
        // SAFETY: a new mapping anywhere; the guard is the lower part of it.
        unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let start = libc::mmap(ptr::null_mut(), Self::SIZE, protection, flags, -1, 0);
            if start == libc::MAP_FAILED {
                return Err(Error::last("mmap", ""));
            }
            let stack = Self(start);
            match libc::mprotect(start, Self::GUARD, libc::PROT_NONE) {
                0 => Ok(stack),
                _ => Err(Error::last("mprotect", "")),
            }
        }
    }

    /// Stacks grow downwards on every architecture that rbuild knows.
    fn top(&self) -> *mut c_void {
        self.0.wrapping_byte_add(Self::SIZE)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: `new` made this mapping, and no child uses it any more.
        unsafe { libc::munmap(self.0, Self::SIZE) };
    }
}

/// While it lives, no signal reaches this thread.
struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    fn new() -> Self {
        // SAFETY: both sets are on this stack; SIG_SETMASK with valid sets cannot fail.
        unsafe {
            let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            Self(before)
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the set was filled in by `new`.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
    }
}

fn set_dumpable() {
    // SAFETY: plain numbers.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) };
}
