//! What COPY puts where (dockerfile.md, C3 to C21 and T23 to T35), as trees.
//!
//! The context of every case:
//!
//! ```text
//! a b "c d" dir/one dir/sub/two dir/link→one tofile→a todir→dir dead→nowhere up→../../etc
//! ```

mod links;

use expect_test::{Expect, expect};

use crate::site::Site;

#[track_caller]
fn site() -> Option<Site> {
    let site = Site::new()?;
    for (name, content) in [
        ("a", "A"),
        ("b", "B"),
        ("c d", "C"),
        ("dir/one", "1"),
        ("dir/sub/two", "2"),
    ] {
        site.file(name, content);
    }
    for (target, name) in [
        ("one", "dir/link"),
        ("a", "tofile"),
        ("dir", "todir"),
        ("nowhere", "dead"),
        ("../../etc", "up"),
    ] {
        site.link(target, name);
    }
    Some(site)
}

/// Builds `instructions` on nothing and checks the tree, without its root.
#[track_caller]
fn check(instructions: &str, expected: &Expect) {
    let Some(site) = site() else { return };
    let state = site.state(&format!("FROM scratch\n{instructions}\n")[..]);
    let mut tree = site.tree(&state.layers);
    tree.0.remove("/");
    expected.assert_eq(&tree.to_string());
}

/// Checks what a build of `instructions` that must fail says.
#[track_caller]
fn refused(instructions: &str, expected: &Expect) {
    let Some(site) = site() else { return };
    let text = site.failure(&format!("FROM scratch\n{instructions}\n")[..]);
    expected.assert_eq(text.strip_prefix("the build failed\n").unwrap());
}

