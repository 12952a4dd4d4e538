//! The registry breaks off, repeats, lies: what a single answer leads to.

use std::io::Read;

use rbuild_oci::ManifestError;
use rbuild_registry::Error;

use crate::{amd64, blob, fetch, fine, is_probe, manifest_of, pull_from, reference};
use rbuild_testkit::http::{Ending, Reply, Seen, Server};

const BYTES: &[u8] = b"0123456789";

/// A registry with one blob, which `answer` serves.
fn with_blob(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |seen| {
        if is_probe(seen) {
            return fine();
        }
        answer(seen)
    })
}

#[test]
fn a_cut_blob_is_resumed_where_it_was_cut_fault_25() {
    let server = with_blob(|seen| match seen.headers.get("range").map(String::as_str) {
        None => Reply::new(200, BYTES).ending(Ending::Cut(4)),
        Some("bytes=4-") => Reply::new(206, &BYTES[4..])
            .header("Content-Range", "bytes 4-9/10")
            .ending(Ending::Cut(3)),
        Some("bytes=7-") => Reply::new(206, &BYTES[7..]).header("Content-Range", "bytes 7-9/10"),
        Some(_) => Reply::new(416, ""),
    });
    assert_eq!(fetch(&server, &blob(BYTES)).unwrap(), BYTES);
}

#[test]
fn a_server_without_ranges_is_read_again_fault_25() {
    let server = with_blob(|seen| match seen.before {
        0 => Reply::new(200, BYTES).ending(Ending::Cut(4)),
        _ => Reply::new(200, BYTES),
    });
    assert_eq!(fetch(&server, &blob(BYTES)).unwrap(), BYTES);
}

#[test]
fn a_wrong_range_is_not_used_fault_25() {
    for range in ["bytes 0-9/10", "bytes 5-9/10", "4-9", ""] {
        let server = with_blob(move |seen| match seen.headers.get("range") {
            None if seen.before == 0 => Reply::new(200, BYTES).ending(Ending::Cut(4)),
            None => Reply::new(200, BYTES),
            Some(_) => Reply::new(206, BYTES).header("Content-Range", range),
        });
        assert_eq!(fetch(&server, &blob(BYTES)).unwrap(), BYTES, "{range}");
    }
    let server = with_blob(|seen| match (seen.headers.get("range"), seen.before) {
        (None, 0) => Reply::new(200, BYTES).ending(Ending::Cut(4)),
        (None, _) => Reply::new(200, BYTES),
        (Some(_), _) => Reply::new(416, ""),
    });
    assert_eq!(fetch(&server, &blob(BYTES)).unwrap(), BYTES);
}

#[test]
fn another_blob_after_a_cut_is_noticed_fault_25() {
    let server = with_blob(|seen| match seen.headers.get("range") {
        None => Reply::new(200, BYTES).ending(Ending::Cut(4)),
        Some(_) => Reply::new(206, "abcdef").header("Content-Range", "bytes 4-9/10"),
    });
    let error = fetch(&server, &blob(BYTES)).unwrap_err();
    assert!(error.contains("should have digest"), "{error}");
}

#[test]
fn wrong_short_and_endless_bodies_are_refused_fault_27() {
    let check = |ending: fn() -> Ending, served: &'static [u8], expected: &str| {
        let server = with_blob(move |_| Reply::new(200, served).ending(ending()));
        let error = fetch(&server, &blob(BYTES)).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    check(|| Ending::Complete, b"9876543210", "should have digest");
    check(|| Ending::Complete, b"01234", "unexpected end of file");
    check(|| Ending::Complete, b"0123456789A", "more than 10 bytes");
    check(|| Ending::Endless, b"0123456789", "more than 10 bytes");
}

#[test]
fn a_refusal_says_what_the_registry_says() {
    let body = r#"{"errors":[{"code":"DENIED","message":"no\nway"}]}"#;
    let server = with_blob(move |_| Reply::new(403, body));
    let error = fetch(&server, &blob(BYTES)).unwrap_err();
    assert!(error.ends_with("with status 403: DENIED no way"), "{error}");
}

