//! What COPY puts where, and with which owner and mode, as the tree that
//! umoci finds in the image.

use expect_test::{Expect, expect};
use rbuild_testkit::{Host, Need};

use crate::surroundings::host_with;

/// Builds with `context` and checks what was added to the base.
#[track_caller]
fn check(instructions: &str, expected: &Expect) {
    let Some(host) = host_with(&[Need::Tool("umoci")]) else {
        return;
    };
    fill(&host);
    host.build(&format!("FROM alpine\n{instructions}"), &["-t", "it"])
        .success();
    let added = host.tree("it").since(&host.tree("alpine"));
    expected.assert_eq(&added.to_string());
}

/// `a.txt b.txt c.bin`, `dir/{one,sub/two}` and a link in `dir`.
fn fill(host: &Host) {
    for (name, content) in [
        ("ctx/a.txt", "a\n"),
        ("ctx/b.txt", "b\n"),
        ("ctx/c.bin", "c\n"),
        ("ctx/dir/one", "1\n"),
        ("ctx/dir/sub/two", "2\n"),
    ] {
        host.scratch.file(name, content).unwrap();
    }
    std::os::unix::fs::symlink("one", host.scratch.path().join("ctx/dir/link")).unwrap();
}

#[test]
fn a_glob_copies_its_matches_into_a_directory() {
    check(
        "COPY *.txt /new/\n",
        &expect![[r#"
            /new d 0755 0:0
            /new/a.txt f 0644 0:0 2 "a\n"
            /new/b.txt f 0644 0:0 2 "b\n"
        "#]],
    );
}

#[test]
fn a_directory_means_its_content_and_links_in_it_stay_links() {
    check(
        "COPY dir /d\n",
        &expect![[r#"
            /d d 0755 0:0
            /d/link l 0777 0:0 -> one
            /d/one f 0644 0:0 2 "1\n"
            /d/sub d 0755 0:0
            /d/sub/two f 0644 0:0 2 "2\n"
        "#]],
    );
}

#[test]
fn owner_and_mode_are_those_of_the_flags() {
    check(
        "COPY --chown=1000:1001 --chmod=0640 a.txt /owned/\n\
         COPY --chown=nobody b.txt /named\n",
        &expect![[r#"
            /named f 0644 65534:65534 2 "b\n"
            /owned d 0640 1000:1001
            /owned/a.txt f 0640 1000:1001 2 "a\n"
        "#]],
    );
}

#[test]
fn a_relative_destination_is_below_the_working_directory() {
    check(
        "WORKDIR /work\nWORKDIR deep\nCOPY a.txt b.txt ./\nCOPY c.bin ../renamed\n",
        &expect![[r#"
            /work d 0755 0:0
            /work/deep d 0755 0:0
            /work/deep/a.txt f 0644 0:0 2 "a\n"
            /work/deep/b.txt f 0644 0:0 2 "b\n"
            /work/renamed f 0644 0:0 2 "c\n"
        "#]],
    );
}

#[test]
fn a_stage_is_named_by_index_too_and_keeps_its_owners() {
    check(
        "RUN mkdir /out && echo x > /out/x && chown -R 7:8 /out && chmod 4755 /out/x\n\
         FROM alpine\nCOPY --from=0 /out/x /here/\n",
        &expect![[r#"
            /here d 0755 0:0
            /here/x f 4755 7:8 2 "x\n"
        "#]],
    );
}

#[test]
fn ignored_files_cannot_be_copied() {
    let Some(host) = host_with(&[Need::Tool("umoci")]) else {
        return;
    };
    fill(&host);
    host.scratch
        .file("ctx/.dockerignore", "# no texts\n*.txt\n!b.txt\ndir/sub\n")
        .unwrap();
    host.build("FROM alpine\nCOPY . /all/\n", &["-t", "it"])
        .success();
    let added = host.tree("it").since(&host.tree("alpine"));
    let expected = [
        "/all",
        "/all/.dockerignore",
        "/all/Dockerfile",
        "/all/b.txt",
        "/all/c.bin",
        "/all/dir",
        "/all/dir/link",
        "/all/dir/one",
    ];
    assert_eq!(added.paths(), expected);
    host.build("FROM alpine\nCOPY a.txt /\n", &[])
        .failure()
        .saying("a.txt");
}

#[test]
fn a_deleted_file_is_gone_from_the_image() {
    let Some(host) = host_with(&[Need::Tool("umoci")]) else {
        return;
    };
    host.build(
        "FROM alpine\nRUN rm /etc/shells && rm -r /home && mkdir /home\n",
        &["-t", "it"],
    )
    .success();
    assert_eq!(host.tree("it").lost(&host.tree("alpine")), ["/etc/shells"]);
}
