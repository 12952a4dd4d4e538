//! What is an archive, and that a hostile one stays where it is put.

use std::{
    fs,
    io::{Seek, Write},
    path::Path,
};

use rbuild_layer::{Codec, Ownership};
use rbuild_sys::{Dir, effective_ids};

use super::{archive_codec, unpack_archive};

/// An archive of `(kind, path, content or link target)`; paths are taken as they are.
pub(in crate::fetch) fn tar(entries: &[(tar::EntryType, &str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for &(kind, path, text) in entries {
        let mut header = tar::Header::new_gnu();
        let content = if kind == tar::EntryType::Regular {
            text
        } else {
            ""
        };
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..path.len()].copy_from_slice(path.as_bytes());
        if content.is_empty() {
            gnu.linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_entry_type(kind);
        header.set_mode(if kind == tar::EntryType::Directory {
            0o750
        } else {
            0o640
        });
        header.set_uid(5);
        header.set_gid(6);
        header.set_mtime(7);
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// `bytes` in all ways that are understood.
pub(in crate::fetch) fn compressed(bytes: &[u8]) -> Vec<(Codec, Vec<u8>)> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(bytes).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(bytes).unwrap();
    vec![
        (Codec::None, bytes.to_vec()),
        (Codec::Gzip, gzip.finish().unwrap()),
        (Codec::Bzip2, bzip2.finish().unwrap()),
        (Codec::Xz, xz.finish().unwrap()),
        (Codec::Zstd, zstd::encode_all(bytes, 1).unwrap()),
    ]
}

fn file(bytes: &[u8]) -> fs::File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn own() -> Ownership {
    let (uid, gid) = effective_ids();
    Ownership::Fixed { uid, gid }
}

use tar::EntryType::{Directory, Link, Regular, Symlink};

#[test]
fn content_decides_what_an_archive_is() {
    let archive = tar(&[(Regular, "f", "text")]);
    for (codec, bytes) in compressed(&archive) {
        let mut file = file(&bytes);
        assert_eq!(archive_codec(&mut file).unwrap(), Some(codec));
        assert_eq!(file.stream_position().unwrap(), 0);
    }
}

#[test]
fn other_files_are_no_archives() {
    let check = |bytes: &[u8]| assert_eq!(archive_codec(&mut file(bytes)).unwrap(), None);
    let archive = tar(&[(Regular, "f", "text")]);
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
fn check(entries: &[(tar::EntryType, &str, &str)], expected: &str) {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("tree");
    fs::create_dir_all(root.join("dest/old")).unwrap();
    fs::write(root.join("dest/old/kept"), "").unwrap();
    fs::write(root.join("dest/f"), "old").unwrap();
    fs::write(temp.path().join("canary"), "alive").unwrap();
    let tree = Dir::open(&root).unwrap();
    let archive = &mut file(&tar(entries));
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
    let mut archive = file(&tar(&[(Directory, "./", ""), (Directory, "sub", "")]));
    let codec = archive_codec(&mut archive).unwrap().unwrap();
    unpack_archive((&mut archive, codec), (&tree, b"d"), own(), "x").unwrap();
    assert_eq!(tree.stat(b"d").unwrap().mode, 0o711);
    let sub = tree.resolve_stat(b"d/sub").unwrap();
    assert_eq!((sub.mode, sub.mtime.seconds), (0o750, 7));
}
