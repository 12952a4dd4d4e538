//! The child of [`spawn`] shares our memory: it must not allocate, whatever its steps are.
//!
//! The allocator of this program ends a process that is not the one that it was started as.
//! Knows every kind of step. Needs root; says SKIP without.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // a test without the test harness

use std::{
    alloc::{GlobalAlloc, Layout, System},
    env,
    ffi::CString,
    fs::File,
    os::fd::AsFd,
    process::ExitCode,
    sync::atomic::{AtomicI32, AtomicUsize, Ordering},
};

use rbuild_sys::{
    Ended, Errno, Exec, Filter, Guardian, Handle, Instruction, Made, MountLimits, NetworkNamespace,
    Pty, Resource, SpawnError, Step, effective_ids, enter_mount_namespace, landlock_scope,
    new_mount, new_network_namespace, spawn,
};

/// Calls of the allocator, by us and by children that share our memory.
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// The process that may allocate; 0 until it is known. It is looked at by number: a child that
/// shares our memory shares every variable too.
static ALLOCATING: AtomicI32 = AtomicI32::new(0);

struct Guarded;

impl Guarded {
    /// Counts; ends the process if it is a child.
    fn check() {
        CALLS.fetch_add(1, Ordering::Relaxed);
        let allowed = ALLOCATING.load(Ordering::Relaxed);
        // SAFETY: numbers; not getpid(3), which a libc may answer from memory.
        unsafe {
            if allowed != 0 && libc::syscall(libc::SYS_getpid) != i64::from(allowed) {
                libc::_exit(libc::SIGABRT + 128);
            }
        }
    }
}

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Guarded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::check();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::check();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Guarded = Guarded;

fn main() -> ExitCode {
    if effective_ids().0 != 0 || enter_mount_namespace().is_err() {
        println!("SKIP the_child_does_not_allocate: needs root");
        let required = env::var("RBUILD_TEST_REQUIRE").as_deref() == Ok("1");
        return ExitCode::from(u8::from(required));
    }
    let guardian = Guardian::start().unwrap();
    ALLOCATING.store(
        i32::try_from(std::process::id()).unwrap(),
        Ordering::Relaxed,
    );
    a_failed_step_is_told(&guardian);
    the_child_does_not_allocate(&guardian);
    println!("2 passed");
    ExitCode::SUCCESS
}

/// Allocator calls during a spawn that ends in a program that does not exist.
fn calls_of(guardian: &Guardian, steps: &[Step<'_>]) -> usize {
    let before = CALLS.load(Ordering::Relaxed);
    let answer = spawn(guardian, NetworkNamespace::New, steps);
    let calls = CALLS.load(Ordering::Relaxed) - before;
    let last = steps.len() - 1;
    match answer {
        Err(SpawnError::Step { index, errno }) => assert_eq!((index, errno), (last, Errno::NOENT)),
        other => panic!("{other:?}"),
    }
    calls
}

fn exec(path: &str) -> Step<'static> {
    let text = || vec![CString::new(path).unwrap()];
    Step::Exec(Exec::new(text(), text(), Vec::new()))
}

fn a_failed_step_is_told(guardian: &Guardian) {
    let steps = [Step::Umask(0o22), Step::Group(u32::MAX - 1), Step::User(0)];
    match spawn(
        guardian,
        NetworkNamespace::Shared,
        &[Step::WorkingDirectory(c"/no/where".to_owned())],
    ) {
        Err(SpawnError::Step { index: 0, errno }) => assert_eq!(errno, Errno::NOENT),
        other => panic!("{other:?}"),
    }
    // A program without an end is one that cannot be executed.
    match spawn(guardian, NetworkNamespace::Shared, &steps) {
        Err(SpawnError::Step { index: 3, .. }) => {}
        other => panic!("{other:?}"),
    }
    let mut child = spawn(guardian, NetworkNamespace::Shared, &[exec("/bin/true")]).unwrap();
    assert_eq!(child.wait().unwrap(), Ended::Exited(0));
}

fn the_child_does_not_allocate(guardian: &Guardian) {
    let null = File::open("/dev/null").unwrap();
    let limits = MountLimits::INERT;
    let size = [("size", Some("1m"))];
    let root = new_mount("tmpfs", &size, limits).unwrap();
    rbuild_sys::Dir::from_fd(root.try_clone().unwrap())
        .mkdir(b"proc", 0o755)
        .unwrap();
    // A terminal is a device.
    let devices = MountLimits::default();
    let pty = Pty::open(new_mount("devpts", &[("newinstance", None)], devices).unwrap()).unwrap();
    let made = Handle::Made(Made::First);
    // `return allow`.
    let allow = Filter::new(vec![Instruction {
        code: 0x06,
        jump_true: 0,
        jump_false: 0,
        operand: 0x7FFF_0000,
    }])
    .unwrap();
    let writable = File::options().write(true).open("/dev/null").unwrap();
    let network = new_network_namespace(|| ()).unwrap();
    let scope = landlock_scope().unwrap();
    let mut steps = vec![
        Step::ResetSignals,
        // Not a list of processes, but written in the same way.
        Step::JoinControlGroup(writable.as_fd()),
        Step::OwnControlGroups,
        Step::NewSession,
        Step::Descriptor {
            from: pty.terminal.as_fd(),
            to: 0,
        },
        Step::ControllingTerminal,
        Step::Descriptor {
            from: null.as_fd(),
            to: 1,
        },
        Step::OutOfMemoryScore(c"0".to_owned()),
        Step::JoinNetwork(network.as_fd()),
        Step::PingGroups(c"0 0".to_owned()),
        Step::NewMount {
            kind: c"proc".to_owned(),
            limits,
            made: Made::First,
        },
        Step::EnterRoot(root.as_fd()),
        Step::Attach {
            mount: made,
            dir: Handle::Open(root.as_fd()),
            path: c"proc".to_owned(),
        },
        Step::Limit {
            dir: made,
            name: c"sys".to_owned(),
            limits: MountLimits::READ_ONLY,
        },
        Step::Hostname(c"test".to_owned()),
        Step::Umask(0o022),
        Step::ResourceLimit {
            resource: Resource::OpenFiles,
            soft: 64,
            hard: 64,
        },
        Step::LoopbackUp,
        Step::SessionKeyring,
    ];
    steps.extend(scope.as_ref().map(|scope| Step::Scope(scope.as_fd())));
    steps.extend([
        Step::NoNewPrivileges,
        Step::Filter(&allow),
        Step::WorkingDirectory(c"/proc/self".to_owned()),
        Step::Bounding(1 << 6 | 1 << 7),
        Step::Groups(vec![5, 6]),
        Step::Group(7),
        Step::Capabilities(1 << 6 | 1 << 7),
        Step::User(8),
        Step::CloseOnExec,
        exec("/no/such/program"),
    ]);
    let few = [exec("/no/such/program")];
    calls_of(guardian, &few);
    assert_eq!(calls_of(guardian, &few), calls_of(guardian, &steps));
}
