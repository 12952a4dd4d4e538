//! Commands as text or as an array.
//!
//! Spec: dockerfile.md P14, P15.

use super::Statement;
use super::words::not_only_strings;
use crate::ast::{Command, Spanned, Word};
use crate::diagnostic::Diagnostic;
use crate::fragment::Json;

/// Reads a command; an empty array is one (P15).
pub(super) fn command(
    statement: &Statement<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Command> {
    match statement.arguments.json() {
        Json::Strings(words) => Some(Command::Exec(Spanned {
            value: values(words),
            span: statement.arguments.span(),
        })),
        Json::Not => {
            diagnostics.extend(almost_json(statement));
            Some(Command::Shell(statement.arguments.word()))
        }
        Json::Mixed => {
            diagnostics.push(not_only_strings(statement.arguments));
            None
        }
    }
}

/// Reads the argument of `SHELL`: an array with at least one element (P15).
pub(super) fn shell(
    statement: &Statement<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<String>> {
    let diagnostic = match statement.arguments.json() {
        Json::Strings(words) if !words.is_empty() => return Some(values(words)),
        Json::Mixed => not_only_strings(statement.arguments),
        Json::Strings(_) | Json::Not => Diagnostic::error(
            statement.arguments.span(),
            "`SHELL` needs a JSON array with at least one element",
        )
        .with_hint("write `SHELL [\"/bin/sh\", \"-c\"]`"),
    };
    diagnostics.push(diagnostic);
    None
}

/// Warns about text that was surely meant to be an array: the reference silently
/// hands it to the shell (P14), and so do we.
fn almost_json(statement: &Statement<'_>) -> Option<Diagnostic> {
    let text = statement.arguments.text();
    let inside = text.strip_prefix('[')?.strip_suffix(']')?.trim();
    if !inside.starts_with(['"', '\'']) || !inside.ends_with(['"', '\'', ',']) {
        return None;
    }
    let message = "this is not a JSON array, so the shell will get it as text";
    let hint = "use double quotes, and no comma after the last element";
    Some(Diagnostic::warning(statement.arguments.span(), message).with_hint(hint))
}

fn values(words: Vec<Word>) -> Vec<String> {
    words.into_iter().map(|word| word.value).collect()
}
