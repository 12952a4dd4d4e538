//! What code may not contain: `unsafe` outside rbuild-sys, the world in a
//! pure crate, tests that are switched off.

use super::code::{code, production, words};
use super::{Finding, Repository};

/// Crates that take values and return values, and nothing else.
const PURE: &[&str] = &["rbuild-oci", "rbuild-dockerfile", "rbuild-plan"];

/// Modules of `std` that reach the world.
const WORLD: &[&str] = &["fs", "env", "net", "process", "os", "thread"];

/// The clock, under whatever path it is imported.
const CLOCK: &[&str] = &["Instant", "SystemTime", "UNIX_EPOCH"];

pub fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in repository.iter().filter(|(path, _)| path.ends_with(".rs")) {
        let mut find = |line: usize, what: String| {
            findings.push(Finding::new(format!("{path}:{line}"), what));
        };
        let code = code(text);
        if !path.starts_with("crates/rbuild-sys/") {
            for (line, _) in words(&code).filter(|(_, word)| *word == "unsafe") {
                find(line, "`unsafe` outside rbuild-sys".to_owned());
            }
        }
        for (line, attribute) in switched_off(&code) {
            find(
                line,
                format!("`{attribute}`: gate with `need`, assert with `assert!`"),
            );
        }
        if is_pure(path) {
            for (line, name) in world(&production(text)) {
                find(line, format!("a pure crate must not use `{name}`"));
            }
        }
    }
    findings
}

/// Is this production code of a pure crate?
fn is_pure(path: &str) -> bool {
    let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
    !is_test
        && PURE
            .iter()
            .any(|name| path.starts_with(&format!("crates/{name}/src/")))
}

/// Lines with attributes that keep a test from failing.
fn switched_off(code: &str) -> impl Iterator<Item = (usize, &'static str)> {
    let attributes = ["#[ignore", "#[should_panic"];
    code.lines().enumerate().flat_map(move |(index, line)| {
        let found = attributes
            .into_iter()
            .filter(move |attribute| line.contains(attribute));
        found.map(move |attribute| (index + 1, attribute))
    })
}

/// Uses of the world in `code`, as line and path.
fn world(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("std::") {
        let line = code[..at].matches('\n').count() + 1;
        let paths = paths(&code[at + "std::".len()..]);
        let forbidden = paths.into_iter().filter(|path| is_world(path));
        found.extend(forbidden.map(|path| (line, format!("std::{path}"))));
    }
    let clock = words(code).filter(|(_, word)| CLOCK.contains(word));
    found.extend(clock.map(|(line, word)| (line, word.to_owned())));
    found
}

/// `std::env::consts` is how the platform of the build is known; it is data.
fn is_world(path: &str) -> bool {
    let first = path.split("::").next().unwrap_or(path);
    WORLD.contains(&first) && !path.starts_with("env::consts")
}

/// The paths after a `std::`: one, or those of a `{…}` group.
fn paths(after: &str) -> Vec<String> {
    let path = |text: &str| {
        let is_path = |c: &char| c.is_alphanumeric() || matches!(c, '_' | ':');
        text.trim_start()
            .chars()
            .take_while(is_path)
            .collect::<String>()
    };
    let Some(group) = after.strip_prefix('{') else {
        return vec![path(after)];
    };
    let mut depth = 0;
    let mut items = vec![String::new()];
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => items.push(String::new()),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                items
                    .last_mut()
                    .expect("the list starts with one item")
                    .push(c);
            }
        }
    }
    items.iter().map(|item| path(item)).collect()
}
