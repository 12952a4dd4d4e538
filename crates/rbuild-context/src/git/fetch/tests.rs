//! Real repositories, served by `git daemon` on this machine.

use std::{
    fs,
    net::TcpListener,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use rbuild_sys::Dir;
use rbuild_testkit::http::{Reply, Server};

use super::{Checkout, Git, GitDir, GitRequest};
use crate::{GitSource, Shorthand};

/// Bare repositories below a directory, and a server for them.
struct Host {
    temp: tempfile::TempDir,
    port: u16,
}

impl Host {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let base = temp.path().to_owned();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let socket = OwnedFd::from(stream);
                let base = format!("--base-path={}", base.display());
                let daemon = Command::new("git")
                    .args(["daemon", "--inetd", "--export-all", &base])
                    .env("GIT_CONFIG_COUNT", "1")
                    .env("GIT_CONFIG_KEY_0", "safe.directory")
                    .env("GIT_CONFIG_VALUE_0", "*")
                    .stdin(socket.try_clone().unwrap())
                    .stdout(socket)
                    .stderr(Stdio::null())
                    .spawn();
                drop(daemon.map(|mut daemon| thread::spawn(move || daemon.wait())));
            }
        });
        Self { temp, port }
    }

    /// Makes repository `name` of the commits that `script` makes; returns its work tree.
    fn repository(&self, name: &str, script: &str) -> PathBuf {
        let work = self.temp.path().join(format!("{name}-work"));
        fs::create_dir(&work).unwrap();
        shell(&work, "git init -q -b main .");
        shell(&work, script);
        shell(&work, &format!("git clone -q --bare . ../{name}.git"));
        work
    }

    fn url(&self, rest: &str) -> String {
        format!("git://127.0.0.1:{}/{rest}", self.port)
    }

    fn source(&self, rest: &str) -> GitSource {
        GitSource::parse(&self.url(rest), Shorthand::Refused)
            .unwrap()
            .unwrap()
    }
}

fn shell(directory: &Path, script: &str) -> String {
    let output = Command::new("sh")
        .args(["-ec", script])
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "a")))
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "a@b")))
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_DATE"), "1000000000 +0000")))
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{script}: {message}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A directory and what was checked out into it.
fn fetch(
    source: &GitSource,
    request: &GitRequest<'_>,
) -> (tempfile::TempDir, crate::Result<Checkout>) {
    let temp = tempfile::tempdir().unwrap();
    let into = Dir::open(temp.path()).unwrap();
    let checkout = Git::default().fetch(source, request, &into);
    (temp, checkout)
}

/// The files of a checkout, with the first words of their content.
#[track_caller]
fn check(source: &GitSource, request: &GitRequest<'_>, expected: &str) {
    let (_temp, checkout) = fetch(source, request);
    let found = match checkout {
        Ok(checkout) => list(&checkout.tree, b"").join(" "),
        Err(error) => error.to_string(),
    };
    assert_eq!(found, expected, "{source}");
}

fn list(dir: &Dir, path: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in dir.entries().unwrap() {
        let path = crate::source::join(path, &entry.name);
        let name = String::from_utf8_lossy(&path).into_owned();
        let stat = dir.stat(&entry.name).unwrap();
        match stat.kind {
            _ if entry.name == b".git" => lines.push(name),
            rbuild_sys::FileKind::Directory => {
                assert_eq!(stat.mode, 0o755, "{name}");
                lines.extend(list(&dir.child(&entry.name).unwrap(), &path));
            }
            rbuild_sys::FileKind::Symlink => lines.push(format!("{name}@")),
            _ if stat.mode == 0o755 => lines.push(format!("{name}*")),
            _ => {
                assert_eq!(stat.mode, 0o644, "{name}");
                lines.push(name);
            }
        }
    }
    lines
}

const TWO_COMMITS: &str = "
    umask 077; mkdir sub; echo 1 > one; echo s > sub/s; echo '#!' > run; chmod +x run
    git add . && git commit -qm one && git tag v1 && git tag -am annotated v1a
    git checkout -q -b side; echo side > side; git add . && git commit -qm side
    git update-ref refs/pull/7/head HEAD
    git checkout -q main; echo 2 > two; git add . && git commit -qm two";