/// What resolving a reference leads to, when `text` is served with `headers`.
fn resolve(text: &str, headers: &[(&'static str, &str)], rest: &str) -> Result<usize, Error> {
    let text = text.to_owned();
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    let server = with_blob(move |_| {
        let reply = Reply::new(200, text.clone());
        let add = |reply: Reply, (name, value): &(&'static str, String)| {
            reply.header(name, value.clone())
        };
        headers.iter().fold(reply, add)
    });
    let reference = reference(&server.address.to_string(), rest);
    pull_from(&server)
        .resolve(&reference, &amd64())
        .map(|found| found.manifest.layers.len())
}

#[test]
fn a_manifest_is_what_its_digests_say_fault_32() {
    let text = manifest_of(b"config", b"layer");
    let own = blob(text.as_bytes()).digest.to_string();
    let other = blob(b"x").digest.to_string();
    assert!(matches!(resolve(&text, &[], ":tag"), Ok(1)));
    assert!(matches!(resolve(&text, &[], &format!("@{own}")), Ok(1)));
    let lie = [("Docker-Content-Digest", other.as_str())];
    assert!(matches!(
        resolve(&text, &lie, ":tag"),
        Err(Error::Digest { .. })
    ));
    let swapped = resolve(&text, &[], &format!("@{other}"));
    assert!(matches!(swapped, Err(Error::Digest { .. })));
}

#[test]
fn an_ambiguous_manifest_is_refused_fault_32() {
    let text = manifest_of(b"config", b"layer");
    let both = text.replace("\"layers\"", "\"manifests\":[],\"layers\"");
    let foreign = text.replace("layer.v1.tar", "layer.nondistributable.v1.tar");
    let index = rbuild_oci::media_type::OCI_INDEX;
    let claims = text.replace(rbuild_oci::media_type::OCI_MANIFEST, index);
    for bad in [both.as_str(), &foreign, &claims, "{}", "[", "\u{feff}"] {
        let answer = resolve(bad, &[], ":tag");
        assert!(matches!(answer, Err(Error::Manifest { .. })), "{answer:?}");
    }
    let answer = resolve(&text, &[("Content-Type", index)], ":tag");
    assert!(matches!(answer, Err(Error::Manifest { .. })), "{answer:?}");
    let long = " ".repeat((4 << 20) + 1);
    assert!(matches!(
        resolve(&long, &[], ":tag"),
        Err(Error::TooLarge { .. })
    ));
}

#[test]
fn an_index_leads_to_the_wanted_platform_or_nowhere() {
    let manifest = manifest_of(b"config", b"layer");
    let entry = |arch: &str| {
        let blob = blob(manifest.as_bytes());
        let (kind, digest, size) = (rbuild_oci::media_type::OCI_MANIFEST, blob.digest, blob.size);
        format!(
            r#"{{"mediaType":"{kind}","digest":"{digest}","size":{size},"platform":{{"os":"linux","architecture":"{arch}"}}}}"#
        )
    };
    let index = |arches: &[&str]| {
        let entries: Vec<String> = arches.iter().map(|arch| entry(arch)).collect();
        format!(
            r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
            entries.join(",")
        )
    };
    let ask = |index: String| {
        let manifest = manifest.clone();
        let server = with_blob(move |seen| match seen.path.as_str() {
            "/v2/a/b/manifests/latest" => Reply::new(200, index.clone()),
            _ => Reply::new(200, manifest.clone()),
        });
        let reference = reference(&server.address.to_string(), "");
        pull_from(&server).resolve(&reference, &amd64())
    };
    let found = ask(index(&["arm64", "amd64"])).unwrap();
    assert_eq!(found.manifest.text, manifest);
    let own =
        [manifest.clone(), index(&["arm64", "amd64"])].map(|text| blob(text.as_bytes()).digest);
    assert_eq!(found.digests, own);
    match ask(index(&["s390x", "arm64"])) {
        Err(Error::Manifest {
            source: ManifestError::Platform { available, .. },
            ..
        }) => assert_eq!(available, "linux/arm64, linux/s390x"),
        other => unreachable!("{other:?}"),
    }
}

/// Fetches bytes 3 to 5 of [`BYTES`].
fn fetch_part(server: &Server) -> Result<Vec<u8>, Error> {
    let repository = pull_from(server);
    let mut bytes = Vec::new();
    let mut part = repository.blob_part(&blob(BYTES), 3..6)?;
    part.read_to_end(&mut bytes).unwrap();
    Ok(bytes)
}

#[test]
fn a_part_of_a_blob_is_no_more_than_was_asked_for() {
    let right = |seen: &Seen| match seen.headers.get("range").map(String::as_str) {
        Some("bytes=3-5") => Reply::new(206, &BYTES[3..]).header("Content-Range", "bytes 3-9/10"),
        _ => Reply::new(500, ""),
    };
    assert_eq!(fetch_part(&with_blob(right)).unwrap(), b"345");
    let cut = |seen: &Seen| match seen.headers.get("range").map(String::as_str) {
        Some("bytes=3-5") => Reply::new(206, &BYTES[3..6])
            .header("Content-Range", "bytes 3-5/10")
            .ending(Ending::Cut(1)),
        Some("bytes=4-5") => Reply::new(206, &BYTES[4..6]).header("Content-Range", "bytes 4-5/10"),
        _ => Reply::new(500, ""),
    };
    assert_eq!(fetch_part(&with_blob(cut)).unwrap(), b"345");
}

#[test]
fn a_server_that_sends_all_instead_of_a_part_is_not_read() {
    for status in [200, 206, 416] {
        let error = fetch_part(&with_blob(move |_| Reply::new(status, BYTES))).unwrap_err();
        assert!(
            matches!(error, Error::Indivisible { .. }),
            "{status}: {error}"
        );
    }
}
