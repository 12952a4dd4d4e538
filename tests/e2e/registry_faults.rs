//! Faults 25 to 32 of store.md, as a user sees them. Each of them alone, both ways, is in
//! rbuild-registry's tests.

use rbuild_testkit::{
    Base, Host, Need, Output,
    fault_registry::{Access, Deed, Fault, FaultRegistry},
    need,
};

const NEEDS: &[Need] = &[Need::Rbuild, Need::Range, Need::Base(Base::Busybox)];
const BLOBS: &str = "/blobs/sha256";
const UPLOADS: &str = "/blobs/uploads/";

/// A registry and the name of an image there, which a host has under `alpine`.
struct Site {
    registry: FaultRegistry,
    image: String,
}

impl Site {
    fn new(host: &Host, access: Access, faults: Vec<Fault>) -> Self {
        host.import(Base::Busybox);
        let registry = FaultRegistry::start(access, faults);
        let image = format!("{}/team/base:1", registry.address());
        Self { registry, image }
    }

    /// `rbuild command`, patient but quick, with the image as its last argument.
    fn run(&self, host: &Host, command: &[&str]) -> Output {
        let quick = ["--retry", "3", "--retry-delay", "10ms"];
        host.run(&[&command[..1], &quick, &command[1..], &[&self.image]].concat())
    }

    fn push(&self, host: &Host) -> Output {
        self.run(host, &["push", "alpine"])
    }

    /// Forgets the image and everything of it.
    fn forget(&self, host: &Host) {
        for name in [&self.image, "alpine"] {
            host.run(&["rmi", name]);
        }
    }
}

#[track_caller]
fn refused(output: &Output, why: &str) {
    assert_eq!(output.status, 1, "{}", output.stderr);
    assert!(output.stderr.contains(why), "{}", output.stderr);
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
}

#[test]
fn an_image_survives_lost_connections_and_expired_tokens_faults_25_29() {
    let Some(host) = need(NEEDS) else { return };
    let faults = vec![
        Fault::once("PUT", UPLOADS, Deed::CutUpload(300_000)),
        Fault::once("PATCH", UPLOADS, Deed::CutUpload(200_000)),
        Fault::once("PATCH", UPLOADS, Deed::Expire),
        Fault::once("GET", BLOBS, Deed::Expire),
        Fault::once("GET", BLOBS, Deed::Cut(100_000)),
        Fault::once("GET", BLOBS, Deed::Cut(500_000)),
        Fault::once("GET", "/manifests/", Deed::Forget),
    ];
    let site = Site::new(&host, Access::Tokens, faults);
    site.push(&host).success();
    let before = host.tree("alpine");
    site.forget(&host);
    site.run(&host, &["pull"]).success();
    assert_eq!(host.tree(&site.image).to_string(), before.to_string());
    let ranges = site.registry.server.seen();
    let ranges = ranges.iter().filter(|it| it.headers.contains_key("range"));
    assert!(ranges.count() > 0);
}

#[test]
fn a_registry_that_stays_away_is_an_error_and_costs_nothing_faults_25_26() {
    let Some(host) = need(NEEDS) else { return };
    // The configuration comes; the layer never does.
    let layer = Fault {
        times: 5,
        ..Fault::once("GET", BLOBS, Deed::Cut(50_000))
    };
    let busy = Deed::Answer(503, vec![("Retry-After", "0".to_owned())]);
    let site = Site::new(
        &host,
        Access::Open,
        vec![layer, Fault::once("PUT", UPLOADS, busy)],
    );
    site.push(&host).success();
    site.forget(&host);
    refused(&site.run(&host, &["pull"]), "lost the connection");
    let images = host.run(&["images", "-q"]);
    assert_eq!(images.stdout, "");
    host.run(&["store", "check"]).success();
    // The same command works as soon as the registry does.
    site.run(&host, &["pull"]).success();
}

#[test]
fn other_bytes_than_promised_are_never_used_faults_27_32() {
    let Some(host) = need(NEEDS) else { return };
    let site = Site::new(
        &host,
        Access::Open,
        vec![
            Fault::once("GET", "/manifests/", Deed::Body(b"{}".to_vec())),
            Fault::once("GET", BLOBS, Deed::Body(b"{}".to_vec())),
            Fault::once("GET", BLOBS, Deed::Endless),
        ],
    );
    site.push(&host).success();
    site.forget(&host);
    let dockerfile = format!("FROM {}\nRUN true\n", site.image);
    for _ in 0..3 {
        let output = host.build(&dockerfile, &["--retry", "0"]);
        assert_ne!(output.status, 0);
        assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    }
    host.build(&dockerfile, &["--retry", "0"]).success();
}

