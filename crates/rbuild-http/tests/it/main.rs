//! The client against a server that misbehaves.

#![allow(clippy::unwrap_used, reason = "this crate is all tests")]

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

use rbuild_http::{
    Backoff, Body, Client, Error, Method, Proxies, Request, Security, Settings, Timeouts,
};
use rbuild_testkit::http::{Ending, Reply, Server};

fn client() -> Client {
    Client::new(settings())
}

fn settings() -> Settings {
    Settings {
        user_agent: "test".to_owned(),
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            stall: Duration::from_secs(1),
        },
        backoff: Backoff {
            attempts: 3,
            first: Duration::from_millis(1),
        },
        ..Settings::default()
    }
}

fn get<'a>(url: &str) -> Request<'a> {
    let mut request = Request::new(Method::Get, url.parse().unwrap(), Security::Verified);
    request.authorization = Some("Bearer secret".to_owned());
    request
}

#[track_caller]
fn text(server: &Server, path: &str) -> String {
    let response = client().send(get(&server.url(path))).unwrap();
    let status = response.status;
    let body = response.read_at_most(1000).unwrap().unwrap();
    format!("{status} {}", String::from_utf8(body).unwrap())
}

#[test]
fn what_may_pass_is_tried_again() {
    let server = Server::start(|seen| match (seen.path.as_str(), seen.before) {
        ("/flaky", 0) => Reply::new(503, ""),
        ("/flaky", 1) => Reply::new(429, "").header("Retry-After", "0"),
        ("/down", _) => Reply::new(500, "down"),
        ("/later", _) => Reply::new(429, "later").header("Retry-After", "86400"),
        ("/passed", 0) => {
            Reply::new(429, "").header("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT")
        }
        ("/far", _) => {
            Reply::new(429, "far").header("Retry-After", "Wed, 06 Nov 2999 08:49:37 GMT")
        }
        ("/gone", _) => Reply::new(404, "gone"),
        _ => Reply::new(200, "fine"),
    });
    assert_eq!(text(&server, "/flaky"), "200 fine");
    assert_eq!(text(&server, "/down"), "500 down");
    assert_eq!(text(&server, "/later"), "429 later");
    assert_eq!(text(&server, "/passed"), "200 fine");
    assert_eq!(text(&server, "/far"), "429 far");
    assert_eq!(text(&server, "/gone"), "404 gone");
    let count = |path| {
        server
            .requests()
            .iter()
            .filter(|seen| seen.ends_with(path))
            .count()
    };
    assert_eq!(
        ["/flaky", "/down", "/later", "/passed", "/far", "/gone"].map(count),
        [3, 3, 1, 2, 1, 1]
    );
}

