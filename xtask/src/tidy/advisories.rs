//! Each advisory of the field has a test, or a line that says why it has none.
//!
//! `tests/advisories.txt` names the tests; one that is renamed or removed is missed here.

use std::collections::BTreeSet;

use super::{Finding, Repository, statements::tests};

const LIST: &str = "tests/advisories.txt";

pub fn check(repository: &Repository) -> Vec<Finding> {
    let Some(list) = repository.get(LIST) else {
        return Vec::new();
    };
    let others = repository.iter().filter(|(path, _)| *path != LIST);
    let words: BTreeSet<&str> = others
        .filter_map(|(path, text)| tests(path, text))
        .flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .collect();
    let lines = list.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let mut seen = BTreeSet::new();
    let mut findings = Vec::new();
    for (number, line) in lines {
        let mut find = |what| findings.push(Finding::new(format!("{LIST}:{}", number + 1), what));
        let (id, shown) = line.split_once(' ').unwrap_or((line, ""));
        if !seen.insert(id) {
            find(format!("`{id}` is there twice"));
        }
        match shown.split_once("- ") {
            Some(("", _why)) => {}
            _ if shown.trim().is_empty() => find(format!("`{id}` has neither a test nor a reason")),
            _ => {
                let names = shown.split_whitespace();
                let missing = names.filter(|name| !words.contains(name));
                missing.for_each(|name| find(format!("there is no test `{name}`")));
            }
        }
    }
    findings
}