#[test]
fn references_lead_to_commits_t40() {
    let host = Host::new();
    let work = host.repository("r", TWO_COMMITS);
    shell(&work, "git push -q ../r.git refs/pull/7/head");
    let request = GitRequest::default();
    let one = shell(&work, "git rev-parse v1");
    let all = |rest: &str, expected: &str| check(&host.source(rest), &request, expected);
    all("r.git", "one run* sub/s two");
    all("r.git#main", "one run* sub/s two");
    all("r.git#v1", "one run* sub/s");
    all("r.git#v1a", "one run* sub/s");
    all("r.git?tag=v1a", "one run* sub/s");
    all("r.git?branch=side", "one run* side sub/s");
    all("r.git#refs/pull/7/head", "one run* side sub/s");
    all("r.git#:sub", "s");
    all(&format!("r.git#{one}"), "one run* sub/s");
    all(&format!("r.git#{}", &one[..9]), "one run* sub/s");
    all(&format!("r.git?commit={one}"), "one run* sub/s");
    let (_temp, checkout) = fetch(&host.source("r.git#v1a"), &request);
    assert_eq!(checkout.unwrap().commit, one);
}

#[test]
fn what_is_not_there_is_an_error_that_says_so() {
    let host = Host::new();
    host.repository("r", TWO_COMMITS);
    let message = |rest: &str| {
        let (_temp, checkout) = fetch(&host.source(rest), &GitRequest::default());
        checkout.unwrap_err().to_string()
    };
    assert!(message("r.git#nothing").contains("couldn't find remote ref nothing"));
    assert!(message("r.git?branch=v1").contains("refs/heads/v1"));
    assert!(message("r.git#:nothing").starts_with("cannot open the directory `nothing`"));
    assert!(message("other.git").starts_with("cannot fetch the repository `git://127.0.0.1"));
}

#[test]
fn the_commit_is_verified_before_anything_is_written() {
    let host = Host::new();
    let work = host.repository("r", TWO_COMMITS);
    let two = shell(&work, "git rev-parse main");
    let capitals = two.to_uppercase();
    let with = |checksum| GitRequest {
        checksum: Some(checksum),
        ..GitRequest::default()
    };
    check(
        &host.source("r.git"),
        &with(&two[..7]),
        "one run* sub/s two",
    );
    check(
        &host.source("r.git"),
        &with(&capitals),
        "one run* sub/s two",
    );
    let (temp, checkout) = fetch(&host.source("r.git#v1"), &with(&two));
    assert!(checkout.unwrap_err().to_string().contains("is expected"));
    assert!(!temp.path().join("one").exists());
    let source = host.source(&format!("r.git?ref=v1&commit={two}"));
    assert!(fetch(&source, &GitRequest::default()).1.is_err());
}

#[test]
fn git_keeps_its_directory_only_if_asked_to_x6() {
    let host = Host::new();
    host.repository("r", TWO_COMMITS);
    let keep = GitRequest {
        git_dir: GitDir::Kept,
        ..GitRequest::default()
    };
    check(&host.source("r.git"), &keep, ".git one run* sub/s two");
    let source = host.source("r.git?keep-git-dir=true");
    let (temp, checkout) = fetch(&source, &GitRequest::default());
    assert_eq!(
        shell(temp.path(), "git rev-parse HEAD"),
        checkout.unwrap().commit
    );
    check(
        &host.source("r.git?keep-git-dir=false"),
        &keep,
        "one run* sub/s two",
    );
}

#[test]
fn times_may_be_those_of_the_commit() {
    let host = Host::new();
    host.repository("r", TWO_COMMITS);
    let seconds = |rest: &str, name: &[u8]| {
        let (_temp, checkout) = fetch(&host.source(rest), &GitRequest::default());
        checkout.unwrap().tree.stat(name).unwrap().mtime.seconds
    };
    assert_eq!(seconds("r.git?mtime=commit", b"one"), 1_000_000_000);
    assert_eq!(seconds("r.git?mtime=commit", b"sub"), 1_000_000_000);
    assert!(seconds("r.git", b"one") > 1_000_000_000);
}

#[test]
fn submodules_come_along_unless_they_are_not_wanted_x6_t40() {
    let host = Host::new();
    host.repository("inner", "echo i > inner; git add . && git commit -qm i");
    let script = format!(
        "git -c protocol.git.allow=always submodule --quiet add {} dep
         git submodule --quiet add ../inner.git relative 2>/dev/null || true
         git add . && git commit -qm o",
        host.url("inner.git")
    );
    host.repository("outer", &script);
    let request = GitRequest::default();
    check(&host.source("outer.git"), &request, ".gitmodules dep/inner");
    check(
        &host.source("outer.git?submodules=false"),
        &request,
        ".gitmodules",
    );
}

