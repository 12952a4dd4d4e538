//! The system calls that commands cannot make, with their numbers.
//!
//! Numbers: asm/unistd_64.h, asm/unistd_32.h, asm-generic/unistd.h. Spec: sandbox.md, Seccomp.

use super::{ENOSYS, EPERM, Verdict};

/// A system call and what becomes of it.
pub(super) struct Rule {
    /// As in section 2 of the manual.
    #[cfg(test)]
    pub(super) name: &'static str,
    /// On x86-64, i386 and arm64; `None` where there is no such call.
    pub(super) numbers: [Option<u16>; 3],
    pub(super) verdict: Verdict,
}

/// The flags of clone(2) and unshare(2) that make namespaces.
const NEW_NAMESPACES: u32 = 0x7E02_0000 | TIME;
/// CLONE_NEWTIME; for clone(2) this bit is part of a signal's number.
const TIME: u32 = 0x80;
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541C;
const AF_ALG: u32 = 38;
const AF_VSOCK: u32 = 40;

const fn rule(name: &'static str, numbers: [Option<u16>; 3], verdict: Verdict) -> Rule {
    // Names are for readers, and for tests.
    #[cfg(not(test))]
    let _ = name;
    Rule {
        #[cfg(test)]
        name,
        numbers,
        verdict,
    }
}

const NOT_PERMITTED: Verdict = Verdict::Fail(EPERM);
const NOT_THERE: Verdict = Verdict::Fail(ENOSYS);

#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    // Keys of the user, which no namespace holds.
    rule("add_key", [Some(248), Some(286), Some(217)], NOT_PERMITTED),
    rule("keyctl", [Some(250), Some(288), Some(219)], NOT_PERMITTED),
    rule("request_key", [Some(249), Some(287), Some(218)], NOT_PERMITTED),
    // Mounts and namespaces: a nested user namespace would give them away.
    rule("fsconfig", [Some(431), Some(431), Some(431)], NOT_PERMITTED),
    rule("fsmount", [Some(432), Some(432), Some(432)], NOT_PERMITTED),
    rule("fsopen", [Some(430), Some(430), Some(430)], NOT_PERMITTED),
    rule("fspick", [Some(433), Some(433), Some(433)], NOT_PERMITTED),
    rule("mount", [Some(165), Some(21), Some(40)], NOT_PERMITTED),
    rule("mount_setattr", [Some(442), Some(442), Some(442)], NOT_PERMITTED),
    rule("move_mount", [Some(429), Some(429), Some(429)], NOT_PERMITTED),
    rule("open_tree", [Some(428), Some(428), Some(428)], NOT_PERMITTED),
    rule("open_tree_attr", [Some(467), Some(467), Some(467)], NOT_PERMITTED),
    rule("pivot_root", [Some(155), Some(217), Some(41)], NOT_PERMITTED),
    rule("setns", [Some(308), Some(346), Some(268)], NOT_PERMITTED),
    rule("umount", [None, Some(22), None], NOT_PERMITTED),
    rule("umount2", [Some(166), Some(52), Some(39)], NOT_PERMITTED),
    rule("unshare", [Some(272), Some(310), Some(97)], Verdict::FailWithBits(0, NEW_NAMESPACES)),
    rule("clone", [Some(56), Some(120), Some(220)], Verdict::FailWithBits(0, NEW_NAMESPACES & !TIME)),
    // Its flags are behind a pointer; the C library falls back to clone.
    rule("clone3", [Some(435), Some(435), Some(435)], NOT_THERE),
    // Kernel code with a history, for privileged programs.
    rule("bpf", [Some(321), Some(357), Some(280)], NOT_PERMITTED),
    rule("fanotify_init", [Some(300), Some(338), Some(262)], NOT_PERMITTED),
    rule("kcmp", [Some(312), Some(349), Some(272)], NOT_PERMITTED),
    rule("lookup_dcookie", [Some(212), Some(253), Some(18)], NOT_PERMITTED),
    rule("move_pages", [Some(279), Some(317), Some(239)], NOT_PERMITTED),
    rule("nfsservctl", [Some(180), Some(169), Some(42)], NOT_PERMITTED),
    rule("open_by_handle_at", [Some(304), Some(342), Some(265)], NOT_PERMITTED),
    rule("perf_event_open", [Some(298), Some(336), Some(241)], NOT_PERMITTED),
    rule("process_madvise", [Some(440), Some(440), Some(440)], NOT_PERMITTED),
    rule("userfaultfd", [Some(323), Some(374), Some(282)], NOT_PERMITTED),
    rule("ustat", [Some(136), Some(62), None], NOT_PERMITTED),
    // Programs fall back to other calls.
    rule("io_uring_enter", [Some(426), Some(426), Some(426)], NOT_THERE),
    rule("io_uring_register", [Some(427), Some(427), Some(427)], NOT_THERE),
    rule("io_uring_setup", [Some(425), Some(425), Some(425)], NOT_THERE),
    // The machine itself.
    rule("acct", [Some(163), Some(51), Some(89)], NOT_PERMITTED),
    rule("clock_settime", [Some(227), Some(264), Some(112)], NOT_PERMITTED),
    rule("clock_settime64", [None, Some(404), None], NOT_PERMITTED),
    rule("create_module", [Some(174), Some(127), None], NOT_PERMITTED),
    rule("delete_module", [Some(176), Some(129), Some(106)], NOT_PERMITTED),
    rule("finit_module", [Some(313), Some(350), Some(273)], NOT_PERMITTED),
    rule("init_module", [Some(175), Some(128), Some(105)], NOT_PERMITTED),
    rule("ioperm", [Some(173), Some(101), None], NOT_PERMITTED),
    rule("iopl", [Some(172), Some(110), None], NOT_PERMITTED),
    rule("kexec_file_load", [Some(320), None, Some(294)], NOT_PERMITTED),
    rule("kexec_load", [Some(246), Some(283), Some(104)], NOT_PERMITTED),
    rule("query_module", [Some(178), Some(167), None], NOT_PERMITTED),
    rule("quotactl", [Some(179), Some(131), Some(60)], NOT_PERMITTED),
    rule("quotactl_fd", [Some(443), Some(443), Some(443)], NOT_PERMITTED),
    rule("reboot", [Some(169), Some(88), Some(142)], NOT_PERMITTED),
    rule("settimeofday", [Some(164), Some(79), Some(170)], NOT_PERMITTED),
    rule("stime", [None, Some(25), None], NOT_PERMITTED),
    rule("swapoff", [Some(168), Some(115), Some(225)], NOT_PERMITTED),
    rule("swapon", [Some(167), Some(87), Some(224)], NOT_PERMITTED),
    rule("syslog", [Some(103), Some(103), Some(116)], NOT_PERMITTED),
    rule("uselib", [Some(134), Some(86), None], NOT_PERMITTED),
    rule("vhangup", [Some(153), Some(111), Some(58)], NOT_PERMITTED),
    rule("vm86", [None, Some(166), None], NOT_PERMITTED),
    rule("vm86old", [None, Some(113), None], NOT_PERMITTED),
    // Typing on the terminal of an interactive command.
    rule("ioctl", [Some(16), Some(54), Some(29)], Verdict::FailWithValues(1, &[TIOCSTI, TIOCLINUX])),
    // i386's socketcall hides the family behind a pointer. It stays: Go's programs need it.
    rule("socket", [Some(41), Some(359), Some(198)], Verdict::FailWithValues(0, &[AF_ALG, AF_VSOCK])),
];