#[test]
fn missing_parents_are_made_c3() {
    check(
        "COPY a /x/y/a",
        &expect![[r#"
        /x d 0755 0:0
        /x/y d 0755 0:0
        /x/y/a f 0644 0:0 1 "A"
    "#]],
    );
    check(
        "COPY --chown=5:6 a /x/y/",
        &expect![[r#"
        /x d 0755 5:6
        /x/y d 0755 5:6
        /x/y/a f 0644 5:6 1 "A"
    "#]],
    );
    check(
        "COPY --chmod=711 dir /x/y",
        &expect![[r#"
        /x d 0711 0:0
        /x/y d 0711 0:0
        /x/y/link l 0777 0:0 -> one
        /x/y/one f 0711 0:0 1 "1"
        /x/y/sub d 0711 0:0
        /x/y/sub/two f 0711 0:0 1 "2"
    "#]],
    );
}

#[test]
fn a_file_goes_into_a_directory_c4() {
    check(
        "COPY a /x/",
        &expect![[r#"
        /x d 0755 0:0
        /x/a f 0644 0:0 1 "A"
    "#]],
    );
    check(
        "COPY a /x/.",
        &expect![[r#"
        /x d 0755 0:0
        /x/a f 0644 0:0 1 "A"
    "#]],
    );
    check(
        "RUN mkdir /x\nCOPY a /x",
        &expect![[r#"
        /x d 0755 0:0
        /x/a f 0644 0:0 1 "A"
    "#]],
    );
    check(
        "WORKDIR /x\nCOPY a .",
        &expect![[r#"
        /x d 0755 0:0
        /x/a f 0644 0:0 1 "A"
    "#]],
    );
    check(
        "WORKDIR /x/\nCOPY a y/",
        &expect![[r#"
        /x d 0755 0:0
        /x/y d 0755 0:0
        /x/y/a f 0644 0:0 1 "A"
    "#]],
    );
    check(
        "WORKDIR /x\nCOPY a \"\"",
        &expect![[r#"
        /x d 0755 0:0
        /x/a f 0644 0:0 1 "A"
    "#]],
    );
    check(
        "COPY tofile /x/",
        &expect![[r#"
        /x d 0755 0:0
        /x/tofile f 0644 0:0 1 "A"
    "#]],
    );
}

#[test]
fn a_file_becomes_the_destination_c5() {
    check(
        "COPY a /x",
        &expect![[r#"
        /x f 0644 0:0 1 "A"
    "#]],
    );
    check(
        "COPY [\"c d\", \"/e f\"]",
        &expect![[r#"
        /e f f 0644 0:0 1 "C"
    "#]],
    );
    check(
        "RUN write /x old; hard /x /y\nCOPY a /x",
        &expect![[r#"
        /x f 0644 0:0 1 "A"
        /y f 0644 0:0 3 "old"
    "#]],
    );
    check(
        "RUN write /t t; link /t /x\nCOPY a /x",
        &expect![[r#"
        /t f 0644 0:0 1 "t"
        /x f 0644 0:0 1 "A"
    "#]],
    );
}

#[test]
fn a_directory_means_its_content_c6_t23() {
    check(
        "COPY dir /x",
        &expect![[r#"
        /x d 0755 0:0
        /x/link l 0777 0:0 -> one
        /x/one f 0644 0:0 1 "1"
        /x/sub d 0755 0:0
        /x/sub/two f 0644 0:0 1 "2"
    "#]],
    );
    check(
        "COPY dir/ /x/",
        &expect![[r#"
        /x d 0755 0:0
        /x/link l 0777 0:0 -> one
        /x/one f 0644 0:0 1 "1"
        /x/sub d 0755 0:0
        /x/sub/two f 0644 0:0 1 "2"
    "#]],
    );
    check(
        "COPY todir /x",
        &expect![[r#"
        /x d 0755 0:0
        /x/link l 0777 0:0 -> one
        /x/one f 0644 0:0 1 "1"
        /x/sub d 0755 0:0
        /x/sub/two f 0644 0:0 1 "2"
    "#]],
    );
    check(
        "COPY dir/sub dir /x",
        &expect![[r#"
        /x d 0755 0:0
        /x/link l 0777 0:0 -> one
        /x/one f 0644 0:0 1 "1"
        /x/sub d 0755 0:0
        /x/sub/two f 0644 0:0 1 "2"
        /x/two f 0644 0:0 1 "2"
    "#]],
    );
    check(
        "COPY di* /x",
        &expect![[r#"
        /x d 0755 0:0
        /x/link l 0777 0:0 -> one
        /x/one f 0644 0:0 1 "1"
        /x/sub d 0755 0:0
        /x/sub/two f 0644 0:0 1 "2"
    "#]],
    );
    check(
        "COPY dir/* /x/",
        &expect![[r#"
        /x d 0755 0:0
        /x/link f 0644 0:0 1 "1"
        /x/one f 0644 0:0 1 "1"
        /x/two f 0644 0:0 1 "2"
    "#]],
    );
}

#[test]
fn several_sources_mean_a_directory_c7_t24() {
    check(
        "COPY a b /x",
        &expect![[r#"
        /x d 0755 0:0
        /x/a f 0644 0:0 1 "A"
        /x/b f 0644 0:0 1 "B"
    "#]],
    );
    check(
        "COPY [ab] /x",
        &expect![[r#"
        /x d 0755 0:0
        /x/a f 0644 0:0 1 "A"
        /x/b f 0644 0:0 1 "B"
    "#]],
    );
    check(
        "COPY [a] /x",
        &expect![[r#"
        /x f 0644 0:0 1 "A"
    "#]],
    );
    refused(
        "RUN write /x old\nCOPY a b /x",
        &expect![[r#"
        `/x` is not a directory, so nothing can be put into it
    "#]],
    );
}

#[test]
fn files_and_directories_do_not_replace_each_other_c8_t28() {
    refused(
        "RUN mkdir /x/a\nCOPY a /x",
        &expect![[r#"
        cannot replace the directory `/x/a` with a file
    "#]],
    );
    refused(
        "RUN mkdir /x/a\nCOPY a /x/",
        &expect![[r#"
        cannot replace the directory `/x/a` with a file
    "#]],
    );
    refused(
        "RUN mkdir /x/one\nCOPY dir /x",
        &expect![[r#"
        cannot replace the directory `/x/one` with a file
    "#]],
    );
    refused(
        "RUN write /x old\nCOPY dir /x",
        &expect![[r#"
        `/x` is not a directory, so nothing can be put into it
    "#]],
    );
    refused(
        "RUN write /x old\nCOPY a /x/",
        &expect![[r#"
        `/x` is not a directory, so nothing can be put into it
    "#]],
    );
    refused(
        "RUN mkdir /x; write /x/sub old\nCOPY dir /x",
        &expect![[r#"
            `/x/sub` is not a directory, so nothing can be put into it
        "#]],
    );
    refused(
        "RUN write /x old\nCOPY a /x/y/z",
        &expect![[r#"
        `/x` is not a directory, so nothing can be put into it
    "#]],
    );
    check(
        "RUN mkdir /x; link /x /x/one\nCOPY dir /x",
        &expect![[r#"
        /x d 0755 0:0
        /x/link l 0777 0:0 -> one
        /x/one f 0644 0:0 1 "1"
        /x/sub d 0755 0:0
        /x/sub/two f 0644 0:0 1 "2"
    "#]],
    );
}

#[test]
fn what_was_there_stays_c9() {
    check(
        "RUN mkdir /x/sub; write /x/old o; write /x/one o; chmod 700 /x; chown 5:6 /x; \
         chmod 700 /x/sub; chown 5:6 /x/sub\nCOPY dir /x",
        &expect![[r#"
            /x d 0700 5:6
            /x/link l 0777 0:0 -> one
            /x/old f 0644 0:0 1 "o"
            /x/one f 0644 0:0 1 "1"
            /x/sub d 0755 5:6
            /x/sub/two f 0644 0:0 1 "2"
        "#]],
    );
}

#[test]
fn owners_are_kept_between_stages_only_c10_c11_t34() {
    let stage = "RUN mkdir /s/t; write /s/t/f f; chown 5:6 /s; chown 7:8 /s/t; chown 9:10 /s/t/f\n\
                 FROM scratch\n";
    check(
        &format!("{stage}COPY --from=0 /s /x"),
        &expect![[r#"
        /x d 0755 0:0
        /x/t d 0755 7:8
        /x/t/f f 0644 9:10 1 "f"
    "#]],
    );
    check(
        &format!("{stage}COPY --from=0 /s/t/f /x/"),
        &expect![[r#"
        /x d 0755 0:0
        /x/f f 0644 9:10 1 "f"
    "#]],
    );
    check(
        &format!("{stage}COPY --from=0 --chown=1 /s /x"),
        &expect![[r#"
            /x d 0755 1:1
            /x/t d 0755 1:1
            /x/t/f f 0644 1:1 1 "f"
        "#]],
    );
    check(
        "USER 5:6\nCOPY a /x/",
        &expect![[r#"
        /x d 0755 0:0
        /x/a f 0644 0:0 1 "A"
    "#]],
    );
}

#[test]
fn a_missing_source_is_named() {
    refused(
        "COPY none /x",
        &expect![[r#"
        `/none` not found
    "#]],
    );
    refused(
        "COPY a/b /x",
        &expect![[r#"
        `/a/b` not found
    "#]],
    );
    refused(
        "RUN nothing\nFROM scratch\nCOPY --from=0 none /x",
        &expect![[r#"
            `/none` not found
        "#]],
    );
}

#[test]
fn owners_come_from_the_trees_accounts_c20_t35() {
    let accounts = "RUN mkdir /etc; write /etc/passwd u:x:5:6::/:; write /etc/group g:x:7:\n";
    check(
        &format!("{accounts}COPY --chown=u a /x\nCOPY --chown=u:g a /y"),
        &expect![[r#"
            /etc d 0755 0:0
            /etc/group f 0644 0:0 6 "g:x:7:"
            /etc/passwd f 0644 0:0 11 "u:x:5:6::/:"
            /x f 0644 5:6 1 "A"
            /y f 0644 5:7 1 "A"
        "#]],
    );
    check(
        "COPY --chown=9 a /x\nCOPY --chown=9:10 a /y\nCOPY --chown=root a /z",
        &expect![[r#"
            /x f 0644 9:9 1 "A"
            /y f 0644 9:10 1 "A"
            /z f 0644 0:0 1 "A"
        "#]],
    );
    refused(
        "COPY --chown=u a /x",
        &expect![[r#"
        cannot find the user `u`
        no user named `u` in `/etc/passwd`
    "#]],
    );
    refused(
        &format!("{accounts}COPY --chown=u:h a /x"),
        &expect![[r#"
        cannot find the user `u:h`
        no group named `h` in `/etc/group`
    "#]],
    );
}

#[test]
fn chmod_is_for_files_and_directories_not_for_links_c21() {
    check(
        "COPY --chmod=4750 dir /x",
        &expect![[r#"
        /x d 4750 0:0
        /x/link l 0777 0:0 -> one
        /x/one f 4750 0:0 1 "1"
        /x/sub d 4750 0:0
        /x/sub/two f 4750 0:0 1 "2"
    "#]],
    );
    check(
        "RUN mkdir /x\nCOPY --chmod=600 a /x",
        &expect![[r#"
        /x d 0755 0:0
        /x/a f 0600 0:0 1 "A"
    "#]],
    );
}

#[test]
fn c27_the_flag_and_the_query_agree_about_the_git_directory() {
    let Some(site) = Site::new() else { return };
    let url = "https://nowhere.invalid/x.git?keep-git-dir=true";
    let failure = site.failure(&format!("FROM scratch\nADD --keep-git-dir=false {url} /\n")[..]);
    assert!(
        failure.contains("says something else about `keep-git-dir`"),
        "{failure}"
    );
}
