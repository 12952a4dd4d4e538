//! Ignore files: which paths of a context do not exist for COPY.
//!
//! The last pattern that matches a path or one of its parents decides; `!` includes again.
//! dockerfile.md 1.13; moby/patternmatcher.

use std::io::Read;

use rbuild_sys::{Dir, Error as SysError};

use crate::{
    error::{Error, Result, shown},
    pattern::{Dialect, Pattern},
};

/// Largest ignore file, in bytes.
const MAX_SIZE: usize = 1 << 20;
/// Most patterns.
const MAX_PATTERNS: usize = 10_000;

/// The patterns of an ignore file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoreRules {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    pattern: Pattern,
    include: bool,
}

/// What is known of a path: the rule that decides over it and, for a directory, over what is
/// below it as long as no later rule matches there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict(Option<usize>);

impl IgnoreRules {
    /// Parses the `text` of an ignore file.
    ///
    /// # Errors
    /// [`Error::IgnorePattern`] for the first line that is no pattern.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Self::default();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            rules.push(line).map_err(|why| Error::IgnorePattern {
                line: index + 1,
                pattern: line.to_owned(),
                why,
            })?;
        }
        Ok(rules)
    }

    /// Adds the pattern `text`, which is not empty; one for the root is no rule (I3).
    pub(crate) fn push(&mut self, text: &str) -> std::result::Result<(), &'static str> {
        let (include, pattern) = match text.trim().strip_prefix('!') {
            Some(pattern) => (true, pattern.trim()),
            None => (false, text.trim()),
        };
        if pattern.is_empty() && include {
            return Err("has nothing to include again");
        }
        if self.rules.len() == MAX_PATTERNS {
            return Err("is the 10001st pattern, which is more than the limit `patterns`");
        }
        if let Some(pattern) = clean(pattern) {
            let pattern = Pattern::compile(pattern.as_bytes(), Dialect::Ignore)?;
            self.rules.push(Rule { pattern, include });
        }
        Ok(())
    }

    /// Whether `path` (relative, clean) does not exist for COPY. The root always exists.
    pub fn excludes(&self, path: &[u8]) -> bool {
        self.is_excluded(self.judge_whole(path))
    }

    /// Whether something below the excluded directory `path` may be included again, so that
    /// it must be looked into.
    pub fn must_descend(&self, path: &[u8]) -> bool {
        self.may_include_below(self.judge_whole(path), path)
    }

    /// Whether some rule includes again what others exclude.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.include)
    }

    /// The verdict on `path` from that on its parent.
    pub(crate) fn judge(&self, parent: Verdict, path: &[u8]) -> Verdict {
        let from = parent.0.map_or(0, |rule| rule + 1);
        let later = self.rules[from..]
            .iter()
            .rposition(|rule| rule.pattern.matches(path));
        Verdict(later.map(|rule| from + rule).or(parent.0))
    }

    /// The verdict on `path` when nothing is known of its parents.
    pub(crate) fn judge_whole(&self, path: &[u8]) -> Verdict {
        let slashes = (0..path.len()).filter(|&at| path[at] == b'/');
        let prefixes = slashes.chain([path.len()]).map(|end| &path[..end]);
        let known = prefixes.filter(|prefix| !prefix.is_empty());
        known.fold(Verdict::default(), |verdict, prefix| {
            self.judge(verdict, prefix)
        })
    }

    pub(crate) fn is_excluded(&self, verdict: Verdict) -> bool {
        verdict.0.is_some_and(|rule| !self.rules[rule].include)
    }

    /// Whether a rule after the one that decides over directory `path` may include below it.
    pub(crate) fn may_include_below(&self, verdict: Verdict, path: &[u8]) -> bool {
        let from = verdict.0.map_or(0, |rule| rule + 1);
        let mut later = self.rules[from..].iter();
        later.any(|rule| rule.include && rule.pattern.may_match_below(path))
    }
}

/// `pattern` without a leading slash, `.`, `..` and doubled slashes, as Go's `path.Clean` does
/// it: what leads out of the context keeps its `..` and matches nothing. `None` if nothing is
/// left (I3).
fn clean(pattern: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match (part, parts.last()) {
            ("" | ".", _) => {}
            ("..", Some(&last)) if last != ".." => drop(parts.pop()),
            ("..", None) if pattern.starts_with('/') => {}
            (part, _) => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// Where an ignore file is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the directory that the Dockerfile is in.
    BesideDockerfile,
    /// In the root of the context.
    ContextRoot,
}

/// A possible ignore file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoreFile {
    /// Where it is.
    pub place: Place,
    /// Its name.
    pub name: String,
}

/// The ignore files to look for when the Dockerfile is called `dockerfile` (a name without
/// directories), in order; the first that exists is the only one.
pub fn ignore_file_names(dockerfile: &str) -> [IgnoreFile; 4] {
    let file = |place, name: &str| IgnoreFile {
        place,
        name: name.to_owned(),
    };
    [
        file(
            Place::BesideDockerfile,
            &format!("{dockerfile}.dockerignore"),
        ),
        file(
            Place::BesideDockerfile,
            &format!("{dockerfile}.containerignore"),
        ),
        file(Place::ContextRoot, ".containerignore"),
        file(Place::ContextRoot, ".dockerignore"),
    ]
}

/// Reads the ignore file `name` in `dir`; `None` if there is none.
///
/// # Errors
/// [`Error::IgnoreLimit`] beyond 1 MiB, [`Error::IgnoreText`], and as [`IgnoreRules::parse`].
pub fn read_ignore_file(dir: &Dir, name: &str) -> Result<Option<IgnoreRules>> {
    let failed = |source| Error::Read {
        path: name.to_owned(),
        source,
    };
    let file = SysError::absent(dir.resolve_file(name.as_bytes())).map_err(failed)?;
    file.map(|file| read_ignore_rules(name, file)).transpose()
}

/// Reads the rules in `file`, an ignore file that is called `name`.
///
/// # Errors
/// As [`read_ignore_file`].
pub fn read_ignore_rules(name: &str, file: impl Read) -> Result<IgnoreRules> {
    let mut bytes = Vec::new();
    file.take(MAX_SIZE as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| Error::Content {
            path: shown(name.as_bytes()),
            source,
        })?;
    if bytes.len() > MAX_SIZE {
        let name = name.to_owned();
        return Err(Error::IgnoreLimit {
            name,
            limit: "size",
            allowed: MAX_SIZE,
        });
    }
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| Error::IgnoreText {
        name: name.to_owned(),
    })?;
    IgnoreRules::parse(&text)
}

#[cfg(test)]
mod tests;
