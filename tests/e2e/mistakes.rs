//! The user's mistakes are told with the place and the way out; a build that
//! fails leaves no image.

use rbuild_testkit::{Account, Host, Need, need};

use crate::surroundings::host;

#[test]
fn a_failing_run_gives_its_status_its_line_and_no_image() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine\nRUN echo before\nRUN echo inside && exit 42\nRUN echo after\n";
    let output = host.build(dockerfile, &["-t", "broken"]).failure();
    assert!(output.stderr.contains("42"), "{output}");
    assert!(output.stderr.contains("Dockerfile:3"), "{output}");
    assert!(
        output.says("inside") && !output.says("echo after"),
        "{output}"
    );
    host.run(&["inspect", "broken"]).failure();
}

#[test]
fn a_step_that_worked_before_a_failure_is_not_done_again() {
    let Some(host) = host() else { return };
    let uuid = "cat /proc/sys/kernel/random/uuid";
    let dockerfile = |end: &str| format!("FROM alpine\nRUN {uuid} > /id\nRUN {uuid} && {end}\n");
    host.build(&dockerfile("false"), &[]).failure();
    host.build(
        "FROM alpine\nRUN cat /proc/sys/kernel/random/uuid > /id\n",
        &["-t", "a"],
    )
    .success();
    host.build(&dockerfile("true"), &["-t", "b"]).success();
    let id = |name: &str| host.run(&["run", name, "cat", "/id"]).success().stdout;
    assert_eq!(id("a"), id("b"));
}

#[test]
fn an_unknown_instruction_is_shown_with_a_caret() {
    let Some(host) = host() else { return };
    let output = host.build("FROM alpine\nCOPPY a b\n", &[]).failure();
    for part in ["error: ", "Dockerfile:2:1", "COPPY a b", "^^^^^", "COPY"] {
        assert!(output.stderr.contains(part), "no `{part}`: {output}");
    }
}

#[test]
fn every_mistake_of_a_dockerfile_is_shown_at_once() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine\nCOPPY a b\nWORKDIR\nRUN --colour=red true\n";
    let output = host.build(dockerfile, &[]).failure();
    for place in ["Dockerfile:2:", "Dockerfile:3:", "Dockerfile:4:"] {
        assert!(output.stderr.contains(place), "no `{place}`: {output}");
    }
}

#[test]
fn a_misspelt_stage_is_guessed() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine AS build\nFROM alpine\nCOPY --from=biuld /a /a\n";
    let output = host.build(dockerfile, &[]).failure();
    assert!(
        output.stderr.contains("biuld") && output.stderr.contains("`build`"),
        "{output}"
    );
}

#[test]
fn a_wrong_flag_is_named() {
    let Some(host) = host() else { return };
    host.run(&["bud", "--frobnicate", "."])
        .failure()
        .saying("--frobnicate");
}

#[test]
fn a_missing_dockerfile_a_missing_context_and_a_missing_source_are_named() {
    let Some(host) = host() else { return };
    host.run(&["bud", "-f", "No.such", "."])
        .failure()
        .saying("No.such");
    host.run(&["bud", "no-such-context"])
        .failure()
        .saying("no-such-context");
    let output = host
        .build("FROM alpine\nCOPY no-such-file /\n", &[])
        .failure();
    assert!(
        output.says("no-such-file") && output.says("Dockerfile:2"),
        "{output}"
    );
}

#[test]
fn a_user_without_a_range_is_told_so() {
    let Some(_) = need(&[Need::Rbuild, Need::NoRange]) else {
        return;
    };
    let host = Host::new(Account::without_range().unwrap()).unwrap();
    host.scratch.file("ctx/file", "x").unwrap();
    let output = host
        .build("FROM scratch\nCOPY file /\nRUN [\"/file\"]\n", &[])
        .failure();
    output.saying("/etc/subuid").saying(&host.account.name);
}