#[test]
fn retry_after_is_obeyed() {
    let server = Server::start(|seen| match seen.before {
        0 => Reply::new(429, "").header("Retry-After", "1"),
        _ => Reply::new(200, "fine"),
    });
    let start = Instant::now();
    assert_eq!(text(&server, "/"), "200 fine");
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn credentials_stay_with_their_origin() {
    let other = Server::start(|seen| {
        let leaked = seen.headers.get("authorization").cloned();
        Reply::new(200, leaked.unwrap_or("nothing".to_owned()))
    });
    let elsewhere = other.url("/x");
    let server = Server::start(move |seen| match seen.path.as_str() {
        "/away" => Reply::new(307, "").header("Location", elsewhere.clone()),
        "/here" => Reply::new(302, "").header("Location", "/end"),
        _ => Reply::new(200, seen.headers["authorization"].clone()),
    });
    assert_eq!(text(&server, "/away"), "200 nothing");
    assert_eq!(text(&server, "/here"), "200 Bearer secret");
}

#[test]
fn redirects_end() {
    let server = Server::start(|seen| match seen.path.as_str() {
        "/file" => Reply::new(302, "").header("Location", "file:///etc/passwd"),
        _ => Reply::new(302, "").header("Location", "/loop"),
    });
    for path in ["/loop", "/file"] {
        let answer = client().send(get(&server.url(path)));
        assert!(matches!(answer, Err(Error::Redirect { .. })), "{answer:?}");
    }
    assert_eq!(server.requests().len(), 6 + 1);
}

#[test]
fn a_body_that_stalls_or_is_cut_is_an_error() {
    let server = Server::start(|seen| {
        Reply::new(200, "0123456789").ending(match seen.path.as_str() {
            "/cut" => Ending::Cut(4),
            _ => Ending::Stall,
        })
    });
    for (path, received) in [("/cut", "0123"), ("/stall", "")] {
        let mut body = client().send(get(&server.url(path))).unwrap().body;
        let mut bytes = Vec::new();
        assert!(body.read_to_end(&mut bytes).is_err());
        assert_eq!(bytes, received.as_bytes());
    }
}

#[test]
fn only_so_much_of_an_endless_body_is_read() {
    let server = Server::start(|_| Reply::new(200, "0123456789").ending(Ending::Endless));
    let response = client().send(get(&server.url("/"))).unwrap();
    assert_eq!(response.read_at_most(1000).unwrap(), None);
}

#[test]
fn bodies_arrive_with_and_without_a_size() {
    let server = Server::start(|seen| {
        let framing = ["content-length", "transfer-encoding"]
            .map(|name| seen.headers.get(name).cloned().unwrap_or_default());
        let body = String::from_utf8(seen.body.clone()).unwrap();
        Reply::new(201, format!("{framing:?} {body}"))
    });
    let url = server.url("/");
    for (size, expected) in [
        (Some(3), "[\"3\", \"\"] abc"),
        (None, "[\"\", \"chunked\"] abc"),
    ] {
        let reader = &mut &b"abc"[..];
        assert_eq!(put(&url, Body::Stream { reader, size }), expected);
    }
    assert_eq!(put(&url, Body::Bytes(b"xy")), "[\"2\", \"\"] xy");
    assert_eq!(put(&url, Body::Empty), "[\"0\", \"\"] ");
}

fn put(url: &str, body: Body<'_>) -> String {
    let mut request = get(url);
    request.method = Method::Put;
    request.body = body;
    let body = client().send(request).unwrap().read_at_most(100).unwrap();
    String::from_utf8(body.unwrap()).unwrap()
}

#[test]
fn plain_http_is_for_this_machine_or_by_leave() {
    let ask = |security| {
        let mut request = get("http://registry.invalid/");
        request.security = security;
        client().send(request)
    };
    assert!(matches!(ask(Security::Verified), Err(Error::Plain { .. })));
    assert!(matches!(
        ask(Security::PlainAllowed),
        Err(Error::Send { .. })
    ));
}

#[test]
fn an_unencrypted_server_is_a_failed_connection_over_https() {
    let server = Server::start(|_| Reply::new(200, ""));
    let url = format!("https://{}/", server.address);
    let error = client().send(get(&url)).unwrap_err();
    assert!(error.is_connection(), "{error:?}");
}

#[test]
fn a_server_that_answers_a_tls_handshake_in_http_is_one_without_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let error = client()
        .send(get(&format!("https://{address}/")))
        .unwrap_err();
    assert!(error.is_without_tls(), "{error:?}");
}

#[test]
fn a_port_without_a_server_is_told_apart_from_a_proxy_that_is_not_there() {
    // Nobody has the port any more, and nobody gets it so soon.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let error = client()
        .send(get(&format!("http://{address}/")))
        .unwrap_err();
    assert_eq!(error.to_string(), format!("cannot GET `http://{address}/`"));
    assert!(error.hint().unwrap().starts_with("nothing listens there"));
    let proxied = Client::new(Settings {
        proxies: Proxies {
            https: Some(format!("http://{address}")),
            ..Proxies::default()
        },
        ..settings()
    });
    let error = proxied.send(get("https://registry.invalid/")).unwrap_err();
    let through =
        format!("cannot GET `https://registry.invalid/` through the proxy `http://{address}`");
    assert_eq!(error.to_string(), through);
    assert!(error.hint().unwrap().contains("`no_proxy`"));
}
