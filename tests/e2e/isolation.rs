//! What a RUN sees, and what it must not see.

use std::process::Stdio;

use rbuild_testkit::{Host, Need, Output};

use crate::surroundings::{host, host_with};

/// Runs `script` in a build and returns what it wrote to `/out`.
#[track_caller]
fn out(host: &Host, script: &str) -> String {
    host.build(
        &format!("FROM alpine\nRUN ({script}) > /out 2>&1\n"),
        &["-t", "it"],
    )
    .success();
    host.run(&["run", "it", "cat", "/out"]).success().stdout
}

#[test]
fn only_processes_of_the_run_are_visible() {
    let Some(host) = host() else { return };
    let processes = out(&host, "ls -d /proc/[0-9]* | wc -l");
    let count: u32 = processes.trim().parse().unwrap();
    assert!((1..=4).contains(&count), "{processes}");
}

#[test]
fn the_environment_is_that_of_the_image() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine\nARG SHOWN=1\nARG HIDDEN\nENV B=${SHOWN:-x}${HIDDEN:+y}\n\
                      RUN env | sort > /out\n";
    host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
    let mut command = host.rbuild(&["bud", "-t", "it", "ctx"]);
    Output::of(command.env("SECRET_OF_THE_HOST", "x"))
        .unwrap()
        .success();
    let environment = host.run(&["run", "it", "cat", "/out"]).success().stdout;
    assert!(!environment.contains("SECRET"), "{environment}");
    assert!(
        environment.contains("B=1\n") && environment.contains("SHOWN=1\n"),
        "{environment}"
    );
    assert!(
        environment.contains("PATH=/usr/local/sbin:"),
        "{environment}"
    );
}

#[test]
fn standard_input_is_empty_and_no_descriptor_is_inherited() {
    let Some(host) = host() else { return };
    host.scratch
        .file(
            "ctx/Dockerfile",
            "FROM alpine\nRUN cat > /stdin; test ! -s /stdin\nRUN test ! -e /proc/self/fd/9\n",
        )
        .unwrap();
    let rbuild = host.rbuild(&["bud", "ctx"]);
    let mut shell = host.account.command("sh");
    shell
        .args(["-c", "echo typed | \"$0\" \"$@\" 9</etc/passwd"])
        .arg(rbuild.get_program());
    shell
        .args(rbuild.get_args())
        .current_dir(host.scratch.path());
    Output::of(shell.stdin(Stdio::null())).unwrap().success();
}

#[test]
fn network_files_are_there_and_never_in_the_layer() {
    let Some(host) = host_with(&[Need::Tool("umoci")]) else {
        return;
    };
    let script = "for f in hosts resolv.conf hostname; do test -f /etc/$f || exit 1; done; \
                  grep -q localhost /etc/hosts && echo x > /made";
    host.build(&format!("FROM alpine\nRUN {script}\n"), &["-t", "it"])
        .success();
    let (base, image) = (host.tree("alpine"), host.tree("it"));
    assert_eq!(image.since(&base).paths(), ["/made"]);
    assert_eq!(image.lost(&base), Vec::<String>::new());
}

#[test]
fn the_capabilities_are_docker_s() {
    let Some(host) = host() else { return };
    // capabilities(7): 0 1 3 4 5 6 7 8 10 18 31, as in sandbox.md.
    let status = out(&host, "grep CapEff /proc/self/status");
    let mask = u64::from_str_radix(status.trim_start_matches("CapEff:").trim(), 16).unwrap();
    let bit = |number: u64| mask & (1 << number) != 0;
    assert!(
        bit(0) && bit(7) && bit(6),
        "chown, setuid and setgid: {mask:x}"
    );
    assert!(
        !bit(21) && !bit(12) && !bit(16),
        "no admin of system, net or modules: {mask:x}"
    );
}

#[test]
fn another_user_is_the_one_of_user() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine\nRUN mkdir -m 777 /d\nUSER nobody\nRUN id -u > /d/out\n";
    host.build(dockerfile, &["-t", "it"]).success();
    assert_eq!(
        host.run(&["run", "it", "cat", "/d/out"]).success().stdout,
        "65534\n"
    );
    assert_eq!(
        host.run(&["run", "it", "id", "-u"]).success().stdout,
        "65534\n"
    );
}

#[test]
fn devices_proc_and_sys_are_usable_and_not_writable() {
    let Some(host) = host() else { return };
    let script = "echo x > /dev/null && head -c 4 /dev/urandom | wc -c && \
                  test -d /proc/self && ! echo 1 > /proc/sys/kernel/printk && \
                  ! touch /sys/x && echo fine";
    assert!(out(&host, script).ends_with("fine\n"));
}

#[test]
fn containers_conf_gives_defaults_that_flags_replace() {
    let Some(host) = host() else { return };
    let conf = "[containers]\nshm_size = \"2m\"\ndefault_ulimits = [\"nofile=100:200\"]\n\
                dns_servers = [\"192.0.2.7\"]\n";
    let conf = host.scratch.file("site.conf", conf).unwrap();
    let run = "FROM alpine\nRUN df -k /dev/shm | awk 'NR == 2 { print $2 }'; ulimit -n; cat /etc/resolv.conf\n";
    host.scratch.file("ctx/Dockerfile", run).unwrap();
    let build = |args: &[&str]| {
        let mut command = host.rbuild(&[&["bud", "--no-cache"], args, &["ctx"]].concat());
        command.env("CONTAINERS_CONF", &conf);
        Output::of(&mut command).unwrap().success()
    };
    build(&[])
        .saying(" 2048\n")
        .saying(" 100\n")
        .saying("nameserver 192.0.2.7\n");
    build(&["--shm-size=1m", "--ulimit=nofile=50", "--dns=192.0.2.8"])
        .saying(" 1024\n")
        .saying(" 50\n")
        .saying("nameserver 192.0.2.8\n");
    host.scratch
        .file("site.conf", "[engine]\nretry = -1\n")
        .unwrap();
    let mut command = host.rbuild(&["bud", "ctx"]);
    command.env("CONTAINERS_CONF", &conf);
    Output::of(&mut command)
        .unwrap()
        .failure()
        .saying("site.conf`: `retry` cannot be this integer");
}
