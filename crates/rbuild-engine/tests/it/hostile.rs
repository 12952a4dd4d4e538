//! Layouts that lie: the error names what, and the store shows nothing afterwards.

use std::{fs, os::unix::fs::symlink};

use expect_test::{Expect, expect};
use rbuild_oci::{Digest, media_type};
use serde_json::json;

use crate::{
    bases::Place,
    layout::{Layout, descriptor, index, tar_of},
    site::causes,
};

/// Resolves the layout after `spoil`, which writes it, and checks the causes of the error.
#[track_caller]
fn check(spoil: impl FnOnce(&mut Layout), expected: &Expect) {
    let mut place = Place::new();
    spoil(&mut place.layout);
    let error = causes(&place.resolve_layout("").unwrap_err());
    let (first, causes) = error.split_once('\n').unwrap();
    assert!(first.starts_with("cannot take the image from `oci:"));
    let causes = causes.replace(place.dir.path().to_str().unwrap(), "…");
    expected.assert_eq(&shorten(&causes));
    assert_eq!(place.store.images().unwrap(), []);
    assert_eq!(place.store.names().unwrap(), []);
    let layers = fs::read_dir(place.dir.path().join("store/layers")).unwrap();
    assert_eq!(layers.count(), 0);
    let staging = fs::read_dir(place.dir.path().join("store/staging")).unwrap();
    assert_eq!(staging.count(), 0);
}

/// Without digests: they depend on who runs the tests.
fn shorten(mut rest: &str) -> String {
    let mut out = String::new();
    while let Some(at) = rest.find(|c: char| c.is_ascii_hexdigit()) {
        let end = rest[at..]
            .find(|c: char| !c.is_ascii_hexdigit())
            .map_or(rest.len(), |length| at + length);
        out += &rest[..at];
        out += if end - at == 64 {
            "…"
        } else {
            &rest[at..end]
        };
        rest = &rest[end..];
    }
    out + rest
}

