//! Who may depend on whom: rule 2 of docs/style.md. Dependencies go down one
//! or more ranks, never sideways; the test kit is for tests only.

use toml::{Table, Value};

use super::{Finding, Repository, crates};

const RANKS: &[(u8, &[&str])] = &[
    (
        0,
        &[
            "rbuild-oci",
            "rbuild-dockerfile",
            "rbuild-sys",
            "rbuild-http",
            "rbuild-fuse",
        ],
    ),
    (
        1,
        &[
            "rbuild-plan",
            "rbuild-sandbox",
            "rbuild-snapshot",
            "rbuild-layer",
            "rbuild-store",
            "rbuild-context",
            "rbuild-registry",
        ],
    ),
    (2, &["rbuild-engine", "rbuild-export"]),
    (3, &["rbuild"]),
];

/// Only tests, and the packages that are no part of the product, use it.
const TEST_KIT: &str = "rbuild-testkit";

/// The one crate that may have `unsafe` and therefore its own lint table.
const UNSAFE_CRATE: &str = "rbuild-sys";

pub fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in crates(repository) {
        let manifest = format!("crates/{name}/Cargo.toml");
        match repository[&manifest].parse::<Table>() {
            Ok(table) => check_crate(name, &manifest, &table, &mut findings),
            Err(error) => findings.push(Finding::new(manifest, error.message())),
        }
    }
    findings
}

fn check_crate(name: &str, manifest: &str, table: &Table, findings: &mut Vec<Finding>) {
    if name != UNSAFE_CRATE && !inherits_lints(table) {
        findings.push(Finding::new(manifest, "no `[lints] workspace = true`"));
    }
    if name == TEST_KIT {
        return;
    }
    let Some(own) = rank(name) else {
        findings.push(Finding::new(
            manifest,
            format!("crate `{name}` has no rank"),
        ));
        return;
    };
    for (section, dependency) in dependencies(table) {
        if dependency == TEST_KIT && section == "dev-dependencies" {
            continue;
        }
        if rank(dependency).is_none_or(|rank| rank >= own) {
            let what = format!("`{name}` (rank {own}) must not depend on `{dependency}`");
            findings.push(Finding::new(manifest, what));
        }
    }
}

fn rank(name: &str) -> Option<u8> {
    RANKS
        .iter()
        .find(|(_, names)| names.contains(&name))
        .map(|(rank, _)| *rank)
}

fn inherits_lints(table: &Table) -> bool {
    let lints = table.get("lints").and_then(|lints| lints.get("workspace"));
    lints.and_then(Value::as_bool) == Some(true)
}

/// Our own crates that a manifest names, with the section that names them.
fn dependencies(table: &Table) -> impl Iterator<Item = (&'static str, &str)> {
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .into_iter()
        .flat_map(|section| {
            let names = table.get(section).and_then(Value::as_table);
            let names = names
                .into_iter()
                .flat_map(|names| names.keys().map(String::as_str));
            names
                .filter(|name| name.starts_with("rbuild"))
                .map(move |name| (section, name))
        })
}
