//! The rules of docs/style.md that a machine can check, over the repository
//! as data: [`findings`] is pure, [`run`] reads the files and prints.

mod advisories;
mod code;
mod docs;
mod files;
mod ranks;
mod sources;
mod statements;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use crate::cargo::workspace;
use crate::error::Error;

/// The text files of a repository by path, `/`-separated and relative.
pub type Repository = BTreeMap<String, String>;

/// A broken rule and where.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// File, perhaps with `:line`.
    place: String,
    /// What is wrong there.
    what: String,
}

impl Finding {
    fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Checks this repository; prints what it finds.
pub fn run() -> Result<(), Error> {
    let mut repository = Repository::new();
    read(workspace(), "", &mut repository)?;
    let findings = findings(&repository);
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(Error::Tidy { count }),
    }
}

/// Every broken rule, sorted by place.
fn findings(repository: &Repository) -> Vec<Finding> {
    let rules = [
        ranks::check,
        files::check,
        sources::check,
        docs::check,
        statements::check,
        advisories::check,
    ];
    let mut findings: Vec<Finding> = rules.iter().flat_map(|rule| rule(repository)).collect();
    findings.sort();
    findings
}

/// Names of the crates below `crates/`.
fn crates(repository: &Repository) -> impl Iterator<Item = &str> {
    repository.keys().filter_map(|path| {
        let name = path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")?;
        (!name.contains('/')).then_some(name)
    })
}

/// Collects the Rust, TOML, Markdown and plain text files below `dir`.
fn read(dir: &Path, prefix: &str, into: &mut Repository) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(Error::file("read", dir))? {
        let entry = entry.map_err(Error::file("read", dir))?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = format!("{prefix}{name}");
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_dir && !name.starts_with('.') && path != "target" {
            read(&entry.path(), &format!("{path}/"), into)?;
        } else if [".rs", ".toml", ".md", ".txt"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            let text =
                fs::read_to_string(entry.path()).map_err(Error::file("read", entry.path()))?;
            into.insert(path, text);
        }
    }
    Ok(())
}
