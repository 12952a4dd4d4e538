//! The directory that WORKDIR makes (dockerfile.md, W2 and W5).

use expect_test::{Expect, expect};

use crate::site::Site;

/// Builds `instructions` on nothing and checks the tree, without its root.
#[track_caller]
fn check(instructions: &str, expected: &Expect) {
    let Some(site) = Site::new() else { return };
    let state = site.state(&format!("FROM scratch\n{instructions}\n")[..]);
    let mut tree = site.tree(&state.layers);
    tree.0.remove("/");
    expected.assert_eq(&tree.to_string());
}

#[test]
fn it_and_its_parents_belong_to_the_user() {
    check(
        "WORKDIR /a/b",
        &expect![[r#"
        /a d 0755 0:0
        /a/b d 0755 0:0
    "#]],
    );
    check(
        "USER 5:6\nWORKDIR /a/b",
        &expect![[r#"
        /a d 0755 5:6
        /a/b d 0755 5:6
    "#]],
    );
    check(
        "RUN mkdir /a\nUSER 5\nWORKDIR /a/b",
        &expect![[r#"
        /a d 0755 0:0
        /a/b d 0755 5:0
    "#]],
    );
}

#[test]
fn one_that_exists_stays_as_it_is() {
    check(
        "RUN mkdir /a; chmod 700 /a; chown 5:6 /a\nWORKDIR /a",
        &expect![[r#"
            /a d 0700 5:6
        "#]],
    );
}

#[test]
fn links_are_followed_inside() {
    check(
        "RUN mkdir /a; link /a /l\nWORKDIR /l/b",
        &expect![[r#"
        /a d 0755 0:0
        /a/b d 0755 0:0
        /l l 0777 0:0 -> /a
    "#]],
    );
    check(
        "RUN link ../../a /l\nWORKDIR /l/b",
        &expect![[r#"
        /a d 0755 0:0
        /a/b d 0755 0:0
        /l l 0777 0:0 -> ../../a
    "#]],
    );
    check(
        "RUN link /a/b /l\nWORKDIR /l",
        &expect![[r#"
        /a d 0755 0:0
        /a/b d 0755 0:0
        /l l 0777 0:0 -> /a/b
    "#]],
    );
}

#[test]
fn a_file_in_the_way_is_named() {
    let Some(site) = Site::new() else { return };
    expect![[r#"
        the build failed
        `/a` is not a directory, so nothing can be put into it
    "#]]
    .assert_eq(&site.failure("FROM scratch\nRUN write /a a\nWORKDIR /a/b\n"));
    expect![[r#"
        the build failed
        cannot write `/l` in the image
        openat2(`l`)
        Too many levels of symbolic links (os error 40)
    "#]]
    .assert_eq(&site.failure("FROM scratch\nRUN link l /l\nWORKDIR /l\n"));
    expect![[r#"
        the build failed
        cannot find the user `nobody`
        no user named `nobody` in `/etc/passwd`
    "#]]
    .assert_eq(&site.failure("FROM scratch\nUSER nobody\nWORKDIR /a\n"));
}
