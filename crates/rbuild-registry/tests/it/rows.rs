//! store.md, faults 25 to 32: each row against a registry that does everything else right, both
//! ways. What a single answer leads to is in `faults.rs` and `tokens.rs`.

use std::io::Read;

use rbuild_oci::media_type;
use rbuild_registry::Scope;
use rbuild_testkit::fault_registry::{Access, Deed, Fault, FaultRegistry};

use crate::{amd64, blob, chain, manifest_of, push_scope, reference, repository};

const CONFIG: &[u8] = b"{}";

/// More than a client sends at once.
fn layer() -> Vec<u8> {
    (0u32..100_000).flat_map(u32::to_le_bytes).collect()
}

fn registry(access: Access, faults: &[Fault]) -> FaultRegistry {
    FaultRegistry::start(access, faults.to_vec())
}

/// Pulls manifest, configuration and layer.
fn pull(registry: &FaultRegistry) -> Result<(), String> {
    let layer = layer();
    registry.add_blob("a/b", CONFIG);
    registry.add_blob("a/b", &layer);
    let text = manifest_of(CONFIG, &layer);
    registry.add_manifest(("a/b", "1"), media_type::OCI_MANIFEST, &text);
    let name = reference(&registry.address(), ":1");
    let repository = repository(&name, Scope::Pull);
    let found = repository.resolve(&name, &amd64());
    let manifest = found.map_err(|error| chain(&error))?.manifest;
    let config = repository.config(&manifest);
    assert_eq!(config.map_err(|error| chain(&error))?.as_bytes(), CONFIG);
    let mut bytes = Vec::new();
    let mut reader = repository
        .blob(&manifest.layers[0])
        .map_err(|error| chain(&error))?;
    reader
        .read_to_end(&mut bytes)
        .map_err(|error| chain(&error))?;
    assert!(bytes == layer);
    Ok(())
}

/// Pushes the same.
fn push(registry: &FaultRegistry) -> Result<(), String> {
    push_blobs(registry, &[CONFIG.to_vec(), layer()])?;
    let name = reference(&registry.address(), ":1");
    let repository = repository(&name, push_scope());
    let text = manifest_of(CONFIG, &layer());
    let pushed = repository.push_manifest(Some("1"), media_type::OCI_MANIFEST, &text);
    pushed.map_err(|error| chain(&error)).map(drop)
}

fn push_layer(registry: &FaultRegistry) -> Result<(), String> {
    push_blobs(registry, &[layer()])
}

fn push_blobs(registry: &FaultRegistry, blobs: &[Vec<u8>]) -> Result<(), String> {
    let repository = repository(&reference(&registry.address(), ":1"), push_scope());
    for bytes in blobs {
        repository
            .push_blob(&blob(bytes), &mut || {
                Ok(Box::new(std::io::Cursor::new(bytes.clone())))
            })
            .map_err(|error| chain(&error))?;
        let stored = registry.blob("a/b", &blob(bytes).digest.to_string());
        assert!(stored.is_some_and(|stored| stored == *bytes));
    }
    Ok(())
}

type Way = fn(&FaultRegistry) -> Result<(), String>;

/// The way leads to its end in spite of the faults.
#[track_caller]
fn survives(way: Way, access: Access, faults: &[Fault]) -> FaultRegistry {
    let registry = registry(access, faults);
    let answer = way(&registry);
    assert_eq!(answer, Ok(()), "{faults:?}: {:?}", registry.requests());
    registry
}

/// The way ends with an error that says `why`, after a bounded number of requests.
#[track_caller]
fn ends(way: Way, faults: &[Fault], why: &str) {
    let registry = registry(Access::Open, faults);
    let error = way(&registry).expect_err("it cannot succeed");
    assert!(error.contains(why), "{faults:?}: {error}");
    let count = registry.requests().len();
    assert!(count < 40, "{count} requests");
}

/// What is in the path of the layer.
const BLOBS: &str = "/blobs/sha256";
const UPLOADS: &str = "/blobs/uploads/";

#[test]
fn fault_25_a_pull_that_is_cut_goes_on_where_it_was() {
    let path = format!("blobs/{}", blob(&layer()).digest);
    let cut = |bytes| Fault::once("GET", path.as_str(), Deed::Cut(bytes));
    let cuts = [cut(1), cut(300_000)];
    let registry = survives(pull, Access::Open, &cuts);
    let seen = registry.server.seen();
    let ranges: Vec<_> = seen
        .iter()
        .filter_map(|seen| seen.headers.get("range"))
        .collect();
    assert_eq!(ranges, ["bytes=1-", "bytes=300001-"]);
    let always = [Fault::always("GET", BLOBS, Deed::Cut(0))];
    ends(pull, &always, "lost the connection");
}

