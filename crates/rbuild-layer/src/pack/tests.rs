//! Trees as lines of text, packed and listed by other readers.

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    process::Command,
};

use expect_test::{Expect, expect};
use rbuild_oci::{FileTimes, RootEntry};
use rbuild_sys::{Dir, FileKind, Node, Timestamp};

use super::{Form, PackOptions, pack};
use crate::{
    attribute::OPAQUE,
    unpack::unpack,
    unpack_options::{UnpackOptions, Whiteouts},
};

const LAYER: PackOptions = PackOptions {
    form: Form::Overlay,
    root: RootEntry::Omitted,
    times: FileTimes::Kept,
};

/// Makes a tree of lines: `d/` directory, `d/!` opaque directory, `-f` deletion, `f=text` file.
fn tree(lines: &[&str]) -> (tempfile::TempDir, Dir) {
    let temp = tempfile::tempdir().unwrap();
    let root = Dir::open(temp.path()).unwrap();
    for line in lines {
        if let Some(path) = line.strip_suffix("/!") {
            fs::create_dir_all(temp.path().join(path)).unwrap();
            root.set_xattr(path.as_bytes(), OPAQUE, b"y").unwrap();
        } else if let Some(path) = line.strip_prefix('-') {
            let (dir, name) = root.resolve_parent(path.as_bytes()).unwrap();
            dir.mknod(
                name.unwrap(),
                Node {
                    kind: FileKind::CharDevice,
                    mode: 0,
                    rdev: (0, 0),
                },
            )
            .unwrap();
        } else if let Some((path, text)) = line.split_once('=') {
            fs::write(temp.path().join(path), text).unwrap();
        } else {
            fs::create_dir_all(temp.path().join(line)).unwrap();
        }
    }
    (temp, root)
}

fn packed(trees: &[&Dir], options: &PackOptions) -> Vec<u8> {
    let mut out = Vec::new();
    let packed = pack(trees, options, &mut out).unwrap();
    assert_eq!(packed.size, out.len() as u64);
    out
}

/// Paths and contents in an archive, by the reader of the `tar` crate.
fn list(archive: &[u8]) -> String {
    let mut text = String::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let content = std::io::read_to_string(&mut entry).unwrap();
        let link = entry
            .link_name_bytes()
            .map(|link| String::from_utf8_lossy(&link).into_owned());
        let link = link.map_or_else(String::new, |link| format!(" -> {link}"));
        text.push_str(format!("{path}{link} {content}").trim_end());
        text.push('\n');
    }
    text
}

#[track_caller]
fn check(trees: &[&[&str]], expected: &Expect) {
    let trees: Vec<_> = trees.iter().map(|lines| tree(lines)).collect();
    let dirs: Vec<&Dir> = trees.iter().map(|(_, dir)| dir).collect();
    expected.assert_eq(&list(&packed(&dirs, &LAYER)));
}

