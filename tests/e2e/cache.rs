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
fn after_a_prune_a_stage_that_is_not_looked_into_is_not_made_again() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine AS a\nRUN cat /proc/sys/kernel/random/uuid > /id; mkfifo /f\n\
                      FROM alpine\nCOPY --from=a /id /id\n";
    let first = id(&host, dockerfile, &[]);
    host.run(&["prune", "--force"]).success();
    host.build(dockerfile, &["--require-cached"]).success();
    assert_eq!(id(&host, dockerfile, &[]), first);
    let plan = |dockerfile: &str| {
        let built = host.build(dockerfile, &["--dry-run"]).success();
        built.stdout
    };
    assert!(!plan(dockerfile).contains("run "), "{}", plan(dockerfile));
    // Whoever looks into it needs it.
    let more = dockerfile.replace("/id /id", "/id /other");
    assert!(plan(&more).contains("depends on what"), "{}", plan(&more));
    host.build(&more, &[])
        .success()
        .saying("(its result was deleted)");
}

#[test]
fn a_stage_that_is_made_anew_reaches_what_copies_from_it_k2() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine AS a\nRUN cat /proc/sys/kernel/random/uuid > /id\n\
                      FROM alpine\nCOPY --from=a /id /id\n";
    let first = id(&host, dockerfile, &[]);
    assert_ne!(id(&host, dockerfile, &["--no-cache-filter", "a"]), first);
}

#[test]
fn wish_6_a_step_that_runs_again_says_what_changed() {
    let Some(host) = host() else { return };
    input(&host, "a");
    let dockerfile = "FROM alpine AS a\nCOPY input /input\nFROM alpine\nARG V\nRUN echo $V > /v\n";
    let build = |v: &str| {
        let v = format!("V={v}");
        host.build(dockerfile, &["--all-stages", "--build-arg", &v])
            .success()
    };
    build("1").saying("[stage-1 1/1] RUN echo $V > /v\n");
    input(&host, "b");
    build("2")
        .saying("[a 1/1] COPY input /input  (1 file changed: input)\n")
        .saying("[stage-1 1/1] RUN echo $V > /v  (ARG V: 1 → 2)\n");
    host.build(
        dockerfile,
        &["--build-arg", "V=2", "--no-cache-filter", "1"],
    )
    .success()
    .saying("RUN echo $V > /v\n");
    host.build(dockerfile, &["--build-arg", "V=2", "--cache-ttl", "0"])
        .success()
        .saying("RUN echo $V > /v\n");
}

#[test]
fn wish_7_a_build_can_be_required_to_be_cached() {
    let Some(host) = host() else { return };
    input(&host, "a");
    host.build(RANDOM, &[]).success();
    host.build(RANDOM, &["--require-cached"]).success();
    input(&host, "b");
    let failed = host.build(RANDOM, &["--require-cached=0"]).failure();
    assert_eq!(failed.status, 3, "{failed}");
    failed
        .saying("error: this step is not cached: 1 file changed: input\n")
        .saying("COPY input /input\n");
    host.build(RANDOM, &["--require-cached=nothing"])
        .failure()
        .saying("--require-cached `nothing` names no stage");
}

#[test]
fn a_plan_tells_what_would_be_executed_and_executes_nothing() {
    let Some(host) = host() else { return };
    input(&host, "a");
    let dockerfile = host.scratch.file("Plan", RANDOM).unwrap();
    let context = host.scratch.path().join("ctx");
    let (dockerfile, context) = (dockerfile.to_str().unwrap(), context.to_str().unwrap());
    let plan = |args: &[&str]| {
        let all = [args, &["-f", dockerfile, context]].concat();
        host.run(&all).success().stdout
    };
    let first = "[stage-0] FROM alpine\n\
                 run     [stage-0 1/2] COPY input /input  (first time)\n\
                 run     [stage-0 2/2] RUN cat /proc/sys/kernel/random/uuid > /id  (first time)\n";
    assert_eq!(plan(&["plan"]), first);
    assert_eq!(plan(&["bud", "-n"]), first);
    host.run(&["bud", "-f", dockerfile, context]).success();
    input(&host, "b");
    let second = first.replacen("first time", "1 file changed: input", 1);
    assert_eq!(
        plan(&["plan"]),
        second.replace("first time", "parent changed")
    );
    let json: serde_json::Value =
        serde_json::from_str(&plan(&["plan", "--format", "json"])).unwrap();
    assert_eq!(json["steps"][1]["needs"], serde_json::json!([0]));
    assert_eq!(
        json["steps"][0]["reason"]["changed"][0]["changed"][0],
        "input"
    );

    let dockerfile = "FROM nowhere.invalid/x\nRUN x\n";
    host.build(dockerfile, &["--dry-run"])
        .success()
        .saying("unknown [stage-0 1/1] RUN x  (base nowhere.invalid/x is not here)");
}
