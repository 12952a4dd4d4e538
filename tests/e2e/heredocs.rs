//! Heredocs: scripts, programs and files in the Dockerfile.

use rbuild_testkit::Host;

use crate::surroundings::host;

/// Builds `dockerfile` and returns what `/out` has.
#[track_caller]
fn check(dockerfile: &str, expected: &str) {
    let Some(host) = host() else { return };
    assert_eq!(out(&host, dockerfile), expected);
}

#[track_caller]
fn out(host: &Host, dockerfile: &str) -> String {
    host.build(dockerfile, &["-t", "it"]).success();
    host.run(&["run", "it", "cat", "/out"]).success().stdout
}

#[test]
fn h5_a_body_is_a_script_for_the_shell() {
    check(
        "FROM alpine\nRUN <<EOF\necho one > /out\necho $((1+1)) >> /out\nEOF\n",
        "one\n2\n",
    );
}

#[test]
fn h6_a_body_with_an_interpreter_is_a_program() {
    check(
        "FROM alpine\nRUN <<EOF\n#!/bin/sh\necho $0 > /out\nEOF\n",
        "/dev/pipes/EOF\n",
    );
}

#[test]
fn h7_several_bodies_are_for_the_shell() {
    check(
        "FROM alpine\nRUN cat <<A > /out && cat <<B >> /out\na\nA\nb\nB\n",
        "a\nb\n",
    );
}

#[test]
fn h4_files_are_expanded_unless_their_name_is_quoted() {
    check(
        "FROM alpine\nENV V=1\nCOPY <<A <<\"B\" /f/\n$V\nA\n$V\nB\nRUN cat /f/A /f/B > /out\n",
        "1\n$V\n",
    );
}

#[test]
fn h4_a_file_can_get_another_name() {
    check(
        "FROM alpine\nCOPY <<-EOF /out\n\tstripped\n\tEOF\n",
        "stripped\n",
    );
}

#[test]
fn t1_a_changed_body_runs_again() {
    let Some(host) = host() else { return };
    let dockerfile = |text: &str| format!("FROM alpine\nRUN <<EOF\necho {text} > /out\nEOF\n");
    assert_eq!(out(&host, &dockerfile("a")), "a\n");
    assert_eq!(out(&host, &dockerfile("b")), "b\n");
}

#[test]
fn t4_the_ignore_file_is_not_for_heredocs() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/.dockerignore", "*\n").unwrap();
    assert_eq!(out(&host, "FROM alpine\nCOPY <<EOF /out\nx\nEOF\n"), "x\n");
}

#[test]
fn h2_an_unterminated_heredoc_is_an_error() {
    let Some(host) = host() else { return };
    host.build("FROM alpine\nRUN <<EOF\necho\n", &[])
        .failure()
        .saying("EOF");
}
