//! Trees before, with and after mount points.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use rbuild_sys::{Dir, Errno};

use super::{MountPoints, Parents};
use crate::{etc_files::EtcFile, mount::Shape};

/// Paths below `root` with kind, mode and time, sorted.
fn listing(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(dir) = left.pop() {
        let stat = dir.metadata().unwrap();
        let path = dir.strip_prefix(root).unwrap().display().to_string();
        found.push(format!(
            "{path}/ {:o} {}.{}",
            stat.mode(),
            stat.mtime(),
            stat.mtime_nsec()
        ));
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                left.push(path);
            } else {
                found.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// A tree with `etc/`, what `make` adds, and dates in the past.
fn tree(make: impl FnOnce(&Path)) -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    fs::set_permissions(temp.path(), Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(temp.path().join("etc")).unwrap();
    make(temp.path());
    temp
}

/// Where the mount points of `wanted` are found, with a `+` for each thing that was made for
/// it; or why there is none. Afterwards the tree must be as before.
#[track_caller]
fn check(make: impl FnOnce(&Path), wanted: &[(&str, Shape)], expected: &[&str]) {
    let temp = tree(make);
    let before = listing(temp.path());
    let mut points = MountPoints::new(Dir::open(temp.path()).unwrap());
    let mut found = Vec::new();
    for (path, shape) in wanted {
        let made = points.made.len();
        found.push(match points.locate(path, *shape, Parents::Make) {
            Err(error) => format!("errno {}", error.source.raw_os_error().unwrap()),
            Ok(point) => {
                let path = String::from_utf8(point.path.join(&b'/')).unwrap();
                format!("{path}{}", "+".repeat(points.made.len() - made))
            }
        });
    }
    assert_eq!(found, expected);
    drop(points);
    assert_eq!(listing(temp.path()), before);
}

const DIR: Shape = Shape::Directory;
const FILE: Shape = Shape::File;

#[test]
fn what_exists_is_used() {
    let file = |root: &Path| fs::write(root.join("etc/f"), "x").unwrap();
    check(file, &[("/etc/f", FILE), ("/etc", DIR)], &["etc/f", "etc"]);
}

#[test]
fn what_is_missing_is_made_with_its_parents_and_removed_again() {
    check(|_| {}, &[("/etc/f", FILE)], &["etc/f+"]);
    let both = [("/a/b/c", DIR), ("/a/b/d/e", FILE), ("/etc/x", DIR)];
    check(|_| {}, &both, &["a/b/c+++", "a/b/d/e++", "etc/x+"]);
}

#[test]
fn links_lead_to_places_inside_of_the_tree() {
    let link = |text: &'static str| {
        move |root: &Path| {
            fs::create_dir(root.join("run")).unwrap();
            symlink(text, root.join("etc/l")).unwrap();
        }
    };
    for text in ["../run", "/run", "../../../../run", "./../etc/.././run/"] {
        check(
            link(text),
            &[("/etc/l", DIR), ("/etc/l/f", FILE)],
            &["run", "run/f+"],
        );
    }
    check(link("/run/x"), &[("/etc/l", DIR)], &["run/x+"]);
    check(link("/new/x"), &[("/etc/l", FILE)], &["new/x++"]);
    check(link("/"), &[("/etc/l", DIR)], &["errno 16"]);
    check(link("l"), &[("/etc/l", DIR)], &["errno 40"]);
}

#[test]
fn another_kind_of_file_is_no_place() {
    let file = |root: &Path| fs::write(root.join("f"), "x").unwrap();
    let wanted = [("/f", DIR), ("/f/x", FILE), ("/etc", FILE), ("/", DIR)];
    let expected = [20, 20, 21, 16].map(|code| format!("errno {code}"));
    check(file, &wanted, &expected.each_ref().map(String::as_str));
}

#[test]
fn parents_are_not_made_when_they_are_required() {
    let temp = tree(|root| symlink("/no/where", root.join("etc/resolv.conf")).unwrap());
    let mut points = MountPoints::new(Dir::open(temp.path()).unwrap());
    let path = EtcFile::ResolvConf.path();
    let answer = points.locate(path, FILE, Parents::Require);
    assert!(answer.is_err_and(|error| error.is(Errno::NOENT)));
    assert!(points.locate(path, FILE, Parents::Make).is_ok());
}

#[test]
fn a_place_inside_of_a_mount_is_made_there() {
    let temp = tree(|root| symlink("/cache", root.join("c")).unwrap());
    let mounted = tempfile::tempdir().unwrap();
    let before = listing(temp.path());
    let mut points = MountPoints::new(Dir::open(temp.path()).unwrap());
    let cache = points.locate("/cache", DIR, Parents::Make).unwrap();
    points.enter(cache.path, Dir::open(mounted.path()).unwrap());
    points.locate("/c/sub/file", FILE, Parents::Make).unwrap();
    assert!(mounted.path().join("sub/file").is_file());
    assert_eq!(fs::read_dir(temp.path().join("cache")).unwrap().count(), 0);
    drop(points);
    assert_eq!(fs::read_dir(mounted.path()).unwrap().count(), 0);
    assert_eq!(listing(temp.path()), before);
}

/// What is left of a place for a mount after `change` came over it.
fn left(change: impl FnOnce(&Path)) -> Vec<String> {
    let temp = tree(|root| fs::create_dir(root.join("victim")).unwrap());
    let mut points = MountPoints::new(Dir::open(temp.path()).unwrap());
    points.locate("/a/empty", DIR, Parents::Make).unwrap();
    points.locate("/a/file", FILE, Parents::Make).unwrap();
    change(temp.path());
    points.remove();
    let names = listing(temp.path()).into_iter();
    let first = |line: String| line.split(' ').next().unwrap().to_owned();
    names.map(first).filter(|name| name != "etc/").collect()
}

#[test]
fn what_a_command_put_there_stays() {
    assert_eq!(left(|_| {}), ["/", "victim/"]);
    let swapped = left(|root| {
        fs::remove_dir(root.join("a/empty")).unwrap();
        fs::remove_file(root.join("a/file")).unwrap();
        symlink("../victim", root.join("a/empty")).unwrap();
        symlink("../victim", root.join("a/file")).unwrap();
    });
    assert_eq!(swapped, ["/", "a/", "a/empty", "a/file", "victim/"]);
    let parent = left(|root| {
        fs::rename(root.join("a"), root.join("b")).unwrap();
        fs::create_dir(root.join("victim/empty")).unwrap();
        symlink("victim", root.join("a")).unwrap();
    });
    assert_eq!(parent, ["/", "a", "b/", "victim/", "victim/empty/"]);
    let used = left(|root| fs::write(root.join("a/empty/mine"), "").unwrap());
    assert_eq!(used, ["/", "a/", "a/empty/", "a/empty/mine", "victim/"]);
    let recreated = left(|root| {
        fs::remove_dir(root.join("a/empty")).unwrap();
        fs::create_dir(root.join("a/empty")).unwrap();
    });
    assert_eq!(recreated, ["/", "a/", "a/empty/", "victim/"]);
}
