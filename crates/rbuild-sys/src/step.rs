//! What a child does between clone and exec: a program of plain values, made beforehand.
//!
//! Knows: which system call each step is. Does not know: why.
//!
//! Invariant: carrying out a step reads memory made by the parent and makes system calls;
//! it allocates nothing, locks nothing and cannot panic (see `child.rs`).

use std::{
    ffi::{CStr, CString},
    os::fd::BorrowedFd,
    ptr,
};

use crate::{filter::Filter, mounts::MountLimits};

/// A mount that a child makes in its own namespaces and later steps refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// The first.
    First,
    /// The second.
    Second,
    /// The third.
    Third,
    /// The fourth.
    Fourth,
}

/// A directory or a mount that a step works on.
#[derive(Clone, Copy, Debug)]
pub enum Handle<'fd> {
    /// Opened by the parent.
    Open(BorrowedFd<'fd>),
    /// Made by [`Step::NewMount`].
    Made(Made),
}

/// One step. A failure is reported with the step's index.
#[derive(Debug)]
pub enum Step<'fd> {
    /// Every signal gets its default action.
    ResetSignals,
    /// setsid(2).
    NewSession,
    /// Descriptor 0 is the terminal of the session. ioctl_tty(2), TIOCSCTTY.
    ControllingTerminal,
    /// `from` becomes descriptor `to`, which stays open in the program.
    Descriptor {
        /// Open in the parent.
        from: BorrowedFd<'fd>,
        /// 0, 1 or 2.
        to: i32,
    },
    /// A new instance of a file system that depends on the child's namespaces.
    NewMount {
        /// `proc`, `mqueue`, `sysfs`, `cgroup2`.
        kind: CString,
        /// What it forbids.
        limits: MountLimits,
        /// Where its handle is kept.
        made: Made,
    },
    /// The mount becomes `/`; all other mounts are gone, the working directory is `/`.
    EnterRoot(BorrowedFd<'fd>),
    /// A mount is attached at `path` below `dir`; a symlink at the end is not followed.
    /// An empty path is `dir` itself.
    Attach {
        /// Attached nowhere so far.
        mount: Handle<'fd>,
        /// Where `path` starts.
        dir: Handle<'fd>,
        /// Relative, without symlinks that lead elsewhere.
        path: CString,
    },
    /// `name` below `dir` is covered by a copy of itself with these limits.
    Limit {
        /// A mount that is attached by now.
        dir: Handle<'fd>,
        /// Relative to it.
        name: CString,
        /// What is forbidden from now on.
        limits: MountLimits,
    },
    /// sethostname(2).
    Hostname(CString),
    /// umask(2).
    Umask(u32),
    /// setrlimit(2); `resource` as in `RLIMIT_…`.
    ResourceLimit {
        /// Which.
        resource: Resource,
        /// The soft limit.
        soft: u64,
        /// The hard limit.
        hard: u64,
    },
    /// How soon the kernel ends the process when memory runs out, as in `oom_score_adj` of
    /// proc(5); needs the host's `/proc`. Where that cannot be written it stays as it is.
    OutOfMemoryScore(CString),
    /// Moves to the control group whose `cgroup.procs` this is, open for writing. cgroups(7).
    JoinControlGroup(BorrowedFd<'fd>),
    /// The control group that the process is in becomes the root of what it sees of them. A kernel
    /// without control groups is fine. cgroup_namespaces(7).
    OwnControlGroups,
    /// Joins the network namespace behind the descriptor. setns(2).
    JoinNetwork(BorrowedFd<'fd>),
    /// Switches on `lo` of a network namespace of our own. netdevice(7).
    LoopbackUp,
    /// Which groups may ping without privileges in a network namespace of our own, as in
    /// `ping_group_range` of icmp(7); needs the host's `/proc`. Where that cannot be written it
    /// stays as it is.
    PingGroups(CString),
    /// No way to abstract sockets, and for signals, out of here; as [`crate::landlock_scope`]
    /// made it. landlock(7).
    Scope(BorrowedFd<'fd>),
    /// From now on no program gives privileges, setuid or not. prctl(2), PR_SET_NO_NEW_PRIVS.
    NoNewPrivileges,
    /// System calls are filtered from now on, for good. seccomp(2).
    Filter(&'fd Filter),
    /// A new, empty session keyring. keyctl(2). A kernel without keyrings is fine.
    SessionKeyring,
    /// Leaves only these capabilities (bit = number) in the bounding set.
    Bounding(u64),
    /// setgroups(2).
    Groups(Vec<u32>),
    /// setresgid(2).
    Group(u32),
    /// setresuid(2); any user but 0 loses permitted and effective capabilities by it.
    User(u32),
    /// Effective and permitted capabilities (bit = number); inheritable ones are none.
    Capabilities(u64),
    /// Every descriptor from 3 on is closed by exec.
    CloseOnExec,
    /// Working directory: resolved below `/` without magic links, and checked to be there.
    WorkingDirectory(CString),
    /// The last step.
    Exec(Exec),
}

/// The resources that have a limit. getrlimit(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Bytes of a core file.
    Core,
    /// Seconds of processor time.
    Cpu,
    /// Bytes of data segment and heap.
    Data,
    /// Bytes of a file that is written.
    FileSize,
    /// Number of file locks.
    Locks,
    /// Bytes of memory that cannot be swapped out.
    LockedMemory,
    /// Bytes of POSIX message queues.
    MessageQueues,
    /// 20 minus the lowest nice value.
    Nice,
    /// Number of open files.
    OpenFiles,
    /// Number of the user's processes.
    Processes,
    /// Bytes of memory in use; no effect.
    ResidentSet,
    /// Highest real-time priority.
    RealtimePriority,
    /// Microseconds under real-time scheduling without a pause.
    RealtimeTime,
    /// Number of queued signals.
    PendingSignals,
    /// Bytes of the stack.
    Stack,
    /// Bytes of virtual memory.
    AddressSpace,
}

/// A program to execute: the first of `candidates` that exists.
#[derive(Debug)]
pub struct Exec {
    pub(crate) candidates: Vec<CString>,
    // The strings that the two lists of pointers below point into.
    _argv: Vec<CString>,
    _envp: Vec<CString>,
    pub(crate) argv: Vec<*const libc::c_char>,
    pub(crate) envp: Vec<*const libc::c_char>,
}

impl Exec {
    /// Arguments (with the program's name) and environment as `NAME=value`.
    pub fn new(candidates: Vec<CString>, argv: Vec<CString>, envp: Vec<CString>) -> Self {
        // The heap blocks behind CStrings stay where they are when the CStrings move.
        let pointers = |strings: &[CString]| {
            let pointers = strings.iter().map(|string| CStr::as_ptr(string));
            pointers.chain([ptr::null()]).collect()
        };
        Self {
            argv: pointers(&argv),
            envp: pointers(&envp),
            candidates,
            _argv: argv,
            _envp: envp,
        }
    }
}
