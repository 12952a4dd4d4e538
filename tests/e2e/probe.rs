//! What a RUN gets, from inside: a program that makes system calls, and a script that looks.
//!
//! The program is right: under `buildah run --isolation chroot` of Debian 12 (buildah 1.28, its
//! profile through libseccomp) it says EPERM where that one forbids, ENOSYS for what is unknown to
//! it, and lets AF_ALG, AF_VSOCK, TIOCSTI and clone3 through, as it does. `podman run` cannot be
//! asked on a host with hybrid control groups. Spec: sandbox.md, all but the table of limits.

use std::process::Command;

use expect_test::{Expect, expect};
use rbuild_testkit::{Host, Need, Output};

use crate::surroundings::host_with;

/// A host with the program in its context.
#[track_caller]
fn host() -> Option<Host> {
    let host = host_with(&[Need::Tool("gcc")])?;
    let program = host.scratch.file("ctx/probe", "").unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e/probe/probe.c");
    let mut compiler = Command::new("gcc");
    compiler
        .args(["-static", "-w", "-o"])
        .arg(&program)
        .arg(source);
    Output::of_success(&mut compiler).unwrap();
    Some(host)
}

/// What `script` says in a RUN after the program was copied to `/probe`.
#[track_caller]
fn look(host: &Host, script: &str, flags: &[&str]) -> String {
    let dockerfile = format!(
        "FROM alpine\nCOPY --chmod=755 probe /probe\nRUN <<E\nexec > /out 2>&1\n{script}\nE\n"
    );
    host.build(&dockerfile, &[flags, &["-t", "it"]].concat())
        .success();
    host.run(&["run", "it", "cat", "/out"]).success().stdout
}

#[track_caller]
fn check(script: &str, flags: &[&str], expected: &Expect) {
    let Some(host) = host() else { return };
    expected.assert_eq(&look(&host, script, flags));
}

