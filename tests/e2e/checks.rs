//! Checks: what is said about a Dockerfile, and when that ends a build.

use crate::surroundings::host;

const LOUD: &str = "FROM alpine AS Base\nMAINTAINER me\nRUN echo $x\n";

#[test]
fn a_build_tells_its_findings_by_name_and_goes_on() {
    let Some(host) = host() else { return };
    let output = host.build(LOUD, &[]).success();
    for rule in ["warning[StageNameCasing]", "warning[MaintainerDeprecated]"] {
        assert!(output.stderr.contains(rule), "{rule}: {output}");
    }
}

#[test]
fn a_check_builds_nothing_and_fails_for_findings() {
    let Some(host) = host() else { return };
    let loud = format!("{LOUD}RUN false\n");
    let output = host.build(&loud, &["--check"]).failure();
    assert!(output.stderr.contains("StageNameCasing"), "{output}");
    assert!(!output.stderr.contains("[base 1"), "{output}");
    assert_eq!(output.stdout, "");
    let output = host
        .build("FROM alpine AS base\nRUN false\n", &["--check"])
        .success();
    assert!(output.stderr.contains("no warnings"), "{output}");
}

#[test]
fn findings_are_skipped_by_name() {
    let Some(host) = host() else { return };
    let quiet = format!("# check=skip=StageNameCasing,MaintainerDeprecated\n{LOUD}");
    let output = host.build(&quiet, &[]).success();
    assert!(!output.stderr.contains("warning"), "{output}");
}

#[test]
fn a_file_can_ask_to_fail_for_findings() {
    let Some(host) = host() else { return };
    let output = host
        .build(&format!("# check=error=true\n{LOUD}"), &[])
        .failure();
    assert!(output.stderr.contains("its own checks"), "{output}");
}
