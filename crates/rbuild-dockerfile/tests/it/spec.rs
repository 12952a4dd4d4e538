//! Each statement of dockerfile.md that is about the language has a case somewhere.
//!
//! Statements are named in the titles of cases (`--- P4 …`), in the names of tests
//! (`fn v5_…`) and in comments of end-to-end tests. `tests/spec.txt` says why the rest
//! has none: a line is `ID reason`.

use std::collections::BTreeSet;
use std::path::Path;

/// The sections of the spec and how many statements each has.
const SECTIONS: [(&str, usize); 15] = [
    ("P", 19),
    ("D", 5),
    ("H", 8),
    ("V", 9),
    ("F", 14),
    ("A", 9),
    ("E", 9),
    ("M", 5),
    ("W", 5),
    ("C", 29),
    ("X", 7),
    ("R", 12),
    ("O", 4),
    ("G", 6),
    ("T", 60),
];

/// Files whose titles and comments name statements, below the root of the project.
const PLACES: [&str; 4] = [
    "crates/rbuild-dockerfile/tests/data",
    "crates/rbuild-dockerfile/src/expand/tests.rs",
    "crates/rbuild-plan/tests/data",
    "tests/e2e",
];

fn collect(path: &Path, found: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("the directory is of this repository") {
            collect(&entry.expect("it can be listed").path(), found);
        }
        return;
    }
    let text = std::fs::read_to_string(path).expect("the file is of this repository");
    let named = |line: &&str| {
        let line = line.trim_start();
        ["--- ", "fn ", "//"]
            .iter()
            .any(|start| line.starts_with(start))
    };
    for line in text.lines().filter(named) {
        let words = line.split(|c: char| !c.is_ascii_alphanumeric());
        found.extend(words.map(str::to_ascii_uppercase));
    }
}

#[test]
fn each_statement_has_a_case_or_a_reason() {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    for place in PLACES {
        collect(&crate_root.join("../..").join(place), &mut found);
    }
    let reasons = std::fs::read_to_string(crate_root.join("tests/spec.txt")).unwrap_or_default();
    let explained = reasons.lines().filter_map(|line| line.split_once(' '));
    found.extend(explained.map(|(id, _)| id.to_owned()));
    let missing: Vec<String> = SECTIONS
        .iter()
        .flat_map(|(section, count)| (1..=*count).map(move |n| format!("{section}{n}")))
        .filter(|id| !found.contains(id))
        .collect();
    assert!(
        missing.is_empty(),
        "no case and no reason: {}",
        missing.join(" ")
    );
}
