//! `rbuild run -it`, and the shell in a RUN that failed: with a real terminal.

use std::fs;

use rbuild_testkit::{Size, Terminal};

use crate::surroundings::host;

const SIZE: Size = Size {
    rows: 30,
    columns: 100,
};

/// Waits for the prompt of the image's shell.
#[track_caller]
fn prompt(terminal: &mut Terminal) {
    terminal.expect("# ");
}

#[test]
fn a_command_has_a_terminal_of_its_own_with_a_name() {
    let Some(host) = host() else { return };
    let script = "tty; test -t 0 && test -t 1 && test -t 2 && echo all; echo x > /dev/tty; \
                  ls -1 /dev/pts; echo $TERM";
    let terminal = host.in_terminal(&["run", "-it", "alpine", "sh", "-c", script], SIZE);
    let (status, said) = terminal.wait();
    assert_eq!(status.code(), Some(0), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines,
        ["/dev/pts/0", "all", "x", "0", "ptmx", "xterm"],
        "{said}"
    );
}

#[test]
fn another_user_can_open_the_terminal_by_its_name() {
    let Some(host) = host() else { return };
    let script = "echo reopened > $(tty)";
    let args = ["run", "-it", "-u", "1000", "alpine", "sh", "-c", script];
    let (status, said) = host.in_terminal(&args, SIZE).wait();
    assert_eq!((status.code(), said.as_str()), (Some(0), "reopened\r\n"));
}

#[test]
fn keys_reach_the_command_and_the_terminal_is_as_before_afterwards() {
    let Some(host) = host() else { return };
    let mut terminal = host.in_terminal(&["run", "-it", "alpine", "sh"], SIZE);
    prompt(&mut terminal);
    assert!(!terminal.is_cooked(), "a key is the command's");
    terminal.enter("stty size\n");
    terminal.expect("30 100\r\n");
    prompt(&mut terminal);
    // ^C ends what runs in the shell, not the shell, and not rbuild.
    terminal.enter("sleep 1000\n");
    terminal.expect("sleep 1000\r\n");
    std::thread::sleep(std::time::Duration::from_millis(200));
    terminal.enter("\x03");
    prompt(&mut terminal);
    terminal.enter("echo still $((40 + 2))\n");
    terminal.expect("still 42\r\n");
    terminal.enter("exit 7\n");
    terminal.expect("exit 7\r\n");
    while !terminal.is_cooked() {
        std::thread::yield_now();
    }
    assert_eq!(terminal.wait().0.code(), Some(7));
}

#[test]
fn the_command_is_told_when_the_window_changes() {
    let Some(host) = host() else { return };
    let script = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.1; done";
    let args = ["run", "-it", "alpine", "sh", "-c", script];
    let mut terminal = host.in_terminal(&args, SIZE);
    terminal.expect("ready");
    terminal.resize(Size {
        rows: 12,
        columns: 34,
    });
    terminal.expect("12 34\r\n");
    assert_eq!(terminal.wait().0.code(), Some(0));
}

#[test]
fn a_signal_leaves_the_terminal_as_it_was() {
    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };
    let Some(host) = host() else { return };
    for signal in [Signal::SIGTERM, Signal::SIGHUP] {
        let mut terminal = host.in_terminal(&["run", "-it", "alpine", "sh"], SIZE);
        prompt(&mut terminal);
        assert!(!terminal.is_cooked());
        let id = i32::try_from(terminal.id()).unwrap();
        kill(Pid::from_raw(id), signal).unwrap();
        while !terminal.is_cooked() {
            std::thread::yield_now();
        }
        assert_eq!(terminal.wait().0.code(), Some(128 + signal as i32));
    }
}

#[test]
fn much_is_typed_and_drawn_at_the_same_time() {
    let Some(host) = host() else { return };
    let mut terminal = host.in_terminal(&["run", "-it", "alpine", "sh", "-c", "cat"], SIZE);
    for number in 0..200 {
        let line = format!("{number} {}\n", "x".repeat(50));
        terminal.enter(&line);
        terminal.expect(&format!("{number} x"));
    }
    terminal.enter("\x04");
    assert_eq!(terminal.wait().0.code(), Some(0));
}

