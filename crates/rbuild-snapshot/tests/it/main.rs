//! Stacks on a real kernel. Needs the right to mount: root, or a user namespace.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and print why they are skipped"
)]

use std::path::Path;

use rbuild_snapshot::{Error, MAX_LAYERS, has_changes, prepare, readable, writable};
use rbuild_sys::{Dir, FileKind, Node, Upper};

/// What deletes a name of the layers below.
const WHITEOUT: Node = Node {
    kind: FileKind::CharDevice,
    mode: 0,
    rdev: (0, 0),
};

/// A stack in a temporary directory, or `None` (with a word why) where nothing can be mounted.
fn workplace() -> Option<(tempfile::TempDir, impl Fn(&str) -> Dir)> {
    let temp = tempfile::Builder::new()
        .prefix("rbuild-snapshot")
        .tempdir_in("/var/tmp")
        .unwrap();
    let base = temp.path().to_owned();
    let dir = move |name: &str| {
        std::fs::create_dir_all(base.join(name)).unwrap();
        Dir::open(&base.join(name)).unwrap()
    };
    let (a, b) = (dir("probe/a"), dir("probe/b"));
    if let Err(error) = readable(&[&a], &b) {
        assert!(std::env::var_os("RBUILD_TEST_REQUIRE").is_none(), "{error}");
        println!("SKIP: cannot mount an overlay here: {error}");
        return None;
    }
    Some((temp, dir))
}

fn write(dir: &Dir, path: &str, text: &str) {
    let (parent, name) = Path::new(path).parent().map_or(("", path), |parent| {
        (
            parent.to_str().unwrap(),
            Path::new(path).file_name().unwrap().to_str().unwrap(),
        )
    });
    let parent = dir
        .make_dirs(parent.as_bytes(), 0o755, |_, _| Ok(()))
        .unwrap();
    std::io::Write::write_all(
        &mut parent.create(name.as_bytes(), 0o644).unwrap(),
        text.as_bytes(),
    )
    .unwrap();
}

fn read(dir: &Dir, path: &str) -> Option<String> {
    let file = dir.resolve_file(path.as_bytes()).ok()?;
    Some(std::io::read_to_string(file).unwrap())
}

#[test]
fn changes_go_to_the_upper_and_what_is_below_stays() {
    let Some((_temp, dir)) = workplace() else {
        return;
    };
    let (base, empty, upper, work) = (dir("base"), dir("empty"), dir("upper"), dir("work"));
    write(&base, "etc/a", "old");
    let tree = writable(
        &[&base],
        &empty,
        Upper {
            changes: &upper,
            work: &work,
        },
    )
    .unwrap();
    tree.resolve_dir(b"etc").unwrap().unlink(b"a").unwrap();
    write(&tree, "etc/b", "new");
    assert_eq!(
        (read(&tree, "etc/a"), read(&tree, "etc/b")),
        (None, Some("new".into()))
    );
    drop(tree);
    assert_eq!(read(&base, "etc/a"), Some("old".into()));
    assert!(
        upper
            .resolve_dir(b"etc")
            .unwrap()
            .stat(b"a")
            .unwrap()
            .is_whiteout()
    );
    assert!(has_changes(&upper, Some(&base)).unwrap());
}

#[test]
fn the_bottom_shows_only_where_the_stack_has_nothing() {
    let Some((_temp, dir)) = workplace() else {
        return;
    };
    let (base, bottom, upper, work) = (dir("base"), dir("bottom"), dir("upper"), dir("work"));
    write(&base, "etc/hosts", "image");
    write(&bottom, "etc/hosts", "");
    write(&bottom, "etc/resolv.conf", "");
    let tree = writable(
        &[&base],
        &bottom,
        Upper {
            changes: &upper,
            work: &work,
        },
    )
    .unwrap();
    assert_eq!(read(&tree, "etc/hosts"), Some("image".into()));
    assert_eq!(read(&tree, "etc/resolv.conf"), Some(String::new()));
    drop(tree);
    assert!(
        !has_changes(&upper, None).unwrap(),
        "looking at it changed it"
    );
}

#[test]
fn a_prepared_upper_has_the_metadata_of_the_root_below() {
    let Some((_temp, dir)) = workplace() else {
        return;
    };
    let (base, upper) = (dir("base"), dir("upper"));
    rbuild_sys::set_file_mode(&base, 0o1777).unwrap();
    prepare(&upper, Some(&base)).unwrap();
    let (below, above) = (base.stat_self().unwrap(), upper.stat_self().unwrap());
    assert_eq!(
        (above.mode, above.uid, above.mtime),
        (0o1777, below.uid, below.mtime)
    );
    assert!(!has_changes(&upper, Some(&base)).unwrap());
    rbuild_sys::set_file_mode(&upper, 0o755).unwrap();
    assert!(has_changes(&upper, Some(&base)).unwrap());
}

/// Reads a tree of so many layers: each has a file of its own, and deletes that of the one before.
#[track_caller]
fn check_height(layers: &[Dir], dir: &dyn Fn(&str) -> Dir) {
    let below: Vec<&Dir> = layers.iter().rev().collect();
    let tree = readable(&below, &dir("empty")).unwrap();
    let expected = format!("f{}", layers.len() - 1);
    let names: Vec<_> = tree.entries().unwrap();
    assert_eq!(names.len(), 1, "{} layers", layers.len());
    assert_eq!(names[0].name, expected.as_bytes());
}

#[test]
fn a_stack_can_be_higher_than_one_overlay() {
    let Some((_temp, dir)) = workplace() else {
        return;
    };
    // As many as a process with the usual limit of 1024 open files has room for.
    let layers: Vec<Dir> = (0..800).map(|n| dir(&format!("l{n}"))).collect();
    for (n, layer) in layers.iter().enumerate() {
        write(layer, &format!("f{n}"), "x");
        if let Some(before) = n.checked_sub(1) {
            layer
                .mknod(format!("f{before}").as_bytes(), WHITEOUT)
                .unwrap();
        }
    }
    for height in [1, 300, 499, 500, 501, 800] {
        check_height(&layers[..height], &dir);
    }
    let refused = readable(&[&layers[0]; MAX_LAYERS + 1], &dir("empty"));
    assert!(matches!(refused, Err(Error::TooManyLayers(999))));
}
