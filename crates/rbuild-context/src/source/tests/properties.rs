//! Selections from random trees against slow definitions.

use std::collections::BTreeSet;

use proptest::{
    prelude::{ProptestConfig, Strategy, prop_assert_eq, proptest},
    sample::select,
};

use super::context;
use crate::{
    Error, Filter, IgnoreRules, Parents, Selection,
    pattern::{Dialect, Pattern},
    sources, walk,
};

/// Paths of files, none of which is a directory of another.
fn files() -> impl Strategy<Value = BTreeSet<String>> {
    proptest::collection::btree_set("[ab](/[ab]){0,3}/f", 1..8)
}

fn directories(files: &BTreeSet<String>) -> BTreeSet<String> {
    let ends = |path: &String| -> Vec<String> {
        let ends = path.match_indices('/');
        ends.map(|(at, _)| path[..at].to_owned()).collect()
    };
    files.iter().flat_map(ends).collect()
}

/// Component by component; `**` is any number of directories, at the end any one name.
fn matches(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**"], [_]) => true,
        (["**", rest @ ..], _) if !rest.is_empty() => {
            (0..=path.len()).any(|skip| matches(rest, &path[skip..]))
        }
        ([part, rest @ ..], [name, names @ ..]) => {
            (*part == "*" || part == name) && matches(rest, names)
        }
        _ => false,
    }
}

fn excludes(patterns: &[String], path: &str) -> bool {
    let mut excluded = false;
    for pattern in patterns {
        let text = pattern.trim_start_matches('!');
        let compiled = Pattern::compile(text.as_bytes(), Dialect::Ignore).unwrap();
        let ends = path.match_indices('/').map(|(at, _)| at);
        let mut prefixes = ends.chain([path.len()]).map(|end| &path[..end]);
        if prefixes.any(|prefix| compiled.matches(prefix.as_bytes())) {
            excluded = text.len() == pattern.len();
        }
    }
    excluded
}

fn patterns() -> impl Strategy<Value = Vec<String>> {
    let one = "!?(a|b|f|\\*|\\*\\*)(/(a|b|f|\\*|\\*\\*)){0,2}";
    proptest::collection::vec(one, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn wildcards_find_what_the_definition_says(
        files in files(),
        parts in proptest::collection::vec(select(vec!["a", "b", "f", "*", "**"]), 1..5),
    ) {
        let lines: Vec<&str> = files.iter().map(String::as_str).collect();
        let (_temp, root) = context(&lines);
        let pattern = format!("**/{}", parts.join("/"));
        let selection = Selection { parents: Parents::Kept, ..Selection::default() };
        let found: BTreeSet<String> = sources(&root, pattern.as_bytes(), &selection)
            .unwrap()
            .into_iter()
            .map(|source| String::from_utf8(source.path).unwrap())
            .collect();
        let directories = directories(&files);
        let pattern: Vec<&str> = pattern.split('/').collect();
        let all: BTreeSet<&String> = files
            .union(&directories)
            .filter(|path| matches(&pattern, &path.split('/').collect::<Vec<_>>()))
            .collect();
        let covered = |path: &String| {
            all.iter().any(|dir| path.starts_with(&format!("{dir}/")))
        };
        let expected: BTreeSet<String> =
            all.iter().filter(|path| !covered(path)).map(ToString::to_string).collect();
        prop_assert_eq!(found, expected, "{:?}", pattern);
    }

    #[test]
    fn a_walk_visits_what_both_lists_let_pass(
        files in files(),
        ignored in patterns(),
        excluded in patterns(),
        base in select(vec!["", "a", "b"]),
    ) {
        let lines: Vec<&str> = files.iter().map(String::as_str).collect();
        let (_temp, root) = context(&lines);
        let (ignore_rules, exclude_rules) = (
            IgnoreRules::parse(&ignored.join("\n")).unwrap(),
            IgnoreRules::from_patterns(&excluded).unwrap(),
        );
        let filter = Filter { ignored: Some(&ignore_rules), excluded: Some(&exclude_rules) };
        let selection = Selection { filter, parents: Parents::Dropped };
        let mut found = BTreeSet::new();
        for source in sources(&root, base.as_bytes(), &selection).unwrap_or_default() {
            walk(&source, &filter, |visit| {
                if !visit.stat.is_dir() {
                    found.insert(String::from_utf8(visit.relative.to_vec()).unwrap());
                }
                Ok::<(), Error>(())
            })
            .unwrap();
        }
        let below = |path: &String| match base {
            "" => Some(path.clone()),
            base => path.strip_prefix(&format!("{base}/")).map(str::to_owned),
        };
        let passes = |path: &&String| {
            let skipped = !base.is_empty() && excludes(&excluded, base);
            !skipped
                && !excludes(&ignored, path)
                && below(path).is_some_and(|below| !excludes(&excluded, &below))
        };
        let expected: BTreeSet<String> = files.iter().filter(passes).filter_map(below).collect();
        prop_assert_eq!(found, expected, "{:?} {:?} {:?}", base, ignored, excluded);
    }
}
