//! Contexts of all kinds, honest and hostile.

use std::{fs, time::Duration};

use rbuild_context::{Git, GitRequest, GitSource, Shorthand};
use rbuild_http::{Backoff, Client, Settings, Url};
use rbuild_oci::Digest;
use rbuild_sys::Dir;
use rbuild_testkit::http::{Ending, Reply, Server};
use tar::EntryType::{Regular, Symlink};

use super::{ContextFetcher, FetchedContext};
use crate::fetch::{
    FetchError, Revision,
    samples::{compressed, packed},
};

fn client() -> Client {
    Client::new(Settings {
        backoff: Backoff {
            attempts: 2,
            first: Duration::from_millis(1),
        },
        ..Settings::default()
    })
}

/// The names in a context, or its Dockerfile in quotes, or the error.
fn found(fetched: Result<FetchedContext, FetchError>) -> String {
    match fetched {
        Ok(FetchedContext::Tree(tree)) => {
            let names = tree.entries().unwrap().into_iter();
            let names = names.map(|entry| String::from_utf8(entry.name).unwrap());
            names.collect::<Vec<_>>().join(" ")
        }
        Ok(FetchedContext::Dockerfile(text)) => format!("{:?}", String::from_utf8_lossy(&text)),
        Err(error) => error.to_string(),
    }
}

fn stream(bytes: &[u8]) -> String {
    let temp = tempfile::tempdir().unwrap();
    let into = Dir::open(temp.path()).unwrap();
    let (http, git) = (client(), Git::default());
    let fetcher = ContextFetcher {
        http: &http,
        git: &git,
        authorization: None,
    };
    found(fetcher.stream(&mut &bytes[..], "standard input", &into))
}

#[test]
fn a_stream_is_an_archive_or_a_dockerfile() {
    let archive = packed(&[(Regular, "Dockerfile", "FROM scratch"), (Regular, "f", "x")]);
    for (_, bytes) in compressed(&archive) {
        assert_eq!(stream(&bytes), "Dockerfile f");
    }
    assert_eq!(stream(b"FROM scratch\n"), "\"FROM scratch\\n\"");
    assert_eq!(stream("#".repeat(2_000).as_bytes()).len(), 2_002);
    assert_eq!(stream(&[0; 10_240]), "");
}

#[test]
fn what_is_neither_is_an_error() {
    let neither = "standard input is no build context";
    assert_eq!(stream(b""), format!("{neither}: it is empty"));
    assert_eq!(
        stream(b"\x7fELF\0"),
        format!("{neither}: it is neither an archive nor a text")
    );
    for (_, bytes) in &compressed(b"FROM scratch")[1..] {
        assert_eq!(
            stream(bytes),
            format!("{neither}: it is compressed, but no archive")
        );
    }
    let archive = packed(&[(Regular, "f", &"x".repeat(4_000))]);
    assert_eq!(stream(&archive[..2_000]), "cannot unpack standard input");
    for (_, bytes) in &compressed(&archive)[1..] {
        let cut = &bytes[..bytes.len() / 2];
        assert!(stream(cut).starts_with("cannot "), "{}", stream(cut));
    }
}

/// CVE-2020-10696, CVE-2026-28406, CVE-2026-44517.
#[test]
fn a_hostile_context_touches_nothing_else() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("canary"), "alive").unwrap();
    fs::create_dir(temp.path().join("into")).unwrap();
    let into = Dir::open(&temp.path().join("into")).unwrap();
    let (http, git) = (client(), Git::default());
    let fetcher = ContextFetcher {
        http: &http,
        git: &git,
        authorization: None,
    };
    let canary = temp.path().join("canary");
    let canary = canary.to_str().unwrap();
    let archive = packed(&[
        (Symlink, "Dockerfile", canary),
        (Symlink, "up", ".."),
        (Regular, "up/canary", "dead"),
    ]);
    assert_eq!(
        found(fetcher.stream(&mut &archive[..], "standard input", &into)),
        "Dockerfile canary up"
    );
    // The link leads nowhere inside of the context: the host's file is not read.
    assert!(into.resolve_file(b"Dockerfile").is_err());
    assert_eq!(fs::read(canary).unwrap(), b"alive");
    let archive = packed(&[(Regular, "../canary", "dead")]);
    assert_eq!(
        found(fetcher.stream(&mut &archive[..], "standard input", &into)),
        "cannot unpack standard input"
    );
    assert_eq!(fs::read(canary).unwrap(), b"alive");
}

#[test]
fn urls_are_fetched_and_understood_by_content() {
    let archive = packed(&[(Regular, "Dockerfile", "FROM scratch")]);
    let xz = compressed(&archive)[3].1.clone();
    let server = Server::start(move |seen| match (seen.path.as_str(), seen.before) {
        ("/ctx.zip", _) => Reply::new(200, xz.clone()),
        ("/cut", 0) => Reply::new(200, archive.clone()).ending(Ending::Cut(600)),
        ("/cut", _) => Reply::new(200, archive.clone()),
        ("/Dockerfile", _) => Reply::new(200, "FROM scratch"),
        _ => Reply::new(404, ""),
    });
    let (http, git) = (client(), Git::default());
    let fetcher = ContextFetcher {
        http: &http,
        git: &git,
        authorization: None,
    };
    let check = |path: &str, expected: &str| {
        let temp = tempfile::tempdir().unwrap();
        let into = Dir::open(temp.path()).unwrap();
        let url: Url = server.url(path).parse().unwrap();
        let fetched = fetcher.url(&url, &into);
        if path == "/Dockerfile" {
            let revision = Revision::Bytes(Digest::of(b"FROM scratch"));
            assert_eq!(fetched.as_ref().unwrap().remote.revision, revision);
        }
        assert_eq!(found(fetched.map(|it| it.context)), expected);
    };
    check("/ctx.zip", "Dockerfile");
    check("/cut", "Dockerfile");
    check("/Dockerfile", "\"FROM scratch\"");
    check("/none", "cannot fetch the build context");
}

#[test]
fn a_repository_that_is_not_there_is_an_error() {
    let temp = tempfile::tempdir().unwrap();
    let into = Dir::open(temp.path()).unwrap();
    let (http, git) = (client(), Git::default());
    let fetcher = ContextFetcher {
        http: &http,
        git: &git,
        authorization: None,
    };
    let source = GitSource::parse("http://127.0.0.1:1/r.git", Shorthand::Refused);
    let source = source.unwrap().unwrap();
    let error = fetcher
        .git(&source, &GitRequest::default(), &into)
        .unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.starts_with("cannot fetch the repository `http://127.0.0.1:1/r.git`"));
}
