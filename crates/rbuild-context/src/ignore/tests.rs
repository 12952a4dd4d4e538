//! Ignore files as text, with the paths that they exclude and keep.

use proptest::prelude::{prop_assert_eq, proptest};

use super::{IgnoreRules, ignore_file_names, read_ignore_file};

/// Each path of `excluded` is excluded, each of `kept` is not.
#[track_caller]
fn check(text: &str, excluded: &[&str], kept: &[&str]) {
    let rules = IgnoreRules::parse(text).unwrap();
    for path in excluded {
        assert!(
            rules.excludes(path.as_bytes()),
            "`{path}` should be excluded by {text:?}"
        );
    }
    for path in kept {
        assert!(
            !rules.excludes(path.as_bytes()),
            "`{path}` should be kept by {text:?}"
        );
    }
}

#[test]
fn a_directory_takes_all_below_it_along() {
    check(
        "target",
        &["target", "target/a", "target/a/b"],
        &["src/target", "targets"],
    );
    check("/target/", &["target", "target/a"], &["a/target"]);
    check("a/*", &["a/b", "a/b/c"], &["a", "b"]);
}

#[test]
fn the_last_matching_pattern_decides() {
    check("*\n!dir/file", &["a", "dir/other", "dir"], &["dir/file"]);
    check("*.md\n!README.md", &["a.md"], &["README.md"]);
    check("!README.md\n*.md", &["README.md"], &[]);
    check(
        "docs\n!docs/keep\ndocs/keep/x",
        &["docs/a", "docs/keep/x"],
        &["docs/keep/y"],
    );
    check("*\n!/dir\n!./top", &["other"], &["dir", "dir/a", "top"]);
}

#[test]
fn everything_can_be_excluded_but_the_root() {
    for text in ["*", "**", "**/*"] {
        check(text, &["a", "a/b", ".hidden"], &[""]);
    }
    check(".", &[], &["a"]);
    check("/", &[], &["a"]);
}

#[test]
fn lines_are_trimmed_and_comments_skipped() {
    check(
        "\u{feff}# a\n  b  \r\n\n #c\n! b/x \nb/x/y",
        &["b", "#c", "b/x/y"],
        &["a", "b/x"],
    );
    check("a//b/../c/.", &["a/c"], &["a/b"]);
    check("/../a", &["a"], &[]);
    check("a/../../b\n../c", &[], &["a", "b", "c"]);
}

#[test]
fn wrong_patterns_are_named_with_their_line() {
    let check = |text: &str, expected: &str| {
        assert_eq!(IgnoreRules::parse(text).unwrap_err().to_string(), expected);
    };
    check(
        "a\n!",
        "ignore file, line 2: `!` has nothing to include again",
    );
    check(
        "[a",
        "ignore file, line 1: `[a` has a class that does not end",
    );
}

#[test]
fn excluded_directories_are_entered_only_where_it_matters() {
    let check = |text: &str, dir: &str, expected: bool| {
        let rules = IgnoreRules::parse(text).unwrap();
        assert_eq!(
            rules.must_descend(dir.as_bytes()),
            expected,
            "{text:?} {dir}"
        );
    };
    check("*\n!dir/file", "dir", true);
    check("*\n!dir/file", "other", false);
    check("!dir/file\n*", "dir", false);
    check("node_modules\n!**/keep", "node_modules", true);
}

#[test]
fn names_are_in_order_of_preference_i2_t42() {
    let names = ignore_file_names("build.Dockerfile").map(|file| file.name);
    assert_eq!(
        names,
        [
            "build.Dockerfile.dockerignore",
            "build.Dockerfile.containerignore",
            ".containerignore",
            ".dockerignore",
        ]
    );
}

#[test]
fn huge_ignore_files_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let dir = rbuild_sys::Dir::open(temp.path()).unwrap();
    assert!(read_ignore_file(&dir, ".dockerignore").unwrap().is_none());
    std::fs::write(temp.path().join(".dockerignore"), "#".repeat((1 << 20) + 1)).unwrap();
    let error = read_ignore_file(&dir, ".dockerignore").unwrap_err();
    assert!(error.to_string().contains("limit `size`"), "{error}");
}

/// The definition: the last pattern that matches the path or a parent of it decides.
fn slow(rules: &IgnoreRules, path: &str) -> bool {
    let mut excluded = false;
    for rule in &rules.rules {
        let ends = path.match_indices('/').map(|(at, _)| at);
        let mut prefixes = ends.chain([path.len()]).map(|end| &path[..end]);
        if prefixes.any(|prefix| rule.pattern.matches(prefix.as_bytes())) {
            excluded = !rule.include;
        }
    }
    excluded
}

proptest! {
    #[test]
    fn verdicts_from_parents_agree_with_the_definition(
        lines in proptest::collection::vec("!?(a|b|\\*|\\*\\*)(/(a|b|\\*|\\*\\*)){0,3}", 0..5),
        path in "[ab](/[ab]){0,4}",
    ) {
        let rules = IgnoreRules::parse(&lines.join("\n")).unwrap();
        prop_assert_eq!(rules.excludes(path.as_bytes()), slow(&rules, &path), "{:?} {}", lines, path);
        // Whoever says that nothing below is included again must be right.
        let parent = path.rsplit_once('/').map(|(parent, _)| parent);
        if let Some(parent) = parent.filter(|parent| rules.excludes(parent.as_bytes())) {
            let dead = !rules.must_descend(parent.as_bytes());
            prop_assert_eq!(dead && !slow(&rules, &path), false, "{:?} {}", lines, path);
        }
    }
}
