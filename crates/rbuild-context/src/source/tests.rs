//! Contexts as lines of text, and what a source argument finds in them.

use std::{fs, os::unix::fs::symlink};

use rbuild_sys::Dir;

use super::{Parents, Selection, Source, sources};
use crate::{Error, Filter, IgnoreRules, walk};

mod properties;

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
    let rules = IgnoreRules::parse(ignore).unwrap();
    let filter = Filter {
        ignored: Some(&rules),
        excluded: None,
    };
    let parents = Parents::Dropped;
    check_selection(&Selection { filter, parents }, lines, pattern, expected);
}

#[track_caller]
fn check_selection(selection: &Selection<'_>, lines: &[&str], pattern: &str, expected: &str) {
    let (_temp, root) = context(lines);
    let text = match sources(&root, pattern.as_bytes(), selection) {
        Ok(found) => {
            let mut text = Vec::new();
            for source in found {
                let mut seen = Vec::new();
                walk(&source, &selection.filter, |visit| {
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
                let name = match source.kept() {
                    Some(kept) => parents(&source, kept),
                    None => name,
                };
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

/// Where a source goes, with the directories that come along in brackets.
fn parents(source: &Source, kept: &[u8]) -> String {
    let mut along = Vec::new();
    source
        .visit_parents(|visit| {
            assert!(visit.stat.is_dir());
            assert_eq!(visit.dir.stat(visit.name).unwrap().ino, visit.stat.ino);
            along.push(String::from_utf8_lossy(visit.relative).into_owned());
            Ok::<(), Error>(())
        })
        .unwrap();
    format!("[{}]{}", along.join(" "), String::from_utf8_lossy(kept))
}

#[track_caller]
fn check_parents(lines: &[&str], pattern: &str, expected: &str) {
    let selection = Selection {
        parents: Parents::Kept,
        ..Selection::default()
    };
    check_selection(&selection, lines, pattern, expected);
}

#[track_caller]
fn check_exclude(exclude: &[&str], lines: &[&str], pattern: &str, expected: [&str; 2]) {
    let rules = IgnoreRules::from_patterns(exclude).unwrap();
    let filter = Filter {
        ignored: None,
        excluded: Some(&rules),
    };
    for (parents, expected) in [Parents::Dropped, Parents::Kept].into_iter().zip(expected) {
        let selection = Selection { filter, parents };
        check_selection(&selection, lines, pattern, expected);
    }
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
    check_with("a", &lines, "a", "`/a` not found");
    check_with("a", &lines, "l", "`/l` not found");
    check_with("l", &lines, "l", "`/l` not found");
    check_with("a", &lines, "a*", "");
    check_with("a", &lines, "b", "`/b` not found");
}

#[test]
fn what_is_included_again_brings_its_parents_along() {
    let lines = ["a", "dir/file", "dir/other", "dir/sub/x", "e/f"];
    check_with("*\n!dir/sub/x", &lines, ".", "= dir dir/sub dir/sub/x");
    check_with("*\n!dir/file", &lines, "dir", "dir=dir file");
    check_with("*\n!dir/file", &lines, "e", "`/e` not found");
    check_with("*\n!**/nothing", &lines, ".", "=");
    check_with("dir\n!dir/*", &lines, "dir", "dir=dir file other sub sub/x");
}

#[test]
fn parents_are_kept_from_the_root_or_the_pivot() {
    let lines = ["a/b/f", "a/b/c/g", "x"];
    check_parents(&lines, "a/b/f", "[a a/b]a/b/f=a/b/f");
    check_parents(&lines, "./a/b", "[a]a/b=a/b c c/g f");
    check_parents(&lines, "a/./b/f", "[b]b/f=a/b/f");
    check_parents(&lines, "/a/b/./c", "[]c=a/b/c g");
    check_parents(&lines, "a/b/./f", "[]f=a/b/f");
    check_parents(&lines, "a/./", "[]=a b b/c b/c/g b/f");
    check_parents(&lines, ".", "[]= a a/b a/b/c a/b/c/g a/b/f x");
    check_parents(&lines, "no/./f", "`/no/f` not found");
    check_parents(&lines, "no*/./f", "");
    check_parents(&["l -> d", "d/e/f"], "l/e/f", "[l l/e]l/e/f=d/e/f");
}

#[test]
fn two_stars_are_any_number_of_directories_if_parents_are_kept() {
    let lines = ["a/x.c", "a/b/y.c", "z.c", "a/b/n", "d.c/z.c"];
    check_parents(
        &lines,
        "**/*.c",
        "[a a/b]a/b/y.c=a/b/y.c; [a]a/x.c=a/x.c; []d.c=d.c z.c; []z.c=z.c",
    );
    check_parents(&lines, "a/./**/*.c", "[b]b/y.c=a/b/y.c; []x.c=a/x.c");
    check_parents(&lines, "a/**", "[a]a/b=a/b n y.c; [a]a/x.c=a/x.c");
    check_parents(&lines, "**/b", "[a]a/b=a/b n y.c");
    check_parents(&lines, "**/b/**/n", "[a a/b]a/b/n=a/b/n");
    check_parents(&["a/up -> ..", "a/f"], "**/f", "[a]a/f=a/f");
    check(&["a/b/y.c", "a/x.c"], "**/*.c", "x.c=a/x.c");
}

#[test]
fn ignored_directories_are_not_searched() {
    let rules = IgnoreRules::parse("node\nskip\n!skip/f.c").unwrap();
    let filter = Filter {
        ignored: Some(&rules),
        excluded: None,
    };
    let parents = Parents::Kept;
    let lines = ["node/f.c", "skip/f.c", "skip/g.c", "f.c"];
    let expected = "[]f.c=f.c; [skip]skip/f.c=skip/f.c";
    check_selection(&Selection { filter, parents }, &lines, "**/*.c", expected);
}

#[test]
fn exclude_counts_from_each_source_or_from_the_pivot() {
    let lines = ["d/a.txt", "d/b.md", "d/e/c.txt", "t.txt"];
    check_exclude(
        &["*.txt"],
        &lines,
        "d",
        ["d=d b.md e e/c.txt", "[]d=d a.txt b.md e e/c.txt"],
    );
    check_exclude(&["**/*.txt"], &lines, "d", ["d=d b.md e", "[]d=d b.md e"]);
    check_exclude(
        &["d/*.txt"],
        &lines,
        "d",
        ["d=d a.txt b.md e e/c.txt", "[]d=d b.md e e/c.txt"],
    );
    check_exclude(
        &["e", "!e/c.txt"],
        &lines,
        "d",
        ["d=d a.txt b.md e e/c.txt", "[]d=d a.txt b.md e e/c.txt"],
    );
    check_exclude(&["e"], &lines, "d/./e", ["", ""]);
}

#[test]
fn a_source_that_is_excluded_itself_is_left_out() {
    let lines = ["a.txt", "b.md", "d/x"];
    check_exclude(&["*.txt"], &lines, "a.txt", ["", ""]);
    check_exclude(
        &["*.txt"],
        &lines,
        "*",
        ["b.md=b.md; d=d x", "[]b.md=b.md; []d=d x"],
    );
    check_exclude(&["d"], &lines, "d", ["", ""]);
    check_exclude(&["d", "!d/x"], &lines, "d", ["", "[]d=d x"]);
    check_exclude(&["*"], &lines, ".", ["=", "[]="]);
    assert!(IgnoreRules::from_patterns(&["["]).is_err());
}
