//! Checks: what is said about a Dockerfile, and when that ends a build.

use rbuild_testkit::{Host, Need, Output, need};

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

/// A host without any image: nothing but the text is needed.
#[track_caller]
fn bare_host() -> Option<Host> {
    need(&[Need::Rbuild])
}

/// `rbuild check ARGS` of `dockerfile` in the context `ctx/`.
#[track_caller]
fn check(host: &Host, dockerfile: &str, args: &[&str]) -> Output {
    host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
    host.run(&[&["check"], args, &["ctx"]].concat())
}

#[test]
fn a_check_needs_neither_images_nor_a_store() {
    let Some(host) = bare_host() else { return };
    let text = "FROM nowhere.example/none AS a\nRUN x $y\nFROM a\nCOPY --chown=$U x /\n";
    let output = check(&host, text, &[]).success();
    assert!(output.says("no warnings found"), "{output}");
    assert!(!host.store.exists(), "a check made a store");
    for command in ["check", "bud"] {
        let flags: &[&str] = if command == "bud" { &["--check"] } else { &[] };
        host.scratch.file("ctx/Dockerfile", LOUD).unwrap();
        let output = host.run(&[&[command], flags, &["ctx"]].concat()).failure();
        assert_eq!((output.status, output.stdout.as_str()), (1, ""), "{output}");
        assert!(output.says("warning[StageNameCasing]"), "{output}");
    }
    let wrong = check(&host, LOUD, &["--format", "xml"]);
    assert_eq!(wrong.status, 2, "{wrong}");
}

#[test]
fn one_check_tells_errors_and_findings_of_all_stages() {
    let Some(host) = bare_host() else { return };
    let text =
        "FROM alpine AS a\nRNU x\nFROM scratch AS b\nENV x=$y\nFROM alpine AS C\nSTOPSIGNAL x\n";
    let output = check(&host, text, &[]).failure();
    for told in [
        "did you mean `RUN`",
        "warning[UndefinedVar]",
        "warning[StageNameCasing]",
        "`x` is not a signal",
        "errors: 2, warnings: 2",
    ] {
        assert!(output.says(told), "{told}: {output}");
    }
    let only = check(&host, text, &["--target", "b"]).failure();
    assert!(!only.says("is not a signal"), "{only}");
}

#[test]
fn files_that_a_copy_does_not_get_are_told() {
    let Some(host) = bare_host() else { return };
    host.scratch.file("ctx/notes.md", "n").unwrap();
    host.scratch.file("ctx/main.c", "m").unwrap();
    host.scratch.file("ctx/.dockerignore", "*.md\n").unwrap();
    let text = "FROM scratch\nCOPY main.c notes.md /\nADD *.c *.h /\nCOPY main.x* /\n";
    let output = check(&host, text, &[]).failure();
    for (rule, told) in [
        ("warning[CopyIgnoredFile]", "`notes.md` is excluded"),
        ("warning[EmptyWildcard]", "`*.h` matches nothing"),
        ("warning[EmptyWildcard]", "`main.x*` matches nothing"),
    ] {
        assert!(output.says(rule) && output.says(told), "{told}: {output}");
    }
    assert!(output.says("Dockerfile:2:13"), "{output}");
    let skipped = format!("# check=skip=EmptyWildcard\n{text}");
    let output = check(&host, &skipped, &[]).failure();
    assert!(!output.says("EmptyWildcard"), "{output}");
    host.scratch
        .file("ctx/.dockerignore", "*.md\n!readme.md\n")
        .unwrap();
    let output = check(&host, "FROM scratch\nCOPY notes.md /\n", &[]).success();
    assert!(output.says("no warnings"), "{output}");
}

#[test]
fn a_build_tells_wildcards_that_match_nothing() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/a.c", "a").unwrap();
    let text = "FROM alpine AS build\nRUN mkdir /out && touch /out/a.o\nFROM scratch\n\
                COPY *.c *.h /\nCOPY --from=build /out/*.o /out/*.so /lib/\n";
    let output = host.build(text, &[]).success();
    for told in ["`*.h` matches nothing", "`out/*.so` matches nothing"] {
        assert!(output.says(told), "{told}: {output}");
    }
    assert!(
        !output.says("`*.c`") && !output.says("`out/*.o`"),
        "{output}"
    );
    let strict = format!("# check=error=true\n{}", text.replace("*.h ", ""));
    let output = host.build(&strict, &["--no-cache"]).failure();
    assert!(output.says("its own checks"), "{output}");
}

