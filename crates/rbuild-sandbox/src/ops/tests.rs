//! Golden dumps of what a child does, for specs that differ in one respect.

use std::{fs::File, os::fd::AsFd, path::Path};

use expect_test::{Expect, expect};
use rbuild_oci::ImagePath;
use rbuild_sys::{Dir, Upper};

use super::{Calls, ControlGroups, Surroundings, dump, ops};
use crate::{
    BindAccess, CacheAccess, CapabilitySet, DEFAULT_CAPABILITIES, EtcFile, FileOwner, Input, Mount,
    MountKind, Network, NewPrivileges, SecretBytes, Security, Spec, Stdio, users::Identity,
};

fn plain(root: &File) -> Spec<'_> {
    Spec {
        root: root.as_fd(),
        argv: vec!["/bin/sh".to_owned()],
        env: Vec::new(),
        cwd: ImagePath::root(),
        identity: Identity::root(),
        capabilities: DEFAULT_CAPABILITIES,
        hostname: "rbuild".to_owned(),
        stdio: Stdio::Capture,
        mounts: Vec::new(),
        network: Network::Host,
        security: Security::Sandbox,
        timeout: None,
    }
}

#[track_caller]
fn check(change: impl FnOnce(&mut Spec<'_>), around: &Surroundings, expected: &Expect) {
    // The number of the descriptor is in no dump.
    let root = File::open("/").unwrap();
    let mut spec = plain(&root);
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
        mounts: Vec::new(),
        network: Network::Host,
        security: Security::Sandbox,
        timeout: None,
    };
    change(&mut spec);
    let text = dump(&ops(&spec, &Surroundings::default(), &[]));
    let tail = text.find("session keyring").unwrap();
    expected.assert_eq(&text[tail..]);
}

#[test]
fn a_command_with_limits_sees_its_own_control_group_only() {
    let around = Surroundings {
        control_groups: ControlGroups::OfCommand,
        hidden_sys: vec!["fs/cgroup".to_owned()],
        ..Surroundings::default()
    };
    let lines = |security| {
        let root = File::open("/").unwrap();
        let spec = Spec {
            security,
            ..plain(&root)
        };
        let text = dump(&ops(&spec, &around, &[]));
        let about = |line: &&str| line.contains("control group") || line.contains("cgroup");
        let lines = text.lines().filter(about);
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        lines(Security::Sandbox)[..],
        [
            "join control group",
            "own control groups",
            "make cgroup2",
            "attach empty at /sys/fs/cgroup ro,nosuid,nodev,noexec",
            "attach cgroup2 at /sys/fs/cgroup ro,nosuid,nodev,noexec"
        ]
    );
    assert_eq!(
        lines(Security::Insecure)[..],
        ["join control group", "own control groups"]
    );
}

