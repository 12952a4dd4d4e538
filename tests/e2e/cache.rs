//! A step is done once: the second build finds its results. What RUN writes
//! is random here, so that equal content means that it did not run again.

use std::process::Stdio;

use rbuild_testkit::Host;

use crate::surroundings::host;

const RANDOM: &str = "FROM alpine\nCOPY input /input\nRUN cat /proc/sys/kernel/random/uuid > /id\n";

/// Builds `dockerfile` and returns what its RUN wrote to `/id`.
#[track_caller]
fn id(host: &Host, dockerfile: &str, args: &[&str]) -> String {
    host.build(dockerfile, &[&["-t", "it"], args].concat())
        .success();
    host.run(&["run", "it", "cat", "/id"]).success().stdout
}

fn input(host: &Host, content: &str) {
    host.scratch.file("ctx/input", content).unwrap();
}

#[test]
fn the_second_build_of_the_same_thing_is_all_cached() {
    let Some(host) = host() else { return };
    input(&host, "a");
    let first = id(&host, RANDOM, &[]);
    assert_eq!(id(&host, RANDOM, &[]), first);
}

#[test]
fn a_new_time_of_a_context_file_is_no_change() {
    let Some(host) = host() else { return };
    input(&host, "a");
    let first = id(&host, RANDOM, &[]);
    std::thread::sleep(std::time::Duration::from_millis(20));
    input(&host, "a");
    assert_eq!(id(&host, RANDOM, &[]), first);
}

#[test]
fn changed_content_of_a_copied_file_runs_what_follows_again() {
    let Some(host) = host() else { return };
    input(&host, "a");
    let first = id(&host, RANDOM, &[]);
    input(&host, "b");
    assert_ne!(id(&host, RANDOM, &[]), first);
}

#[test]
fn an_instruction_that_changes_only_the_config_is_no_reason_to_run_again() {
    let Some(host) = host() else { return };
    input(&host, "a");
    let first = id(&host, RANDOM, &[]);
    let labelled = RANDOM.replace("RUN", "LABEL a=b\nEXPOSE 80\nRUN");
    assert_eq!(id(&host, &labelled, &[]), first);
}

#[test]
fn no_cache_runs_everything_again() {
    let Some(host) = host() else { return };
    input(&host, "a");
    let first = id(&host, RANDOM, &[]);
    assert_ne!(id(&host, RANDOM, &["--no-cache"]), first);
}

#[test]
fn only_an_argument_that_is_declared_counts() {
    let Some(host) = host() else { return };
    input(&host, "a");
    let declared = RANDOM.replace("RUN", "ARG A\nRUN");
    let first = id(&host, &declared, &["--build-arg", "A=1"]);
    assert_eq!(id(&host, &declared, &["--build-arg", "A=1"]), first);
    assert_ne!(id(&host, &declared, &["--build-arg", "A=2"]), first);
}

#[test]
fn two_builds_at_once_run_a_step_once() {
    let Some(host) = host() else { return };
    let run = "RUN cat /proc/sys/kernel/random/uuid > /id && sleep 1";
    host.scratch
        .file("ctx/Dockerfile", format!("FROM alpine\n{run}\n"))
        .unwrap();
    let builds = ["one", "two"].map(|name| {
        let mut build = host.rbuild(&["bud", "-t", name, "ctx"]);
        build.stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    });
    for build in builds {
        assert!(build.unwrap().wait().unwrap().success());
    }
    let id = |name| host.run(&["run", name, "cat", "/id"]).success().stdout;
    assert_eq!(id("one"), id("two"));
}

#[test]
fn a_rebuilt_stage_with_the_same_bytes_does_not_disturb_its_users() {
    let Some(host) = host() else { return };
    input(&host, "a");
    let dockerfile = "FROM alpine AS made\nARG A\nRUN echo $A > /other; echo same > /result\n\
                      FROM alpine\nCOPY --from=made /result /\n\
                      RUN cat /proc/sys/kernel/random/uuid > /id\n";
    let first = id(&host, dockerfile, &["--build-arg", "A=1"]);
    assert_eq!(id(&host, dockerfile, &["--build-arg", "A=2"]), first);
}

#[test]
fn t43_what_a_bind_mount_shows_is_a_reason_even_if_copy_cannot_see_it() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/.dockerignore", "input\n").unwrap();
    let dockerfile = "FROM alpine\nRUN --mount=type=bind,target=/m cp /m/input /id\n";
    for content in ["a\n", "b\n"] {
        input(&host, content);
        assert_eq!(id(&host, dockerfile, &[]), content);
    }
}
