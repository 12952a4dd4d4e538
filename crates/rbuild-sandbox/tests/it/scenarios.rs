//! What is tried, each in a process of its own.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    time::Duration,
};

use rbuild_sandbox::{
    Cancel, Error, EtcFile, Host, Input, Probe, Stdio, enter,
    users::{Accounts, Identity},
};

use crate::{
    User, confinement, interpreters, mounts, races,
    world::{Wish, World},
};

type Scenario = (&'static str, fn(&Path));

/// Scenarios for every user who can run commands.
const ALL: [Scenario; 30] = [
    (
        "status_and_output_are_passed_on",
        status_and_output_are_passed_on,
    ),
    ("a_command_is_alone", a_command_is_alone),
    ("nothing_is_inherited", nothing_is_inherited),
    ("capabilities_are_few", capabilities_are_few),
    ("mounts_are_as_specified", mounts_are_as_specified),
    ("files_of_etc_are_provided_and_leave_no_trace", files_of_etc),
    (
        "kernel_files_are_out_of_reach",
        kernel_files_are_out_of_reach,
    ),
    ("users_are_taken_on", users_are_taken_on),
    ("errors_name_what_is_wrong", errors_name_what_is_wrong),
    ("hostile_trees_are_refused", hostile_trees_are_refused),
    ("cancelling_ends_all", cancelling_ends_all),
    (
        "threads_run_commands_side_by_side",
        threads_run_commands_side_by_side,
    ),
    ("a_hundred_runs", a_hundred_runs),
    ("an_interactive_command_has_our_descriptors", interactive),
    (
        "threads_and_users_do_not_disturb_each_other",
        threads_and_users,
    ),
    ("mounts_show_what_they_are_of", mounts::kinds),
    (
        "a_bind_that_can_be_written_changes_nothing",
        mounts::discarded,
    ),
    (
        "bind_sources_stay_inside_of_their_tree",
        mounts::hostile_sources,
    ),
    ("targets_stay_inside_of_the_tree", mounts::hostile_targets),
    (
        "cve_2021_30465_targets_that_are_swapped_stay_inside",
        races::targets,
    ),
    (
        "cve_2024_11218_sources_that_are_swapped_stay_inside",
        races::sources,
    ),
    (
        "a_command_ends_when_its_time_is_over",
        a_command_ends_when_its_time_is_over,
    ),
    (
        "the_builder_s_program_cannot_be_written",
        the_builders_program,
    ),
    ("mount_points_leave_no_trace", mounts::traces),
    ("mounts_lie_inside_of_mounts", mounts::nested),
    ("an_agent_is_forwarded", mounts::agent),
    (
        "without_a_network_there_is_loopback_only",
        confinement::no_network,
    ),
    (
        "commands_share_a_private_network",
        confinement::private_network,
    ),
    ("dangerous_system_calls_fail", confinement::dangerous_calls),
    (
        "interpreters_are_those_of_commands_alone",
        interpreters::register,
    ),
];

const OTHERS: [Scenario; 4] = [
    ("no_new_privileges_is_a_clear_error", no_new_privileges),
    ("sleepers", sleepers),
    ("no_subordinate_ids_is_a_clear_error", no_subordinate_ids),
    ("the_host_is_probed", the_host_is_probed),
];

pub fn cast() -> Vec<(&'static str, User)> {
    let both = |name| [(name, User::Caller), (name, User::Sub)];
    let mut cast: Vec<_> = ALL.iter().flat_map(|(name, _)| both(*name)).collect();
    cast.extend(both("the_host_is_probed"));
    cast.push(("no_new_privileges_is_a_clear_error", User::Confined));
    cast.push(("no_subordinate_ids_is_a_clear_error", User::NoSub));
    cast
}

pub fn play(name: &str, place: &Path) {
    let all = ALL.iter().chain(&OTHERS);
    let (_, scenario) = all.into_iter().find(|(known, _)| *known == name).unwrap();
    scenario(place);
}

fn status_and_output_are_passed_on(place: &Path) {
    let world = World::new(place);
    let ran = world.sh("echo out; echo err >&2; exit 7");
    assert_eq!(
        (ran.exit.status, &*ran.stdout, &*ran.stderr),
        (7, "out\n", "err\n")
    );
    assert_eq!(world.sh("sh -c 'kill -9 $$'; exit $?").exit.status, 137);
    let long = world.sh("i=0; while [ $i -lt 20000 ]; do echo 0123456789; i=$((i+1)); done");
    assert_eq!(long.stdout.len(), 220_000);
    assert_eq!(world.sh("echo x > /dev/stdout").stdout, "x\n");
    let daemon = world.sh("setsid sleep 1000 >/dev/null 2>&1 & echo done");
    assert_eq!((daemon.exit.status, &*daemon.stdout), (0, "done\n"));
}

fn a_command_is_alone(place: &Path) {
    let world = World::new(place);
    assert_eq!(
        world.sh("echo $$; exec ls -d /proc/[0-9]*").stdout,
        "1\n/proc/1\n"
    );
    assert_eq!(
        world.sh("hostname; cat /proc/sys/kernel/hostname").stdout,
        "rbuild\nrbuild\n"
    );
    let host = fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(
        world.sh("readlink /proc/self/ns/net").stdout.trim(),
        host.to_str().unwrap()
    );
    for kind in ["mnt", "pid", "ipc", "uts"] {
        let host = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        let inside = world.sh(&format!("readlink /proc/self/ns/{kind}")).stdout;
        assert_ne!(inside.trim(), host.to_str().unwrap());
    }
}

fn nothing_is_inherited(place: &Path) {
    let world = World::new(place);
    let _open = fs::File::open("/etc/passwd").unwrap();
    // 3 is the directory that is listed.
    assert_eq!(world.sh("ls /proc/self/fd").stdout, "0\n1\n2\n3\n");
    assert_eq!(world.sh("readlink /proc/$$/fd/0").stdout, "/dev/null\n");
    let env = world.run(&Wish {
        argv: &["env"],
        env: &["PATH=/bin", "A=1 2"],
        ..Wish::default()
    });
    assert_eq!(env.unwrap().stdout, "PATH=/bin\nA=1 2\n");
    assert_eq!(
        world.sh("umask; ulimit -c; ulimit -Sn").stdout,
        "0022\n0\n1024\n"
    );
    let status = world.run(&Wish {
        argv: &["cat", "/proc/self/status"],
        ..Wish::default()
    });
    let signals = status.unwrap().stdout;
    let quiet = |name: &str| {
        let line = signals.lines().find(|line| line.starts_with(name)).unwrap();
        line.ends_with("\t0000000000000000")
    };
    assert!(quiet("SigBlk:") && quiet("SigIgn:"), "{signals}");
    assert_eq!(world.sh("cat /proc/self/keys 2>/dev/null").stdout, "");
}

fn capabilities_are_few(place: &Path) {
    let world = World::new(place);
    let caps = |ran: &str| {
        let lines = ran.lines().filter(|line| line.starts_with("Cap"));
        lines
            .map(|line| line[3..].replace(":\t00000000", " "))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let root = world.sh("cat /proc/self/status").stdout;
    assert_eq!(
        caps(&root),
        "Inh 00000000\nPrm 800405fb\nEff 800405fb\nBnd 800405fb\nAmb 00000000"
    );
    assert!(root.contains("NoNewPrivs:\t0"));
    let ann = world.run(&Wish {
        argv: &["cat", "/proc/self/status"],
        identity: ann(),
        ..Wish::default()
    });
    let ann = ann.unwrap().stdout;
    assert_eq!(
        caps(&ann),
        "Inh 00000000\nPrm 00000000\nEff 00000000\nBnd 800405fb\nAmb 00000000"
    );
    for forbidden in [
        "mount -t tmpfs x /tmp",
        "umount /proc",
        "mknod /tmp/d c 1 3",
        "hostname x",
    ] {
        assert_ne!(world.sh(forbidden).exit.status, 0, "{forbidden}");
    }
    let allowed =
        "touch /tmp/f && chown 5:6 /tmp/f && chmod 4755 /tmp/f && stat -c %u:%g:%a /tmp/f";
    assert_eq!(world.sh(allowed).stdout, "5:6:4755\n");
}

fn mounts_are_as_specified(place: &Path) {
    let world = World::new(place);
    let mounts = world.sh("cat /proc/self/mounts").stdout;
    let points: Vec<&str> = mounts
        .lines()
        .map(|line| line.split(' ').nth(1).unwrap())
        .collect();
    assert_eq!(points.first(), Some(&"/"));
    let own = ["/etc/", "/proc", "/sys", "/dev"];
    let stray = points[1..]
        .iter()
        .find(|point| !own.iter().any(|own| point.starts_with(own)));
    assert_eq!(stray, None);
    let options = |point: &str| {
        let line = mounts
            .lines()
            .rfind(|line| line.split(' ').nth(1) == Some(point))
            .unwrap();
        line.split(' ')
            .nth(3)
            .unwrap()
            .split(',')
            .take_while(|o| *o != "relatime")
            .collect::<Vec<_>>()
            .join(",")
    };
    assert_eq!(options("/proc"), "rw,nosuid,nodev,noexec");
    assert_eq!(options("/proc/sys"), "ro,nosuid,nodev,noexec");
    assert_eq!(options("/sys"), "ro,nosuid,nodev,noexec");
    assert_eq!(options("/dev"), "rw,nosuid,noexec");
    assert_eq!(options("/dev/shm"), "rw,nosuid,nodev,noexec");
    assert_eq!(options("/etc/hosts"), "ro,nosuid,nodev,noexec");
    let names = "core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n";
    assert_eq!(world.sh("ls /dev").stdout, names);
    let devices =
        world.sh("echo x > /dev/null && head -c 4 /dev/zero | wc -c; ls -l /dev/pts/ptmx");
    assert!(
        devices.stdout.starts_with('4') || !devices.stderr.contains("/dev/"),
        "{devices:?}"
    );
    assert_eq!(
        world.sh("touch /dev/shm/x && mkdir /tmp/d").changed,
        ["tmp", "tmp/d"]
    );
}

fn files_of_etc(place: &Path) {
    let world = World::new(place);
    let ran = world.sh("cat /etc/hostname; cat /etc/hosts; cat /etc/resolv.conf");
    let host = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let hosts = "127.0.0.1\tlocalhost rbuild\n::1\tlocalhost ip6-localhost ip6-loopback rbuild\n";
    assert_eq!(ran.stdout, format!("rbuild\n{hosts}{host}"));
    assert_eq!(ran.changed, Vec::<String>::new());
    assert_eq!(ran.exit.without, []);
    let write = world.sh("echo x > /etc/hosts");
    assert_ne!(write.exit.status, 0);
    // The image says where its resolv.conf is, and that place does not exist yet.
    fs::create_dir(world.image("run")).unwrap();
    symlink("../run/stub.conf", world.image("etc/resolv.conf")).unwrap();
    let linked = world.sh("cat /etc/resolv.conf; ls /run");
    assert_eq!(linked.stdout, format!("{host}stub.conf\n"));
    assert_eq!(linked.changed, Vec::<String>::new());
    fs::remove_dir(world.image("run")).unwrap();
    assert_eq!(world.sh("true").exit.without, [EtcFile::ResolvConf]);
}

fn kernel_files_are_out_of_reach(place: &Path) {
    let world = World::new(place);
    for path in [
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/sys/kernel/uevent_helper",
    ] {
        let ran = world.sh(&format!("[ ! -e {path} ] || echo x > {path}"));
        assert!(
            ran.exit.status != 0 || !Path::new(path).exists(),
            "{path}: {ran:?}"
        );
    }
    for path in [
        "/proc/kcore",
        "/proc/keys",
        "/proc/kallsyms",
        "/proc/timer_list",
    ] {
        assert_eq!(
            world
                .sh(&format!(
                    "cat {path} 2>/dev/null | wc -c; cat {path} 2>/dev/null"
                ))
                .stdout
                .replace("0\n", ""),
            ""
        );
    }
    for path in ["/sys/firmware", "/sys/fs/cgroup", "/sys/kernel/debug"] {
        assert_eq!(world.sh(&format!("ls {path} 2>/dev/null")).stdout, "");
    }
}

fn ann() -> Identity {
    Identity {
        uid: 1000,
        gid: 100,
        groups: vec![29],
        home: "/home/ann".to_owned(),
    }
}

fn users_are_taken_on(place: &Path) {
    let world = World::new(place);
    let as_ann = |script: &'static str| {
        let argv = ["sh", "-c", script];
        let wish = Wish {
            argv: &argv,
            identity: ann(),
            ..Wish::default()
        };
        world.run(&wish).unwrap()
    };
    assert_eq!(as_ann("id -u; id -g; id -G").stdout, "1000\n100\n100 29\n");
    assert_eq!(as_ann("echo x > /dev/stderr").stderr, "x\n");
    assert_ne!(as_ann("touch /x").exit.status, 0);
    assert_eq!(world.sh("id -u; id -G").stdout, "0\n0\n");
    // What the builder can see of itself must not depend on whom its children became.
    fs::read_to_string("/proc/self/environ").unwrap();
    let root = rbuild_sys::Dir::open(&world.image("")).unwrap();
    let accounts = Accounts::read(&root).unwrap();
    assert_eq!(accounts.identity("ann").unwrap().gid, 100);
}

fn errors_name_what_is_wrong(place: &Path) {
    let world = World::new(place);
    let told = |wish: Wish<'_>| {
        let error = world.run(&wish).unwrap_err();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    };
    let argv = |argv| Wish {
        argv,
        ..Wish::default()
    };
    assert_eq!(told(argv(&["nosuch"])), "command `nosuch` not found");
    assert_eq!(
        told(argv(&["/bin/nosuch", "x"])),
        "command `/bin/nosuch` not found"
    );
    assert_eq!(
        told(argv(&["/etc/passwd"])),
        "cannot execute `/etc/passwd`: Permission denied (os error 13)"
    );
    assert_eq!(told(argv(&["a\0b"])), "a NUL byte in the program");
    let cwd = |cwd| Wish {
        cwd,
        ..Wish::default()
    };
    assert_eq!(
        told(cwd("/no/where")),
        "cannot enter the working directory `/no/where`: No such file or directory (os error 2)"
    );
    for magic in ["/proc/self/fd/3", "/proc/self/root", "/proc/self/cwd/x"] {
        assert!(
            told(cwd(magic)).starts_with("cannot enter the working directory"),
            "{magic}"
        );
    }
    if fs::read_to_string("/proc/self/uid_map")
        .unwrap()
        .lines()
        .count()
        > 1
    {
        let far = Identity {
            uid: 4_000_000_000,
            ..ann()
        };
        let far = told(Wish {
            identity: far,
            ..Wish::default()
        });
        assert!(far.starts_with("user 4000000000 is not mapped"), "{far}");
    }
}

