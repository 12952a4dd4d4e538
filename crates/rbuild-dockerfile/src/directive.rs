//! The parser directives at the top of a file: `# escape=`, `# syntax=`, `# check=`.
//!
//! Knows: which lines are directives. Does not know: instructions.
//!
//! Spec: dockerfile.md 1.2 (D1–D5).

pub(crate) mod check;

use crate::ast::{Checks, Span, Spanned};
use crate::diagnostic::Diagnostic;
use crate::line::Lines;
use crate::suggest::nearest;

const KNOWN: [&str; 3] = ["syntax", "escape", "check"];

/// `# name = value`.
struct Directive<'s> {
    /// Lower case.
    name: String,
    value: &'s str,
    /// Where the value is.
    span: Span,
}

/// The language of `docker/dockerfile` that rbuild implements: 1.LEVEL (D4).
const LEVEL: u32 = 20;

/// What the directives of a file say.
pub(crate) struct Directives {
    /// `\` unless another is chosen.
    pub escape: char,
    /// The frontend, one that rbuild can stand in for.
    pub syntax: Option<Spanned<String>>,
    /// `check`.
    pub checks: Checks,
    /// Where the first line starts that is none.
    pub end: usize,
    /// What is wrong with them.
    pub diagnostics: Vec<Diagnostic>,
}

impl Default for Directives {
    fn default() -> Self {
        Self {
            escape: '\\',
            syntax: None,
            checks: Checks::default(),
            end: 0,
            diagnostics: Vec::new(),
        }
    }
}

/// Whether `name` is that of a directive.
pub(crate) fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Reads the directives of `source`.
///
/// The region ends at the first line that is not a known directive (D2). A `#!` line
/// does not end it for `syntax` (D4).
pub(crate) fn read(source: &str) -> Directives {
    let mut directives = Directives::default();
    let mut seen: Vec<String> = Vec::new();
    let mut lines = Lines::new(source, directives.escape);
    let interpreted = source.starts_with("#!");
    if interpreted {
        lines.next_physical();
    }
    while let Some(line) = lines.next_physical() {
        let Some(directive) = directive(line.text, line.start) else {
            break;
        };
        let found = &mut directives.diagnostics;
        if !KNOWN.contains(&directive.name.as_str()) {
            found.extend(misspelling(&directive));
            break;
        }
        if interpreted && directive.name != "syntax" {
            break;
        }
        if seen.contains(&directive.name) {
            let message = format!("the directive `{}` is given twice", directive.name);
            found.push(Diagnostic::error(directive.span, message));
            continue;
        }
        seen.push(directive.name.clone());
        directives.end = lines.position();
        directives.obey(&directive);
    }
    directives
}

impl Directives {
    fn obey(&mut self, directive: &Directive<'_>) {
        let found = &mut self.diagnostics;
        match (directive.name.as_str(), directive.value) {
            ("escape", "\\") => self.escape = '\\',
            ("escape", "`") => self.escape = '`',
            ("escape", _) => found.push(bad_escape(directive)),
            ("syntax", image) if is_foreign(image) => found.push(foreign_frontend(directive)),
            ("syntax", image) => {
                found.extend(newer_frontend(directive));
                let (value, span) = (image.to_owned(), directive.span.clone());
                self.syntax = Some(Spanned { value, span });
            }
            (_, value) => match check::parse(value) {
                Ok(checks) => self.checks = checks,
                Err(problem) => found.push(Diagnostic::error(directive.span.clone(), problem)),
            },
        }
    }
}

/// The directive that `line` is, or `None` (D1).
fn directive(line: &str, start: usize) -> Option<Directive<'_>> {
    let body = line.trim_start().strip_prefix('#')?;
    let (name, value) = body.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_name || value.is_empty() {
        return None;
    }
    let at = start + line.trim_end().len() - value.len();
    Some(Directive {
        name: name.to_ascii_lowercase(),
        value,
        span: at..at + value.len(),
    })
}

fn bad_escape(directive: &Directive<'_>) -> Diagnostic {
    let message = format!("the escape character cannot be `{}`", directive.value);
    Diagnostic::error(directive.span.clone(), message).with_hint("use `\\` or `` ` ``")
}

/// The name of a frontend without what is the same for all: where it comes from.
fn short(image: &str) -> &str {
    image.strip_prefix("docker.io/").unwrap_or(image)
}

fn is_foreign(image: &str) -> bool {
    !short(image).starts_with("docker/dockerfile") && image != "dockerfile.v0"
}

/// A frontend other than the reference one is refused, since rbuild cannot run it (D4).
fn foreign_frontend(directive: &Directive<'_>) -> Diagnostic {
    let message = format!("the frontend `{}` is not supported", directive.value);
    let hint = "rbuild reads the language of `docker/dockerfile` only";
    Diagnostic::error(directive.span.clone(), message).with_hint(hint)
}

/// A frontend of a later version may know things that rbuild does not (D4).
fn newer_frontend(directive: &Directive<'_>) -> Option<Diagnostic> {
    let (_, tag) = short(directive.value).split('@').next()?.split_once(':')?;
    let version = tag.split('-').next()?;
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    let (major, minor) = (numbers.next()??, numbers.next().flatten().unwrap_or(0));
    if (major, minor) <= (1, LEVEL) {
        return None;
    }
    let message = format!("rbuild implements version 1.{LEVEL} of the language");
    let hint = "what is newer than that is reported where it is used";
    Some(Diagnostic::warning(directive.span.clone(), message).with_hint(hint))
}

/// An unknown directive is a plain comment; one that looks misspelt deserves a word.
fn misspelling(directive: &Directive<'_>) -> Option<Diagnostic> {
    let known = nearest(&directive.name, KNOWN)?;
    let message = format!(
        "unknown directive `{}` is taken for a comment",
        directive.name
    );
    let hint = format!("did you mean `{known}`?");
    Some(Diagnostic::warning(directive.span.clone(), message).with_hint(hint))
}
