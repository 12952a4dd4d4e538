//! The Dockerfiles of `examples/`, built, looked at and run: the final image
//! is its base and what COPY named, and nothing of the builder.

use rbuild_testkit::{Host, Tree};

use crate::surroundings::{example, golang_host};

/// Builds `examples/NAME` as image `NAME`; `args` come before the context.
#[track_caller]
fn build(host: &Host, name: &str, args: &[&str]) {
    let context = example(host, name);
    let tag = format!("{name}:test");
    host.run(&[&["bud", "-t", &tag], args, &[&context]].concat())
        .success();
}

/// What the image added to busybox, and what it lost of it.
fn added(host: &Host, image: &str) -> (Tree, Vec<String>) {
    let (base, image) = (host.tree("alpine"), host.tree(image));
    (image.since(&base), image.lost(&base))
}

#[track_caller]
fn check_paths(host: &Host, image: &str, expected: &[&str]) {
    let (added, lost) = added(host, image);
    assert_eq!(added.paths(), expected, "{added}");
    assert_eq!(lost, Vec::<String>::new());
}

#[test]
fn a_program_copied_from_a_builder_is_all_that_is_added() {
    let Some(host) = golang_host() else { return };
    let context = example(&host, "go-hello");
    let file = format!("{context}/Dockerfile.multi");
    host.run(&["build", "-f", &file, "-t", "go-hello:multi", &context])
        .success();
    check_paths(&host, "go-hello:multi", &["/root/app"]);
    let output = host.run(&["run", "--rm", "go-hello:multi"]).success();
    assert_eq!(output.stdout, "Hello Docker!\n");
}

#[test]
fn the_single_stage_twin_runs_alike_and_is_a_hundred_times_larger() {
    let Some(host) = golang_host() else { return };
    let context = example(&host, "go-hello");
    let file = format!("{context}/Dockerfile.multi");
    host.run(&["bud", "-f", &file, "-t", "twin:multi", &context])
        .success();
    host.run(&["bud", "-t", "twin:naive", &context]).success();
    assert_eq!(
        host.run(&["run", "twin:naive"]).success().stdout,
        "Hello Docker!\n"
    );
    let size = |tag: &str| -> f64 {
        let images = host.run(&["inspect", tag]).success().stdout;
        let images: serde_json::Value = serde_json::from_str(&images).unwrap();
        images[0]["Size"].as_f64().unwrap()
    };
    assert!(size("twin:naive") > 100.0 * size("twin:multi"));
}

#[test]
fn a_server_is_copied_with_an_owner_and_answers() {
    let Some(host) = golang_host() else { return };
    build(&host, "go-server", &[]);
    let (added, _) = added(&host, "go-server:test");
    assert_eq!(
        added.paths(),
        ["/srv", "/srv/bin", "/srv/bin/server"],
        "{added}"
    );
    assert_eq!(added.0["/srv/bin/server"].owner, (65534, 65534));
    let output = host.run(&["run", "go-server:test", "-once"]).success();
    assert_eq!(output.stdout, "Hello Docker from /once\n");
}

#[test]
fn a_stage_that_nobody_needs_is_not_run() {
    let Some(host) = golang_host() else { return };
    let context = example(&host, "go-server");
    let output = host.run(&["bud", "-t", "unneeded", &context]).success();
    assert!(!output.says("go test"), "{output}");
    let output = host
        .run(&["bud", "--target", "test", "-t", "unneeded:test", &context])
        .failure();
    assert!(output.says("go test"), "{output}");
}

#[test]
fn lower_case_instructions_and_relative_directories_work() {
    let Some(host) = golang_host() else { return };
    build(&host, "hello", &[]);
    check_paths(&host, "hello:test", &["/app", "/app/app"]);
    assert_eq!(
        host.run(&["run", "hello:test"]).success().stdout,
        "hello, world\n"
    );
}

#[test]
fn the_content_of_a_directory_is_copied_from_a_builder() {
    let Some(host) = golang_host() else { return };
    build(&host, "webapp", &["--build-arg", "title=From a test"]);
    let expected = [
        "/app",
        "/app/templates",
        "/app/templates/head.html",
        "/app/templates/index.html",
        "/app/templates/partials",
        "/app/templates/partials/note.txt",
        "/app/webapp",
    ];
    check_paths(&host, "webapp:test", &expected);
    let output = host.run(&["run", "webapp:test"]).success();
    assert_eq!(output.stdout, "<h1>From a test</h1>\n<p>It works.</p>\n");
    let output = host.run(&["run", "webapp:test", "head.html"]).success();
    assert_eq!(output.stdout, "<h1>From a test</h1>\n");
}
