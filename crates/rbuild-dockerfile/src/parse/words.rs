//! Arguments that are lists of words, `EXPOSE` and `VOLUME`.
//!
//! Spec: dockerfile.md P11, P14, E8.

use super::Statement;
use crate::ast::Word;
use crate::diagnostic::Diagnostic;
use crate::fragment::{Fragment, Json};

/// Words between white space.
pub(super) fn plain(arguments: Fragment<'_>) -> Vec<Word> {
    arguments
        .plain_words()
        .into_iter()
        .map(Fragment::word)
        .collect()
}

/// A JSON array, else words between white space (P14); `None` after reporting.
pub(super) fn json_or_plain(
    statement: &Statement<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<Word>> {
    match statement.arguments.json() {
        Json::Strings(words) => Some(words),
        Json::Not => Some(plain(statement.arguments)),
        Json::Mixed => {
            diagnostics.push(not_only_strings(statement.arguments));
            None
        }
    }
}

/// The paths of a `VOLUME`; none of them may be empty (E8).
pub(super) fn volumes(
    statement: &Statement<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<Word>> {
    let words = json_or_plain(statement, diagnostics)?;
    if words.is_empty() {
        let message = "`VOLUME` needs a path";
        diagnostics.push(Diagnostic::error(statement.arguments.span(), message));
        return None;
    }
    let before = diagnostics.len();
    diagnostics.extend(
        words
            .iter()
            .filter(|word| word.value.is_empty())
            .map(|word| Diagnostic::error(word.span.clone(), "the path of a volume is empty")),
    );
    (diagnostics.len() == before).then_some(words)
}

/// The refusal of a JSON array with numbers, arrays, … in it.
pub(super) fn not_only_strings(arguments: Fragment<'_>) -> Diagnostic {
    let message = "the array must have strings only";
    Diagnostic::error(arguments.span(), message).with_hint("put every element in double quotes")
}