fn hostile_trees_are_refused(place: &Path) {
    let world = World::new(place);
    for name in ["proc", "sys", "dev"] {
        let target = place.join("victim");
        fs::create_dir_all(&target).unwrap();
        symlink("/tmp", world.image(name)).unwrap();
        let error = world.run(&Wish::default()).unwrap_err();
        assert!(matches!(error, Error::SetUp { .. }), "{name}: {error:?}");
        fs::remove_file(world.image(name)).unwrap();
    }
    assert_eq!(world.sh("true").exit.status, 0);
}

fn cancelling_ends_all(place: &Path) {
    let world = World::new(place);
    let cancel = Cancel::new().unwrap();
    let argv = [
        "sh",
        "-c",
        "trap '' TERM INT; setsid sleep 1000 & echo on; sleep 1000",
    ];
    let wish = Wish {
        argv: &argv,
        ..Wish::default()
    };
    let ran = world.run_cancelled_by(&wish, &cancel, |_| cancel.cancel());
    assert_eq!(ran.unwrap().exit.status, 137);
    assert!(cancel.is_cancelled());
}

fn threads_run_commands_side_by_side(place: &Path) {
    let world = World::new(place);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..10 {
                    let ran = world.sh(&format!("echo $$ {number}"));
                    assert_eq!(ran.stdout, format!("1 {number}\n"));
                }
            });
        }
    });
}

