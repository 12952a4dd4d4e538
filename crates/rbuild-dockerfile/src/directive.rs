//! The parser directives at the top of a file: `# escape=`, `# syntax=`, `# check=`.
//!
//! Knows: which lines are directives. Does not know: instructions.
//!
//! Spec: dockerfile.md 1.2 (D1–D5).

use crate::ast::Span;
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

/// Reads the directives of `source`: the escape character, and what is wrong.
///
/// The region ends at the first line that is not a known directive (D2).
pub(crate) fn read(source: &str) -> (char, Vec<Diagnostic>) {
    let mut escape = '\\';
    let mut diagnostics = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    let mut lines = Lines::new(source, escape);
    while let Some(line) = lines.next_physical() {
        let Some(directive) = directive(line.text, line.start) else {
            break;
        };
        if !KNOWN.contains(&directive.name.as_str()) {
            diagnostics.extend(misspelling(&directive));
            break;
        }
        if seen.contains(&directive.name) {
            let message = format!("the directive `{}` is given twice", directive.name);
            diagnostics.push(Diagnostic::error(directive.span, message));
            continue;
        }
        match directive.name.as_str() {
            "escape" => match directive.value {
                "\\" | "`" => escape = directive.value.chars().next().unwrap_or(escape),
                _ => diagnostics.push(bad_escape(&directive)),
            },
            "syntax" => diagnostics.extend(foreign_frontend(&directive)),
            _ => diagnostics.push(Diagnostic::warning(
                directive.span.clone(),
                "the directive `check` has no effect in this version of rbuild",
            )),
        }
        seen.push(directive.name);
    }
    (escape, diagnostics)
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

/// A frontend other than the reference one is refused, since rbuild cannot run it (D4).
fn foreign_frontend(directive: &Directive<'_>) -> Option<Diagnostic> {
    let image = directive.value;
    let image = image.strip_prefix("docker.io/").unwrap_or(image);
    if image.starts_with("docker/dockerfile") || image == "dockerfile.v0" {
        return None;
    }
    let message = format!("the frontend `{}` is not supported", directive.value);
    let hint = "rbuild reads the language of `docker/dockerfile` only";
    Some(Diagnostic::error(directive.span.clone(), message).with_hint(hint))
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
