//! `FROM [--platform=P] [--after=S]… base [AS name]`.
//!
//! Spec: dockerfile.md F1, F2, P19.

use super::{Statement, comment};
use crate::ast::{Checks, Span, Spanned, Stage};
use crate::diagnostic::Diagnostic;
use crate::fragment::Fragment;

/// Opens a stage. A wrong `FROM` opens one too, after reporting.
pub(super) fn stage(
    mut statement: Statement<'_>,
    span: Span,
    diagnostics: &mut Vec<Diagnostic>,
) -> Stage {
    let platform = statement.flags.take("platform");
    let after = statement.flags.take_all("after");
    let words = statement.arguments.plain_words();
    let name = match words.as_slice() {
        [_] => None,
        [_, keyword, name] if keyword.text().eq_ignore_ascii_case("as") => stage_name(*name)
            .map_err(|wrong| diagnostics.push(wrong))
            .ok(),
        _ => {
            diagnostics.push(wrong_arguments(&statement, &words));
            None
        }
    };
    Stage {
        platform,
        after: after.into_iter().map(|(word, _)| word).collect(),
        checks: comment::checks(statement.comments, diagnostics),
        description: name
            .as_ref()
            .and_then(|name| comment::description(statement.comments, &name.value)),
        base: words.first().unwrap_or(&statement.arguments).word(),
        name,
        ..nameless(span)
    }
}

/// A stage that says nothing yet.
pub(super) fn nameless(span: Span) -> Stage {
    Stage {
        checks: Checks::default(),
        description: None,
        platform: None,
        after: Vec::new(),
        base: Spanned {
            value: String::new(),
            span: span.clone(),
        },
        name: None,
        instructions: Vec::new(),
        span,
    }
}

fn wrong_arguments(statement: &Statement<'_>, words: &[Fragment<'_>]) -> Diagnostic {
    let hint = "write `FROM image` or `FROM image AS name`";
    let diagnostic = match words {
        [] => Diagnostic::error(statement.name.clone(), "`FROM` needs an image"),
        [_, keyword] if keyword.text().eq_ignore_ascii_case("as") => {
            Diagnostic::error(keyword.span(), "`AS` needs a stage name")
        }
        [_, keyword, ..] if !keyword.text().eq_ignore_ascii_case("as") => {
            let shown: String = keyword.text().chars().take(40).collect();
            Diagnostic::error(keyword.span(), format!("`AS` expected, not `{shown}`"))
        }
        [.., last] => {
            let extra = words.get(3).unwrap_or(last).until(*last);
            Diagnostic::error(extra.span(), "`FROM` has too many arguments")
        }
    };
    diagnostic.with_hint(hint)
}

/// The name, lower case, if it may be one (F2).
fn stage_name(name: Fragment<'_>) -> Result<Spanned<String>, Diagnostic> {
    let value = name.text().to_ascii_lowercase();
    let fine = value.starts_with(|c: char| c.is_ascii_lowercase())
        && value.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte)
        });
    if fine {
        return Ok(Spanned {
            value,
            span: name.span(),
        });
    }
    let shown: String = name.text().chars().take(40).collect();
    let hint = "a letter, then letters, digits, `-`, `_` and `.`";
    let message = format!("`{shown}` cannot be a stage name");
    Err(Diagnostic::error(name.span(), message).with_hint(hint))
}
