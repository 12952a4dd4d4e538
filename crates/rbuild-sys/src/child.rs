//! Carries out steps in a child that shares its parent's memory.
//!
//! The child of a CLONE_VM|CLONE_VFORK clone runs on borrowed memory while its parent's thread
//! is suspended and the parent's other threads go on. So, in this file:
//! - raw system calls only: a libc wrapper may take locks, or act on other threads;
//! - no allocation, no lock, no panic, no unwinding, no standard library beyond `core`.

use core::{ffi::CStr, ptr};
use std::os::fd::{AsRawFd, RawFd};

use libc::{c_int, c_long};

use crate::{
    filter::Filter,
    mounts::{MountAttr, MountLimits},
    step::{Exec, Handle, Made, Resource, Step},
};

/// What a system call answered: its value, or an errno.
type Answer = Result<c_long, c_int>;

/// Handles of the mounts made so far.
#[derive(Default)]
struct Handles {
    first: RawFd,
    second: RawFd,
    third: RawFd,
    fourth: RawFd,
}

/// Runs `steps`. Returns only on failure: the index of the step and the errno.
///
/// # Safety
/// Only in a child process, with all signals blocked, and followed by `_exit`.
pub(crate) unsafe fn run(steps: &[Step<'_>]) -> (usize, c_int) {
    let mut handles = Handles::default();
    let mut index: usize = 0;
    for step in steps {
        // SAFETY: the caller's promise; steps hold valid strings and descriptors by type.
        if let Err(errno) = unsafe { carry_out(step, &mut handles) } {
            return (index, errno);
        }
        index = index.wrapping_add(1);
    }
    (index, libc::ENOEXEC)
}

/// A system call with up to five arguments; each is something that fits a register.
macro_rules! call {
    ($number:expr $(, $argument:expr)*) => {{
        // SAFETY: every use passes what its manual page asks for; see the call sites.
        let answer = unsafe { libc::syscall($number $(, $argument)*) };
        if answer == -1 { Err(errno()) } else { Ok(answer) }
    }};
}

fn errno() -> c_int {
    // SAFETY: the location is valid for the whole life of the thread whose memory this is.
    unsafe { *libc::__errno_location() }
}

unsafe fn carry_out(step: &Step<'_>, handles: &mut Handles) -> Result<(), c_int> {
    match step {
        Step::ResetSignals => return reset_signals(),
        Step::NewSession => call!(libc::SYS_setsid),
        Step::ControllingTerminal => call!(libc::SYS_ioctl, 0, libc::TIOCSCTTY, 0),
        Step::Descriptor { from, to } => return descriptor(from.as_raw_fd(), *to),
        Step::NewMount { kind, limits, made } => return new_mount(kind, *limits, *made, handles),
        Step::EnterRoot(root) => return enter_root(root.as_raw_fd()),
        Step::Attach { mount, dir, path } => attach(handles.get(*mount), handles.get(*dir), path),
        Step::Limit { dir, name, limits } => limit(handles.get(*dir), name, *limits),
        Step::Hostname(name) => call!(libc::SYS_sethostname, name.as_ptr(), name.count_bytes()),
        Step::Umask(mask) => call!(libc::SYS_umask, *mask),
        Step::ResourceLimit {
            resource,
            soft,
            hard,
        } => resource_limit(*resource, *soft, *hard),
        Step::OutOfMemoryScore(score) => return setting(c"/proc/self/oom_score_adj", score),
        Step::JoinControlGroup(procs) => {
            call!(libc::SYS_write, procs.as_raw_fd(), c"0".as_ptr(), 1)
        }
        Step::OwnControlGroups => return own_control_groups(),
        Step::JoinNetwork(network) => {
            call!(libc::SYS_setns, network.as_raw_fd(), libc::CLONE_NEWNET)
        }
        Step::LoopbackUp => return loopback_up(),
        Step::PingGroups(range) => return setting(PING_GROUPS, range),
        Step::Scope(ruleset) => call!(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0),
        Step::NoNewPrivileges => call!(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        Step::Filter(program) => filter(program),
        Step::SessionKeyring => return session_keyring(),
        Step::Bounding(kept) => return bounding(*kept),
        Step::Groups(groups) => call!(libc::SYS_setgroups, groups.len(), groups.as_ptr()),
        Step::Group(gid) => call!(libc::SYS_setresgid, *gid, *gid, *gid),
        Step::User(uid) => call!(libc::SYS_setresuid, *uid, *uid, *uid),
        Step::Capabilities(set) => capabilities(*set),
        Step::CloseOnExec => call!(
            libc::SYS_close_range,
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC
        ),
        Step::WorkingDirectory(path) => return working_directory(path),
        Step::Exec(exec) => return execute(exec),
    }
    .map(|_| ())
}

impl Handles {
    fn get(&self, handle: Handle<'_>) -> RawFd {
        match handle {
            Handle::Open(fd) => fd.as_raw_fd(),
            Handle::Made(Made::First) => self.first,
            Handle::Made(Made::Second) => self.second,
            Handle::Made(Made::Third) => self.third,
            Handle::Made(Made::Fourth) => self.fourth,
        }
    }
}

/// `struct sigaction` as the kernel has it, large enough for every architecture; all zeroes is
/// the default action.
const DEFAULT_ACTION: [u64; 8] = [0; 8];

fn reset_signals() -> Result<(), c_int> {
    let mut signal: c_int = 1;
    while signal <= 64 {
        if signal != libc::SIGKILL && signal != libc::SIGSTOP {
            let action = DEFAULT_ACTION.as_ptr();
            call!(
                libc::SYS_rt_sigaction,
                signal,
                action,
                ptr::null::<u64>(),
                8_usize
            )?;
        }
        signal = signal.wrapping_add(1);
    }
    Ok(())
}

fn descriptor(from: RawFd, to: c_int) -> Result<(), c_int> {
    if from == to {
        call!(libc::SYS_fcntl, from, libc::F_SETFD, 0)?;
    } else {
        call!(libc::SYS_dup3, from, to, 0)?;
    }
    Ok(())
}

/// fsconfig(2), `FSCONFIG_CMD_CREATE`.
const CREATE: c_int = 6;

fn new_mount(
    kind: &CStr,
    limits: MountLimits,
    made: Made,
    handles: &mut Handles,
) -> Result<(), c_int> {
    const CLOEXEC: c_int = 1;
    let null = ptr::null::<u8>();
    let context = call!(libc::SYS_fsopen, kind.as_ptr(), CLOEXEC)?;
    call!(libc::SYS_fsconfig, context, CREATE, null, null, 0)?;
    let mount = call!(libc::SYS_fsmount, context, CLOEXEC, limits.flags().bits())?;
    call!(libc::SYS_close, context)?;
    // A descriptor is a small number.
    #[allow(clippy::cast_possible_truncation)]
    let mount = mount as RawFd;
    match made {
        Made::First => handles.first = mount,
        Made::Second => handles.second = mount,
        Made::Third => handles.third = mount,
        Made::Fourth => handles.fourth = mount,
    }
    Ok(())
}

/// move_mount(2): the path of the mount, of the target, is empty.
const FROM_EMPTY: c_int = 0x04;
const TO_EMPTY: c_int = 0x40;

fn enter_root(root: RawFd) -> Result<(), c_int> {
    let here = c".".as_ptr();
    let (empty, slash) = (c"".as_ptr(), c"/".as_ptr());
    call!(
        libc::SYS_move_mount,
        root,
        empty,
        libc::AT_FDCWD,
        slash,
        FROM_EMPTY
    )?;
    call!(libc::SYS_fchdir, root)?;
    // The old root is stacked upon the new one, where `.` finds it; pivot_root(2), NOTES.
    call!(libc::SYS_pivot_root, here, here)?;
    call!(libc::SYS_umount2, here, libc::MNT_DETACH)?;
    call!(libc::SYS_chdir, slash).map(|_| ())
}

fn attach(mount: RawFd, dir: RawFd, path: &CStr) -> Answer {
    let flags = if path.is_empty() {
        FROM_EMPTY | TO_EMPTY
    } else {
        FROM_EMPTY
    };
    call!(
        libc::SYS_move_mount,
        mount,
        c"".as_ptr(),
        dir,
        path.as_ptr(),
        flags
    )
}

/// open_tree(2): a copy of the mount.
const CLONE: c_int = 1;

fn limit(dir: RawFd, name: &CStr, limits: MountLimits) -> Answer {
    let flags = CLONE | libc::O_CLOEXEC | libc::AT_SYMLINK_NOFOLLOW;
    let copy = call!(libc::SYS_open_tree, dir, name.as_ptr(), flags)?;
    let attr = MountAttr {
        set: u64::from(limits.flags().bits()),
        clear: 0,
        propagation: 0,
        userns: 0,
    };
    let (empty, at) = (c"".as_ptr(), libc::AT_EMPTY_PATH);
    let size = size_of::<MountAttr>();
    call!(
        libc::SYS_mount_setattr,
        copy,
        empty,
        at,
        &raw const attr,
        size
    )?;
    call!(
        libc::SYS_move_mount,
        copy,
        empty,
        dir,
        name.as_ptr(),
        FROM_EMPTY
    )?;
    call!(libc::SYS_close, copy)
}

fn resource_limit(resource: Resource, soft: u64, hard: u64) -> Answer {
    let limits = [soft, hard];
    let resource = match resource {
        Resource::Core => libc::RLIMIT_CORE,
        Resource::Cpu => libc::RLIMIT_CPU,
        Resource::Data => libc::RLIMIT_DATA,
        Resource::FileSize => libc::RLIMIT_FSIZE,
        Resource::Locks => libc::RLIMIT_LOCKS,
        Resource::LockedMemory => libc::RLIMIT_MEMLOCK,
        Resource::MessageQueues => libc::RLIMIT_MSGQUEUE,
        Resource::Nice => libc::RLIMIT_NICE,
        Resource::OpenFiles => libc::RLIMIT_NOFILE,
        Resource::Processes => libc::RLIMIT_NPROC,
        Resource::ResidentSet => libc::RLIMIT_RSS,
        Resource::RealtimePriority => libc::RLIMIT_RTPRIO,
        Resource::RealtimeTime => libc::RLIMIT_RTTIME,
        Resource::PendingSignals => libc::RLIMIT_SIGPENDING,
        Resource::Stack => libc::RLIMIT_STACK,
        Resource::AddressSpace => libc::RLIMIT_AS,
    };
    let null = ptr::null::<u64>();
    call!(libc::SYS_prlimit64, 0, resource, limits.as_ptr(), null)
}

fn own_control_groups() -> Result<(), c_int> {
    match call!(libc::SYS_unshare, libc::CLONE_NEWCGROUP) {
        Ok(_) | Err(libc::EINVAL) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Of the caller's network namespace.
const PING_GROUPS: &CStr = c"/proc/sys/net/ipv4/ping_group_range";

/// What cannot be written stays as it is.
fn setting(path: &CStr, value: &CStr) -> Result<(), c_int> {
    let flags = libc::O_WRONLY | libc::O_CLOEXEC;
    let Ok(file) = call!(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags) else {
        return Ok(());
    };
    let _ = call!(libc::SYS_write, file, value.as_ptr(), value.count_bytes());
    call!(libc::SYS_close, file).map(|_| ())
}

/// `struct ifreq` of netdevice(7): a name and, here, flags.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; libc::IFNAMSIZ],
    flags: i16,
    rest: [u8; 22],
}

/// Switches on `lo` of the caller's network namespace.
pub(crate) fn loopback_up() -> Result<(), c_int> {
    let mut request = InterfaceRequest {
        name: [0; libc::IFNAMSIZ],
        flags: libc::IFF_UP as i16,
        rest: [0; 22],
    };
    request.name[0] = b'l';
    request.name[1] = b'o';
    // Any socket will do: interfaces belong to the network namespace.
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    let socket = call!(libc::SYS_socket, libc::AF_UNIX, kind, 0)?;
    call!(
        libc::SYS_ioctl,
        socket,
        libc::SIOCSIFFLAGS,
        &raw const request
    )?;
    call!(libc::SYS_close, socket).map(|_| ())
}

/// `struct sock_fprog` of seccomp(2).
#[repr(C)]
struct FilterProgram {
    length: u16,
    instructions: *const libc::c_void,
}

fn filter(filter: &Filter) -> Answer {
    let instructions = filter.instructions();
    let program = FilterProgram {
        length: instructions.len() as u16,
        instructions: instructions.as_ptr().cast(),
    };
    call!(
        libc::SYS_seccomp,
        libc::SECCOMP_SET_MODE_FILTER,
        // Without it kernels before 5.16 slow the program down (Speculative Store Bypass).
        libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
        &raw const program
    )
}

fn session_keyring() -> Result<(), c_int> {
    const JOIN_SESSION_KEYRING: c_int = 1;
    let null = ptr::null::<u8>();
    match call!(libc::SYS_keyctl, JOIN_SESSION_KEYRING, null) {
        // No keyrings in this kernel, or a container's filter that hides them: nothing to leave.
        Ok(_) | Err(libc::ENOSYS | libc::EPERM) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn bounding(kept: u64) -> Result<(), c_int> {
    let mut number: u64 = 0;
    while number < 64 {
        if kept.wrapping_shr(number as u32) & 1 == 0 {
            match call!(libc::SYS_prctl, libc::PR_CAPBSET_DROP, number, 0, 0, 0) {
                Ok(_) => {}
                // Past the last capability that this kernel has.
                Err(libc::EINVAL) => return Ok(()),
                Err(errno) => return Err(errno),
            }
        }
        number = number.wrapping_add(1);
    }
    Ok(())
}

fn capabilities(set: u64) -> Answer {
    const VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION_3, 0];
    let (low, high) = (set as u32, (set >> 32) as u32);
    // Effective, permitted, inheritable: first the low halves, then the high ones.
    let data: [u32; 6] = [low, low, 0, high, high, 0];
    call!(libc::SYS_capset, header.as_ptr(), data.as_ptr())
}

/// `struct open_how` of openat2(2).
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

fn working_directory(path: &CStr) -> Result<(), c_int> {
    const NO_MAGICLINKS: u64 = 0x02;
    const IN_ROOT: u64 = 0x10;
    let how = OpenHow {
        flags: (libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) as u64,
        mode: 0,
        resolve: NO_MAGICLINKS | IN_ROOT,
    };
    let size = size_of::<OpenHow>();
    let dir = call!(
        libc::SYS_openat2,
        libc::AT_FDCWD,
        path.as_ptr(),
        &raw const how,
        size
    )?;
    call!(libc::SYS_fchdir, dir)?;
    call!(libc::SYS_close, dir)?;
    let mut name = [0_u8; libc::PATH_MAX as usize];
    // A directory outside of the root is reported as "(unreachable)/…".
    match call!(libc::SYS_getcwd, name.as_mut_ptr(), name.len()) {
        Ok(_) if name.first() == Some(&b'/') => Ok(()),
        Ok(_) => Err(libc::EXDEV),
        Err(libc::ERANGE) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Tries each candidate as execvp(3) does: a file that may not be executed is remembered,
/// one that does not exist is not.
fn execute(exec: &Exec) -> Result<(), c_int> {
    let empty: u64 = 0;
    call!(
        libc::SYS_rt_sigprocmask,
        libc::SIG_SETMASK,
        &raw const empty,
        ptr::null::<u64>(),
        8_usize
    )?;
    let mut reason = libc::ENOENT;
    for candidate in &exec.candidates {
        let failed = call!(
            libc::SYS_execve,
            candidate.as_ptr(),
            exec.argv.as_ptr(),
            exec.envp.as_ptr()
        );
        match failed {
            Err(libc::ENOENT | libc::ENOTDIR) => {}
            Err(libc::EACCES) => reason = libc::EACCES,
            Err(errno) => return Err(errno),
            Ok(_) => {}
        }
    }
    Err(reason)
}