#[test]
fn missing_files() {
    check(
        |_| {},
        &expect![[r#"
        cannot open the directory
        open(`…/layout`)
        No such file or directory (os error 2)
    "#]],
    );
    check(
        |layout| fs::create_dir(&layout.dir).unwrap(),
        &expect![[r#"
            it is not an OCI layout
        "#]],
    );
    check(
        |layout| {
            layout.write();
            fs::remove_file(layout.blob(&layout.layer)).unwrap();
        },
        &expect![[r#"
            cannot open `blobs/sha256/…`
            openat2(`blobs/sha256/…`)
            No such file or directory (os error 2)
        "#]],
    );
    check(
        |layout| {
            layout.write();
            fs::remove_file(layout.blob(layout.config.to_string().as_bytes())).unwrap();
        },
        &expect![[r#"
            cannot open `blobs/sha256/…`
            openat2(`blobs/sha256/…`)
            No such file or directory (os error 2)
        "#]],
    );
}

#[test]
fn blobs_with_other_bytes() {
    check(
        |layout| {
            layout.write();
            fs::write(layout.blob(&layout.layer), tar_of("g", b"content")).unwrap();
        },
        &expect![[r#"
            cannot store layer sha256:…
            blob sha256:… of 2048 bytes turned out to be sha256:… of 2048 bytes
        "#]],
    );
    check(
        |layout| {
            layout.write();
            fs::write(layout.blob(layout.config.to_string().as_bytes()), "{}").unwrap();
        },
        &expect![[r#"
            `blobs/sha256/…` is damaged: it has another digest
        "#]],
    );
    check(
        |layout| {
            layout.write();
            fs::write(layout.blob(layout.manifest.to_string().as_bytes()), "{}").unwrap();
        },
        &expect![[r#"
            `blobs/sha256/…` is damaged: it has another digest
        "#]],
    );
}

#[test]
fn blobs_of_another_size() {
    for (size, expected) in [
        (
            json!(1),
            expect![[r#"
            cannot unpack layer sha256:…
            the archive is damaged at byte 0: it ends within a header
        "#]],
        ),
        (
            json!(1_u64 << 40),
            expect![[r#"
            cannot store layer sha256:…
            blob sha256:… of 1099511627776 bytes turned out to be sha256:… of 2048 bytes
        "#]],
        ),
        (
            json!(u64::MAX),
            expect![[r#"
            cannot store layer sha256:…
            blob sha256:… of 18446744073709551615 bytes turned out to be sha256:… of 2048 bytes
        "#]],
        ),
        (
            json!(-1),
            expect![[r#"
            `blobs/sha256/…` is of no use
            invalid value: integer `-1`, expected u64 at line 1 column 317
        "#]],
        ),
    ] {
        check(
            |layout| {
                layout.manifest["layers"][0]["size"] = size;
                layout.index_manifest();
                layout.write();
            },
            &expected,
        );
    }
}

#[test]
fn another_diff_id() {
    check(
        |layout| {
            layout.config["rootfs"]["diff_ids"] = json!([Digest::of(b"").to_string()]);
            layout.describe();
            layout.write();
        },
        &expect![[r#"
            layer sha256:… unpacks to sha256:…, but the image's configuration says sha256:…
        "#]],
    );
    check(
        |layout| {
            layout.config["rootfs"]["diff_ids"] = json!([]);
            layout.describe();
            layout.write();
        },
        &expect![[r#"
            the manifest has 1 layers, the configuration 0
        "#]],
    );
}

#[test]
fn layers_that_want_out_or_are_none() {
    for (layer, expected) in [
        (
            tar_of("../f", b"x"),
            expect![[r#"
            cannot unpack layer sha256:…
            archive entry `../f` leads out of the tree
        "#]],
        ),
        (
            tar_of("a/../../f", b"x"),
            expect![[r#"
            cannot unpack layer sha256:…
            archive entry `a/../../f` leads out of the tree
        "#]],
        ),
        (
            b"no archive".repeat(100),
            expect![[r#"
                cannot unpack layer sha256:…
                the archive is damaged at byte 512: it does not begin as a tar does
            "#]],
        ),
        (
            tar_of("f", &[b'x'; 600])[..1000].to_vec(),
            expect![[r#"
            cannot unpack layer sha256:…
            the archive is damaged at byte 1000: it ends within a member
        "#]],
        ),
    ] {
        check(
            |layout| {
                layout.config["rootfs"]["diff_ids"] = json!([Digest::of(&layer).to_string()]);
                layout.layer = layer;
                layout.describe();
                layout.write();
            },
            &expected,
        );
    }
}

#[test]
fn documents_of_two_kinds_or_of_none() {
    check(
        |layout| {
            layout.manifest["manifests"] = json!([]);
            layout.index_manifest();
            layout.write();
        },
        &expect![[r#"
            `blobs/sha256/…` is of no use
            it is both a manifest and an index
        "#]],
    );
    check(
        |layout| {
            layout.index["layers"] = json!([]);
            layout.write();
        },
        &expect![[r#"
            `index.json` is of no use
            it is both a manifest and an index
        "#]],
    );
    check(
        |layout| {
            layout.index = layout.manifest.clone();
            layout.write();
        },
        &expect![[r#"
            `index.json` is of no use
            it is not an index
        "#]],
    );
    check(
        |layout| {
            layout.manifest["layers"][0]["mediaType"] = json!("application/x-shellscript");
            layout.index_manifest();
            layout.write();
        },
        &expect![[r#"
            `blobs/sha256/…` is of no use
            layer type `application/x-shellscript` is not fetched
        "#]],
    );
    check(
        |layout| {
            layout.index["manifests"][0]["digest"] = json!("sha256:../../../../etc/passwd");
            layout.write();
        },
        &expect![[r#"
            `index.json` is of no use
            Invalid encoded value ../../../../etc/passwd at line 1 column 55
        "#]],
    );
}

#[test]
fn documents_that_have_no_end() {
    check(
        |layout| {
            layout.index["padding"] = json!("x".repeat(8 << 20));
            layout.write();
        },
        &expect![[r#"
            `index.json` is larger than 8 MiB
        "#]],
    );
    check(
        |layout| {
            layout.write();
            let mut document = layout.index.to_string();
            for _ in 0..4 {
                layout.write_blob(document.as_bytes());
                document =
                    index(&[descriptor(media_type::OCI_INDEX, document.as_bytes())]).to_string();
            }
            fs::write(layout.dir.join("index.json"), document).unwrap();
        },
        &expect![[r#"
            `blobs/sha256/…` is of no use
            indexes are nested too deeply
        "#]],
    );
}

#[test]
fn blobs_that_are_links_or_no_files() {
    check(
        |layout| {
            layout.write();
            let secret = layout.dir.with_extension("secret");
            fs::rename(layout.blob(&layout.layer), &secret).unwrap();
            symlink(&secret, layout.blob(&layout.layer)).unwrap();
        },
        &expect![[r#"
            cannot open `blobs/sha256/…`
            openat2(`blobs/sha256/…`)
            No such file or directory (os error 2)
        "#]],
    );
    check(
        |layout| {
            layout.write();
            fs::remove_file(layout.blob(&layout.layer)).unwrap();
            fs::create_dir(layout.blob(&layout.layer)).unwrap();
        },
        &expect![[r#"
            cannot open `blobs/sha256/…`
            open(`blobs/sha256/…`)
            Invalid argument (os error 22)
        "#]],
    );
    check(
        |layout| {
            layout.write();
            fs::remove_file(layout.dir.join("index.json")).unwrap();
            symlink("/etc/passwd", layout.dir.join("index.json")).unwrap();
        },
        &expect![[r#"
            it is not an OCI layout
        "#]],
    );
}
