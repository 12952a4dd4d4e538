//! Golden dumps of what a child does, for specs that differ in one respect.

use std::{fs::File, os::fd::AsFd};

use expect_test::{Expect, expect};
use rbuild_oci::ImagePath;

use super::{Surroundings, dump, ops};
use crate::{DEFAULT_CAPABILITIES, EtcFile, Spec, Stdio, users::Identity};

#[track_caller]
fn check(change: impl FnOnce(&mut Spec<'_>), around: &Surroundings, expected: &Expect) {
    // The number of the descriptor is in no dump.
    let root = File::open("/").unwrap();
    let mut spec = Spec {
        root: root.as_fd(),
        argv: vec!["/bin/sh".to_owned()],
        env: Vec::new(),
        cwd: ImagePath::root(),
        identity: Identity::root(),
        capabilities: DEFAULT_CAPABILITIES,
        hostname: "rbuild".to_owned(),
        stdio: Stdio::Capture,
    };
    change(&mut spec);
    expected.assert_eq(&dump(&ops(&spec, around, &[EtcFile::Hosts])));
}

/// Keeps what depends on the spec: the dump from the host name on.
#[track_caller]
fn check_tail(change: impl FnOnce(&mut Spec<'_>), expected: &Expect) {
    let root = File::open("/").unwrap();
    let mut spec = Spec {
        root: root.as_fd(),
        argv: vec!["make".to_owned()],
        env: vec!["PATH=/opt/bin/::/bin".to_owned()],
        cwd: ImagePath::root().join("src").unwrap(),
        identity: Identity::root(),
        capabilities: DEFAULT_CAPABILITIES,
        hostname: "rbuild".to_owned(),
        stdio: Stdio::Capture,
    };
    change(&mut spec);
    let text = dump(&ops(&spec, &Surroundings::default(), &[]));
    let tail = text.find("session keyring").unwrap();
    expected.assert_eq(&text[tail..]);
}

#[test]
fn a_command_of_root_on_a_usual_host() {
    let around = Surroundings {
        hidden_files: vec!["kcore"],
        hidden_dirs: vec!["acpi"],
        frozen: vec!["bus", "sys"],
        hidden_sys: vec!["firmware"],
        open_files: Some(4096),
    };
    check(
        |_| {},
        &around,
        &expect![[r#"
        reset signals
        new session
        descriptor 0
        descriptor 1
        descriptor 2
        make proc
        make mqueue
        enter root
        attach proc at /proc nosuid,nodev,noexec
        freeze /proc/bus
        freeze /proc/sys
        attach null at /proc/kcore ro,nosuid,noexec
        attach empty at /proc/acpi ro,nosuid,nodev,noexec
        attach sys at /sys ro,nosuid,nodev,noexec
        attach empty at /sys/firmware ro,nosuid,nodev,noexec
        attach dev at /dev nosuid,noexec
        attach device null at /dev/null nosuid,noexec
        attach device zero at /dev/zero nosuid,noexec
        attach device full at /dev/full nosuid,noexec
        attach device random at /dev/random nosuid,noexec
        attach device urandom at /dev/urandom nosuid,noexec
        attach device tty at /dev/tty nosuid,noexec
        attach pts at /dev/pts nosuid,noexec
        attach shm at /dev/shm nosuid,nodev,noexec
        attach mqueue at /dev/mqueue nosuid,nodev,noexec
        attach hosts at /etc/hosts ro,nosuid,nodev,noexec
        hostname rbuild
        umask 0022
        limit Core 0 0
        limit OpenFiles 1024 4096
        session keyring
        working directory /
        bounding CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT SETFCAP
        groups []
        group 0
        capabilities CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT SETFCAP
        user 0
        close on exec
        exec /bin/sh
    "#]],
    );
}

#[test]
fn an_interactive_command_keeps_its_session_on_a_bare_host() {
    let around = Surroundings {
        open_files: Some(512),
        ..Surroundings::default()
    };
    check(
        |spec| spec.stdio = Stdio::Inherit,
        &around,
        &expect![[r#"
            reset signals
            descriptor 0
            descriptor 1
            descriptor 2
            make proc
            make mqueue
            enter root
            attach proc at /proc nosuid,nodev,noexec
            attach sys at /sys ro,nosuid,nodev,noexec
            attach dev at /dev nosuid,noexec
            attach device null at /dev/null nosuid,noexec
            attach device zero at /dev/zero nosuid,noexec
            attach device full at /dev/full nosuid,noexec
            attach device random at /dev/random nosuid,noexec
            attach device urandom at /dev/urandom nosuid,noexec
            attach device tty at /dev/tty nosuid,noexec
            attach pts at /dev/pts nosuid,noexec
            attach shm at /dev/shm nosuid,nodev,noexec
            attach mqueue at /dev/mqueue nosuid,nodev,noexec
            attach hosts at /etc/hosts ro,nosuid,nodev,noexec
            hostname rbuild
            umask 0022
            limit Core 0 0
            limit OpenFiles 512 512
            session keyring
            working directory /
            bounding CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT SETFCAP
            groups []
            group 0
            capabilities CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT SETFCAP
            user 0
            close on exec
            exec /bin/sh
        "#]],
    );
}

#[test]
fn another_user_is_taken_on_after_the_groups_and_the_program_looked_up_in_path() {
    check_tail(
        |spec| {
            spec.identity.uid = 1000;
            spec.identity.gid = 100;
            spec.identity.groups = vec![1, 29];
        },
        &expect![[r#"
            session keyring
            working directory /src
            bounding CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT SETFCAP
            groups [1, 29]
            group 100
            capabilities CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT SETFCAP
            user 1000
            close on exec
            exec /opt/bin/make | ./make | /bin/make
        "#]],
    );
}
