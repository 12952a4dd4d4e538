//! Escapes, kinds, metadata.

use std::os::unix::fs::symlink;

use rustix::fs::OFlags;

use super::Dir;
use crate::{Errno, FileKind, Node, Timestamp};

/// A tree with `root` (the Dir) and a secret beside it.
fn tree() -> (tempfile::TempDir, Dir) {
    let temp = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(temp.path().join("root/a/b")).unwrap();
    std::fs::write(temp.path().join("secret"), "host").unwrap();
    std::fs::write(temp.path().join("root/secret"), "inside").unwrap();
    let dir = Dir::open(&temp.path().join("root")).unwrap();
    (temp, dir)
}

#[test]
fn links_resolve_inside_the_root() {
    let (temp, dir) = tree();
    for (name, target) in [
        ("up", "../../../secret"),
        ("abs", "/secret"),
        ("chain", "a/../up"),
    ] {
        symlink(target, temp.path().join("root").join(name)).unwrap();
        let file = dir.resolve_file(name.as_bytes()).unwrap();
        assert_eq!(std::io::read_to_string(file).unwrap(), "inside", "{name}");
    }
}

#[test]
fn a_name_that_is_a_link_is_not_followed() {
    let (temp, dir) = tree();
    symlink("secret", temp.path().join("root/link")).unwrap();
    assert!(dir.read(b"link").unwrap_err().is(Errno::LOOP));
    assert!(dir.child(b"link").is_err());
    assert!(dir.set_mode(b"link", 0o777).unwrap_err().is(Errno::LOOP));
    assert_eq!(dir.stat(b"link").unwrap().kind, FileKind::Symlink);
}

#[test]
fn a_fifo_is_refused_without_waiting_for_a_writer() {
    let (_temp, dir) = tree();
    dir.mknod(
        b"fifo",
        Node {
            kind: FileKind::Fifo,
            mode: 0o644,
            rdev: (0, 0),
        },
    )
    .unwrap();
    assert!(dir.read(b"fifo").unwrap_err().is(Errno::INVAL));
    assert!(dir.resolve_file(b"fifo").unwrap_err().is(Errno::INVAL));
}

#[test]
fn directories_are_made_through_links_but_not_outside() {
    let (temp, dir) = tree();
    symlink("/a", temp.path().join("root/link")).unwrap();
    let mut made = Vec::new();
    dir.make_dirs(b"link/b/c/d", 0o755, |_, name| {
        made.push(name.to_vec());
        Ok(())
    })
    .unwrap();
    assert_eq!(made, [b"c", b"d"]);
    assert!(temp.path().join("root/a/b/c/d").is_dir());
}

#[test]
fn parents_are_split_off() {
    let (_temp, dir) = tree();
    assert_eq!(dir.resolve_parent(b"a/b/new").unwrap().1, Some(&b"new"[..]));
    assert_eq!(dir.resolve_parent(b"new//").unwrap().1, Some(&b"new"[..]));
    assert_eq!(dir.resolve_parent(b"a/..").unwrap().1, None);
    assert_eq!(dir.resolve_parent(b"").unwrap().1, None);
    assert!(
        dir.resolve_parent(b"missing/new")
            .unwrap_err()
            .is(Errno::NOENT)
    );
}

#[test]
fn trees_are_removed_even_when_unwritable() {
    let (_temp, dir) = tree();
    dir.make_dirs(b"x/y/z", 0o755, |_, _| Ok(())).unwrap();
    dir.resolve_dir(b"x/y")
        .unwrap()
        .create(b"file", 0o600)
        .unwrap();
    dir.resolve_dir(b"x").unwrap().set_mode(b"y", 0).unwrap();
    dir.remove_all(b"x").unwrap();
    dir.remove_all(b"x").unwrap();
    assert!(
        dir.resolve(b"x", OFlags::PATH)
            .unwrap_err()
            .is(Errno::NOENT)
    );
}

#[test]
fn unnamed_files_get_a_name_once() {
    let (_temp, dir) = tree();
    let file = dir.create_unnamed(0o600).unwrap();
    dir.link_unnamed(&file, b"named").unwrap();
    assert!(
        dir.link_unnamed(&file, b"named")
            .unwrap_err()
            .is(Errno::EXIST)
    );
}

#[test]
fn metadata_is_kept_as_set() {
    let (_temp, dir) = tree();
    let time = Timestamp {
        seconds: -5,
        nanoseconds: 7,
    };
    dir.symlink(b"nowhere", b"link").unwrap();
    dir.set_mtime(b"link", time).unwrap();
    dir.set_mode(b"secret", 0o4751).unwrap();
    assert_eq!(dir.stat(b"link").unwrap().mtime, time);
    assert_eq!(dir.stat(b"secret").unwrap().mode, 0o4751);
    dir.set_xattr(b"secret", b"user.k", b"v").unwrap();
    assert_eq!(
        dir.xattrs(b"secret").unwrap(),
        [(b"user.k".to_vec(), b"v".to_vec())]
    );
    assert_eq!(dir.xattr(b"secret", b"user.none").unwrap(), None);
}

#[test]
fn a_directory_beyond_path_max_is_made_and_found_again() {
    let temp = tempfile::tempdir().unwrap();
    let root = Dir::open(temp.path()).unwrap();
    let path = [&[b'd'; 200][..]; 60].join(&b"//"[..]);
    let mut made = 0;
    let count = |_: &Dir, _: &[u8]| {
        made += 1;
        Ok(())
    };
    let dir = root.make_dirs(&path, 0o755, count).unwrap();
    assert_eq!(made, 60);
    let found = root.resolve_dir(&path).unwrap();
    assert_eq!(found.stat_self().unwrap().ino, dir.stat_self().unwrap().ino);

    // A link at the top leads there too; one at the bottom would lead nobody knows where.
    root.symlink(&[b'd'; 200], b"top").unwrap();
    let path = [b"top", &path[200..]].concat();
    assert!(root.resolve_dir(&path).is_ok());
    dir.symlink(b"/", b"bottom").unwrap();
    let refused = root.resolve_dir(&[&path[..], b"/bottom"].concat());
    assert!(refused.unwrap_err().is(Errno::LOOP));
    let name = root.resolve_dir(&[b'n'; 5000]);
    assert!(name.unwrap_err().is(Errno::NAMETOOLONG));
    root.remove_all(&[b'd'; 200]).unwrap();
}