/// A server of plain files below `base`, which wants `authorization`.
fn web(base: PathBuf, authorization: &'static str) -> Server {
    Server::start(move |seen| {
        let path = seen.path.split('?').next().unwrap_or_default();
        let allowed = seen.headers.get("authorization").map(String::as_str) == Some(authorization);
        match fs::read(base.join(path.trim_start_matches('/'))) {
            _ if !allowed => Reply::new(401, "").header("WWW-Authenticate", "Basic"),
            Ok(bytes) => Reply::new(200, bytes),
            Err(_) => Reply::new(404, ""),
        }
    })
}

/// CVE-2023-26054: credentials reach their server, and no message.
#[test]
fn credentials_go_to_their_server_and_nowhere_else() {
    let host = Host::new();
    host.repository("r", TWO_COMMITS);
    shell(host.temp.path(), "git -C r.git update-server-info");
    let expected = "Basic bWU6aHVudGVyMg==";
    let server = web(host.temp.path().to_owned(), expected);
    let source = |user: &str, rest: &str| {
        let text = format!("http://{user}{}/{rest}", server.address);
        GitSource::parse(&text, Shorthand::Refused)
            .unwrap()
            .unwrap()
    };
    let request = GitRequest::default();
    check(
        &source("me:hunter2@", "r.git#v1"),
        &request,
        "one run* sub/s",
    );
    let header = GitRequest {
        authorization: Some(expected),
        ..request
    };
    check(&source("", "r.git#v1"), &header, "one run* sub/s");
    for (user, rest) in [("me:hunter3@", "r.git"), ("me:hunter2@", "none.git")] {
        let (_temp, checkout) = fetch(&source(user, rest), &request);
        let error = format!("{:?}", checkout.unwrap_err());
        assert!(
            !error.contains("hunter") && !error.contains("Basic b"),
            "{error}"
        );
    }
    let keep = source("me:hunter2@", "r.git?keep-git-dir=1");
    let (temp, checkout) = fetch(&keep, &request);
    checkout.unwrap();
    let found = shell(temp.path(), "grep -rl 'hunter2\\|bWU6' .git || true");
    assert_eq!(found, "", "kept in the repository");
}

/// CVE-2024-45496, CVE-2024-32002, CVE-2025-48384.
#[test]
fn a_repository_runs_nothing_here() {
    let host = Host::new();
    let canary = host.temp.path().join("canary");
    let script = format!(
        "echo '* filter=evil' > .gitattributes; echo x > file
         printf '[filter \"evil\"]\\n smudge = touch {0}\\n[core]\\n fsmonitor = touch {0}\\n' > .gitconfig
         mkdir -p hooks .githooks; for hook in hooks .githooks; do
             printf '#!/bin/sh\\ntouch {0}\\n' > $hook/post-checkout; chmod +x $hook/post-checkout
         done
         git add -f . && git commit -qm evil
         printf '[submodule \"x\"]\\n path = x\\n url = ext::touch%% {0}\\n update = !touch {0}\\n' > .gitmodules
         git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),x
         git add .gitmodules && git commit -qm submodule",
        canary.display()
    );
    host.repository("evil", &script);
    let (_temp, checkout) = fetch(&host.source("evil.git"), &GitRequest::default());
    let error = checkout.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot check out the submodules"),
        "{error}"
    );
    let (_temp, checkout) = fetch(
        &host.source("evil.git?submodules=0"),
        &GitRequest::default(),
    );
    checkout.unwrap();
    assert!(!canary.exists());
}

/// CVE-2022-39253.
#[test]
fn a_local_submodule_is_not_read() {
    let host = Host::new();
    let secret = host.repository("secret", "echo s > secret; git add . && git commit -qm s");
    let script = format!(
        "git -c protocol.file.allow=always submodule --quiet add {} dep
         git commit -qm o",
        secret.display()
    );
    host.repository("outer", &script);
    let (temp, checkout) = fetch(&host.source("outer.git"), &GitRequest::default());
    assert!(checkout.unwrap_err().to_string().contains("not allowed"));
    assert!(!temp.path().join("dep/secret").exists());
}

/// CVE-2026-44517, CVE-2026-33748.
#[test]
fn links_in_a_repository_lead_nowhere_else() {
    let host = Host::new();
    host.repository(
        "l",
        "ln -s / root; ln -s ../../../etc up; mkdir d; echo f > d/f; ln -s d in
        git add . && git commit -qm l",
    );
    let request = GitRequest::default();
    check(&host.source("l.git"), &request, "d/f in@ root@ up@");
    check(&host.source("l.git#:in"), &request, "f");
    // `/` is the repository's root, and there is no `/etc` in it.
    check(&host.source("l.git#:root/d"), &request, "f");
    let (_temp, checkout) = fetch(&host.source("l.git#:up"), &request);
    assert!(checkout.is_err());
}
