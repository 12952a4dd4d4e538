//! Downloads from a server that has its moods.

use std::{
    io::{Read, Seek},
    time::Duration,
};

use rbuild_http::{Backoff, Client, Settings, Url};
use rbuild_oci::Digest;
use rbuild_testkit::http::{Ending, Reply, Server};

use super::{Download, Downloaded, RemoteFile, download, file_name};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn server() -> Server {
    Server::start(|seen| match (seen.path.as_str(), seen.before) {
        ("/tagged", _)
            if seen
                .headers
                .get("if-none-match")
                .is_some_and(|tag| tag == "\"1\"") =>
        {
            Reply::new(304, "")
        }
        ("/tagged", _) => Reply::new(200, "tagged").header("ETag", "\"1\""),
        ("/dated", _)
            if seen
                .headers
                .get("if-modified-since")
                .is_some_and(|date| date == DATE) =>
        {
            Reply::new(304, "")
        }
        ("/dated", _) => Reply::new(200, "dated").header("Last-Modified", DATE),
        ("/moved", _) => Reply::new(302, "").header("Location", "/plain?x"),
        ("/cut", 0) => Reply::new(200, "whole").ending(Ending::Cut(2)),
        ("/cut", _) => Reply::new(200, "whole"),
        ("/always-cut", _) => Reply::new(200, "whole").ending(Ending::Cut(2)),
        ("/endless", _) => Reply::new(200, "x".repeat(1 << 16)).ending(Ending::Endless),
        ("/304", _) => Reply::new(304, ""),
        ("/gone", _) => Reply::new(404, "gone"),
        ("/private", _) => match seen.headers.get("authorization") {
            Some(header) if header == "Bearer token" => Reply::new(200, "private"),
            _ => Reply::new(401, ""),
        },
        _ => Reply::new(200, "plain"),
    })
}

fn client() -> Client {
    Client::new(Settings {
        backoff: Backoff {
            attempts: 3,
            first: Duration::from_millis(1),
        },
        ..Settings::default()
    })
}

fn wanted(url: &Url) -> Download<'_> {
    Download {
        url,
        known: None,
        checksum: None,
        authorization: None,
        size_limit: 1 << 20,
    }
}

/// What is fetched, or the error with the server's address left out.
fn fetched(server: &Server, wanted: &Download<'_>) -> String {
    let mut file = tempfile::tempfile().unwrap();
    match download(&client(), wanted, &mut file) {
        Ok(Downloaded::Unchanged) => "unchanged".to_owned(),
        Ok(Downloaded::New(remote)) => {
            let mut text = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(remote.digest, Digest::of(text.as_bytes()));
            assert_eq!(remote.size, text.len() as u64);
            assert_eq!(RemoteFile::load(&remote.store()), Some(remote.clone()));
            match remote.modified {
                Some(seconds) => format!("{text} of {seconds}"),
                None => text,
            }
        }
        Err(error) => error.to_string().replace(&server.url(""), ""),
    }
}

#[test]
fn answers_are_stored_and_others_are_errors() {
    let server = server();
    let check = |path: &str, expected: &str| {
        let url: Url = server.url(path).parse().unwrap();
        assert_eq!(fetched(&server, &wanted(&url)), expected);
    };
    check("/plain", "plain");
    check("/dated", "dated of 784111777");
    check("/moved", "plain");
    check("/cut", "whole");
    check("/always-cut", "cannot fetch all of `/always-cut`");
    check(
        "/gone",
        "cannot fetch `/gone`: the server answers with status 404",
    );
    check(
        "/304",
        "cannot fetch `/304`: the server answers with status 304",
    );
    check(
        "/endless",
        "`/endless` exceeds the limit `size` of 1048576 bytes",
    );
}

#[test]
fn what_is_known_is_not_sent_again() {
    let server = server();
    for path in ["/tagged", "/dated"] {
        let url: Url = server.url(path).parse().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        let known = match download(&client(), &wanted(&url), &mut file).unwrap() {
            Downloaded::New(known) => RemoteFile::load(&known.store()).unwrap(),
            Downloaded::Unchanged => unreachable!("nothing was known"),
        };
        let again = Download {
            known: Some(&known),
            ..wanted(&url)
        };
        assert_eq!(fetched(&server, &again), "unchanged");
        let other = Download {
            checksum: Some(Digest::of(b"other")),
            ..again
        };
        assert!(fetched(&server, &other).contains("has the digest"));
    }
}

#[test]
fn a_checksum_is_verified() {
    let server = server();
    let url: Url = server.url("/plain").parse().unwrap();
    let check = |content: &[u8]| {
        let wanted = Download {
            checksum: Some(Digest::of(content)),
            ..wanted(&url)
        };
        fetched(&server, &wanted)
    };
    assert_eq!(check(b"plain"), "plain");
    assert!(check(b"other").starts_with("`/plain` has the digest sha256:"));
}

#[test]
fn secrets_go_to_their_origin_x4() {
    let server = server();
    let url: Url = server.url("/private").parse().unwrap();
    let with = |authorization| Download {
        authorization,
        ..wanted(&url)
    };
    assert_eq!(fetched(&server, &with(Some("Bearer token"))), "private");
    let refused = fetched(&server, &with(Some("Bearer other")));
    assert!(refused.ends_with("status 401") && !refused.contains("other"));
}

#[test]
fn names_come_from_the_path_x3_t36() {
    let check = |url: &str, expected: Option<&str>| {
        assert_eq!(
            file_name(&url.parse().unwrap()).as_deref(),
            expected,
            "{url}"
        );
    };
    check("https://h/a/b.tar.gz?x=/y", Some("b.tar.gz"));
    check("https://h/a/b/", Some("b"));
    check("https://h/a%20b", Some("a b"));
    check("https://h/x%2Fy", Some("y"));
    check("https://h/", None);
    check("https://h", None);
    check("https://h/a/..", None);
    check("https://h/a/%2e%2E", None);
    check("https://h/%00", None);
}

#[test]
fn what_is_not_remembered_by_us_is_not_read() {
    for bytes in [&b""[..], b"rbuild remote 1\nsha256:x\n1\n\n\n", b"\xff"] {
        assert_eq!(RemoteFile::load(bytes), None);
    }
}
