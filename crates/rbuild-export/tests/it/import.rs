//! From a root file system to an image.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, sync::LazyLock};

use expect_test::{Expect, expect};
use rbuild_export::{Error, Import, Root, import};
use rbuild_layer::{Encoder, EncoderOptions};
use rbuild_oci::{DiffId, ImageConfig, ImageId, Name, media_type::Compression};
use rbuild_sys::Dir;

use crate::place::{Place, name};

/// What everything is imported as.
static NAME: LazyLock<Name> = LazyLock::new(|| name("localhost/i:1"));

fn run(place: &Place, root: Root<'_>) -> Result<ImageId, Error> {
    let request = Import {
        root,
        config: ImageConfig {
            architecture: "amd64".to_owned(),
            os: "linux".to_owned(),
            ..ImageConfig::default()
        },
        comment: "imported from a test".to_owned(),
        now: 60,
        name: &NAME,
    };
    import(&place.store, &place.session, request)
}

/// An archive of files, of the caller's, with a time that directories have too.
fn archive(entries: &[(&str, &str)]) -> Vec<u8> {
    let (uid, gid) = rbuild_sys::effective_ids();
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in entries {
        let mut header = tar::Header::new_ustar();
        let directory = path.ends_with('/');
        header.set_entry_type(if directory {
            tar::EntryType::Directory
        } else {
            tar::EntryType::Regular
        });
        header.set_mode(if directory { 0o755 } else { 0o644 });
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        header.set_mtime(50);
        header.set_size(content.len() as u64);
        // Names that `Header::set_path` refuses are what some tests are about.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        tar.append(&header, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn compress(bytes: &[u8], compression: Compression) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, &EncoderOptions::new(compression)).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap();
    out
}

/// The diff id of what an archive is imported as.
fn diff_id(mut archive: &[u8]) -> DiffId {
    let place = Place::new();
    let id = run(&place, Root::Archive(&mut archive)).unwrap();
    assert_eq!(place.store.names().unwrap(), [(NAME.clone(), id)]);
    place.config(&id).rootfs.diff_ids[0]
}

#[test]
fn however_it_is_packed_the_layer_is_the_same() {
    let tar = archive(&[("d/", ""), ("d/f", "x"), ("g", "y")]);
    let expected = diff_id(&tar);
    for compression in [Compression::Gzip, Compression::Zstd] {
        assert_eq!(diff_id(&compress(&tar, compression)), expected);
    }
    let reordered = archive(&[("g", "y"), ("d/", ""), ("./d/f", "x")]);
    assert_eq!(diff_id(&reordered), expected);
    let place = Place::new();
    let root = place.path("root");
    fs::create_dir_all(root.join("d")).unwrap();
    fs::set_permissions(root.join("d"), fs::Permissions::from_mode(0o755)).unwrap();
    for (file, content) in [("d/f", "x"), ("g", "y")] {
        fs::write(root.join(file), content).unwrap();
        fs::set_permissions(root.join(file), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let dir = Dir::open(&root).unwrap();
    let time = rbuild_sys::Timestamp {
        seconds: 50,
        nanoseconds: 0,
    };
    dir.child(b"d").unwrap().set_mtime(b"f", time).unwrap();
    dir.set_mtime(b"d", time).unwrap();
    dir.set_mtime(b"g", time).unwrap();
    let id = run(&place, Root::Directory(&dir)).unwrap();
    assert_eq!(place.config(&id).rootfs.diff_ids, [expected]);
}

#[test]
fn the_image_says_where_it_came_from() {
    let place = Place::new();
    let id = run(&place, Root::Archive(&mut &archive(&[("f", "x")])[..])).unwrap();
    let mut config = place.config(&id);
    config.rootfs.diff_ids.clear();
    expect![[r#"{"created":"1970-01-01T00:01:00Z","architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[]},"history":[{"created":"1970-01-01T00:01:00Z","created_by":"rbuild import","comment":"imported from a test"}]}"#]].assert_eq(&serde_json::to_string(&config).unwrap());
}

/// Checks what is said about an archive that is refused, and that nothing is left of it.
#[track_caller]
fn refused(mut archive: &[u8], expected: &Expect) {
    let place = Place::new();
    let error = run(&place, Root::Archive(&mut archive)).unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string);
    expected.assert_eq(&format!("{error}\n{}\n", cause.unwrap_or_default()));
    assert_eq!(place.store.images().unwrap(), []);
    assert_eq!(place.store.names().unwrap(), []);
}

#[test]
fn damaged_and_hostile_archives_are_refused() {
    let fine = archive(&[("f", "x")]);
    refused(
        b"no archive",
        &expect![[r#"
        cannot unpack `the root file system`
        the archive is damaged at byte 0: it ends within a header
    "#]],
    );
    refused(
        &fine[..700],
        &expect![[r#"
        cannot unpack `the root file system`
        the archive is damaged at byte 700: it ends within a member
    "#]],
    );
    refused(
        &compress(&fine, Compression::Gzip)[..40],
        &expect![[r#"
        cannot unpack `the root file system`
        cannot read the archive
    "#]],
    );
    refused(
        &archive(&[("../f", "x")]),
        &expect![[r#"
        cannot unpack `the root file system`
        archive entry `../f` leads out of the tree
    "#]],
    );
    refused(
        &archive(&[(".wh.f", "")]),
        &expect![[r#"
        cannot pack a layer
        archive entry `.wh.f` has a name that means a deletion in a layer
    "#]],
    );
}
