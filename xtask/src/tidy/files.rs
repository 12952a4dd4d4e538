//! Files and names: one noun per file, no drawers.

use super::code::{code, words};
use super::{Finding, Repository};

/// More lines than this and a file is two files.
const LINES: usize = 800;

/// File names that say nothing.
const DRAWERS: &[&str] = &[
    "util", "utils", "helper", "helpers", "common", "misc", "manager", "shared", "core",
];

/// Endings of type names that say nothing.
const EMPTY_ENDINGS: &[&str] = &[
    "Manager", "Helper", "Util", "Utils", "Handler", "Service", "Info", "Data",
];

/// Beginnings of function names that say nothing.
const EMPTY_BEGINNINGS: &[&str] = &["do_", "process_", "handle_"];

pub fn check(repository: &Repository) -> Vec<Finding> {
    let sources = repository.iter().filter(|(path, _)| path.ends_with(".rs"));
    sources
        .flat_map(|(path, text)| check_file(path, text))
        .collect()
}

fn check_file(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |what: String| findings.push(Finding::new(path, what));
    let stem = path
        .rsplit('/')
        .next()
        .and_then(|name| name.strip_suffix(".rs"))
        .unwrap_or(path);
    if stem == "mod" {
        find("`mod.rs`: use `foo.rs` beside `foo/`".to_owned());
    }
    if DRAWERS.contains(&stem) {
        find(format!("`{stem}` is a drawer, not a noun"));
    }
    let lines = text.lines().count();
    if lines > LINES {
        find(format!("{lines} lines; the limit is {LINES}"));
    }
    // What a file of tests is for, the file that it tests has said.
    if stem != "tests" && !text.starts_with("//!") {
        find("does not open with `//!`: purpose, what it knows, what it must not know".to_owned());
    }
    findings.extend(empty_names(path, text));
    findings
}

fn empty_names(path: &str, text: &str) -> Vec<Finding> {
    let code = code(text);
    let words: Vec<(usize, &str)> = words(&code).collect();
    let definitions = words.windows(2).filter_map(|pair| match pair {
        [(_, keyword), (line, name)] => Some((*keyword, *line, *name)),
        _ => None,
    });
    definitions
        .filter(|(keyword, _, name)| match *keyword {
            "struct" | "enum" | "trait" | "type" => {
                EMPTY_ENDINGS.iter().any(|ending| name.ends_with(ending))
            }
            "fn" => EMPTY_BEGINNINGS
                .iter()
                .any(|beginning| name.starts_with(beginning)),
            _ => false,
        })
        .map(|(_, line, name)| {
            Finding::new(
                format!("{path}:{line}"),
                format!("the name `{name}` says nothing"),
            )
        })
        .collect()
}