#[test]
fn exit_statuses_are_those_of_podman() {
    let Some(host) = host() else { return };
    for (args, expected) in [
        (&["alpine", "sh", "-c", "exit 3"][..], 3),
        (&["alpine", "sh", "-c", "kill -TERM $$"], 0),
        (&["alpine", "sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137),
        (&["alpine", "/no/such/program"], 127),
        (&["alpine", "/etc"], 126),
        (&["-u", "nobody-knows", "alpine", "true"], 125),
        (&["no-such-image", "true"], 125),
        (&["--cap-add", "NO_SUCH", "alpine", "true"], 125),
    ] {
        for tty in [&["run"][..], &["run", "-t"]] {
            let output = host.run(&[tty, args].concat());
            assert_eq!(output.status, expected, "{args:?}: {}", output.stderr);
        }
    }
}

#[test]
fn without_i_a_command_reads_nothing() {
    let Some(host) = host() else { return };
    let read = |args: &[&str]| host.run_with(&[args, &["alpine", "cat"]].concat(), b"typed");
    assert_eq!(read(&["run"]).success().stdout, "");
    assert_eq!(read(&["run", "-i"]).success().stdout, "typed");
}

#[test]
fn a_shell_in_a_failed_run_has_its_tree_mounts_variables_user_and_directory() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/from-context", "context\n").unwrap();
    host.scratch.file("secret", "s3cret").unwrap();
    let dockerfile = "FROM alpine\nENV A=1\nARG B=2\nWORKDIR /w\nUSER 1000:1000\n\
        RUN --mount=type=bind,target=/ctx --mount=type=secret,id=s,target=/s,uid=1000 \
        echo left > /tmp/left; exit 5\nENV A=later\n";
    host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
    let args = [
        "bud",
        "--on-failure=shell",
        "--on-failure=keep",
        "--timeout=60s",
        "--secret",
        "id=s,src=secret",
        "-t",
        "never",
        "ctx",
    ];
    let mut terminal = host.in_terminal(&args, SIZE);
    terminal.expect("exited with status 5");
    terminal.expect("$ ");
    terminal.enter("echo $A $B $PWD $(id -u) $(cat /tmp/left /ctx/from-context /s) $(tty)\n");
    terminal.expect("1 2 /w 1000 left context s3cret /dev/pts/0\r\n");
    terminal.enter("echo more > /tmp/more; exit\n");
    terminal.expect("kept as image ");
    let (status, said) = terminal.wait();
    assert_eq!(status.code(), Some(1), "{said}");
    let id = said.split(':').next().unwrap();
    let kept = |script: &str| host.run(&["run", id, "sh", "-c", script]).success().stdout;
    assert_eq!(
        kept("echo $A $B $PWD $(id -u); cat /tmp/left /tmp/more; ls /ctx /s 2>&1 | wc -l"),
        "1 2 /w 1000\nleft\nmore\n2\n"
    );
    host.run(&["inspect", "never"]).failure();
}

#[test]
fn a_shell_needs_a_terminal() {
    let Some(host) = host() else { return };
    let output = host.build("FROM alpine\nRUN false\n", &["--on-failure=shell"]);
    let said = output.failure().stderr;
    assert!(said.contains("needs a terminal"), "{said}");
    assert!(!said.contains("RUN false"), "nothing was run: {said}");
}

#[test]
fn files_of_a_failed_run_are_copied_and_its_tree_becomes_an_image() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine AS base\nRUN echo base > /base\nFROM base\n\
        RUN mkdir -p /out/sub && echo a > /out/a && echo b > /out/sub/b && ln -s /etc/passwd /link \
        && chown 5 /out/a && exit 3\n";
    let args = [
        "--on-failure=export=/out=copied",
        "--on-failure=export=/out/sub/b",
        "--on-failure=export=/link=users",
        "--on-failure=keep",
    ];
    let said = host.build(dockerfile, &args).failure().stderr;
    let read = |name: &str| fs::read_to_string(host.scratch.path().join(name)).unwrap();
    assert_eq!(
        [read("copied/a"), read("copied/sub/b"), read("b")],
        ["a\n", "b\n", "b\n"]
    );
    // The link leads to the image's file, not to the host's.
    assert!(!read("users").contains("rbuild-sub"), "{said}");
    let id = said
        .split("kept as image ")
        .nth(1)
        .unwrap()
        .split(':')
        .next()
        .unwrap();
    let output = host.run(&["run", id, "cat", "/base", "/out/a"]).success();
    assert_eq!(output.stdout, "base\na\n");
    // What failed is in no cache.
    host.build(dockerfile, &[]).failure();
}

#[test]
fn what_is_not_there_to_be_copied_is_said_and_the_status_stays() {
    let Some(host) = host() else { return };
    let output = host.build("FROM alpine\nRUN false\n", &["--on-failure=export=/none"]);
    assert_eq!(output.status, 1);
    assert!(
        output.stderr.contains("cannot find `/none` in the image"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_run_that_takes_too_long_is_ended_at_its_line() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine\nRUN true\nRUN setsid sleep 1000 & sleep 1000\n";
    let output = host.build(dockerfile, &["--timeout", "300ms"]);
    assert_eq!(output.status, 1);
    let said = &output.stderr;
    assert!(said.contains("it took longer than 0.3 s"), "{said}");
    assert!(said.contains("Dockerfile:3:1"), "{said}");
    let output = host.run(&["run", "--timeout", "300ms", "alpine", "sleep", "1000"]);
    assert_eq!(output.status, 137);
}

#[test]
fn unshare_gives_the_namespace_of_builds() {
    let Some(host) = host() else { return };
    host.build(
        "FROM alpine\nRUN echo x > /x && chown 5:6 /x\n",
        &["-t", "it"],
    )
    .success();
    let script = "id -u; find \"$RBUILD_STORE\" -name x -exec stat -c %u:%g {} +";
    let output = host.run(&["unshare", "sh", "-c", script]).success();
    assert_eq!(output.stdout, "0\n5:6\n");
    assert_eq!(host.run(&["unshare", "false"]).status, 1);
    assert_eq!(host.run(&["unshare", "/no/such"]).status, 127);
    assert_eq!(host.run(&["unshare", "/etc"]).status, 126);
}