fn a_command_ends_when_its_time_is_over(place: &Path) {
    let world = World::new(place);
    let run = |script: &str, limit: Duration| {
        let ran = world.run(&Wish {
            argv: &["sh", "-c", script],
            timeout: Some(limit),
            ..Wish::default()
        });
        ran.unwrap()
    };
    let limit = Duration::from_secs(1);
    let ran = run("setsid sleep 1000 & echo first; sleep 1000", limit);
    assert_eq!((ran.exit.status, ran.exit.timed_out), (137, Some(limit)));
    assert_eq!(ran.stdout, "first\n");
    let ran = run("exit 3", Duration::from_secs(60));
    assert_eq!((ran.exit.status, ran.exit.timed_out), (3, None));
}

/// CVE-2019-5736: neither by a process that is the builder, nor by what it has open.
fn the_builders_program(place: &Path) {
    let world = World::new(place);
    let before = fs::read(std::env::current_exe().unwrap()).unwrap();
    let script = "echo x > /proc/self/exe; for p in /proc/[0-9]*; do readlink $p/exe; \
                  echo x > $p/exe; done; ls /proc/self/fd; head -c 4 /proc/1/exe | wc -c";
    let ran = world.sh(&format!("({script}) 2>/dev/null"));
    let program = place.parent().unwrap().join("it");
    assert!(!ran.stdout.contains(program.to_str().unwrap()), "{ran:?}");
    // As what a program is that executes itself: `#!/proc/self/exe`.
    fs::write(world.image("again"), "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(world.image("again"), fs::Permissions::from_mode(0o755)).unwrap();
    let _ = world.sh("/again; true");
    assert_eq!(fs::read(std::env::current_exe().unwrap()).unwrap(), before);
}

fn interactive(place: &Path) {
    let world = World::new(place);
    let own = fs::read_link("/proc/self/fd/1").unwrap();
    let script = format!("[ $(readlink /proc/$$/fd/1) = '{}' ]", own.display());
    let ran = world.run(&Wish {
        argv: &["sh", "-c", &script],
        stdio: Stdio::Inherit(Input::Builders),
        ..Wish::default()
    });
    assert_eq!(ran.unwrap().exit.status, 0);
}

/// A child that takes on another user makes our memory undumpable for a moment.
fn threads_and_users(place: &Path) {
    let world = World::new(place);
    std::thread::scope(|scope| {
        for identity in [ann(), ann(), Identity::root(), Identity::root()] {
            let world = &world;
            scope.spawn(move || {
                for _ in 0..25 {
                    let ran = world.run(&Wish {
                        argv: &["id", "-u"],
                        identity: identity.clone(),
                        ..Wish::default()
                    });
                    assert_eq!(ran.unwrap().stdout, format!("{}\n", identity.uid));
                    fs::read_link("/proc/self/exe").unwrap();
                    fs::read_dir("/proc/self/fd").unwrap();
                }
            });
        }
    });
    fs::read_to_string("/proc/self/environ").unwrap();
}

fn a_hundred_runs(place: &Path) {
    let world = World::new(place);
    for _ in 0..100 {
        assert_eq!(world.run(&Wish::default()).unwrap().exit.status, 0);
    }
}

/// Prints a marker and sleeps until it is killed, with company: see `guard`.
fn sleepers(place: &Path) {
    let world = World::new(place);
    let marker = format!("77{}", std::process::id());
    let script = format!(
        "setsid sleep {marker} & su ann -c 'exec sleep {marker}' & sleep {marker} & echo on; wait"
    );
    let argv = ["sh", "-c", script.as_str()];
    let wish = Wish {
        argv: &argv,
        ..Wish::default()
    };
    let tell = |_: &str| println!("{marker}");
    world
        .run_cancelled_by(&wish, &Cancel::new().unwrap(), tell)
        .unwrap();
}

fn no_subordinate_ids(_place: &Path) {
    let error = enter().unwrap_err();
    assert!(
        matches!(&error, Error::NoSubids { user } if user == "4000123"),
        "{error:?}"
    );
    assert!(error.hint().unwrap().contains("usermod --add-subuids"));
}

fn no_new_privileges(_place: &Path) {
    let error = enter().unwrap_err();
    assert!(matches!(&error, Error::NoNewPrivileges { .. }), "{error:?}");
}

fn the_host_is_probed(place: &Path) {
    let host = Host::probe(place).unwrap();
    println!("  {host:?}");
    assert!(!host.kernel.is_empty());
    if host.namespaces == Probe::Works {
        assert!(host.ids.is_some());
        // The probe leaves this process where it was.
        assert_eq!(fs::read_dir(place).unwrap().count(), 0);
    }
}