#[test]
fn fault_25_a_push_that_is_cut_goes_on_where_the_registry_is() {
    let cut = |bytes| Fault::once("PUT", UPLOADS, Deed::CutUpload(bytes));
    let ranges = |registry: &FaultRegistry| -> Vec<(String, usize)> {
        let seen = registry.server.seen().into_iter();
        let patches = seen.filter(|seen| seen.method == "PATCH");
        patches
            .map(|seen| (seen.headers["content-range"].clone(), seen.body.len()))
            .collect()
    };
    // Of the configuration the registry has one byte, which it says like none: that is sent again.
    let once = [
        cut(1),
        Fault::once("PUT", "uploads/2", Deed::CutUpload(100_000)),
    ];
    let registry = survives(push, Access::Open, &once);
    assert_eq!(ranges(&registry), [("100000-399999".to_owned(), 300_000)]);
    let twice = [
        cut(100_000),
        Fault::once("PATCH", UPLOADS, Deed::CutUpload(50_000)),
    ];
    let registry = survives(push_layer, Access::Open, &twice);
    assert_eq!(
        ranges(&registry),
        [
            ("100000-399999".to_owned(), 50_000),
            ("150000-399999".to_owned(), 250_000)
        ]
    );
    ends(
        push,
        &[
            Fault::always("PUT", UPLOADS, Deed::CutUpload(0)),
            Fault::always("PATCH", UPLOADS, Deed::CutUpload(0)),
        ],
        "cannot P",
    );
}

#[test]
fn fault_25_an_upload_that_is_forgotten_begins_again() {
    let not_found = || Deed::Answer(404, Vec::new());
    let cut = Fault::once("PUT", "uploads/0", Deed::CutUpload(1));
    let gone = Fault::always("GET", UPLOADS, not_found());
    let registry = survives(push, Access::Open, &[cut, gone]);
    let posts = registry.requests();
    let posts = posts.iter().filter(|it| it.starts_with("POST")).count();
    assert_eq!(posts, 3);
}

#[test]
fn fault_25_an_answer_that_is_lost_is_not_missed() {
    survives(
        push,
        Access::Open,
        &[Fault::once("PUT", UPLOADS, Deed::Forget)],
    );
    survives(
        push,
        Access::Open,
        &[Fault::once("PUT", "/manifests/", Deed::Forget)],
    );
    survives(
        push,
        Access::Open,
        &[Fault::once("POST", UPLOADS, Deed::Forget)],
    );
    survives(
        push,
        Access::Open,
        &[Fault::once("HEAD", BLOBS, Deed::Forget)],
    );
    survives(
        pull,
        Access::Open,
        &[Fault::once("GET", "/manifests/", Deed::Forget)],
    );
}

#[test]
fn fault_26_a_busy_registry_is_waited_for_but_not_forever() {
    for status in [429, 500, 502, 503, 504] {
        let busy = |method, path| {
            let later = vec![("Retry-After", "0".to_owned())];
            Fault::once(method, path, Deed::Answer(status, later))
        };
        survives(
            pull,
            Access::Open,
            &[busy("GET", BLOBS), busy("GET", "/manifests/")],
        );
        let steps = [
            busy("HEAD", BLOBS),
            busy("POST", UPLOADS),
            busy("PUT", UPLOADS),
            busy("PUT", "/manifests/"),
        ];
        survives(push, Access::Open, &steps);
        let down = |method, path| Fault::always(method, path, Deed::Answer(status, Vec::new()));
        let why = format!("status {status}");
        ends(pull, &[down("GET", BLOBS)], &why);
        ends(push, &[down("PUT", UPLOADS)], &why);
    }
    let tomorrow = vec![("Retry-After", "86400".to_owned())];
    let put = Deed::Answer(503, tomorrow.clone());
    ends(push, &[Fault::once("PUT", UPLOADS, put)], "status 503");
    ends(
        pull,
        &[Fault::always("GET", BLOBS, Deed::Answer(429, tomorrow))],
        "status 429",
    );
}

