//! `bud --push`: layers are uploaded while later steps still run.
//!
//! Knows: what a registry is asked for, and when; a step waits for that, so no test looks at a
//! clock. Does not know: what is in a request.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rbuild_testkit::{
    Host, Output,
    fault_registry::{Access, Deed, Fault, FaultRegistry},
    wait_until,
};

use crate::surroundings::host;

/// Uploads of blobs that are complete.
fn uploads(registry: &FaultRegistry, repository: &str) -> usize {
    let place = format!("/v2/{repository}/blobs/uploads/");
    let requests = registry.requests();
    let ends = requests.iter().filter(|it| it.starts_with("PUT "));
    ends.filter(|it| it.contains(&place)).count()
}

/// A stage whose last step but one ends when the file `go` is in the context of the build.
pub fn dockerfile(before: &str) -> String {
    format!(
        "FROM alpine\n{before}\
         RUN --mount=type=bind,target=/context --network=none \
         for i in $(seq 600); do test -e /context/go && exit 0; sleep 0.1; done; exit 1\n\
         RUN echo last > /last\n"
    )
}

/// A build that waits in one of its steps.
pub struct Waiting {
    build: std::process::Child,
    go: PathBuf,
}

impl Waiting {
    fn start(host: &Host, before: &str, args: &[&str]) -> Self {
        Self::start_with(host, &dockerfile(before), args)
    }

    pub fn start_with(host: &Host, dockerfile: &str, args: &[&str]) -> Self {
        host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
        let mut command: Command = host.rbuild(&[&["bud"], args, &["ctx"]].concat());
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self {
            build: command.spawn().unwrap(),
            go: host.scratch.path().join("ctx/go"),
        }
    }

    /// Waits for `event`, and lets the build go on.
    pub fn until(mut self, event: impl Fn() -> bool) -> Output {
        let nothing = || "nothing happens";
        wait_until(nothing, || {
            let ended = self.build.try_wait().unwrap();
            assert!(ended.is_none(), "the build did not wait");
            event()
        });
        std::fs::write(&self.go, "").unwrap();
        Output::from(self.build.wait_with_output().unwrap())
    }
}

#[test]
fn layers_are_at_the_registry_before_the_last_step_has_ended() {
    let Some(host) = host() else { return };
    for flag in [&["--push"][..], &["-o", "type=registry"]] {
        let registry = FaultRegistry::start(Access::Tokens, Vec::new());
        let name = format!("{}/team/app:1", registry.address());
        let args = [flag, &["--no-cache", "-t", &name]].concat();
        let build = Waiting::start(&host, "RUN echo first > /first\n", &args);
        // The base image's layer, and that of the first step.
        let output = build.until(|| uploads(&registry, "team/app") >= 2);
        output.success();
        assert!(registry.manifest("team/app", "1").is_some());
        // Those, the last step's, and the configuration: nothing was sent twice.
        assert_eq!(uploads(&registry, "team/app"), 4);
        std::fs::remove_file(host.scratch.path().join("ctx/go")).unwrap();
        host.run(&["rmi", &name]).success();
        host.run(&["pull", &name]).success();
        host.run(&["run", &name, "cat", "/first", "/last"])
            .success()
            .saying("first\nlast");
    }
}

#[test]
fn layers_of_steps_that_are_cached_do_not_wait_for_others() {
    let Some(host) = host() else { return };
    let before = "RUN echo first > /first\n";
    host.build(&format!("FROM alpine\n{before}"), &["-t", "it"])
        .success();
    let registry = FaultRegistry::start(Access::Open, Vec::new());
    let name = format!("{}/team/app:1", registry.address());
    let build = Waiting::start(&host, before, &["--push", "-t", &name]);
    let output = build.until(|| uploads(&registry, "team/app") >= 2);
    output.success().saying("(cached)");
}

#[test]
fn what_fails_on_the_way_is_sent_in_the_end_or_told_then() {
    let Some(host) = host() else { return };
    let quick = ["--retry", "0", "--retry-delay", "1ms"];
    let refused = |times| Fault {
        times,
        ..Fault::always("POST", "/blobs/uploads/", Deed::Answer(403, Vec::new()))
    };
    for (faults, status) in [(vec![refused(1)], 0), (vec![refused(usize::MAX)], 1)] {
        let registry = FaultRegistry::start(Access::Open, faults);
        let name = format!("{}/team/app:1", registry.address());
        let args = [&quick[..], &["--no-cache", "--push", "-t", &name]].concat();
        let output = host.build("FROM alpine\nRUN echo a > /a\nRUN echo b > /b\n", &args);
        assert_eq!(output.status, status, "{output}");
        assert_eq!(registry.manifest("team/app", "1").is_some(), status == 0);
        host.run(&["exists", &name]).success();
    }
}

#[test]
fn a_build_that_fails_leaves_no_manifest_and_a_squashed_one_no_layer_of_a_step() {
    let Some(host) = host() else { return };
    let registry = FaultRegistry::start(Access::Open, Vec::new());
    let name = format!("{}/team/app:1", registry.address());
    let steps = "FROM alpine\nRUN echo a > /a\nRUN echo b > /b\n";
    let failing = format!("{steps}RUN false\n");
    host.build(&failing, &["--push", "-t", &name]).failure();
    assert!(registry.manifest("team/app", "1").is_none());
    let name = format!("{}/team/squashed:1", registry.address());
    host.build(steps, &["--push", "--squash", "-t", &name])
        .success();
    // The base's layer, the new one, and the configuration.
    assert_eq!(uploads(&registry, "team/squashed"), 3);
}

#[test]
fn a_build_that_fails_does_not_wait_for_a_registry_that_says_nothing() {
    let Some(host) = host() else { return };
    let faults = vec![Fault::always("HEAD", "/blobs/", Deed::Drip)];
    let registry = FaultRegistry::start(Access::Open, faults);
    let name = format!("{}/team/app:1", registry.address());
    let (asked, steps) = (|| !registry.requests().is_empty(), "RUN echo a > /a\n");
    let args = ["--no-cache", "--push", "-t", &name];
    let failing = format!("{}RUN false\n", dockerfile(steps));
    let build = Waiting::start_with(&host, &failing, &args);
    let began = Instant::now();
    build.until(asked).failure();
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_push_that_leads_nowhere_is_refused_before_any_work() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine\nRUN echo was-here\n";
    for (args, why) in [
        (&["--push"][..], "nothing says which registry"),
        (&["--push", "-t", "app"], "nothing says which registry"),
        (
            &["-o", "type=registry", "-t", "app"],
            "nothing says which registry",
        ),
        (&["--digestfile", "d", "-t", "app"], "--digestfile is for"),
        (
            &["--no-push", "-o", "type=registry", "-t", "h.example/a"],
            "--no-push contradicts",
        ),
    ] {
        let output = host.build(dockerfile, args).failure().saying(why);
        assert!(!output.says("was-here"), "{output}");
    }
    // A name without a registry beside one that has it stays here.
    let registry = FaultRegistry::start(Access::Open, Vec::new());
    let name = format!("{}/team/app:1", registry.address());
    let push = [
        "--push",
        "--load",
        "--digestfile",
        "digest",
        "-t",
        "app",
        "-t",
        &name,
    ];
    host.build(dockerfile, &push).success();
    let manifest = registry.manifest("team/app", "1").unwrap();
    let digest = std::fs::read_to_string(host.scratch.path().join("digest")).unwrap();
    assert_eq!(digest, registry.digest(manifest.as_bytes()));
    host.run(&["exists", "app"]).success();
}
