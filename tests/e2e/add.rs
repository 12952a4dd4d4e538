//! ADD, and what COPY can do besides copying.

use std::process::Command;

use rbuild_testkit::{Host, Output};

use crate::surroundings::host;

#[track_caller]
fn out(host: &Host, instructions: &str) -> String {
    host.build(&format!("FROM alpine\n{instructions}"), &["-t", "it"])
        .success();
    host.run(&["run", "it", "cat", "/out"]).success().stdout
}

/// A tar of `dir/file` in the context, compressed with `flag`.
#[track_caller]
fn archive(host: &Host, name: &str, flag: &str) {
    host.scratch.file("in/dir/file", "content\n").unwrap();
    host.scratch.dir("ctx").unwrap();
    let at = |path: &str| host.scratch.path().join(path);
    let mut tar = Command::new("tar");
    tar.arg(flag)
        .arg("--owner=7")
        .arg("--group=8")
        .arg("-cf")
        .arg(at(&format!("ctx/{name}")))
        .arg("-C")
        .arg(at("in"))
        .arg("dir");
    Output::of_success(&mut tar).unwrap();
}

#[test]
fn x1_archives_are_unpacked_whatever_they_are_called() {
    let Some(host) = host() else { return };
    for (name, flag) in [
        ("a.tar", "--no-auto-compress"),
        ("b", "-z"),
        ("c.txt", "-j"),
        ("d", "-J"),
        ("e", "--zstd"),
    ] {
        archive(&host, name, flag);
        let instructions = format!(
            "ADD {name} /to/\nRUN stat -c %u:%g /to/dir/file > /out && cat /to/dir/file >> /out\n"
        );
        assert_eq!(out(&host, &instructions), "7:8\ncontent\n", "{name}");
    }
}

#[test]
fn t37_what_is_no_archive_is_a_file() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/empty.tar.gz", "").unwrap();
    assert_eq!(out(&host, "ADD empty.tar.gz /out\n"), "");
    archive(&host, "kept", "-z");
    assert_eq!(
        out(
            &host,
            "ADD --unpack=false kept /kept\nCOPY kept /too\nRUN cmp /kept /too && echo same > /out\n"
        ),
        "same\n"
    );
}

#[test]
fn x1_owners_of_an_archive_can_be_changed() {
    let Some(host) = host() else { return };
    archive(&host, "a", "-z");
    assert_eq!(
        out(
            &host,
            "ADD --chown=5:6 a /to\nRUN stat -c %u:%g /to/dir/file > /out\n"
        ),
        "5:6\n"
    );
}

#[test]
fn c21_modes_can_be_symbolic() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/dir/file", "").unwrap();
    let instructions = "COPY --chmod=u=rwX,go=rX dir /d\nRUN stat -c %a /d/file > /out\n";
    assert_eq!(out(&host, instructions), "644\n");
    assert_eq!(
        out(
            &host,
            "COPY --chmod=+x dir/file /f\nRUN stat -c %a /f > /out\n"
        ),
        "755\n"
    );
}

#[test]
fn c24_parents_are_kept_from_the_pivot_on() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/a/b/c", "c\n").unwrap();
    assert_eq!(
        out(&host, "COPY --parents a/b/c /x/\nRUN cp /x/a/b/c /out\n"),
        "c\n"
    );
    assert_eq!(
        out(&host, "COPY --parents a/./b/c /y/\nRUN cp /y/b/c /out\n"),
        "c\n"
    );
    assert_eq!(
        out(&host, "COPY --parents **/c /z/\nRUN cp /z/a/b/c /out\n"),
        "c\n"
    );
}

#[test]
fn c25_excluded_files_are_left_out() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/d/a.txt", "").unwrap();
    host.scratch.file("ctx/d/b.bin", "").unwrap();
    assert_eq!(
        out(&host, "COPY --exclude=*.txt d /d\nRUN ls /d > /out\n"),
        "b.bin\n"
    );
}

#[test]
fn c22_a_linked_copy_does_not_follow_links_of_the_base() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/f", "").unwrap();
    let instructions = |flag: &str| {
        format!("RUN mkdir /real && ln -s /real /link\nCOPY {flag} f /link/\nRUN ls /real > /out\n")
    };
    assert_eq!(out(&host, &instructions("")), "f\n");
    assert_eq!(out(&host, &instructions("--link")), "");
}

#[test]
fn c26_a_checksum_is_for_what_is_fetched() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/f", "").unwrap();
    host.build("FROM alpine\nADD --checksum=sha256:00 f /\n", &[])
        .failure()
        .saying("checksum");
}

#[test]
fn a_health_check_is_in_the_configuration() {
    let Some(host) = host() else { return };
    host.build(
        "FROM alpine\nHEALTHCHECK --interval=3s CMD true\nMAINTAINER me\n",
        &["-t", "it"],
    )
    .success();
    let inspected = host.run(&["inspect", "it"]).success();
    for part in [
        "\"Healthcheck\"",
        "3000000000",
        "\"CMD-SHELL\"",
        "\"Author\": \"me\"",
    ] {
        assert!(inspected.stdout.contains(part), "no {part}: {inspected}");
    }
}