#[test]
fn fault_27_what_is_not_the_blob_is_refused() {
    let blob = |deed| [Fault::always("GET", BLOBS, deed)];
    ends(
        pull,
        &blob(Deed::Body(b"[]".to_vec())),
        "should have digest",
    );
    ends(pull, &blob(Deed::Body(b"{".to_vec())), "should have digest");
    ends(
        pull,
        &blob(Deed::Body(b"{}{".to_vec())),
        "more than 2 bytes",
    );
    ends(pull, &blob(Deed::Endless), "more than 2 bytes");
    let manifest = [Fault::always("GET", "/manifests/", Deed::Endless)];
    ends(pull, &manifest, "more than 4194304 bytes");
    let announced = |size: &str| blob(Deed::Header("Content-Length", size.to_owned()));
    ends(pull, &announced("1"), "lost the connection");
    // What counts is what came: the manifest says how much that must be.
    survives(pull, Access::Open, &announced("1000000"));
}

#[test]
fn fault_28_what_stalls_or_drips_is_given_up() {
    ends(
        pull,
        &[Fault::always("GET", BLOBS, Deed::Stall)],
        "lost the connection",
    );
    ends(
        pull,
        &[Fault::always("GET", "/manifests/", Deed::Drip)],
        "cannot GET",
    );
    survives(
        pull,
        Access::Open,
        &[
            Fault::once("GET", BLOBS, Deed::Stall),
            Fault::once("GET", "/manifests/", Deed::Drip),
        ],
    );
    survives(
        push,
        Access::Open,
        &[Fault::once("PUT", UPLOADS, Deed::Drip)],
    );
}

#[test]
fn fault_29_a_token_that_expires_is_replaced_wherever_that_is() {
    let expire = |method, path| Fault::once(method, path, Deed::Expire);
    let pulled = [
        expire("GET", "/manifests/"),
        Fault::once("GET", BLOBS, Deed::Cut(1)),
        expire("GET", BLOBS),
    ];
    survives(pull, Access::Tokens, &pulled);
    let pushed = [
        expire("HEAD", BLOBS),
        expire("POST", UPLOADS),
        expire("PUT", UPLOADS),
        expire("PUT", "/manifests/"),
    ];
    survives(push, Access::Tokens, &pushed);
    let in_pieces = [
        Fault::once("PUT", "uploads/1", Deed::CutUpload(1000)),
        expire("GET", UPLOADS),
        expire("PATCH", UPLOADS),
    ];
    let registry = survives(push, Access::Tokens, &in_pieces);
    let patches = registry.server.seen();
    let last = patches.iter().rfind(|seen| seen.method == "PATCH").unwrap();
    assert_eq!(last.headers["content-range"], "1000-399999");
}

#[test]
fn fault_30_redirects_are_followed_by_our_rule() {
    let to = |place: &str| Deed::Answer(307, vec![("Location", place.to_owned())]);
    let blob = |place| [Fault::always("GET", BLOBS, to(place))];
    ends(
        pull,
        &blob("/v2/a/b/blobs/sha256:loop"),
        "one redirect too many",
    );
    ends(
        pull,
        &blob("file:///etc/passwd"),
        "only http and https are followed",
    );
    ends(pull, &blob("http://elsewhere.invalid/x"), "not encrypted");
    let upload = |place: &str| {
        let begun = Deed::Answer(202, vec![("Location", place.to_owned())]);
        [Fault::always("POST", UPLOADS, begun)]
    };
    ends(
        push,
        &upload("file:///etc/passwd"),
        "only http and https are followed",
    );
    ends(push, &upload("http://elsewhere.invalid/x"), "not encrypted");
    let nowhere = Deed::Answer(202, Vec::new());
    ends(
        push,
        &[Fault::always("POST", UPLOADS, nowhere)],
        "no place to upload to",
    );
}

#[test]
fn fault_31_garbage_ends_with_an_error() {
    let challenge = |value: &str| {
        let headers = vec![("WWW-Authenticate", value.to_owned())];
        Deed::Answer(401, headers)
    };
    for deed in [
        Deed::Garbage(b"\x00\xff\x80 nothing\r\n\r\n".to_vec()),
        Deed::Garbage(b"HTTP/1.1 99999 X\r\n\r\n".to_vec()),
        Deed::Garbage(b"HTTP/1.1 200 X\r\nContent-Length: -1\r\n\r\n".to_vec()),
        Deed::Garbage([b"HTTP/1.1 200 X\r\nA: ", "x".repeat(1 << 20).as_bytes()].concat()),
        Deed::Garbage(Vec::new()),
        challenge(""),
        challenge("Bearer"),
        challenge("Bearer realm=\""),
        challenge(&"Bearer realm=\"x\",".repeat(10_000)),
        challenge("Bearer realm=\"http://[::1/\""),
        challenge(&format!(
            "Bearer realm=\"https://{}.invalid/\"",
            "x".repeat(5000)
        )),
        Deed::Answer(200, Vec::new()),
        Deed::Answer(302, Vec::new()),
        Deed::Answer(101, Vec::new()),
    ] {
        ends(pull, &[Fault::always("", "/a/b/", deed.clone())], "");
        ends(push, &[Fault::always("", "/a/b/blobs/up", deed)], "");
    }
}

