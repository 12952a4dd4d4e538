//! Contexts as lines of text, and what a source argument finds in them.

use std::{fs, os::unix::fs::symlink};

use rbuild_sys::Dir;

use super::sources;
use crate::{Error, IgnoreRules, walk};

/// A context; a path with a slash at its end is a directory, `a -> b` a symlink.
fn context(lines: &[&str]) -> (tempfile::TempDir, Dir) {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("secret"), "host").unwrap();
    let root = temp.path().join("root");
    fs::create_dir(&root).unwrap();
    for line in lines {
        let (path, target) = line.split_once(" -> ").unwrap_or((line, ""));
        let path = root.join(path);
        if line.ends_with('/') {
            fs::create_dir_all(path).unwrap();
            continue;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if target.is_empty() {
            fs::write(path, line).unwrap();
        } else {
            symlink(target, path).unwrap();
        }
    }
    let dir = Dir::open(&root).unwrap();
    (temp, dir)
}

/// What `pattern` finds: `name=path` of each source, and below it what a walk visits.
#[track_caller]
fn check_with(ignore: &str, lines: &[&str], pattern: &str, expected: &str) {
    let (_temp, root) = context(lines);
    let rules = IgnoreRules::parse(ignore).unwrap();
    let text = match sources(&root, pattern.as_bytes(), Some(&rules)) {
        Ok(found) => {
            let mut text = Vec::new();
            for source in found {
                let mut seen = Vec::new();
                walk(&source, Some(&rules), |visit| {
                    if !visit.relative.is_empty() {
                        seen.push(String::from_utf8_lossy(visit.relative).into_owned());
                    }
                    if !visit.name.is_empty() {
                        assert_eq!(visit.dir.stat(visit.name).unwrap().ino, visit.stat.ino);
                    }
                    Ok::<(), Error>(())
                })
                .unwrap();
                let name = String::from_utf8_lossy(&source.name).into_owned();
                let path = String::from_utf8_lossy(&source.path).into_owned();
                text.push(
                    format!("{name}={path} {}", seen.join(" "))
                        .trim_end()
                        .to_owned(),
                );
            }
            text.join("; ")
        }
        Err(error) => error.to_string(),
    };
    assert_eq!(text, expected, "`{pattern}`");
}

#[track_caller]
fn check(lines: &[&str], pattern: &str, expected: &str) {
    check_with("", lines, pattern, expected);
}

#[test]
fn all_ways_to_name_a_path_are_from_the_root() {
    for pattern in ["a/f", "/a/f", "./a/f", "../a/f", "a/f/", "x/../a//./f"] {
        check(&["a/f"], pattern, "f=a/f");
    }
    for pattern in ["", ".", "/", "./", ".."] {
        check(&["a/f", "b"], pattern, "= a a/f b");
    }
}

#[test]
fn the_named_source_is_followed_and_what_is_below_is_not() {
    check(
        &["real/f", "real/l -> f", "link -> real"],
        "link",
        "link=real f l",
    );
    check(
        &["real/sub/f", "link -> /real"],
        "link/sub/f",
        "f=real/sub/f",
    );
    check(&["d/up -> ../f", "f"], "d/up", "up=f");
    check(&["a -> b", "b -> a"], "a", "`/a` not found");
    check(&["f", "d -> f/"], "f/x", "`/f/x` not found");
}

#[test]
fn links_never_leave_the_root() {
    check(&["up -> ../secret"], "up", "`/up` not found");
    check(&["up -> ../../secret", "secret"], "up", "up=secret");
    check(&["up -> ../../..", "f"], "up", "up= f up");
}

#[test]
fn wildcards_match_names() {
    check(
        &["a.c", "b.c", ".c", "d/e.c"],
        "*.c",
        ".c=.c; a.c=a.c; b.c=b.c",
    );
    check(&["a/x", "b/x", "c/y", "f"], "*/x", "x=a/x; x=b/x");
    check(
        &["sub/d1/f", "sub/d2/g"],
        "sub/d*",
        "d1=sub/d1 f; d2=sub/d2 g",
    );
    check(&["l -> real", "real/f"], "l*/f*", "f=real/f");
    check(
        &["arr[0].txt", "arr0.txt"],
        "arr[[]0].txt",
        "arr[0].txt=arr[0].txt",
    );
    check(&["a"], "x*", "");
    check(&["a -> nowhere"], "a*", "`/a` not found");
    check(&["a"], "[", "`[` has a class that does not end");
}

#[test]
fn ignored_files_do_not_exist() {
    let lines = [
        "a",
        "dir/file",
        "dir/other",
        "dir/sub/x",
        "l -> a",
        "m -> dir/file",
    ];
    check_with(
        "a",
        &lines,
        ".",
        "= dir dir/file dir/other dir/sub dir/sub/x l m",
    );
    check_with(
        "a",
        &lines,
        "a",
        "`/a` not found (hint: the ignore file excludes it)",
    );
    check_with(
        "a",
        &lines,
        "l",
        "`/l` not found (hint: the ignore file excludes it)",
    );
    check_with(
        "l",
        &lines,
        "l",
        "`/l` not found (hint: the ignore file excludes it)",
    );
    check_with("a", &lines, "a*", "");
    check_with("a", &lines, "b", "`/b` not found");
}

#[test]
fn what_is_included_again_brings_its_parents_along() {
    let lines = ["a", "dir/file", "dir/other", "dir/sub/x", "e/f"];
    check_with("*\n!dir/sub/x", &lines, ".", "= dir dir/sub dir/sub/x");
    check_with("*\n!dir/file", &lines, "dir", "dir=dir file");
    check_with(
        "*\n!dir/file",
        &lines,
        "e",
        "`/e` not found (hint: the ignore file excludes it)",
    );
    check_with("*\n!**/nothing", &lines, ".", "=");
    check_with("dir\n!dir/*", &lines, "dir", "dir=dir file other sub sub/x");
}
