//! What is an archive, and that a hostile one stays where it is put.

use std::{
    fs,
    io::{Seek, Write},
    path::Path,
};

use rbuild_layer::{Codec, Ownership};
use rbuild_sys::{Dir, effective_ids};
use tar::EntryType::{self, Directory, Link, Regular, Symlink};

use super::{archive_codec, unpack_archive};
use crate::fetch::samples::{compressed, packed};

fn file(bytes: &[u8]) -> fs::File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn own() -> Ownership {
    let (uid, gid) = effective_ids();
    Ownership::Fixed { uid, gid }
}

#[test]
fn content_decides_what_an_archive_is() {
    let archive = packed(&[(Regular, "f", "text")]);
    for (codec, bytes) in compressed(&archive) {
        let mut file = file(&bytes);
        assert_eq!(archive_codec(&mut file).unwrap(), Some(codec));
        assert_eq!(file.stream_position().unwrap(), 0);
    }
}

#[test]
fn other_files_are_no_archives() {
    let check = |bytes: &[u8]| assert_eq!(archive_codec(&mut file(bytes)).unwrap(), None);
    let archive = packed(&[(Regular, "f", "text")]);
    check(b"");
    check(b"#!/bin/sh\n");
    check(&archive[..511]);
    check(&[0; 10_240]);
    for (codec, bytes) in compressed(b"only a text, not a tar") {
        check(&bytes);
        if codec != Codec::None {
            check(&bytes[..bytes.len() / 2]);
        }
    }
    for (codec, bytes) in compressed(b"") {
        check(&bytes);
        assert_eq!(codec == Codec::None, bytes.is_empty());
    }
    for (_, bytes) in compressed(&archive) {
        check(&bytes[..20]);
    }
}

/// What is in `/tree/dest` after unpacking, or the error and its causes; the canary lives.
#[track_caller]
fn check(entries: &[(EntryType, &str, &str)], expected: &str) {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("tree");
    fs::create_dir_all(root.join("dest/old")).unwrap();
    fs::write(root.join("dest/old/kept"), "").unwrap();
    fs::write(root.join("dest/f"), "old").unwrap();
    fs::write(temp.path().join("canary"), "alive").unwrap();
    let tree = Dir::open(&root).unwrap();
    let archive = &mut file(&packed(entries));
    let codec = archive_codec(archive).unwrap().unwrap();
    let found = match unpack_archive((archive, codec), (&tree, b"dest"), own(), "x.tar") {
        Ok(_) => list(&root.join("dest"), "").join(" "),
        Err(error) => {
            let cause = std::error::Error::source(&error).unwrap();
            format!("{error}: {cause}")
        }
    };
    assert_eq!(found, expected);
    assert_eq!(fs::read(temp.path().join("canary")).unwrap(), b"alive");
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 2);
}

fn list(path: &Path, prefix: &str) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(path).unwrap().map(Result::unwrap).collect();
    names.sort_by_key(fs::DirEntry::file_name);
    let mut lines = Vec::new();
    for entry in names {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            lines.push(format!("{name}/"));
            lines.extend(list(&entry.path(), &format!("{name}/")));
        } else if kind.is_symlink() {
            lines.push(format!("{name}@"));
        } else {
            lines.push(format!(
                "{name}={}",
                fs::read_to_string(entry.path()).unwrap()
            ));
        }
    }
    lines
}

#[test]
fn an_archive_is_merged_over_what_is_there() {
    check(
        &[
            (Directory, "./", ""),
            (Regular, "f", "new"),
            (Regular, "old/g", "g"),
            (Regular, ".wh.f", "x"),
            (Link, "h", "f"),
        ],
        ".wh.f=x f=new h=new old/ old/g=g old/kept=",
    );
}

/// CVE-2026-17106, CVE-2026-33056; RUSTSEC-2018-0002.
#[test]
fn a_hostile_archive_stays_in_its_tree() {
    check(
        &[(Regular, "../../canary", "dead")],
        "cannot unpack the archive `x.tar`: archive entry `../../canary` leads out of the tree",
    );
    check(
        &[(Symlink, "up", "../.."), (Regular, "up/canary", "dead")],
        "f=old old/ old/kept= up@",
    );
    check(
        &[(Symlink, "f", "/canary"), (Regular, "f", "file")],
        "f=file old/ old/kept=",
    );
    check(
        &[
            (Symlink, "l", "../../canary"),
            (Link, "h", "l"),
            (Regular, "h", "x"),
        ],
        "f=old h=x l@ old/ old/kept=",
    );
}

#[test]
fn the_archives_root_does_not_change_the_destination() {
    use std::os::unix::fs::PermissionsExt;
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir(temp.path().join("d")).unwrap();
    fs::set_permissions(temp.path().join("d"), PermissionsExt::from_mode(0o711)).unwrap();
    let tree = Dir::open(temp.path()).unwrap();
    let mut archive = file(&packed(&[(Directory, "./", ""), (Directory, "sub", "")]));
    let codec = archive_codec(&mut archive).unwrap().unwrap();
    unpack_archive((&mut archive, codec), (&tree, b"d"), own(), "x").unwrap();
    assert_eq!(tree.stat(b"d").unwrap().mode, 0o711);
    let sub = tree.resolve_stat(b"d/sub").unwrap();
    assert_eq!((sub.mode, sub.mtime.seconds), (0o750, 7));
}