#[test]
fn entries_are_sorted_and_deletions_kept() {
    check(
        &[&["d/!", "d/b=2", "d/a=1", "d.x=3", "-gone"]],
        &expect![[r#"
            d/
            d/.wh..wh..opq
            d/a 1
            d/b 2
            d.x 3
            .wh.gone
        "#]],
    );
}

#[test]
fn upper_trees_hide_lower_ones() {
    check(
        &[
            &["d/", "d/a=1", "d/b=1", "e/", "e/x=1", "f=1"],
            &["d/", "d/a=2", "-f", "e/!", "e/y=2"],
        ],
        &expect![[r#"
            d/
            d/a 2
            d/b 1
            e/
            e/.wh..wh..opq
            e/y 2
            .wh.f
        "#]],
    );
}

#[test]
fn a_directory_over_something_else_hides_what_is_deeper() {
    check(
        &[
            &["d/", "d/old=1", "e/", "e/old=1"],
            &["d=2", "-e"],
            &["d/", "d/new=3", "e/"],
        ],
        &expect![[r#"
            d/
            d/.wh..wh..opq
            d/new 3
            e/
            e/.wh..wh..opq
        "#]],
    );
    check(
        &[&["d/", "d/old=1"], &["d=2"]],
        &expect![[r#"
            d 2
        "#]],
    );
}

#[test]
fn hard_links_are_found_within_one_tree_only() {
    let (temp, lower) = tree(&["a=1"]);
    fs::hard_link(temp.path().join("a"), temp.path().join("b")).unwrap();
    let (upper_temp, upper) = tree(&[]);
    fs::hard_link(temp.path().join("a"), upper_temp.path().join("c")).unwrap();
    expect![[r#"
        a 1
        b -> a
        c 1
    "#]]
    .assert_eq(&list(&packed(&[&lower, &upper], &LAYER)));
}

#[test]
fn a_name_that_would_mean_a_deletion_is_refused_in_a_layer() {
    let (_temp, dir) = tree(&[".wh.f=1"]);
    let error = pack(&[&dir], &LAYER, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains(".wh.f"), "{error}");
    let plain = PackOptions {
        form: Form::Plain,
        root: RootEntry::Listed,
        ..LAYER
    };
    assert_eq!(list(&packed(&[&dir], &plain)), "./\n.wh.f 1\n");
}

#[test]
fn packing_what_was_unpacked_gives_the_same_bytes() {
    let long = "n".repeat(120);
    let (temp, dir) = tree(&["d/!", "d/f=text", "-gone", "deep/", &format!("{long}=x")]);
    let path = |name: &str| temp.path().join(name);
    fs::create_dir_all(path(&format!("deep/{long}/{long}"))).unwrap();
    symlink("t".repeat(300), path("link")).unwrap();
    fs::hard_link(path("d/f"), path("hard")).unwrap();
    fs::set_permissions(path("d/f"), PermissionsExt::from_mode(0o4755)).unwrap();
    dir.mknod(
        b"fifo",
        Node {
            kind: FileKind::Fifo,
            mode: 0o600,
            rdev: (0, 0),
        },
    )
    .unwrap();
    dir.set_xattr(b"hard", b"user.key", b"binary\0value\n")
        .unwrap();
    dir.set_mtime(
        b"deep",
        Timestamp {
            seconds: -5,
            nanoseconds: 0,
        },
    )
    .unwrap();
    dir.set_mtime(
        long.as_bytes(),
        Timestamp {
            seconds: 1 << 33,
            nanoseconds: 0,
        },
    )
    .unwrap();
    // T51: more than seven octal digits hold.
    if dir.set_owner(b"d", 3_000_000, 70_000).is_err() {
        println!("SKIP foreign owners: not root");
    }
    let mut sparse = fs::File::create(path("sparse")).unwrap();
    sparse.seek(SeekFrom::Start(1 << 20)).unwrap();
    sparse.write_all(b"end").unwrap();
    let mut options = PackOptions {
        root: RootEntry::Listed,
        ..LAYER
    };
    for form in [Form::Overlay, Form::Plain] {
        options.form = form;
        let first = packed(&[&dir], &options);
        let (_temp, copy) = tree(&[]);
        let unpacking = UnpackOptions::new(Whiteouts::Overlay);
        let unpacked = unpack(&mut &first[..], &copy, &unpacking).unwrap();
        if form == Form::Overlay {
            assert!(packed(&[&copy], &options) == first, "the bytes differ");
        } else {
            assert_eq!(
                unpacked.skipped_devices, 1,
                "a 0/0 device is no deletion here"
            );
        }
    }
}

#[test]
fn times_are_limited_or_set() {
    let (_temp, dir) = tree(&["-d", "f=1"]);
    let all = [
        (FileTimes::AtMost(1_000), [0, 1_000]),
        (FileTimes::Exactly { exactly: 7 }, [7, 7]),
    ];
    for (times, expected) in all {
        let archive = packed(&[&dir], &PackOptions { times, ..LAYER });
        let mut archive = tar::Archive::new(&archive[..]);
        let mtime = |entry: tar::Entry<'_, _>| entry.header().mtime().unwrap();
        let found = archive
            .entries()
            .unwrap()
            .map(|entry| mtime(entry.unwrap()));
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn gnu_tar_reads_it() {
    let long = "n".repeat(255);
    let (temp, dir) = tree(&["d/", "d/f=text", &format!("d/{long}=x")]);
    let file = temp.path().join("archive");
    let archive = packed(&[&dir], &LAYER);
    fs::write(&file, &archive).unwrap();
    let output = Command::new("tar").arg("-tf").arg(&file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, format!("d/\nd/f\nd/{long}\n"));
    assert!(
        output.stderr.is_empty(),
        "{:?}",
        String::from_utf8(output.stderr)
    );
}

#[test]
fn a_file_that_grows_or_shrinks_is_named() {
    // The kernel says 4096 and gives less.
    let dir = Dir::open(Path::new("/sys/kernel")).unwrap();
    let mut out = Vec::new();
    let plain = PackOptions {
        form: Form::Plain,
        ..LAYER
    };
    let Err(error) = pack(&[&dir], &plain, &mut out) else {
        println!("SKIP: /sys/kernel has honest sizes");
        return;
    };
    let text = error.to_string();
    assert!(
        text.contains("changed while") || text.contains("cannot"),
        "{text}"
    );
}

#[test]
fn paths_beyond_path_max_are_packed() {
    let (_temp, root) = tree(&[]);
    let mut here = root.try_clone().unwrap();
    for _ in 0..40 {
        here.mkdir(&[b'd'; 200], 0o755).unwrap();
        here = here.child(&[b'd'; 200]).unwrap();
    }
    here.create(b"f", 0o644).unwrap();
    here.link(&here, b"f", b"g").unwrap();
    let archive = packed(&[&root], &LAYER);
    assert!(list(&archive).lines().last().unwrap().len() > 8_000);
    let (_temp, copy) = tree(&[]);
    let options = UnpackOptions::new(Whiteouts::Overlay);
    unpack(&mut &archive[..], &copy, &options).unwrap();
    assert!(packed(&[&copy], &LAYER) == archive, "the bytes differ");
    for root in [root, copy] {
        root.remove_all(&[b'd'; 200]).unwrap();
    }
}

#[test]
fn names_of_any_bytes_and_access_lists_travel() {
    let (_temp, dir) = tree(&["d/"]);
    let names = [
        &b"\xff\xfe"[..],
        b"new\nline",
        b"tab\tback\\slash",
        "\u{e4}".as_bytes(),
    ];
    for name in names {
        dir.create(name, 0o640).unwrap();
    }
    dir.symlink(b"\xff/../\xfe", b"to\xff").unwrap();
    // acl(5) as the kernel has it: version 2, then tag, permission and id of each entry.
    let entries: [(u16, u16, u32); 5] = [
        (0x01, 6, u32::MAX),
        (0x02, 7, 0),
        (0x04, 4, u32::MAX),
        (0x10, 7, u32::MAX),
        (0x20, 0, u32::MAX),
    ];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permission, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(permission.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    let lists = [
        (&b"\xff\xfe"[..], &b"system.posix_acl_access"[..]),
        (b"d", b"system.posix_acl_default"),
    ];
    let has_lists = lists
        .iter()
        .all(|(name, key)| dir.set_xattr(name, key, &list).is_ok());
    if !has_lists {
        println!("SKIP access lists: this file system has none");
    }
    let archive = packed(&[&dir], &LAYER);
    let (_temp, copy) = tree(&[]);
    unpack(
        &mut &archive[..],
        &copy,
        &UnpackOptions::new(Whiteouts::Overlay),
    )
    .unwrap();
    assert!(packed(&[&copy], &LAYER) == archive, "the bytes differ");
    for (name, key) in lists {
        let found = copy.xattr(name, key).unwrap();
        assert_eq!(found.as_deref(), has_lists.then_some(&list[..]));
    }
}

#[test]
fn what_is_zeros_takes_no_space_when_it_is_unpacked() {
    let (temp, dir) = tree(&["f=start"]);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(temp.path().join("f"));
    let mut file = file.unwrap();
    file.seek(SeekFrom::Start(8 << 20)).unwrap();
    file.write_all(b"middle").unwrap();
    for size in [(16 << 20) + 77, 16 << 20] {
        file.set_len(size).unwrap();
        let archive = packed(&[&dir], &LAYER);
        let (temp, copy) = tree(&[]);
        unpack(
            &mut &archive[..],
            &copy,
            &UnpackOptions::new(Whiteouts::Overlay),
        )
        .unwrap();
        assert!(packed(&[&copy], &LAYER) == archive, "the bytes differ");
        let found = fs::metadata(temp.path().join("f")).unwrap();
        assert_eq!(found.len(), size);
        assert!(found.blocks() * 512 < 1 << 20, "{} blocks", found.blocks());
    }
}

#[test]
fn only_the_attributes_of_an_image_travel() {
    // A version 2 capability set: cap_net_raw+ep.
    let capability =
        b"\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let (_temp, dir) = tree(&["f=1"]);
    dir.set_xattr(b"f", b"user.kept", b"1").unwrap();
    dir.set_xattr(b"f", b"user.overlay.origin", b"1").unwrap();
    let privileged = [
        (&b"trusted.dropped"[..], &b"1"[..]),
        (b"security.capability", capability),
    ];
    let root = privileged
        .iter()
        .all(|(key, value)| dir.set_xattr(b"f", key, value).is_ok());
    if !root {
        println!("SKIP trusted and security attributes: not root");
    }
    let archive = packed(&[&dir], &LAYER);
    let text = String::from_utf8_lossy(&archive);
    assert!(text.contains("SCHILY.xattr.user.kept=1"));
    assert!(!text.contains("overlay") && !text.contains("trusted"));
    let (_temp, copy) = tree(&[]);
    let options = UnpackOptions::new(Whiteouts::Overlay);
    unpack(&mut &archive[..], &copy, &options).unwrap();
    let found = copy.xattr(b"f", b"security.capability").unwrap();
    assert_eq!(found.as_deref(), root.then_some(&capability[..]));
}

#[test]
fn a_layer_says_what_its_root_is_like_only_if_that_is_unusual() {
    let options = PackOptions::new(Form::Overlay);
    let (temp, dir) = tree(&["f=1"]);
    let owner = fs::metadata(temp.path()).unwrap();
    let is_root = (owner.uid(), owner.gid()) == (0, 0);
    for (mode, is_listed) in [(0o755, !is_root), (0o700, true), (0o1755, true)] {
        fs::set_permissions(temp.path(), PermissionsExt::from_mode(mode)).unwrap();
        let listed = list(&packed(&[&dir], &options));
        assert_eq!(listed.starts_with("./\n"), is_listed, "{mode:o}: {listed}");
    }
    // It is the topmost layer's, as in an overlay.
    let (top_temp, top) = tree(&["g=1"]);
    let usual = PermissionsExt::from_mode(0o755);
    fs::set_permissions(top_temp.path(), usual).unwrap();
    let listed = list(&packed(&[&dir, &top], &options));
    assert_eq!(listed.starts_with("./\n"), !is_root, "{listed}");
}
