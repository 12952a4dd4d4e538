//! Steps that do not need each other are executed at the same time.

use rbuild_testkit::fault_registry::{Access, FaultRegistry};

use crate::{
    push_ahead::{Waiting, dockerfile},
    surroundings::host,
};

/// Each of the two stages waits for the other one to have begun.
const MEET: &str = "FROM alpine AS a\n\
    RUN --mount=type=cache,id=meet,target=/m touch /m/a && until [ -e /m/b ]; do sleep 0.01; done; echo a > /a\n\
    FROM alpine AS b\n\
    RUN --mount=type=cache,id=meet,target=/m touch /m/b && until [ -e /m/a ]; do sleep 0.01; done; echo b > /b\n\
    FROM alpine\nCOPY --from=a /a /\nCOPY --from=b /b /\n";

#[test]
fn independent_stages_run_at_the_same_time() {
    let Some(host) = host() else { return };
    host.build(MEET, &["--jobs", "2", "-t", "it"]).success();
    let output = host.run(&["run", "it", "cat", "/a", "/b"]).success();
    assert_eq!(output.stdout, "a\nb\n");
}

#[test]
fn the_image_does_not_depend_on_the_number_of_jobs() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine AS a\nRUN echo a > /a\nFROM alpine AS b\nRUN echo b > /b\n\
                      FROM alpine\nCOPY --from=b /b /\nCOPY --from=a /a /\nRUN cat /a /b > /c\n";
    let ids = ["1", "2", "0"].map(|jobs| {
        let flags = [
            "-q",
            "--no-cache",
            "--jobs",
            jobs,
            "--build-arg",
            "SOURCE_DATE_EPOCH=1",
        ];
        host.build(dockerfile, &flags).success().stdout
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

#[test]
fn a_failing_step_ends_the_others() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine AS a\n\
        RUN --mount=type=cache,id=ends,target=/m touch /m/a && sleep 1000\n\
        FROM alpine AS b\n\
        RUN --mount=type=cache,id=ends,target=/m until [ -e /m/a ]; do sleep 0.01; done; exit 7\n\
        FROM alpine\nCOPY --from=a /a /\nCOPY --from=b /b /\n";
    let failed = host.build(dockerfile, &["--jobs", "2"]).failure();
    assert!(
        failed.stderr.contains("exited with status 7"),
        "{}",
        failed.stderr
    );
    assert!(!failed.stderr.contains("status 137"), "{}", failed.stderr);
}

#[test]
fn a_base_image_is_pulled_while_a_step_of_another_stage_runs() {
    let Some(host) = host() else { return };
    let registry = FaultRegistry::start(Access::Open, Vec::new());
    let base = format!("{}/team/base:1", registry.address());
    host.run(&["push", "alpine", &format!("docker://{base}")])
        .success();
    let waiting = dockerfile("").replace("FROM alpine", "FROM alpine AS waiting");
    let both = format!(
        "{waiting}FROM {base} AS pulled\nRUN echo pulled > /x\n\
         FROM alpine\nCOPY --from=pulled /x /\nCOPY --from=waiting /last /\n"
    );
    let build = Waiting::start_with(&host, &both, &["--jobs", "2", "-t", "it"]);
    // The configuration comes before any step, the layer when a step opens it.
    let is_blob = |request: &String| request.starts_with("GET /v2/team/base/blobs/");
    let output = build.until(|| registry.requests().iter().filter(|it| is_blob(it)).count() >= 2);
    output.success();
    let made = host.run(&["run", "it", "cat", "/x"]).success();
    assert_eq!(made.stdout, "pulled\n");
}
