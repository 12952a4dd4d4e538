//! Links in what COPY reads and where it writes (dockerfile.md, C13, T25, T26, T29).

use expect_test::expect;

use super::{check, refused};

#[test]
fn named_links_are_followed_and_those_below_stay_c13_t29() {
    check(
        "COPY tofile /x",
        &expect![[r#"
        /x f 0644 0:0 1 "A"
    "#]],
    );
    check(
        "COPY todir/link /x",
        &expect![[r#"
        /x f 0644 0:0 1 "1"
    "#]],
    );
    check(
        "COPY dir/l* /x/",
        &expect![[r#"
        /x d 0755 0:0
        /x/link f 0644 0:0 1 "1"
    "#]],
    );
    refused(
        "COPY dead /x",
        &expect![[r#"
        `/dead` not found
    "#]],
    );
    refused(
        "COPY up /x",
        &expect![[r#"
        `/up` not found
    "#]],
    );
    refused(
        "COPY *ead /x",
        &expect![[r#"
        `/dead` not found
    "#]],
    );
}

#[test]
fn links_on_the_way_to_the_destination_are_followed_c13() {
    check(
        "RUN mkdir /d; link d /x\nCOPY a /x/",
        &expect![[r#"
        /d d 0755 0:0
        /d/a f 0644 0:0 1 "A"
        /x l 0777 0:0 -> d
    "#]],
    );
    check(
        "RUN mkdir /d; link d /x\nCOPY a /x",
        &expect![[r#"
        /d d 0755 0:0
        /d/a f 0644 0:0 1 "A"
        /x l 0777 0:0 -> d
    "#]],
    );
    check(
        "RUN mkdir /d; link /d /x\nCOPY dir /x/y",
        &expect![[r#"
        /d d 0755 0:0
        /d/y d 0755 0:0
        /d/y/link l 0777 0:0 -> one
        /d/y/one f 0644 0:0 1 "1"
        /d/y/sub d 0755 0:0
        /d/y/sub/two f 0644 0:0 1 "2"
        /x l 0777 0:0 -> /d
    "#]],
    );
    check(
        "RUN mkdir /d; link ../../../d /x\nCOPY dir /x",
        &expect![[r#"
            /d d 0755 0:0
            /d/link l 0777 0:0 -> one
            /d/one f 0644 0:0 1 "1"
            /d/sub d 0755 0:0
            /d/sub/two f 0644 0:0 1 "2"
            /x l 0777 0:0 -> ../../../d
        "#]],
    );
    check(
        "RUN mkdir /d; mkdir /x; link /d /x/sub\nCOPY a /x/sub/b",
        &expect![[r#"
            /d d 0755 0:0
            /d/b f 0644 0:0 1 "A"
            /x d 0755 0:0
            /x/sub l 0777 0:0 -> /d
        "#]],
    );
}

#[test]
fn a_link_to_a_missing_directory_makes_that_directory() {
    check(
        "RUN link /d/e /x\nCOPY a /x/y",
        &expect![[r#"
        /d d 0755 0:0
        /d/e d 0755 0:0
        /d/e/y f 0644 0:0 1 "A"
        /x l 0777 0:0 -> /d/e
    "#]],
    );
    check(
        "RUN link d /x\nCOPY dir/sub /x",
        &expect![[r#"
        /d d 0755 0:0
        /d/two f 0644 0:0 1 "2"
        /x l 0777 0:0 -> d
    "#]],
    );
}

#[test]
fn a_link_where_a_directory_shall_be_is_not_followed() {
    refused(
        "RUN mkdir /d; mkdir /x; link /d /x/sub\nCOPY dir /x",
        &expect![[r#"
            `/x/sub` is not a directory, so nothing can be put into it
        "#]],
    );
}

#[test]
fn every_source_is_below_the_root_t25_t26() {
    check(
        "COPY [\"/a\", \"./b\", \"../dir/../c d\", \"/x/\"]",
        &expect![[r#"
            /x d 0755 0:0
            /x/a f 0644 0:0 1 "A"
            /x/b f 0644 0:0 1 "B"
            /x/c d f 0644 0:0 1 "C"
        "#]],
    );
    check(
        "COPY /dir/ /x",
        &expect![[r#"
        /x d 0755 0:0
        /x/link l 0777 0:0 -> one
        /x/one f 0644 0:0 1 "1"
        /x/sub d 0755 0:0
        /x/sub/two f 0644 0:0 1 "2"
    "#]],
    );
    check(
        "COPY [\"dir/.\", \"/x\"]",
        &expect![[r#"
        /x d 0755 0:0
        /x/link l 0777 0:0 -> one
        /x/one f 0644 0:0 1 "1"
        /x/sub d 0755 0:0
        /x/sub/two f 0644 0:0 1 "2"
    "#]],
    );
}
