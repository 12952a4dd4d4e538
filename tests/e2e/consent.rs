//! What a Dockerfile gets only with `--allow`. dockerfile.md R5–R7, cli.md 2.3.

use crate::surroundings::host;

const ASKING: [(&str, &str); 3] = [
    ("RUN --network=host true", "network.host"),
    ("RUN --security=insecure true", "security.insecure"),
    ("RUN --device=/dev/kmsg true", "device"),
];

#[test]
fn what_needs_consent_is_refused_with_its_line_and_what_to_type() {
    let Some(host) = host() else { return };
    for (line, name) in ASKING {
        let dockerfile = format!("FROM alpine\n{line}\n");
        for network in ["none", "private", "default"] {
            let refused = host.build(&dockerfile, &["--network", network]).failure();
            for part in ["Dockerfile:2:", "^", &format!("--allow {name}")] {
                assert!(refused.stderr.contains(part), "no `{part}`: {refused}");
            }
        }
        host.build(&dockerfile, &["--network", "none", "--allow", name])
            .success();
    }
}

#[test]
fn a_build_with_the_hosts_network_has_allowed_it() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine\nRUN --network=host true\n";
    host.build(dockerfile, &["--network", "host"]).success();
}

#[test]
fn an_insecure_run_can_do_what_its_user_namespace_can() {
    let Some(host) = host() else { return };
    let script = "mkdir /m && mount -t tmpfs none /m && touch /m/x && umount /m && rmdir /m \
        && grep -q '^Seccomp:.*0$' /proc/self/status \
        && ! grep -q ' /proc/[a-z]' /proc/self/mounts";
    let dockerfile = |flag: &str| format!("FROM alpine\nRUN {flag} {script}\n");
    let allow = ["--allow", "security.insecure"];
    host.build(&dockerfile("--security=sandbox"), &allow)
        .failure();
    host.build(&dockerfile("--security=insecure"), &allow)
        .success();
}

#[test]
fn an_insecure_run_is_another_step_than_a_confined_one() {
    let Some(host) = host() else { return };
    let line =
        |flag: &str| format!("FROM alpine\nRUN {flag} grep Seccomp: /proc/self/status > /s\n");
    let seen = |flag: &str| {
        let args = ["-t", "it", "--allow", "security.insecure"];
        host.build(&line(flag), &args).success();
        let said = host.run(&["run", "it", "cat", "/s"]).success().stdout;
        said.split_whitespace().last().map(str::to_owned)
    };
    assert_eq!(seen("--security=insecure").as_deref(), Some("0"));
    assert_eq!(seen("--security=sandbox").as_deref(), Some("2"));
}

#[test]
fn a_device_is_there_for_its_run_and_never_in_the_image() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine\nRUN test ! -e /dev/kmsg\n\
        RUN --device=/dev/kmsg test -c /dev/kmsg\n\
        RUN --device=/dev/net/none test ! -e /dev/net\nRUN test ! -e /dev/kmsg\n";
    let args = ["-t", "it", "--allow", "device"];
    host.build(dockerfile, &args).success();
    let tree = host.tree("it");
    assert!(!tree.paths().iter().any(|path| path.ends_with("kmsg")));
}

#[test]
fn a_device_that_is_not_one_is_refused_with_its_line() {
    let Some(host) = host() else { return };
    for (flag, said) in [
        ("/dev/nothing,required", "`/dev/nothing`"),
        ("/dev/shm", "not a device"),
        ("vendor.com/class=a", "CDI"),
        ("/dev/../etc/passwd", "not the name of a device"),
        ("/dev/kmsg:r", "cannot be enforced"),
    ] {
        let dockerfile = format!("FROM alpine\nRUN --device={flag} true\n");
        let refused = host.build(&dockerfile, &["--allow", "device"]).failure();
        for part in ["Dockerfile:2:", said] {
            assert!(refused.stderr.contains(part), "no `{part}`: {refused}");
        }
    }
}
