//! Hostile archives, each unpacked beside a canary that must survive.

use std::{os::unix::fs::PermissionsExt, path::Path};

use expect_test::{Expect, expect};
use rbuild_sys::{Dir, FileKind};

use super::unpack;
use crate::{
    header::{Header, Type, padding},
    unpack_options::{Limits, Ownership, UnpackOptions, Whiteouts},
};

/// An archive, written entry by entry: kind, path, link target or content.
fn archive(entries: &[(Type, &str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for &(kind, path, text) in entries {
        let content = if kind == File { text } else { "" };
        Header {
            kind,
            path: path.as_bytes(),
            link: if kind == File { b"" } else { text.as_bytes() },
            mode: if kind == Directory { 0o750 } else { 0o640 },
            uid: own_uid(),
            gid: own_gid(),
            size: content.len() as u64,
            mtime: 1_000,
            rdev: (0, 0),
            xattrs: &[],
        }
        .write(&mut out);
        out.extend_from_slice(content.as_bytes());
        out.resize(out.len() + padding(content.len() as u64), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// Our own ids, so that the tests run without privileges.
fn own_uid() -> u32 {
    Dir::open(Path::new("/proc/self"))
        .unwrap()
        .stat_self()
        .unwrap()
        .uid
}

fn own_gid() -> u32 {
    Dir::open(Path::new("/proc/self"))
        .unwrap()
        .stat_self()
        .unwrap()
        .gid
}

pub(crate) fn options(whiteouts: Whiteouts) -> UnpackOptions {
    let ownership = Ownership::Fixed {
        uid: own_uid(),
        gid: own_gid(),
    };
    UnpackOptions {
        ownership,
        ..UnpackOptions::new(whiteouts)
    }
}

/// The tree as text: path, kind, mode of files, target or content, opaqueness.
fn dump(dir: &Dir, prefix: &str, out: &mut String) {
    for entry in dir.entries().unwrap() {
        let name = String::from_utf8_lossy(&entry.name).into_owned();
        let path = format!("{prefix}{name}");
        let stat = dir.stat(&entry.name).unwrap();
        let opaque = crate::attribute::is_opaque(dir, &entry.name).unwrap();
        let rest = match stat.kind {
            FileKind::File => {
                let text = std::io::read_to_string(dir.read(&entry.name).unwrap()).unwrap();
                format!("f {:o} x{} {text:?}", stat.mode, stat.links)
            }
            FileKind::Directory => format!("d{}", if opaque { " opaque" } else { "" }),
            FileKind::Symlink => {
                format!(
                    "l {}",
                    String::from_utf8_lossy(&dir.read_link(&entry.name).unwrap())
                )
            }
            FileKind::CharDevice => "whiteout".to_owned(),
            FileKind::Fifo => "p".to_owned(),
            kind => format!("{kind:?}"),
        };
        out.push_str(&format!("{path} {rest}\n"));
        if stat.is_dir() {
            dump(&dir.child(&entry.name).unwrap(), &format!("{path}/"), out);
        }
    }
}

fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&e| e.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// Unpacks into a tree beside a canary, which must stay as it is.
#[track_caller]
fn check_as(whiteouts: Whiteouts, entries: &[(Type, &str, &str)], expected: &Expect) {
    let temp = tempfile::tempdir().unwrap();
    let canary = temp.path().join("canary");
    std::fs::create_dir(&canary).unwrap();
    std::fs::write(canary.join("secret"), "host").unwrap();
    std::fs::set_permissions(&canary, PermissionsExt::from_mode(0o750)).unwrap();
    std::fs::create_dir(temp.path().join("root")).unwrap();
    let root = Dir::open(&temp.path().join("root")).unwrap();
    let result = unpack(&mut &archive(entries)[..], &root, &options(whiteouts));
    let mut text = String::new();
    dump(&root, "", &mut text);
    if let Err(error) = result {
        text.push_str(&format!("error: {}\n", describe(&error)));
    }
    expected.assert_eq(&text);
    let names: Vec<_> = std::fs::read_dir(temp.path()).unwrap().collect();
    assert_eq!(names.len(), 2, "something was created outside");
    assert_eq!(std::fs::read_dir(&canary).unwrap().count(), 1);
    assert_eq!(
        std::fs::read_to_string(canary.join("secret")).unwrap(),
        "host"
    );
    assert_eq!(
        canary.metadata().unwrap().permissions().mode() & 0o7777,
        0o750
    );
}

#[track_caller]
fn check(entries: &[(Type, &str, &str)], expected: &Expect) {
    check_as(Whiteouts::Overlay, entries, expected);
}

use Type::{CharDevice, Directory, Fifo, File, HardLink, Symlink};

#[test]
fn parents_are_made_and_kinds_kept() {
    check(
        &[
            (File, "a/b/f", "x"),
            (Symlink, "a/l", "../t"),
            (HardLink, "h", "a/b/f"),
            (Fifo, "p", ""),
        ],
        &expect![[r#"
            a d
            a/b d
            a/b/f f 640 x2 "x"
            a/l l ../t
            h f 640 x2 "x"
            p p
        "#]],
    );
}

#[test]
fn dots_never_lead_out() {
    check(
        &[(File, "../canary/new", "x")],
        &expect![[r#"
            error: archive entry `../canary/new` leads out of the tree
        "#]],
    );
    check(
        &[(File, "a/../../canary/secret", "x")],
        &expect![[r#"
            error: archive entry `a/../../canary/secret` leads out of the tree
        "#]],
    );
    check(
        &[(HardLink, "h", "../canary/secret")],
        &expect![[r#"
            error: archive entry `h` leads out of the tree
        "#]],
    );
}

#[test]
fn absolute_paths_are_inside() {
    check(
        &[
            (File, "/canary/secret", "x"),
            (HardLink, "h", "/canary/secret"),
        ],
        &expect![[r#"
            canary d
            canary/secret f 640 x2 "x"
            h f 640 x2 "x"
        "#]],
    );
}

#[test]
fn links_on_the_way_stay_inside() {
    check(
        &[(Symlink, "up", "../canary"), (File, "up/secret", "x")],
        &expect![[r#"
            up l ../canary
            error: cannot unpack `up/secret`: mkdirat(`up`): File exists (os error 17)
        "#]],
    );
    check(
        &[
            (Directory, "run/", ""),
            (Symlink, "var/run", "/run"),
            (File, "var/run/f", "x"),
        ],
        &expect![[r#"
            run d
            run/f f 640 x1 "x"
            var d
            var/run l /run
        "#]],
    );
    check(
        &[
            (Directory, "canary/", ""),
            (Symlink, "up", "../../../canary"),
            (HardLink, "h", "up/secret"),
        ],
        &expect![[r#"
            canary d
            up l ../../../canary
            error: cannot unpack `h`: statx(`secret`): No such file or directory (os error 2)
        "#]],
    );
}

#[test]
fn the_last_component_is_never_followed() {
    check(
        &[(Symlink, "l", "../canary/secret"), (File, "l", "x")],
        &expect![[r#"
            l f 640 x1 "x"
        "#]],
    );
    check(
        &[
            (Symlink, "l", "../canary"),
            (Directory, "l/", ""),
            (File, "l/secret", "x"),
        ],
        &expect![[r#"
            l d
            l/secret f 640 x1 "x"
        "#]],
    );
    check(
        &[
            (Symlink, "s", "../canary/secret"),
            (HardLink, "h", "s"),
            (File, "h", "x"),
        ],
        &expect![[r#"
            h f 640 x1 "x"
            s l ../canary/secret
        "#]],
    );
}

#[test]
fn the_root_is_not_replaced() {
    for kind in [Symlink, HardLink] {
        check(
            &[(kind, "./", "/canary")],
            &expect![[r#"
                error: archive entry `./` would replace the root
            "#]],
        );
    }
    check(
        &[(Symlink, ".", "/canary")],
        &expect![[r#"
            error: archive entry `.` would replace the root
        "#]],
    );
}

#[test]
fn the_last_entry_of_a_path_wins() {
    check(
        &[
            (File, "f", "1"),
            (HardLink, "h", "f"),
            (File, "f", "2"),
            (Directory, "d/x/", ""),
            (File, "d", "3"),
        ],
        &expect![[r#"
            d f 640 x1 "3"
            f f 640 x1 "2"
            h f 640 x1 "1"
        "#]],
    );
    check(
        &[(File, "f", "1"), (HardLink, "f", "f")],
        &expect![[r#"
            f f 640 x1 "1"
        "#]],
    );
}

#[test]
fn deletions_become_the_overlay_form() {
    check(
        &[
            (File, "d/.wh.gone", ""),
            (File, "d/.wh..wh..opq", ""),
            (File, ".wh..wh.plnk", ""),
        ],
        &expect![[r#"
            d d opaque
            d/gone whiteout
        "#]],
    );
}

#[test]
fn a_deletion_spares_its_own_layer() {
    check(
        &[
            (File, "f", "x"),
            (File, ".wh.f", ""),
            (File, ".wh.g", ""),
            (File, "g", "x"),
        ],
        &expect![[r#"
            f f 640 x1 "x"
            g f 640 x1 "x"
        "#]],
    );
    check(
        &[
            (Directory, "d/", ""),
            (File, ".wh.d", ""),
            (File, ".wh.e", ""),
            (Directory, "e/", ""),
        ],
        &expect![[r#"
            d d opaque
            e d opaque
        "#]],
    );
}

#[test]
fn deletions_play_no_tricks() {
    for (entry, message) in [
        ((File, ".wh.", ""), "deletes nothing that could exist"),
        ((File, ".wh...", ""), "deletes nothing that could exist"),
        ((File, "a/.wh..", ""), "deletes nothing that could exist"),
        ((File, ".wh.x/f", ""), "is inside of a deletion"),
    ] {
        let temp = tempfile::tempdir().unwrap();
        let root = Dir::open(temp.path()).unwrap();
        let error = unpack(
            &mut &archive(&[entry])[..],
            &root,
            &options(Whiteouts::Overlay),
        );
        assert!(describe(&error.unwrap_err()).contains(message), "{entry:?}");
    }
    check(
        &[(CharDevice, "etc/passwd", "")],
        &expect![[r#"
        etc d
    "#]],
    );
    check(
        &[(File, ".wh.f", ""), (HardLink, "g", "f")],
        &expect![[r#"
            f whiteout
            error: archive entry `g` is a hard link to what is not a file
        "#]],
    );
}

#[test]
fn outside_of_layers_a_deletion_is_a_file() {
    check_as(
        Whiteouts::Literal,
        &[(File, ".wh.f", ""), (File, "d/.wh..wh..opq", "")],
        &expect![[r#"
            .wh.f f 640 x1 ""
            d d
            d/.wh..wh..opq f 640 x1 ""
        "#]],
    );
}

#[test]
fn each_limit_is_named() {
    let check = |limits: Limits, name: &str| {
        let temp = tempfile::tempdir().unwrap();
        let root = Dir::open(temp.path()).unwrap();
        let options = UnpackOptions {
            limits,
            ..options(Whiteouts::Overlay)
        };
        let long = "n".repeat(200);
        let archive = archive(&[(File, &long, "content"), (File, "f", "")]);
        let error = unpack(&mut &archive[..], &root, &options).unwrap_err();
        assert!(
            error.to_string().contains(&format!("limit `{name}`")),
            "{error}"
        );
    };
    let limits = Limits::default();
    check(
        Limits {
            entries: 1,
            ..limits
        },
        "entries",
    );
    check(Limits { size: 6, ..limits }, "size");
    check(
        Limits {
            header: 100,
            ..limits
        },
        "header",
    );
    check(
        Limits {
            path: 199,
            ..limits
        },
        "path",
    );
}

#[test]
fn an_archive_can_go_below_a_directory() {
    let temp = tempfile::tempdir().unwrap();
    let root = Dir::open(temp.path()).unwrap();
    std::os::unix::fs::symlink("/real", temp.path().join("link")).unwrap();
    std::fs::create_dir(temp.path().join("real")).unwrap();
    let options = UnpackOptions {
        below: b"link/new".to_vec(),
        ..options(Whiteouts::Literal)
    };
    let archive = archive(&[(File, "f", "x"), (HardLink, "h", "/f")]);
    unpack(&mut &archive[..], &root, &options).unwrap();
    let mut text = String::new();
    dump(&root, "", &mut text);
    expect![[r#"
        link l /real
        real d
        real/new d
        real/new/f f 640 x2 "x"
        real/new/h f 640 x2 "x"
    "#]]
    .assert_eq(&text);
}

/// CVE-2025-62518: the ustar header says 0, PAX says the truth, and an archive is in the content.
#[test]
fn nothing_hides_behind_a_pax_size() {
    let inner = archive(&[(File, "smuggled", "x")]);
    let mut records = Vec::new();
    crate::pax::record(&mut records, b"size", inner.len().to_string().as_bytes());
    let mut outer = archive(&[(File, "pax", std::str::from_utf8(&records).unwrap())]);
    outer.truncate(1024);
    outer[156] = b'x';
    seal(&mut outer[..512]);
    outer.extend_from_slice(&archive(&[(File, "f", "")])[..512]);
    outer.extend_from_slice(&inner);
    outer.resize(outer.len() + 1024, 0);
    let temp = tempfile::tempdir().unwrap();
    let unpacked = unpack(
        &mut &outer[..],
        &Dir::open(temp.path()).unwrap(),
        &options(Whiteouts::Overlay),
    );
    assert_eq!(unpacked.unwrap().entries, 1);
    assert!(std::fs::read(temp.path().join("f")).unwrap() == inner);
}

#[test]
fn damage_is_named() {
    let whole = archive(&[(File, "f", "content")]);
    let check = |bytes: &[u8], why: &str| {
        let temp = tempfile::tempdir().unwrap();
        let root = Dir::open(temp.path()).unwrap();
        let error = unpack(&mut &bytes[..], &root, &options(Whiteouts::Overlay)).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    };
    check(&whole[..100], "ends within a header");
    check(&whole[..515], "ends within a member");
    let mut wrong = whole.clone();
    wrong[0] ^= 1;
    check(&wrong, "it does not begin as a tar does");
    let two = archive(&[(File, "f", "content"), (File, "g", "")]);
    let mut wrong = two.clone();
    wrong[1024] ^= 1;
    check(&wrong, "wrong checksum");
    let mut wrong = whole.clone();
    wrong[124..136].copy_from_slice(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    seal(&mut wrong[..512]);
    check(&wrong, "impossible size");
}

/// Headers changed at random, with the checksum set right again, so that they are believed.
#[test]
fn no_archive_breaks_the_extractor() {
    let whole = archive(&[
        (Directory, "d/", ""),
        (File, "d/f", "content"),
        (Symlink, "l", "../canary"),
        (HardLink, "d/h", "d/f"),
        (File, "d/.wh.x", ""),
        (File, "l/secret", "x"),
    ]);
    let temp = tempfile::tempdir().unwrap();
    std::fs::create_dir(temp.path().join("canary")).unwrap();
    std::fs::write(temp.path().join("canary/secret"), "host").unwrap();
    let outside = Dir::open(temp.path()).unwrap();
    let limits = Limits {
        size: 1 << 20,
        ..Limits::default()
    };
    let options = UnpackOptions {
        limits,
        ..options(Whiteouts::Overlay)
    };
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for _ in 0..1_000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + random(6) {
            let at = random(bytes.len());
            bytes[at] = b"\0/.wh01257xgLK\xff\x80"[random(16)];
            let block = at / 512 * 512;
            seal(&mut bytes[block..block + 512]);
        }
        outside.mkdir(b"root", 0o755).unwrap();
        let _ = unpack(&mut &bytes[..], &outside.child(b"root").unwrap(), &options);
        outside.remove_all(b"root").unwrap();
        assert_eq!(outside.entries().unwrap().len(), 1);
        let canary = outside.child(b"canary").unwrap();
        assert_eq!(canary.entries().unwrap().len(), 1);
        assert_eq!(
            std::io::read_to_string(canary.read(b"secret").unwrap()).unwrap(),
            "host"
        );
    }
}

fn seal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[test]
fn holes_that_gnu_tar_leaves_out_are_holes_again() {
    let temp = tempfile::tempdir().unwrap();
    let from = temp.path().join("from");
    std::fs::create_dir(&from).unwrap();
    // More pieces than one header has, a piece at the end, and a file that is one hole.
    let mut content = vec![0; 6 << 20];
    for piece in 0..40 {
        content[piece * 150_000] = b'x';
    }
    let write = |name: &str, content: &[u8]| {
        let mut file = std::fs::File::create(from.join(name)).unwrap();
        super::make::write_sparse(&mut file, content).unwrap();
        file.set_len(content.len() as u64).unwrap();
    };
    write("holes", &content);
    write("none", &vec![0; 1 << 20]);
    for format in [
        &["gnu"][..],
        &["posix", "0.0"],
        &["posix", "0.1"],
        &["posix", "1.0"],
    ] {
        let mut tar = std::process::Command::new("tar");
        tar.arg("-cS").arg(format!("--format={}", format[0]));
        if let Some(version) = format.get(1) {
            tar.arg(format!("--sparse-version={version}"));
        }
        let archive = tar.arg("-C").arg(&from).arg(".").output().unwrap().stdout;
        assert!(archive.len() < 3 << 20, "{format:?} has no holes");
        let to = temp.path().join(format.join("-"));
        std::fs::create_dir(&to).unwrap();
        let root = Dir::open(&to).unwrap();
        unpack(&mut &archive[..], &root, &options(Whiteouts::Literal)).unwrap();
        assert!(
            std::fs::read(to.join("holes")).unwrap() == content,
            "{format:?}"
        );
        assert_eq!(std::fs::read(to.join("none")).unwrap(), vec![0; 1 << 20]);
        let mut blob = Vec::new();
        let chunks = crate::write_chunked(&mut &archive[..], &mut blob, None).unwrap();
        assert_eq!(chunks, None);
    }
}

/// What is stored of a file is exactly what its map says, and within the limits.
#[test]
fn impossible_holes_are_refused() {
    let check = |records: &[(&str, &str)], content: &str, why: &str| {
        let mut pax = Vec::new();
        for (key, value) in records {
            let key = [b"GNU.sparse.", key.as_bytes()].concat();
            crate::pax::record(&mut pax, &key, value.as_bytes());
        }
        let mut tar = archive(&[(File, "pax", std::str::from_utf8(&pax).unwrap())]);
        tar.truncate(512 + pax.len().next_multiple_of(512));
        tar[156] = b'x';
        seal(&mut tar[..512]);
        tar.extend(archive(&[(File, "f", content)]));
        let temp = tempfile::tempdir().unwrap();
        let root = Dir::open(temp.path()).unwrap();
        let options = UnpackOptions {
            limits: Limits {
                size: 1 << 20,
                ..Limits::default()
            },
            ..options(Whiteouts::Literal)
        };
        let error = unpack(&mut &tar[..], &root, &options).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    };
    let holes = "impossible holes";
    check(&[("size", "9"), ("map", "0,1")], "two", holes);
    check(&[("size", "9"), ("map", "0,3")], "", holes);
    check(&[("size", "1"), ("map", "0,3")], "two", holes);
    check(&[("map", "0,3")], "two", holes);
    check(
        &[("size", "9999999"), ("map", "0,3")],
        "two",
        "limit `size`",
    );
    let new = [("major", "1"), ("minor", "0"), ("realsize", "9")];
    check(&new, "1\n0\n3\ntwo", holes);
    check(&new, &"1".repeat(2048), holes);
    check(&new, &format!("1\n0\n4\n{}two", "\0".repeat(506)), holes);
}
