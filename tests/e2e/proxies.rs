//! The site's proxies are asked for registries, for `ADD` and for git; not for what `no_proxy` names.
//!
//! No host here has an address: what is reached was reached through the proxy.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use rbuild_testkit::{
    Host, Need, Output, Registry,
    http::{Reply, Server},
};

use crate::{logins::certificate, surroundings::host_with};

/// A proxy for which all hosts are the same server; ends with the test's process.
struct Proxy {
    address: String,
    /// The first lines of what it was asked.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, log) = (server.clone(), Arc::clone(&log));
                thread::spawn(move || serve(&client, &server, &log));
            }
        });
        Self { address, asked }
    }

    /// What it was asked since the last time.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// Hands everything on, after the head of a CONNECT.
fn serve(client: &TcpStream, server: &str, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    log.lock().unwrap().push(first.trim_end().to_owned());
    let mut server = TcpStream::connect(server)?;
    if first.starts_with("CONNECT ") {
        let mut line = String::from("more");
        while !line.trim_end().is_empty() {
            line.clear();
            reader.read_line(&mut line)?;
        }
        let mut client = client;
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    } else {
        // Servers understand a whole URL in the first line too.
        server.write_all(first.as_bytes())?;
    }
    let (mut back, mut to_client) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let copied = io::copy(&mut back, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
        copied
    });
    io::copy(&mut reader, &mut server)?;
    server.shutdown(Shutdown::Write)
}

/// `rbuild args…` at a site whose proxy is `proxy`.
fn rbuild(host: &Host, proxy: &Proxy, (no_proxy, args): (&str, &[&str])) -> Output {
    let mut command = host.rbuild(args);
    for name in ["http_proxy", "HTTPS_PROXY"] {
        command.env(name, &proxy.address);
    }
    Output::of(command.env("no_proxy", no_proxy)).unwrap()
}

const PUSH: &[&str] = &["push", "--retry=0", "alpine", "docker://registry.test/a:1"];

#[test]
fn an_encrypted_registry_is_reached_through_a_tunnel() {
    let needs = ["docker-registry", "openssl"].map(Need::Tool);
    let Some(host) = host_with(&needs) else {
        return;
    };
    let server = certificate(&host, "server");
    let tls = format!(", tls: {{certificate: '{server}.crt', key: '{server}.key'}}");
    let registry = Registry::start_with(&host, &tls, "").unwrap();
    let proxy = Proxy::to(registry.address());
    let (certs, _) = server.rsplit_once('/').unwrap();
    let push = [PUSH, &["--cert-dir", certs]].concat();
    rbuild(&host, &proxy, ("", &push)).success();
    let asked = proxy.asked();
    let is_tunnel = |it: &String| it == "CONNECT registry.test:443 HTTP/1.1";
    assert!(
        !asked.is_empty() && asked.iter().all(is_tunnel),
        "{asked:?}"
    );
    host.run(&["rmi", "alpine"]).success();
    let dockerfile = "FROM registry.test/a:1\nRUN test -e /bin/busybox\n";
    host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
    let build = ["bud", "--cert-dir", certs, "ctx"];
    rbuild(&host, &proxy, ("", &build)).success();
    proxy.asked();
    let excluded = "other.test,registry.test:443";
    rbuild(&host, &proxy, (excluded, &push)).failure();
    assert_eq!(proxy.asked(), Vec::<String>::new());
}

#[test]
fn a_plain_registry_is_reached_with_whole_urls() {
    let Some(host) = host_with(&[Need::Tool("docker-registry")]) else {
        return;
    };
    let registry = Registry::start(&host).unwrap();
    let proxy = Proxy::to(registry.address());
    let push = [PUSH, &["--tls-verify=false"]].concat();
    rbuild(&host, &proxy, ("", &push)).success();
    let asked = proxy.asked();
    let is_whole = |it: &String| it.contains(" http://registry.test/v2/");
    assert!(asked.iter().any(is_whole), "{asked:?}");
    let pull = ["pull", "-q", "--tls-verify=false", "registry.test/a:1"];
    rbuild(&host, &proxy, ("", &pull)).success();
    rbuild(&host, &proxy, ("stry.test,.registry.test", &pull)).success();
    rbuild(&host, &proxy, ("*", &pull)).failure();
}

#[test]
fn add_and_git_go_through_it_too() {
    let Some(host) = host_with(&[Need::Tool("git")]) else {
        return;
    };
    let server = Server::start(|seen| match seen.path.ends_with("/file") {
        true => Reply::new(200, "content\n"),
        false => Reply::new(404, ""),
    });
    let proxy = Proxy::to(server.address.to_string());
    let build = |dockerfile: &str, no_proxy: &str| {
        host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
        rbuild(
            &host,
            &proxy,
            (no_proxy, &["bud", "--retry=0", "-t", "it", "ctx"]),
        )
    };
    build("FROM alpine\nADD http://files.test/file /file\n", "").success();
    assert_eq!(host.run(&["run", "it", "cat", "/file"]).stdout, "content\n");
    assert!(proxy.asked()[0].starts_with("GET http://files.test/file "));
    build(
        "FROM alpine\nADD http://files.test/file /other\n",
        "files.test",
    )
    .failure();
    build("FROM alpine\nADD http://git.test/repo.git /repo\n", "").failure();
    let asked = proxy.asked();
    let wanted = "GET http://git.test/repo.git/info/refs";
    assert!(asked.iter().all(|it| it.starts_with(wanted)), "{asked:?}");
    assert!(!asked.is_empty());
    build(
        "FROM alpine\nADD http://git.test/repo.git /repo\n",
        "git.test",
    )
    .failure();
    assert_eq!(proxy.asked(), Vec::<String>::new());
}
