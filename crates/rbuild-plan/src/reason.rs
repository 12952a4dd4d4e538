//! Why is a step executed? Said on one line.
//!
//! Knows: two accounts, and what the store answered. Does not know: where these are from.

use std::fmt::{self, Display};

use serde::Serialize;

use crate::account::{Account, Part, Value};
use crate::listing::FileChanges;

/// Most names in one list.
const NAMES: usize = 3;

/// What the store has instead of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// It was not asked: the step is to be executed anyway.
    Unasked,
    /// It does not know the key, or nothing that can be used here.
    Unknown,
    /// It knows what the key led to, and that is deleted.
    Deleted,
    /// Its result is older than it may be.
    Expired,
}

/// Why a step is executed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// That was asked for (K2).
    Asked,
    /// Nothing is remembered that it could be compared with.
    First,
    /// Its result is older than it may be.
    Expired,
    /// Its result was deleted.
    Deleted,
    /// This is different from the last time; never empty.
    Changed(Vec<Change>),
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Change {
    /// The text of the instruction: what it was.
    Instruction {
        /// What it was.
        old: String,
    },
    /// The base image: another one, or another version of the same.
    Base {
        /// Its name before.
        old: String,
        /// Its name now.
        new: String,
    },
    /// The tree that the step stands on.
    Parent,
    /// A part. `None`: it is not there, or may not be shown.
    Part {
        /// Which.
        name: String,
        /// Its value before.
        old: Option<String>,
        /// Its value now.
        new: Option<String>,
    },
    /// The files that it reads.
    Files(FileChanges),
}

impl Reason {
    /// Why a step with the account `now` is executed, if `nearest` is the one to compare with.
    pub fn of(absence: Absence, nearest: Option<&Account>, now: &Account) -> Self {
        match (absence, nearest) {
            (Absence::Unasked, _) => Self::Asked,
            (Absence::Expired, _) => Self::Expired,
            (Absence::Deleted, _) => Self::Deleted,
            (Absence::Unknown, None) => Self::First,
            (Absence::Unknown, Some(old)) => match changes(old, now) {
                none if none.is_empty() => Self::Deleted,
                changes => Self::Changed(changes),
            },
        }
    }
}

/// How `now` differs from `old`, the cause before what follows from it.
fn changes(old: &Account, now: &Account) -> Vec<Change> {
    let mut found = Vec::new();
    if old.title != now.title {
        let old = old.title.clone();
        found.push(Change::Instruction { old });
    }
    for (part, new) in &now.parts {
        match old.parts.get(part) {
            Some(same) if same == new => {}
            other => found.push(part_changed(part, other, Some(new))),
        }
    }
    let gone = old
        .parts
        .iter()
        .filter(|(part, _)| !now.parts.contains_key(part));
    found.extend(gone.map(|(part, old)| part_changed(part, Some(old), None)));
    let has_instruction = matches!(found.first(), Some(Change::Instruction { .. }));
    if has_instruction {
        // The text says it better.
        found.retain(|change| !matches!(change, Change::Part { name, .. } if is_of_text(name)));
    }
    for (index, listing) in now.files.iter().enumerate() {
        let older = old.files.get(index).cloned().unwrap_or_default();
        let files = listing.changes_since(&older);
        if !files.is_empty() && !has_instruction {
            found.push(Change::Files(files));
        }
    }
    if old.parent != now.parent {
        found.push(match (&old.parent.base, &now.parent.base) {
            (Some(old), Some(new)) => Change::Base {
                old: old.clone(),
                new: new.clone(),
            },
            _ => Change::Parent,
        });
    }
    found
}

fn part_changed(part: &Part, old: Option<&Value>, new: Option<&Value>) -> Change {
    let shown = |value: Option<&Value>| match value {
        Some(Value::Text(text)) => Some(text.clone()),
        Some(Value::Print(_)) | None => None,
    };
    Change::Part {
        name: part.clone().into(),
        old: shown(old),
        new: shown(new),
    }
}

/// Whether the part follows from the text of an instruction alone.
fn is_of_text(name: &str) -> bool {
    name == "command" || name == "sources" || name == "mounts" || name.starts_with("--")
}

impl Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("the cache is not used"),
            Self::First => f.write_str("first time"),
            Self::Expired => f.write_str("its result is too old"),
            Self::Deleted => f.write_str("its result was deleted"),
            Self::Changed(changes) => {
                for (index, change) in changes.iter().take(NAMES).enumerate() {
                    write!(f, "{}{change}", if index == 0 { "" } else { "; " })?;
                }
                rest(f, changes.len())
            }
        }
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instruction { old } => write!(f, "instruction changed, was `{}`", cut(old)),
            Self::Base { old, new } if old == new => write!(f, "base {new}: new digest"),
            Self::Base { old, new } => write!(f, "base: {old} → {new}"),
            Self::Parent => f.write_str("parent changed"),
            Self::Part { name, old, new } => match (old.as_deref(), new.as_deref()) {
                (Some(old), Some(new)) => write!(f, "{name}: {} → {}", quoted(old), quoted(new)),
                (None, Some(new)) => write!(f, "{name}: now {}", quoted(new)),
                (Some(old), None) => write!(f, "{name}: was {}", quoted(old)),
                (None, None) => write!(f, "{name} changed"),
            },
            Self::Files(files) => write_files(files, f),
        }
    }
}

fn write_files(files: &FileChanges, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let lists = [
        (&files.changed, "changed"),
        (&files.added, "added"),
        (&files.removed, "removed"),
    ];
    let mut separator = "";
    for (names, what) in lists.into_iter().filter(|(names, _)| !names.is_empty()) {
        let noun = match (&names[..], separator) {
            ([only], "") if only.ends_with('/') => " directory",
            ([_], "") => " file",
            (_, "") if names.iter().all(|name| name.ends_with('/')) => " directories",
            (_, "") => " files",
            _ => "",
        };
        let shown: Vec<&str> = names.iter().take(NAMES).map(|name| named(name)).collect();
        write!(
            f,
            "{separator}{}{noun} {what}: {}",
            names.len(),
            shown.join(", ")
        )?;
        if names.len() > NAMES {
            f.write_str(", …")?;
        }
        separator = "; ";
    }
    Ok(())
}

fn rest(f: &mut fmt::Formatter<'_>, count: usize) -> fmt::Result {
    match count.checked_sub(NAMES) {
        None | Some(0) => Ok(()),
        Some(more) => write!(f, "; {more} more"),
    }
}

fn named(name: &str) -> &str {
    if name.is_empty() { "." } else { name }
}

/// An empty value needs something to see.
fn quoted(value: &str) -> &str {
    if value.is_empty() { "nothing" } else { value }
}

/// The start of `title`.
fn cut(title: &str) -> String {
    match title.char_indices().nth(LONGEST_TITLE) {
        None => title.to_owned(),
        Some((at, _)) => format!("{}…", &title[..at]),
    }
}

/// Most characters of an instruction that is gone.
const LONGEST_TITLE: usize = 60;

#[cfg(test)]
mod tests;
