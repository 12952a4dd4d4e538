//! A package that is installed in an image, as its package manager knows it.

use std::collections::BTreeMap;

/// No field is longer, in bytes; what is longer is cut.
const FIELD_LIMIT: usize = 1024;

/// Which package manager a package is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Debian's.
    Deb,
    /// Alpine's.
    Apk,
}

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package {
    pub name: String,
    pub version: String,
    pub kind: Kind,
    /// In the words of the package manager; empty if it does not say.
    pub architecture: String,
    /// What it was built from, where that is called otherwise.
    pub source: Option<String>,
    /// Who to turn to: `NAME <ADDRESS>`.
    pub maintainer: Option<String>,
    /// As the package manager says it; not always an expression of SPDX.
    pub license: Option<String>,
    pub homepage: Option<String>,
}

/// The value of a field, from bytes that a stranger wrote: one line of text without control
/// characters, of a bounded length; `None` if nothing is left.
pub(crate) fn field(value: &[u8]) -> Option<String> {
    let value = &value[..value.len().min(FIELD_LIMIT)];
    let text = String::from_utf8_lossy(value);
    let text: String = text.chars().filter(|it| !it.is_control()).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The records of a database: groups of lines `KEY: VALUE`, separated by empty lines. Lines that
/// start with a blank continue a value and are left out, as are lines without a colon. A key that is there
/// twice has its first value.
pub(crate) fn records(text: &[u8]) -> impl Iterator<Item = BTreeMap<&[u8], &[u8]>> {
    let mut lines = text.split(|&byte| byte == b'\n').peekable();
    std::iter::from_fn(move || {
        lines.peek()?;
        let mut record: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
        for line in lines.by_ref() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|&byte| byte == b':');
            if let Some(colon) = colon.filter(|_| !line[0].is_ascii_whitespace()) {
                record.entry(&line[..colon]).or_insert(&line[colon + 1..]);
            }
        }
        Some(record)
    })
}