#[test]
fn system_calls_are_those_of_moby_s_profile_and_stricter() {
    check(
        "/probe",
        &[],
        &expect![[r#"
        acct EPERM
        add_key EPERM
        bpf EPERM
        chroot allowed
        clock_settime EPERM
        clone(CLONE_NEWUSER) EPERM
        clone3 ENOSYS
        delete_module EPERM
        fanotify_init EPERM
        fsconfig EPERM
        fsmount EPERM
        fsopen EPERM
        fspick EPERM
        get_mempolicy allowed
        getrandom allowed
        init_module EPERM
        finit_module EPERM
        io_uring_enter EPERM
        io_uring_register EPERM
        io_uring_setup EPERM
        ioctl(TIOCSTI) EPERM
        ioctl(TIOCSTI), upper half set EPERM
        ioctl(TIOCLINUX) EPERM
        ioctl(TCGETS) allowed
        ioperm EPERM
        iopl EPERM
        kcmp EPERM
        kexec_file_load EPERM
        kexec_load EPERM
        keyctl EPERM
        landlock_create_ruleset allowed
        mbind allowed
        memfd_create allowed
        mount EPERM
        mount_setattr EPERM
        move_mount EPERM
        move_pages EPERM
        name_to_handle_at allowed
        open_by_handle_at EPERM
        open_tree EPERM
        openat2 allowed
        perf_event_open EPERM
        personality(0xffffffff) allowed
        personality(ADDR_NO_RANDOMIZE) EPERM
        pidfd_getfd EPERM
        pidfd_open allowed
        pivot_root EPERM
        process_madvise EPERM
        ptrace allowed
        quotactl EPERM
        reboot EPERM
        request_key EPERM
        seccomp allowed
        setns EPERM
        settimeofday EPERM
        socket(AF_ALG) EPERM
        socket(AF_ALG), upper half set EPERM
        socket(AF_INET) allowed
        socket(AF_NETLINK) allowed
        socket(AF_VSOCK) EPERM
        swapoff EPERM
        swapon EPERM
        syslog EPERM
        umount2 EPERM
        unshare(CLONE_FILES) EPERM
        unshare(CLONE_NEWUSER) EPERM
        userfaultfd EPERM
        vhangup EPERM
        number 999 ENOSYS
        x32 getpid ENOSYS
    "#]],
    );
}

/// Identity, capabilities, limits, descriptors, session.
const PROCESS: &str = r#"
grep -E '^(Groups|NoNewPrivs|Seccomp|Cap...):' /proc/self/status
umask
echo core $(ulimit -c), open files $(ulimit -Sn)
echo descriptors $(ls /proc/self/fd | head -c 8)
readlink /proc/self/fd/0
test -t 0 || test -t 1 || test -t 2 || echo no terminal
(: < /dev/tty) 2> /dev/null || echo no controlling terminal
echo process $$, session $(cut -d ' ' -f 6 /proc/self/stat)
hostname
cat /etc/hostname
env | sort
"#;

#[test]
fn a_process_has_nothing_of_the_builder() {
    check(
        PROCESS,
        &[],
        &expect![[r#"
        Groups:	 
        CapInh:	0000000000000000
        CapPrm:	00000000800405fb
        CapEff:	00000000800405fb
        CapBnd:	00000000800405fb
        CapAmb:	0000000000000000
        NoNewPrivs:	0
        Seccomp:	2
        0022
        core 0, open files 1024
        descriptors 0 1 2 3
        /dev/null
        no terminal
        no controlling terminal
        process 1, session 1
        rbuild
        rbuild
        HOME=/root
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
        PWD=/
        SHLVL=1
    "#]],
    );
}

#[test]
fn commands_end_before_the_builder_when_memory_runs_out() {
    let Some(host) = host() else { return };
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    let own: i32 = own.trim().parse().unwrap();
    let found = look(&host, "cat /proc/self/oom_score_adj", &[]);
    assert_eq!(found, format!("{}\n", (own + 100).min(1000)));
}

/// The files of the kernel: what is there, what is hidden, what can be written.
const FILES: &str = r#"
ls -l /dev | awk 'NR > 1 { print substr($1, 1, 10), $NF, $5 $6 ~ /,/ ? $5 $6 : "" }'
for f in acpi asound interrupts kallsyms kcore key-users keys kmsg latency_stats sched_debug scsi timer_list timer_stats; do
    test -e /proc/$f || continue
    test -z "$(head -c 1 /proc/$f 2>/dev/null | tr '\0' x; ls -A /proc/$f/ 2>/dev/null)" || echo /proc/$f says something
done
for f in firmware dev/block devices/virtual/powercap kernel/debug kernel/tracing kernel/security fs/cgroup; do
    test -z "$(ls -A /sys/$f 2>/dev/null)" || echo /sys/$f says something
done
for f in /proc/sys/kernel/printk /proc/sysrq-trigger /proc/irq/default_smp_affinity /sys/kernel/mm/ksm/run /etc/hosts /etc/resolv.conf; do
    ! (echo 1 > $f) 2> /dev/null || echo $f can be written
done
awk '$5 ~ /^\/(proc|sys|dev|dev\/.*|etc\/.*)$/ { sub(/,relatime/, "", $6); split($0, a, " - "); split(a[2], b, " "); print $5, $6, b[1] }' /proc/self/mountinfo |
    grep -v '^/dev/[a-z]* .*devtmpfs' | sort
"#;

#[test]
fn files_of_the_kernel_are_few_and_mostly_read_only() {
    check(
        FILES,
        &[],
        &expect![[r#"
        lrwxrwxrwx /proc/kcore 
        lrwxrwxrwx /proc/self/fd 
        crw-rw-rw- full 1,7
        drwxrwxrwt mqueue 
        crw-rw-rw- null 1,3
        lrwxrwxrwx pts/ptmx 
        drwxr-xr-x pts 
        crw-rw-rw- random 1,8
        drwxrwxrwt shm 
        lrwxrwxrwx /proc/self/fd/2 
        lrwxrwxrwx /proc/self/fd/0 
        lrwxrwxrwx /proc/self/fd/1 
        crw-rw-rw- tty 5,0
        crw-rw-rw- urandom 1,9
        crw-rw-rw- zero 1,5
        /dev rw,nosuid,noexec tmpfs
        /dev/mqueue rw,nosuid,nodev,noexec mqueue
        /dev/pts rw,nosuid,noexec devpts
        /dev/shm rw,nosuid,nodev,noexec tmpfs
        /etc/hostname ro,nosuid,nodev,noexec tmpfs
        /etc/hosts ro,nosuid,nodev,noexec tmpfs
        /etc/resolv.conf ro,nosuid,nodev,noexec tmpfs
        /proc rw,nosuid,nodev,noexec proc
        /sys ro,nosuid,nodev,noexec sysfs
    "#]],
    );
}

#[test]
fn without_network_there_is_a_loopback_interface() {
    check(
        "ls /sys/class/net; ip -o link | cut -d ' ' -f 2-3; ls /sys/fs/cgroup",
        &["--network=none"],
        &expect![[r#"
            lo
            lo: <LOOPBACK,UP,LOWER_UP>
        "#]],
    );
}

#[test]
fn flags_change_what_they_name_and_nothing_else() {
    let flags = [
        "--cap-add=NET_RAW",
        "--cap-drop=CAP_KILL",
        "--security-opt=no-new-privileges",
        "--ulimit=nofile=64:128",
        "--shm-size=1m",
        "--add-host=db:10.0.0.7",
        "--dns=10.0.0.1",
        "--dns-search=example",
        "--dns-option=ndots:1",
        "--security-opt=unmask=/proc/key-users",
        "--security-opt=mask=/proc/loadavg:/sys/class/net:/proc/not-there",
        "--device=/dev/full:/dev/mine",
    ];
    let script = r#"
grep -E '^(NoNewPrivs|CapBnd|CapEff):' /proc/self/status
echo open files $(ulimit -Sn) $(ulimit -Hn)
df -k /dev/shm | awk 'NR == 2 { print $2 }'
cat /etc/hosts
grep -E '^(nameserver|search|options)' /etc/resolv.conf
test -s /proc/key-users || head -c 1 /proc/key-users > /dev/null && echo key-users can be read
test -c /dev/mine && echo the device is there
echo hidden: $(wc -c < /proc/loadavg) $(ls /sys/class/net | wc -l)
"#;
    check(
        script,
        &flags,
        &expect![[r#"
        CapEff:	00000000800425db
        CapBnd:	00000000800425db
        NoNewPrivs:	1
        open files 64 128
        1024
        127.0.0.1	localhost rbuild
        ::1	localhost ip6-localhost ip6-loopback rbuild
        10.0.0.7	db
        nameserver 10.0.0.1
        search example
        options ndots:1
        key-users can be read
        the device is there
        hidden: 0 0
    "#]],
    );
}

#[test]
fn a_profile_of_one_s_own_decides_alone() {
    let Some(host) = host() else { return };
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["getrandom"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}]}"#;
    host.scratch.file("profile.json", profile).unwrap();
    let said = look(&host, "/probe", &["--security-opt", "seccomp=profile.json"]);
    assert!(said.contains("getrandom ENOSYS\n"), "{said}");
    assert!(said.contains("clone3 allowed\n"), "{said}");
    assert!(said.contains("x32 getpid ENOSYS\n"), "{said}");
}

#[test]
fn no_filter_needs_consent() {
    let Some(host) = host() else { return };
    let unconfined = ["--security-opt", "seccomp=unconfined"];
    host.build("FROM alpine\nRUN true\n", &unconfined)
        .failure()
        .saying("--allow security.insecure");
    let allowed = [&unconfined[..], &["--allow", "security.insecure"]].concat();
    let said = look(&host, "grep ^Seccomp: /proc/self/status", &allowed);
    assert_eq!(said, "Seccomp:\t0\n");
}

/// dockerfile.md 1.15: limits are in a step's key, names of hosts are not.
#[test]
fn another_limit_is_another_step_and_another_host_is_not() {
    let Some(host) = host_with(&[]) else { return };
    let dockerfile = "FROM alpine\nRUN head -c 16 /dev/urandom > /random\n";
    let id = |flags: &[&str]| host.build(dockerfile, flags).success().stdout;
    let first = id(&[]);
    assert_eq!(id(&["--add-host", "db:10.0.0.7"]), first);
    assert_ne!(id(&["--ulimit", "nofile=64"]), first);
}

#[test]
fn a_limit_above_one_s_own_is_an_error_with_a_hint() {
    let Some(host) = host_with(&[]) else { return };
    host.build("FROM alpine\nRUN true\n", &["--ulimit", "nofile=-1"])
        .failure()
        .saying("nofile=unlimited:unlimited")
        .saying("ulimit -H");
}

#[test]
fn cve_2023_25809_control_groups_cannot_be_written() {
    let script = "mkdir /sys/fs/cgroup/x 2> /dev/null && echo made\nls -A /sys/fs/cgroup";
    check(script, &[], &expect![[""]]);
}

#[test]
fn cve_2024_21626_no_work_directory_outside_of_the_root() {
    let Some(host) = host_with(&[]) else { return };
    for number in 3..12 {
        for dir in [
            format!("/proc/self/fd/{number}"),
            format!("/proc/1/fd/{number}/../.."),
        ] {
            let dockerfile = format!(
                "FROM alpine\nWORKDIR {dir}\nRUN cat etc/debian_version ../etc/debian_version ../../etc/debian_version\n"
            );
            host.build(&dockerfile, &[]).failure();
        }
    }
}

#[test]
fn cve_2024_40635_no_number_of_a_user_becomes_root() {
    let Some(host) = host_with(&[]) else { return };
    for user in [
        "4294967295",
        "4294967296",
        "-1",
        "0x0",
        "99999999999999999999",
        "65536:4294967295",
    ] {
        host.build(&format!("FROM alpine\nUSER {user}\nRUN id\n"), &[])
            .failure()
            .saying("Dockerfile:3");
    }
}

#[test]
fn cve_2026_41579_dev_as_a_link_is_refused() {
    let Some(host) = host_with(&[]) else { return };
    let target = host.scratch.dir("target").unwrap();
    let tar = host.scratch.path().join("root.tar");
    let script = format!(
        "mkdir r && cp /bin/busybox r/sh && ln -s {} r/dev && tar -cf root.tar -C r .",
        target.display()
    );
    let mut shell = host.account.command("sh");
    Output::of_success(shell.args(["-c", &script]).current_dir(host.scratch.path())).unwrap();
    host.run(&["import", &tar.display().to_string(), "hostile"])
        .success();
    host.build("FROM hostile\nRUN [\"/sh\", \"true\"]\n", &[])
        .failure()
        .saying("/dev");
    assert_eq!(target.read_dir().unwrap().count(), 0);
}
