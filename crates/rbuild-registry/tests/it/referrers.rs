//! Who keeps the list of what refers to a manifest: the registry, or else its client.

use rbuild_oci::{BlobDigest, Descriptor, Digest, media_type};
use rbuild_registry::Referrer;
use rbuild_testkit::http::{Reply, Seen, Server};

use crate::{fine, is_probe, push_scope, reference, repository};

/// The requests that listing a manifest makes, without the digests, and whether it worked.
#[track_caller]
fn check(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static, expected: &[&str], works: bool) {
    let server = Server::start(move |seen| match is_probe(seen) {
        true => fine(),
        false => answer(seen),
    });
    let reference = reference(&server.address.to_string(), "");
    let repository = repository(&reference, push_scope());
    let subject = BlobDigest(Digest::of(b"image"));
    let digest = BlobDigest(Digest::of(b"said"));
    let manifest = Descriptor::new(media_type::OCI_MANIFEST, digest, 4);
    let referrer = Referrer {
        subject,
        manifest: &manifest,
        artifact_type: "a/b",
    };
    let referred = repository.refer(referrer);
    assert_eq!(referred.is_ok(), works, "{referred:?}");
    let hex = subject.0.hex();
    let mut requests = server.requests();
    requests.retain(|request| !request.ends_with("/v2/"));
    let requests: Vec<String> = requests
        .iter()
        .map(|request| request.replace(&hex, "HEX"))
        .collect();
    assert_eq!(requests, expected);
}

const ASKED: &str = "GET /v2/a/b/referrers/sha256:HEX";
const LIST: &str = "GET /v2/a/b/manifests/sha256-HEX";
const LISTED: &str = "PUT /v2/a/b/manifests/sha256-HEX";

#[test]
fn a_registry_with_referrers_needs_nothing_more() {
    check(|_| Reply::new(200, "{}"), &[ASKED], true);
}

#[test]
fn for_one_without_the_list_is_kept_under_a_tag() {
    let made = |seen: &Seen| match &seen.method[..] {
        "PUT" => Reply::new(201, ""),
        _ => Reply::new(404, ""),
    };
    check(made, &[ASKED, LIST, LISTED], true);
    let known = |seen: &Seen| match seen.path.contains("/referrers/") {
        true => Reply::new(404, ""),
        false => {
            let digest = BlobDigest(Digest::of(b"said"));
            Reply::new(200, format!(r#"{{"manifests":[{{"digest":"{digest}"}}]}}"#))
        }
    };
    check(known, &[ASKED, LIST], true);
}

#[test]
fn a_list_that_is_none_is_not_replaced() {
    let wrong = |seen: &Seen| match seen.path.contains("/referrers/") {
        true => Reply::new(404, ""),
        false => Reply::new(200, "<html>"),
    };
    check(wrong, &[ASKED, LIST], false);
    let refused = |seen: &Seen| match seen.path.contains("/referrers/") {
        true => Reply::new(404, ""),
        false => Reply::new(403, ""),
    };
    check(refused, &[ASKED, LIST], false);
}
