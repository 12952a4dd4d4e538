//! `FROM [--platform=P] base [AS name]`.
//!
//! Spec: dockerfile.md F1, F2.

use super::Statement;
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
        span,
        checks: Checks::default(),
        description: None,
        after: Vec::new(),
        platform,
        base: words.first().unwrap_or(&statement.arguments).word(),
        name,
        instructions: Vec::new(),
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