#[test]
fn fault_32_a_manifest_that_contradicts_itself_is_refused() {
    let lie = format!("sha256:{}", "0".repeat(64));
    let header = Deed::Header("Docker-Content-Digest", lie.clone());
    ends(
        pull,
        &[Fault::always("GET", "/manifests/", header.clone())],
        "should have digest",
    );
    ends(
        push,
        &[Fault::always("PUT", "/manifests/", header)],
        "should have digest",
    );
    let other = manifest_of(b"other", b"bytes");
    let body = Deed::Body(other.into_bytes());
    ends(
        pull,
        &[Fault::always("GET", "/manifests/", body)],
        "should have digest",
    );
}

#[test]
fn a_registry_that_takes_only_so_much_at_once_gets_pieces() {
    let too_large = Fault::once("PUT", "uploads/1", Deed::Answer(413, Vec::new()));
    let registry = survives(push, Access::Open, &[too_large]);
    let patches = registry.server.seen();
    let patches: Vec<_> = patches.iter().filter(|it| it.method == "PATCH").collect();
    assert_eq!(patches.len(), 1);
    assert_eq!(patches[0].headers["content-range"], "0-399999");
}

#[test]
fn a_blob_of_another_repository_is_mounted_or_else_uploaded() {
    let mounting = |faults: &[Fault]| {
        let registry = registry(Access::Tokens, faults);
        let bytes = layer();
        registry.add_blob("other/x", &bytes);
        let name = reference(&registry.address(), ":1");
        let mounts = [(blob(&bytes).digest, "other/x".to_owned())].into();
        let repository = repository(&name, Scope::Push { mounts });
        let push = repository.push_blob(&blob(&bytes), &mut || {
            Ok(Box::new(std::io::Cursor::new(bytes.clone())))
        });
        push.unwrap();
        let stored = registry.blob("a/b", &blob(&bytes).digest.to_string());
        assert!(stored.is_some_and(|stored| stored == bytes));
        registry.requests()
    };
    let steps = |requests: Vec<String>| {
        let requests = requests.iter().filter(|it| !it.contains("/token"));
        requests
            .map(|it| it.split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let requests = mounting(&[]);
    let scope = "scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository%3Aother%2Fx%3Apull";
    assert!(requests[1].ends_with(scope), "{requests:?}");
    assert_eq!(steps(requests), "HEAD HEAD POST");
    let refuse = |status| Fault::once("POST", "mount=", Deed::Answer(status, Vec::new()));
    assert_eq!(steps(mounting(&[refuse(403)])), "HEAD HEAD POST POST PUT");
    let begun = vec![("Location", "/v2/a/b/blobs/uploads/7".to_owned())];
    let begun = Fault::once("POST", "mount=", Deed::Answer(202, begun));
    assert_eq!(
        steps(mounting(&[begun])),
        "HEAD HEAD POST PUT HEAD POST PUT",
        "upload 7 is not known"
    );
    let closed = Fault::once("GET", "other%2Fx", Deed::Answer(403, Vec::new()));
    assert_eq!(steps(mounting(&[closed])), "HEAD HEAD POST");
}

#[test]
fn threads_share_one_token() {
    let registry = registry(Access::Tokens, &[]);
    let blobs: Vec<Vec<u8>> = (0..8u8).map(|byte| vec![byte; 1000]).collect();
    let repository = repository(&reference(&registry.address(), ":1"), push_scope());
    std::thread::scope(|scope| {
        for bytes in &blobs {
            let push = || {
                repository.push_blob(&blob(bytes), &mut || {
                    Ok(Box::new(std::io::Cursor::new(bytes.clone())))
                })
            };
            scope.spawn(move || push().unwrap());
        }
    });
    let requests = registry.requests();
    let tokens = requests.iter().filter(|it| it.contains("/token"));
    assert_eq!(tokens.count(), 1);
}
