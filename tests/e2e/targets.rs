//! Several images from one build, and stages that nobody needs. cli.md, wishes 17 and 18.

use rbuild_testkit::{Host, Output};

use crate::surroundings::host;

const DOCKERFILE: &str = "FROM alpine AS base\nRUN cat /proc/sys/kernel/random/uuid > /id\n\
                          FROM base AS a\nRUN echo a > /out\n\
                          FROM base AS b\nRUN echo b > /out\n";

#[track_caller]
fn read(host: &Host, image: &str, path: &str) -> String {
    host.run(&["run", image, "cat", path]).success().stdout
}

#[test]
fn wish_17_each_target_is_an_image_and_shared_steps_run_once() {
    let Some(host) = host() else { return };
    let output = host
        .build(DOCKERFILE, &["--target", "a=one", "--target", "B=two:x"])
        .success();
    assert_eq!(read(&host, "one", "/out"), "a\n");
    assert_eq!(read(&host, "two:x", "/out"), "b\n");
    assert_eq!(read(&host, "one", "/id"), read(&host, "two:x", "/id"));
    assert_eq!(output.stderr.matches("random/uuid").count(), 1, "{output}");
    // One id a line, in the order of the targets.
    let ids: Vec<String> = ["one", "two:x"].map(|image| id(&host, image)).into();
    let printed: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(printed, ids);
}

fn id(host: &Host, image: &str) -> String {
    let listed = host.run(&["images", "-q", "--no-trunc", image]).success();
    let id = listed.stdout.trim();
    id.strip_prefix("sha256:").unwrap_or(id).to_owned()
}

#[test]
fn wish_17_tag_names_the_target_without_a_name() {
    let Some(host) = host() else { return };
    host.build(
        DOCKERFILE,
        &["--target", "0=zero", "--target", "b", "-t", "it"],
    )
    .success();
    assert_eq!(read(&host, "it", "/out"), "b\n");
    host.run(&["run", "zero", "cat", "/out"]).failure();
}

#[test]
fn wish_17_labels_are_on_each_target() {
    let Some(host) = host() else { return };
    let flags = ["--target", "base=x", "--target", "a=y", "--label", "l=1"];
    host.build(DOCKERFILE, &flags).success();
    for image in ["x", "y"] {
        host.run(&["inspect", image])
            .success()
            .saying("\"l\": \"1\"");
    }
}

#[test]
fn wish_17_what_is_ambiguous_is_refused() {
    let Some(host) = host() else { return };
    let check = |more: &[&str], said: &str| -> Output {
        let flags = [&["--target", "a", "--target", "b"], more].concat();
        host.build(DOCKERFILE, &flags).failure().saying(said)
    };
    check(&["-t", "x"], "could be for several targets");
    check(&["-o", "out"], "--output");
    check(&["--iidfile", "id"], "--iidfile");
    check(&["--target", "c"], "no stage named `c`");
    check(&["--target", "=x"], "names no stage");
}

#[test]
fn wish_18_stages_that_nobody_needs_must_succeed_if_asked_for() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine AS test\nRUN echo testing && exit 3\n\
                      FROM alpine AS app\nRUN echo app > /out\nFROM no/such:image\n";
    let app = ["-t", "it", "--target", "app"];
    host.build(dockerfile, &app).success();
    for flag in ["--all-stages", "--skip-unused-stages=false"] {
        let output = host.build(dockerfile, &[&app[..], &[flag]].concat());
        output.failure().saying("Dockerfile:2").saying("testing");
    }
    let good = dockerfile.replace("exit 3", "true");
    host.build(&good, &[&app[..], &["--all-stages"]].concat())
        .success()
        .saying("testing");
    assert_eq!(read(&host, "it", "/out"), "app\n");
}