#[test]
fn garbage_and_redirects_are_told_to_the_user_faults_30_31() {
    let Some(host) = need(NEEDS) else { return };
    let to = |place: &str| Deed::Answer(302, vec![("Location", place.to_owned())]);
    let bomb = format!("Bearer realm=\"https://{}/\"", "x".repeat(60_000));
    let cases = [
        (Deed::Garbage(b"\x00\xff\r\n".to_vec()), "no answer"),
        (to("/v2/team/base/manifests/1"), "one redirect too many"),
        (to("file:///etc/passwd"), "only http and https"),
        (
            Deed::Answer(401, vec![("WWW-Authenticate", bomb)]),
            "neither token nor password",
        ),
    ];
    for (deed, why) in cases {
        let faults = vec![Fault::always("GET", "/manifests/", deed)];
        let registry = FaultRegistry::start(Access::Open, faults);
        let image = format!("{}/team/base:1", registry.address());
        let quick = ["pull", "--retry", "1", "--retry-delay", "1ms", &image];
        refused(&host.run(&quick), why);
        let dockerfile = format!("FROM scratch\nCOPY --from={image} / /\n");
        refused(&host.build(&dockerfile, &["--retry", "0"]), why);
    }
}

#[test]
fn a_layer_of_the_registry_is_mounted_instead_of_sent() {
    let Some(host) = need(NEEDS) else { return };
    let site = Site::new(&host, Access::Tokens, Vec::new());
    site.push(&host).success();
    site.forget(&host);
    site.run(&host, &["pull"]).success();
    let dockerfile = format!("FROM {}\nRUN echo new > /new\n", site.image);
    let target = format!("{}/team/app:1", site.registry.address());
    host.build(&dockerfile, &["-t", &target]).success();
    host.run(&["push", &target]).success();
    let requests = site.registry.requests();
    let mounts = requests.iter().filter(|it| it.contains("mount=sha256"));
    assert!(mounts.count() >= 1, "{requests:#?}");
    let puts = requests.iter();
    let puts = puts.filter(|it| it.starts_with("PUT /v2/team/app/blobs/"));
    assert_eq!(puts.count(), 2, "the new layer and the configuration");
}

#[test]
fn what_a_registry_does_not_do_is_told_with_both_ends_and_what_to_try() {
    let Some(host) = need(NEEDS) else { return };
    let forbidden = Fault::always("POST", UPLOADS, Deed::Answer(403, Vec::new()));
    let site = Site::new(&host, Access::Open, vec![forbidden]);
    refused(
        &site.push(&host).saying("hint: this login may not do that"),
        &format!(
            "error: cannot push `localhost/alpine:latest` to `docker://{}`",
            site.image
        ),
    );
    let output = site.run(&host, &["pull"]);
    refused(&output, "hint: there is no such repository or tag");
    let image = "127.0.0.1:1/x:1";
    let output = host.run(&["push", "--retry", "0", "alpine", image]);
    refused(
        &output.saying("hint: nothing listens there"),
        &format!("error: cannot push `localhost/alpine:latest` to `docker://{image}`"),
    );
}

#[test]
fn what_is_newer_and_does_not_come_leaves_the_store_s_image() {
    let Some(host) = need(NEEDS) else { return };
    let gone = Fault::always("GET", BLOBS, Deed::Answer(404, Vec::new()));
    let site = Site::new(&host, Access::Open, vec![gone]);
    host.build("FROM alpine\nRUN echo newer > /newer\n", &["-t", "newer"])
        .success();
    let there = format!("docker://{}", site.image);
    host.run(&["push", "newer", &there]).success();
    host.run(&["tag", "alpine", &site.image]).success();
    let dockerfile = format!("FROM {}\nRUN test ! -e /newer\n", site.image);
    let why = format!("warning: `{}` is taken from the store", site.image);
    host.build(&dockerfile, &["--pull=newer", "--retry=0"])
        .success()
        .saying(&why);
    site.run(&host, &["pull", "--policy=newer"])
        .success()
        .saying(&why);
    host.build(&dockerfile, &["--pull=always", "--retry=0"])
        .failure();
}