#[test]
fn a_command_of_root_on_a_usual_host() {
    let around = Surroundings {
        hidden_files: vec!["kcore".to_owned()],
        hidden_dirs: vec!["acpi".to_owned()],
        frozen: vec!["bus", "sys"],
        hidden_sys: vec!["firmware".to_owned()],
        open_files: Some(4096),
        own_sys: true,
        out_of_memory_score: Some(100),
        ..Surroundings::default()
    };
    check(
        |_| {},
        &around,
        &expect![[r#"
            reset signals
            own control groups
            new session
            descriptor 0
            descriptor 1
            descriptor 2
            out of memory score 100
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
            working directory /
            limit Core 0 0
            limit OpenFiles 1024 4096
            session keyring
            filter system calls
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
        |spec| spec.stdio = Stdio::Inherit(Input::Builders),
        &around,
        &expect![[r#"
            reset signals
            own control groups
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
            working directory /
            limit Core 0 0
            limit OpenFiles 512 512
            session keyring
            filter system calls
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
            filter system calls
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

#[test]
fn each_network_has_its_steps() {
    let steps = |network, security| {
        let root = File::open("/").unwrap();
        let mut spec = plain(&root);
        (spec.network, spec.security) = (network, security);
        let around = Surroundings {
            own_sys: true,
            scopes: true,
            last_group: 65536,
            ..Surroundings::default()
        };
        let words = ["network", "ping", "sysfs", "loopback", "scope"];
        let lines = ops(&spec, &around, &[])
            .iter()
            .map(ToString::to_string)
            .filter(|line| words.iter().any(|word| line.contains(word)))
            .collect::<Vec<_>>();
        lines.join("\n")
    };
    expect![[r#"
        join network
        make sysfs
        attach sysfs at /sys ro,nosuid,nodev,noexec"#]]
    .assert_eq(&steps(Network::Private, Security::Sandbox));
    expect![[r#"
        ping groups 0 65536
        make sysfs
        attach sysfs at /sys ro,nosuid,nodev,noexec
        loopback up"#]]
    .assert_eq(&steps(Network::None, Security::Sandbox));
    expect!["scope sockets and signals"].assert_eq(&steps(Network::Host, Security::Sandbox));
    expect![""].assert_eq(&steps(Network::Host, Security::Insecure));
}

#[test]
fn a_command_without_network_has_a_loopback_interface_and_its_own_sys() {
    let offline = |own_sys, expected: &Expect| {
        let root = File::open("/").unwrap();
        let mut spec = plain(&root);
        spec.network = Network::None;
        let around = Surroundings {
            own_sys,
            hidden_sys: vec!["firmware".to_owned()],
            ..Surroundings::default()
        };
        let text = dump(&ops(&spec, &around, &[]));
        let about = |line: &&str| line.contains("sys") || line.contains("loopback");
        let lines: Vec<&str> = text.lines().filter(about).collect();
        expected.assert_eq(&lines.join("\n"));
    };
    offline(
        true,
        &expect![[r#"
        make sysfs
        attach sysfs at /sys ro,nosuid,nodev,noexec
        attach empty at /sys/firmware ro,nosuid,nodev,noexec
        loopback up
        filter system calls"#]],
    );
    offline(
        false,
        &expect![[r#"
        attach sys at /sys ro,nosuid,nodev,noexec
        attach empty at /sys/firmware ro,nosuid,nodev,noexec
        loopback up
        filter system calls"#]],
    );
}

#[test]
fn r6_an_insecure_command_is_kept_from_nothing() {
    let root = File::open("/").unwrap();
    let mut spec = plain(&root);
    spec.security = Security::Insecure;
    spec.capabilities = CapabilitySet::ALL;
    let around = Surroundings {
        hidden_files: vec!["kcore".to_owned()],
        hidden_dirs: vec!["acpi".to_owned()],
        frozen: vec!["sys"],
        hidden_sys: vec!["firmware".to_owned()],
        ..Surroundings::default()
    };
    let text = dump(&ops(&spec, &around, &[]));
    let about = ["/proc", "/sys", "freeze", "filter"];
    let about = |line: &&str| about.iter().any(|word| line.contains(word));
    let lines: Vec<&str> = text.lines().filter(about).collect();
    expect![[r#"
        attach proc at /proc nosuid,nodev,noexec
        attach sys at /sys nosuid,nodev,noexec"#]]
    .assert_eq(&lines.join("\n"));
    assert!(text.contains("SYS_ADMIN"));
}

#[test]
fn mounts_are_attached_from_the_root_down_and_forbid_what_they_can() {
    let root = File::open("/").unwrap();
    let dir = Dir::open(Path::new("/")).unwrap();
    let owner = FileOwner {
        uid: 0,
        gid: 0,
        mode: 0o400,
    };
    let upper = Upper {
        changes: &dir,
        work: &dir,
    };
    let bind = |access| MountKind::Bind {
        source: &dir,
        path: ImagePath::root(),
        access,
    };
    let cache = |access| MountKind::Cache { dir: &dir, access };
    let mounts = [
        ("/a/b", bind(BindAccess::ReadOnly)),
        ("/a/b/c", bind(BindAccess::Discard(upper))),
        ("/a", cache(CacheAccess::ReadWrite)),
        ("/a", cache(CacheAccess::ReadOnly)),
        ("/tmp", MountKind::Tmpfs { size: Some(1) }),
        (
            "/dev/fuse",
            MountKind::Device {
                path: ImagePath::root().join("fuse").unwrap(),
            },
        ),
        (
            "/run/secrets/x",
            MountKind::Secret {
                content: SecretBytes(b"hidden"),
                owner,
            },
        ),
        (
            "/agent",
            MountKind::Ssh {
                agent: Path::new("/host"),
                owner,
            },
        ),
    ];
    let mut spec = plain(&root);
    spec.mounts = mounts
        .map(|(target, kind)| Mount {
            target: ImagePath::root().join(target).unwrap(),
            kind,
        })
        .to_vec();
    assert!(!format!("{spec:?}").contains("104"), "a secret is printed");
    let text = dump(&ops(&spec, &Surroundings::default(), &[]));
    let lines: Vec<&str> = text.lines().filter(|l| l.starts_with("mount ")).collect();
    expect![[r#"
        mount cache at /a nosuid,nodev
        mount cache at /a ro,nosuid,nodev
        mount tmpfs at /tmp nosuid,nodev
        mount ssh at /agent ro,nosuid,nodev,noexec
        mount bind at /a/b ro,nosuid,nodev
        mount device at /dev/fuse nosuid,noexec
        mount bind at /a/b/c nosuid,nodev
        mount secret at /run/secrets/x ro,nosuid,nodev,noexec"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn limits_and_privileges_are_as_asked_for() {
    let around = Surroundings {
        limits: vec!["nofile=64:128".parse().unwrap()],
        new_privileges: NewPrivileges::Never,
        ..Surroundings::default()
    };
    let root = File::open("/").unwrap();
    let text = |around: &Surroundings| dump(&ops(&plain(&root), around, &[]));
    let usual = text(&Surroundings::default());
    let added: Vec<_> = text(&around)
        .lines()
        .filter(|line| !usual.contains(line))
        .map(str::to_owned)
        .collect();
    assert_eq!(added, ["limit OpenFiles 64 128", "no new privileges"]);
    let unconfined = Surroundings {
        calls: Calls::All,
        ..Surroundings::default()
    };
    assert!(usual.contains("filter system calls\n"));
    assert!(!text(&unconfined).contains("filter"));
}
