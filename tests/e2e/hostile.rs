//! Images and contexts that mean harm: nothing of the host is read, nothing hangs, and the
//! place in the Dockerfile is told.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use expect_test::expect;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use rbuild_testkit::{Host, Output};

use crate::surroundings::host;

/// What `instructions` make of busybox after `harm` was done to its files.
fn build(host: &Host, harm: impl Fn(&Path), instructions: &str) -> Output {
    let _ = fs::remove_dir_all(host.scratch.path().join("root"));
    let root = host.scratch.dir("root").unwrap();
    let alpine = host.scratch.path().join("alpine");
    host.build("FROM alpine\n", &["-o", &alpine.display().to_string()])
        .success();
    let mut copy = host.account.command("cp");
    Output::of_success(copy.arg("-rdT").arg(&alpine).arg(&root)).unwrap();
    harm(&root);
    host.run(&["import", &root.display().to_string(), "hostile"])
        .success();
    host.build(&format!("FROM hostile\n{instructions}"), &["-t", "it"])
}

/// Puts a link to `target` in the place of `path`.
fn link(path: impl AsRef<Path>, target: &str) {
    let path = path.as_ref();
    let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
    symlink(target, path).unwrap();
}

#[test]
fn users_are_never_looked_up_on_the_host() {
    for target in ["/../../../../etc/passwd", "../../../../../../../etc/passwd"] {
        let Some(host) = host() else { return };
        let name = &host.account.name;
        let output = build(
            &host,
            |root| link(root.join("etc/passwd"), target),
            &format!("USER {name}\nRUN id\n"),
        );
        output.failure().saying("Dockerfile:3").saying(name);
    }
}

#[test]
fn a_list_of_users_that_is_no_list_is_an_error_at_once() {
    let Some(host) = host() else { return };
    let huge = |root: &Path| {
        let path = root.join("etc/passwd");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(300 << 20).unwrap();
    };
    build(&host, huge, "USER somebody\nRUN id\n")
        .failure()
        .saying("/etc/passwd")
        .saying("Dockerfile:3");
}

/// What an image has where a RUN has something of rbuild's, or of its own.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A link to a directory of the host.
    Link,
    Pipe,
    /// 300 MB, a sparse file.
    Huge,
}

const KINDS: [Kind; 3] = [Kind::Link, Kind::Pipe, Kind::Huge];

/// Puts it at `path`.
fn put(kind: Kind, path: &Path, victim: &Path) {
    let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
    match kind {
        Kind::Link => symlink(victim, path).unwrap(),
        Kind::Pipe => mkfifo(path, Mode::S_IRWXU).unwrap(),
        Kind::Huge => fs::File::create(path).unwrap().set_len(300 << 20).unwrap(),
    }
}

