//! Steps that do not need each other are executed at the same time.

use crate::surroundings::host;

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
