//! The profile of commands for which nobody gave another: moby's decisions, and some of ours.
//!
//! The other way around than moby's: what the tables of numbers have is allowed unless it is
//! named here; what they do not have fails with ENOSYS, so that programs fall back to what is
//! older. So a call that is added to a table must be looked at here. Spec: sandbox.md, Seccomp.
//!
//! Unlike moby's: the families of sockets are compared in the lower half of the argument, which
//! is all that the kernel looks at; calls that other calls fall back from fail with ENOSYS.

use std::collections::BTreeSet;

use super::{
    ABIS_OF_ALL_MACHINES, ENOSYS, EPERM,
    profile::{Action, Circumstances, Comparison, Condition, Rule, SeccompProfile},
    table,
};
use crate::capability::CapabilitySet;

/// Not for anybody: keys of the user, which no namespace holds; the machine itself; kernel code
/// with a history; what was removed from the kernel.
const REFUSED: &str = "\
    add_key keyctl request_key \
    create_module get_kernel_syms kexec_file_load kexec_load nfsservctl pivot_root query_module \
    swapoff swapon sysfs uselib ustat vm86 vm86old \
    io_uring_enter io_uring_register io_uring_setup migrate_pages move_pages set_mempolicy \
    set_mempolicy_home_node open_tree_attr uprobe userfaultfd";

/// As if the kernel did not have them. Nobody calls these any more, or everybody falls back from
/// them because they are new.
pub(super) const ABSENT: &str = "\
    _sysctl afs_syscall bdflush break ftime getpmsg gtty idle lock mpx nice oldfstat oldlstat \
    oldolduname oldstat olduname prof profil putpmsg readdir security sgetmask sigaction signal \
    sigpending sigsuspend ssetmask stty tuxcall ulimit vserver \
    file_getattr file_setattr";

/// For those who have the capability: what it opens is theirs to open.
const CAPABLE: [(&str, &str); 13] = [
    (
        "SYS_ADMIN",
        "\
        bpf fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr \
        lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree \
        perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount \
        umount2 unshare",
    ),
    ("DAC_READ_SEARCH", "open_by_handle_at"),
    ("SYS_BOOT", "reboot"),
    ("SYS_CHROOT", "chroot"),
    ("SYS_MODULE", "delete_module finit_module init_module"),
    ("SYS_PACCT", "acct"),
    ("SYS_PTRACE", "kcmp pidfd_getfd process_madvise"),
    ("SYS_RAWIO", "ioperm iopl"),
    (
        "SYS_TIME",
        "clock_settime clock_settime64 settimeofday stime",
    ),
    ("SYS_TTY_CONFIG", "vhangup"),
    ("SYSLOG", "syslog"),
    ("BPF", "bpf"),
    ("PERFMON", "perf_event_open"),
];

/// The flags of clone(2) that make namespaces. CLONE_NEWTIME is not among them: for clone its
/// bit is part of a signal's number.
const NEW_NAMESPACES: u64 = 0x7E02_0000;
/// PER_LINUX, PER_LINUX32, both with UNAME26, and the question which it is.
const PERSONALITIES: [u64; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF];
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541C;
const AF_ALG: u64 = 38;
const AF_VSOCK: u64 = 40;
/// `SYS_SOCKET` of socketcall(2).
const SOCKETCALL_SOCKET: u64 = 1;
/// Where the kernel looks at 32 bits, the others must not hide them.
const LOWER_HALF: u64 = 0xFFFF_FFFF;

impl Default for SeccompProfile {
    fn default() -> Self {
        let mut rules = Vec::new();
        for (capability, calls) in CAPABLE {
            let holder = CapabilitySet::named(capability).expect("the list above has known names");
            rules.push(Rule {
                includes: Circumstances {
                    capabilities: holder,
                    ..Circumstances::default()
                },
                ..rule(calls, Action::Allow)
            });
        }
        rules.extend(CAPABLE.map(|(_, calls)| rule(calls, Action::Errno(EPERM))));
        rules.push(rule(REFUSED, Action::Errno(EPERM)));
        rules.push(rule(ABSENT, Action::Errno(ENOSYS)));
        rules.extend(processes());
        rules.extend(arguments());
        let named: BTreeSet<String> = rules.iter().flat_map(|rule| rule.names.clone()).collect();
        let known = ABIS_OF_ALL_MACHINES.into_iter().flat_map(table::calls);
        let rest: BTreeSet<&str> = known.map(|(_, name)| name).collect();
        let rest = rest.into_iter().filter(|name| !named.contains(*name));
        rules.push(Rule {
            names: rest.map(str::to_owned).collect(),
            ..rule("", Action::Allow)
        });
        Self {
            default: Action::Errno(ENOSYS),
            architectures: None,
            rules,
        }
    }
}

/// Processes and threads start, namespaces do not: a user namespace would give away what the
/// command does not have.
fn processes() -> Vec<Rule> {
    let admin = CapabilitySet::named("SYS_ADMIN").expect("it is the name of a capability");
    let of_admin = |calls| Rule {
        includes: Circumstances {
            capabilities: admin,
            ..Circumstances::default()
        },
        ..rule(calls, Action::Allow)
    };
    vec![
        of_admin("clone clone3"),
        // Its flags are behind a pointer; the C library falls back to clone.
        rule("clone3", Action::Errno(ENOSYS)),
        when("clone", masked(0, NEW_NAMESPACES, 0), Action::Allow),
        otherwise("clone", Action::Errno(EPERM)),
    ]
}

/// What depends on arguments.
fn arguments() -> Vec<Rule> {
    let mut rules = Vec::new();
    for family in [AF_ALG, AF_VSOCK] {
        rules.push(when(
            "socket",
            masked(0, LOWER_HALF, family),
            Action::Errno(EPERM),
        ));
    }
    rules.push(otherwise("socket", Action::Allow));
    // i386's old way to all calls on sockets hides the family behind a pointer, and every program
    // can call it. C libraries use it on kernels before 4.3 only.
    rules.push(when(
        "socketcall",
        masked(0, LOWER_HALF, SOCKETCALL_SOCKET),
        Action::Errno(EPERM),
    ));
    rules.push(otherwise("socketcall", Action::Allow));
    // Typing on the terminal of an interactive command.
    for request in [TIOCSTI, TIOCLINUX] {
        rules.push(when(
            "ioctl",
            masked(1, LOWER_HALF, request),
            Action::Errno(EPERM),
        ));
    }
    rules.push(otherwise("ioctl", Action::Allow));
    for personality in PERSONALITIES {
        rules.push(when(
            "personality",
            masked(0, LOWER_HALF, personality),
            Action::Allow,
        ));
    }
    rules.push(otherwise("personality", Action::Errno(EPERM)));
    rules
}

fn rule(calls: &str, action: Action) -> Rule {
    Rule {
        names: calls.split_ascii_whitespace().map(str::to_owned).collect(),
        action,
        conditions: Vec::new(),
        includes: Circumstances::default(),
        excludes: Circumstances::default(),
    }
}

fn when(call: &str, condition: Condition, action: Action) -> Rule {
    Rule {
        conditions: vec![condition],
        ..rule(call, action)
    }
}

/// When no rule before it applies. A rule without any condition would come before those that
/// have one.
fn otherwise(call: &str, action: Action) -> Rule {
    when(call, masked(0, 0, 0), action)
}

fn masked(argument: u8, mask: u64, value: u64) -> Condition {
    Condition {
        argument,
        comparison: Comparison::MaskedEqual(mask),
        value,
    }
}