#[test]
fn what_stands_in_the_place_of_mounts_reaches_nothing_and_hangs_nothing() {
    let Some(host) = host() else { return };
    let victim = host.scratch.dir("victim").unwrap();
    fs::write(victim.join("file"), "mine").unwrap();
    let mut told = String::new();
    let directories = ["dev", "proc", "sys", "etc", "run", "tmp"];
    let directories = directories.map(|path| (path, &KINDS[..2]));
    let files = ["etc/hosts", "etc/resolv.conf", "etc/passwd"];
    let files = files.map(|path| (path, &KINDS[..]));
    for (path, kinds) in directories.into_iter().chain(files) {
        for &kind in kinds {
            let harm = |root: &Path| put(kind, &root.join(path), &victim);
            let output = build(&host, harm, "USER 7\nRUN true\n");
            let outcome = if output.status == 0 {
                "works"
            } else {
                "is refused"
            };
            told.push_str(&format!("{path} {kind:?} {outcome}\n"));
            assert!(output.status <= 1, "{path} {kind:?}: {output}");
        }
    }
    let left: Vec<_> = fs::read_dir(&victim)
        .unwrap()
        .map(|it| it.unwrap().file_name())
        .collect();
    assert_eq!(left, ["file"], "nothing was made on the host");
    assert_eq!(fs::read_to_string(victim.join("file")).unwrap(), "mine");
    expect![[r#"
        dev Link is refused
        dev Pipe is refused
        proc Link is refused
        proc Pipe is refused
        sys Link is refused
        sys Pipe is refused
        etc Link works
        etc Pipe is refused
        run Link works
        run Pipe works
        tmp Link works
        tmp Pipe works
        etc/hosts Link works
        etc/hosts Pipe works
        etc/hosts Huge works
        etc/resolv.conf Link works
        etc/resolv.conf Pipe works
        etc/resolv.conf Huge works
        etc/passwd Link works
        etc/passwd Pipe is refused
        etc/passwd Huge is refused
    "#]]
    .assert_eq(&told);
}

#[test]
fn a_work_directory_that_is_none_is_an_error() {
    let Some(host) = host() else { return };
    let victim = host.scratch.dir("victim").unwrap();
    for kind in KINDS {
        let harm = |root: &Path| put(kind, &root.join("work"), &victim);
        let output = build(&host, harm, "WORKDIR /work\nRUN touch made\n");
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 0, "{kind:?}");
        match kind {
            // It is a path of the image: a directory there.
            Kind::Link => drop(output),
            Kind::Pipe | Kind::Huge => drop(output.failure().saying("/work")),
        }
    }
}

#[test]
fn proc_is_mounted_on_a_directory_of_the_image_or_not_at_all() {
    let Some(host) = host() else { return };
    build(&host, |root| link(root.join("proc"), "/etc"), "RUN true\n")
        .failure()
        .saying("/proc")
        .saying("Dockerfile:2");
}

#[test]
fn links_in_the_place_of_network_files_stay_what_they_are() {
    let Some(host) = host() else { return };
    let harm = |root: &Path| {
        link(root.join("etc/resolv.conf"), "/root/stolen");
        link(root.join("etc/hosts"), "/nowhere");
    };
    build(&host, harm, "RUN grep -q localhost /etc/hosts\n").success();
    let tree = host.tree("it").to_string();
    assert!(
        tree.contains("/etc/hosts l") && !tree.contains("/root/stolen f"),
        "{tree}"
    );
}

#[test]
fn links_of_the_context_do_not_lead_out_of_it() {
    let Some(host) = host() else { return };
    let ctx = host.scratch.dir("ctx/d").unwrap();
    symlink("/etc/passwd", ctx.join("absolute")).unwrap();
    symlink("../../../../../../etc/passwd", ctx.join("relative")).unwrap();
    symlink("/etc", ctx.join("directory")).unwrap();
    for source in [
        "d/absolute",
        "d/relative",
        "d/directory/passwd",
        "../../../../../etc/passwd",
    ] {
        host.build(&format!("FROM scratch\nCOPY {source} /x\n"), &[])
            .failure()
            .saying("not found")
            .saying("Dockerfile:2");
    }
}

#[test]
fn pipes_and_sockets_of_the_context_are_never_opened() {
    let Some(host) = host() else { return };
    let ctx = host.scratch.dir("ctx/d").unwrap();
    mkfifo(&ctx.join("pipe"), Mode::S_IRUSR).unwrap();
    drop(std::os::unix::net::UnixListener::bind(ctx.join("socket")).unwrap());
    fs::write(ctx.join("file"), "x").unwrap();
    host.build("FROM scratch\nCOPY d /d\n", &["-t", "it"])
        .success();
    let paths = host.tree("it").paths().join(" ");
    assert!(paths.contains("/d/file"), "{paths}");
}

#[test]
fn cve_2022_4122_an_ignore_file_that_is_a_link_tells_nothing_of_the_host() {
    let Some(host) = host() else { return };
    let victim = host.scratch.dir("victim").unwrap();
    // As a pattern it is none, which would be told with the line.
    fs::write(victim.join("file"), "[token\n!\n").unwrap();
    let ctx = host.scratch.dir("ctx").unwrap();
    symlink(victim.join("file"), ctx.join(".dockerignore")).unwrap();
    let output = host.build("FROM scratch\nCOPY . /\n", &[]);
    assert!(!output.stderr.contains("token"), "{output}");
}

#[test]
fn cve_2019_18466_what_is_exported_of_a_failed_run_is_its_own() {
    let Some(host) = host() else { return };
    let victim = host.scratch.dir("victim").unwrap();
    fs::write(victim.join("file"), "mine").unwrap();
    let dockerfile = format!("FROM alpine\nRUN ln -s {} /out; false\n", victim.display());
    for path in ["/out", "/out/file", "/out/*"] {
        let flag = format!("--on-failure=export={path}=here");
        host.build(&dockerfile, &[&flag]).failure();
        let here = host.scratch.path().join("here");
        let content = fs::read_to_string(&here).or_else(|_| fs::read_to_string(here.join("file")));
        // A link that is copied as a link still leads there: it was not followed by us.
        let followed = content.is_ok() && !here.is_symlink();
        assert!(!followed, "{path}");
        let _ = fs::remove_file(&here);
    }
}

#[test]
fn cve_2024_9407_no_mount_is_shared() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine\n\
        RUN --mount=type=bind,target=/m,bind-propagation=rshared \
            ! grep -E 'shared:|master:' /proc/self/mountinfo\n";
    host.build(dockerfile, &[]).success();
}