#[test]
fn a_build_argument_replaces_what_the_file_says_of_checks() {
    let Some(host) = bare_host() else { return };
    let argument = |value: &str| format!("BUILDKIT_DOCKERFILE_CHECK={value}");
    let told = |text: &str, value: &str| check(&host, text, &["--build-arg", &argument(value)]);
    let output = told(LOUD, "skip=all");
    assert!(output.status == 0 && !output.says("warning["), "{output}");
    // What the directive turns off is back, also what the parser finds.
    let quiet = "# check=skip=all\nFROM scratch\nENV a b\nMAINTAINER me\n";
    let output = told(quiet, "skip=MaintainerDeprecated").failure();
    assert!(output.says("warning[LegacyKeyValueFormat]"), "{output}");
    assert!(!output.says("MaintainerDeprecated"), "{output}");
    let output = told("FROM alpine\n", "experimental=UnpinnedBase").failure();
    assert!(output.says("warning[UnpinnedBase]"), "{output}");
    let output = told(quiet, "skpi=all").failure();
    assert!(output.says("did you mean `skip`"), "{output}");
}

#[test]
fn findings_as_json_have_rules_and_places() {
    let Some(host) = bare_host() else { return };
    let output = check(&host, LOUD, &["--format", "json"]).failure();
    for told in [
        "\"ruleName\": \"StageNameCasing\"",
        "\"url\": \"docs/checks/StageNameCasing.md\"",
        "\"fileName\": \"ctx/Dockerfile\"",
        "\"errors\": []",
    ] {
        assert!(output.stdout.contains(told), "{told}: {output}");
    }
    let output = check(&host, "FROM scratch\nCPOY a b\n", &["--format", "json"]).failure();
    assert!(output.stdout.contains("\"message\": \"unknown"), "{output}");
    let output = check(&host, "FROM scratch\n", &["--format", "json"]).success();
    assert!(output.stdout.contains("\"warnings\": []"), "{output}");
}

// P19
#[test]
fn a_call_tells_targets_and_what_they_take() {
    let Some(host) = bare_host() else { return };
    let text = "# build makes it\nFROM golang AS build\n# V is its version\nARG V=3\n\
                RUN --mount=type=secret,id=token,required --mount=type=ssh x\nFROM scratch AS app\n";
    let output = host.build(text, &["--call", "targets"]).success();
    for line in ["TARGET", "build", "makes it", "app (default)", "golang"] {
        assert!(output.stdout.contains(line), "{line}: {output}");
    }
    let output = host
        .build(text, &["--call=outline", "--target", "build"])
        .success();
    for line in [
        "TARGET:",
        "V           3       is its version",
        "token    true",
        "default",
    ] {
        assert!(output.stdout.contains(line), "{line}: {output}");
    }
    for call in ["targets,format=json", "outline,format=json"] {
        let output = host.build(text, &["--call", call]).success();
        assert!(output.stdout.starts_with('{'), "{output}");
    }
    let output = host.build(text, &["--call", "check"]).success();
    assert!(output.says("no warnings found"), "{output}");
    assert_eq!(host.build(text, &["--call", "lint2"]).status, 2);
    assert!(!host.store.exists(), "a call made a store");
}

#[test]
fn misspellings_get_a_hint() {
    let Some(host) = bare_host() else { return };
    for (line, hint) in [
        ("CPOY a b", "did you mean `COPY`"),
        ("COPY --form=build a b", "did you mean `--from`"),
        ("COPY --from=Biuld a b", "did you mean `build`"),
        ("RUN --mount=type=cahce,target=/x y", "did you mean `cache`"),
        (
            "RUN --mount=type=cache,tagret=/x y",
            "did you mean `target`",
        ),
        ("RUN --network=hots y", "did you mean `host`"),
        ("STOPSIGNAL SIGTREM", "did you mean `SIGTERM`"),
    ] {
        let text = format!("FROM scratch AS build\nFROM scratch\n{line}\n");
        let output = check(&host, &text, &[]).failure();
        assert!(output.says(hint), "{line}: {output}");
    }
    let output = check(&host, "FROM scratch AS build\n", &["--target", "biuld"]).failure();
    assert!(output.says("did you mean `build`"), "{output}");
}
