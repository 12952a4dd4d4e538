//! Tokens that expire, realms that lie, redirects that would leak them.

use crate::{blob, fetch, fine, is_probe};
use rbuild_testkit::http::{Ending, Reply, Seen, Server};

const BYTES: &[u8] = b"0123456789";

/// A registry that wants a token; the realm gives `T0`, `T1`… and only `accept`ed ones work.
fn with_tokens(
    accept: impl Fn(&str) -> bool + Send + Sync + 'static,
    serve: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
) -> Server {
    Server::start(move |seen| {
        if is_probe(seen) {
            return fine();
        }
        if seen.path.starts_with("/token") {
            return Reply::new(200, format!(r#"{{"token":"T{}"}}"#, seen.before));
        }
        let token = seen.headers.get("authorization").map_or("", String::as_str);
        if !accept(token) {
            let realm = format!(
                "Bearer realm=\"http://{}/token\",service=\"s\"",
                seen.headers["host"]
            );
            return Reply::new(401, "").header("WWW-Authenticate", realm);
        }
        serve(seen)
    })
}

fn token_requests(server: &Server) -> Vec<String> {
    let mut requests = server.requests();
    requests.retain(|request| request.contains("/token"));
    requests
}

#[test]
fn a_token_is_fetched_when_asked_for() {
    let server = with_tokens(|token| token == "Bearer T0", |_| Reply::new(200, BYTES));
    assert_eq!(fetch(&server, &blob(BYTES)).unwrap(), BYTES);
    assert_eq!(
        token_requests(&server),
        ["GET /token?service=s&scope=repository%3Aa%2Fb%3Apull"]
    );
}

#[test]
fn a_token_that_expires_in_the_middle_is_replaced_fault_29() {
    let uses = std::sync::atomic::AtomicU32::new(0);
    let server = with_tokens(
        move |token| match token {
            // Good for one request.
            "Bearer T0" => uses.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0,
            token => token == "Bearer T1",
        },
        |seen| match seen.headers.get("range") {
            None => Reply::new(200, BYTES).ending(Ending::Cut(4)),
            Some(_) => Reply::new(206, &BYTES[4..]).header("Content-Range", "bytes 4-9/10"),
        },
    );
    assert_eq!(fetch(&server, &blob(BYTES)).unwrap(), BYTES);
    assert_eq!(token_requests(&server).len(), 2);
}

#[test]
fn a_refused_token_is_replaced_once_only_fault_29() {
    let server = with_tokens(|_| false, |_| fine());
    let error = fetch(&server, &blob(BYTES)).unwrap_err();
    assert!(error.contains("status 401"), "{error}");
    assert_eq!(token_requests(&server).len(), 1);
}

#[test]
fn a_token_stays_with_its_registry_fault_30() {
    let cdn = Server::start(|seen| {
        assert!(!seen.headers.contains_key("authorization"), "leaked");
        Reply::new(200, BYTES)
    });
    let target = cdn.url("/data");
    let server = with_tokens(
        |token| token == "Bearer T0",
        move |_| Reply::new(307, "").header("Location", target.clone()),
    );
    assert_eq!(fetch(&server, &blob(BYTES)).unwrap(), BYTES);
}

#[test]
fn bad_realms_and_loops_are_refused_faults_30_31() {
    let check = |header: &str, expected: &str| {
        let header = header.to_owned();
        let server = Server::start(move |seen| match is_probe(seen) {
            true => fine(),
            false => Reply::new(401, "").header("WWW-Authenticate", header.clone()),
        });
        let error = fetch(&server, &blob(BYTES)).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    check(
        "Bearer realm=\"http://registry.invalid/t\"",
        "is not encrypted",
    );
    check("Bearer realm=\"file:///etc/passwd\"", "is not a URL");
    check("Digest realm=\"x\"", "neither token nor password");
    check(
        &format!("Bearer realm=\"{}\"", "x".repeat(20_000)),
        "neither token nor password",
    );
    let server = Server::start(|seen| match is_probe(seen) {
        true => fine(),
        false => Reply::new(302, "").header("Location", seen.path.clone()),
    });
    let error = fetch(&server, &blob(BYTES)).unwrap_err();
    assert!(error.contains("one redirect too many"), "{error}");
}
