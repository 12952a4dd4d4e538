//! Documents that must not drift from the repository: the map of the crates
//! and the list of dependencies.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::{Finding, Repository, crates};

const MAP: &str = "docs/architecture.md";
const MAP_LINES: usize = 200;
const DEPENDENCIES: &str = "docs/dependencies.md";

pub fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = map(repository);
    findings.extend(dependencies(repository));
    findings
}

/// The map names exactly the crates that exist.
fn map(repository: &Repository) -> Vec<Finding> {
    let Some(text) = repository.get(MAP) else {
        return vec![Finding::new(MAP, "there is no map")];
    };
    let existing: BTreeSet<&str> = crates(repository).collect();
    let is_name = |c: char| c.is_ascii_lowercase() || c == '-';
    let named: BTreeSet<&str> = text
        .split(|c: char| !is_name(c))
        .filter(|word| *word == "rbuild" || word.starts_with("rbuild-"))
        .map(|word| word.trim_end_matches('-'))
        .collect();
    let missing = existing
        .difference(&named)
        .map(|name| format!("crate `{name}` is not named"));
    let gone = named
        .difference(&existing)
        .map(|name| format!("there is no crate `{name}`"));
    let lines = text.lines().count();
    let long = (lines > MAP_LINES).then(|| format!("{lines} lines; the limit is {MAP_LINES}"));
    missing
        .chain(gone)
        .chain(long)
        .map(|what| Finding::new(MAP, what))
        .collect()
}

/// Every external dependency of the workspace has a row, and every row is one.
fn dependencies(repository: &Repository) -> Vec<Finding> {
    let manifest = repository
        .get("Cargo.toml")
        .map(|text| text.parse::<Table>());
    let Some(Ok(manifest)) = manifest else {
        return vec![Finding::new("Cargo.toml", "cannot be read as TOML")];
    };
    let table = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(Value::as_table);
    let adopted: BTreeSet<&str> = table
        .into_iter()
        .flatten()
        .filter(|(_, value)| value.get("path").is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    let text = repository.get(DEPENDENCIES).map_or("", String::as_str);
    let rows: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let missing = adopted
        .difference(&rows)
        .map(|name| format!("no row for `{name}`"));
    let gone = rows
        .difference(&adopted)
        .map(|name| format!("`{name}` is not a dependency"));
    missing
        .chain(gone)
        .map(|what| Finding::new(DEPENDENCIES, what))
        .collect()
}
