//! Each statement of dockerfile.md has a test case, or a line that says why it has none.
//!
//! The specification is not in the repository; `tests/statements.txt` counts what it has. A case
//! names its statements in its title (`--- C14 …`), a test in its name (`fn …_c14`) or in a
//! comment beside it (`// C14`).

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Repository};

/// First the sections and how many statements each has, `C 29`; then the statements without a
/// case, each with the reason, `H8 describes other builders`.
const LIST: &str = "tests/statements.txt";

pub fn check(repository: &Repository) -> Vec<Finding> {
    let Some(list) = repository.get(LIST) else {
        return Vec::new();
    };
    let (all, reasons) = parse(list);
    let named: BTreeSet<String> = repository
        .iter()
        .flat_map(|(path, text)| statements(path, text))
        .collect();
    let mut findings = Vec::new();
    for id in &all {
        match (named.contains(id), reasons.get(id.as_str())) {
            (false, None) => findings.push(format!("`{id}` has neither a case nor a reason")),
            (true, Some(_)) => {
                findings.push(format!("`{id}` has a case now, and a reason for none"));
            }
            _ => {}
        }
    }
    let unknown = reasons.keys().filter(|id| !all.contains(**id));
    findings.extend(unknown.map(|id| format!("there is no statement `{id}`")));
    findings
        .into_iter()
        .map(|what| Finding::new(LIST, what))
        .collect()
}

/// All statements, and the reasons of those without a case.
fn parse(list: &str) -> (BTreeSet<String>, BTreeMap<&str, &str>) {
    let mut all = BTreeSet::new();
    let mut reasons = BTreeMap::new();
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    for (id, rest) in lines.filter_map(|line| line.split_once(' ')) {
        match rest.parse::<u32>() {
            Ok(count) => all.extend((1..=count).map(|number| format!("{id}{number}"))),
            Err(_) => drop(reasons.insert(id, rest)),
        }
    }
    (all, reasons)
}

/// The statements that the tests in file `path` name, and more words that look like them.
fn statements(path: &str, text: &str) -> BTreeSet<String> {
    let Some(tests) = tests(path, text) else {
        return BTreeSet::new();
    };
    let mut found = BTreeSet::new();
    for line in tests.lines().map(str::trim_start) {
        let words = line.split(|c: char| !c.is_ascii_alphanumeric());
        if line.starts_with("fn ") {
            found.extend(words.map(str::to_ascii_uppercase));
        } else if line.starts_with("--- ") || line.starts_with("//") {
            found.extend(words.map(str::to_owned));
        }
    }
    found
}

/// The part of a file that is tests or their data.
pub fn tests<'a>(path: &str, text: &'a str) -> Option<&'a str> {
    let is_test =
        path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs");
    if is_test {
        return (path != LIST).then_some(text);
    }
    let start = text.find("#[cfg(test)]")?;
    path.ends_with(".rs").then(|| &text[start..])
}
