//! Changes of a tree that show in a content digest, and those that do not.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use rbuild_sys::{Dir, Timestamp};

use super::{Owners, ReadFiles, digest};
use crate::{Filter, IgnoreRules, Parents, Selection, StatCache, sources};

fn digest_of(root: &Path, pattern: &str, ignore: &str) -> [u8; 32] {
    digest_with(root, pattern, ignore, Parents::Dropped)
}

fn digest_with(root: &Path, pattern: &str, ignore: &str, parents: Parents) -> [u8; 32] {
    let root = Dir::open(root).unwrap();
    let rules = IgnoreRules::parse(ignore).unwrap();
    let filter = Filter {
        ignored: Some(&rules),
        excluded: None,
    };
    let sources = sources(&root, pattern.as_bytes(), &Selection { filter, parents }).unwrap();
    let read = digest(&sources, &filter, Owners::Ignored, &mut ReadFiles).unwrap();
    let mut cache = StatCache::default();
    for _ in 0..2 {
        let cached = digest(&sources, &filter, Owners::Ignored, &mut cache).unwrap();
        assert_eq!(cached, read);
    }
    read
}

/// Whether `change` to the tree `d/f`, `d/g` shows in the digest of `pattern`.
#[track_caller]
fn check(pattern: &str, expected: bool, change: impl Fn(&Path)) {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir(temp.path().join("d")).unwrap();
    fs::write(temp.path().join("d/f"), "f").unwrap();
    fs::write(temp.path().join("d/g"), "g").unwrap();
    let before = digest_of(temp.path(), pattern, "d/ignored");
    change(temp.path());
    let after = digest_of(temp.path(), pattern, "d/ignored");
    assert_eq!(before != after, expected);
}

#[test]
fn what_a_copy_shows_counts() {
    check("d", true, |root| fs::write(root.join("d/f"), "F").unwrap());
    check("d", true, |root| fs::write(root.join("d/new"), "").unwrap());
    check("d", true, |root| {
        fs::rename(root.join("d/f"), root.join("d/h")).unwrap();
    });
    check("d/f", true, |root| {
        fs::set_permissions(root.join("d/f"), PermissionsExt::from_mode(0o4755)).unwrap();
    });
    check("d", true, |root| {
        Dir::open(root)
            .unwrap()
            .set_xattr(b"d", b"user.key", b"value")
            .unwrap();
    });
    check("d", true, |root| {
        fs::remove_file(root.join("d/f")).unwrap();
        std::os::unix::fs::symlink("g", root.join("d/f")).unwrap();
    });
}

#[test]
fn what_a_copy_does_not_show_does_not_count() {
    check("d", false, |root| {
        fs::write(root.join("d/ignored"), "x").unwrap();
    });
    check("d/f", false, |root| {
        fs::write(root.join("d/g"), "x").unwrap();
    });
    check("d", false, |root| {
        let dir = Dir::open(&root.join("d")).unwrap();
        dir.set_mtime(
            b"f",
            Timestamp {
                seconds: 1,
                nanoseconds: 2,
            },
        )
        .unwrap();
        dir.set_xattr(b"g", b"user.overlay.origin", b"x").unwrap();
    });
    check("d", false, |root| {
        // Another inode with the same content.
        fs::write(root.join("d/n"), "f").unwrap();
        fs::rename(root.join("d/n"), root.join("d/f")).unwrap();
    });
}

#[test]
fn the_name_of_a_file_counts_and_that_of_a_directory_does_not() {
    let temp = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        fs::create_dir(temp.path().join(name)).unwrap();
        fs::write(temp.path().join(name).join(format!("same-{name}")), "x").unwrap();
        fs::write(temp.path().join(name).join("f"), "x").unwrap();
    }
    let of = |pattern| digest_of(temp.path(), pattern, "**/same-*");
    assert_eq!(of("a"), of("b"));
    assert_eq!(of("a/f"), of("b/f"));
    fs::rename(temp.path().join("b/f"), temp.path().join("b/g")).unwrap();
    assert_ne!(of("a/f"), of("b/g"));
}

#[test]
fn parents_that_go_along_count() {
    let temp = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        fs::create_dir_all(temp.path().join(name).join("d")).unwrap();
        fs::write(temp.path().join(name).join("d/f"), "x").unwrap();
    }
    let of = |pattern| digest_with(temp.path(), pattern, "", Parents::Kept);
    assert_ne!(of("a/d/f"), of("b/d/f"));
    assert_ne!(of("a/d/f"), of("a/./d/f"));
    assert_eq!(of("a/./d/f"), of("b/./d/f"));
    fs::set_permissions(temp.path().join("b/d"), PermissionsExt::from_mode(0o700)).unwrap();
    assert_ne!(of("a/./d/f"), of("b/./d/f"));
    assert_eq!(of("a/d/./f"), of("b/d/./f"));
}
