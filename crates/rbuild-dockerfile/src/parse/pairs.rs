//! `ENV`, `LABEL` and `ARG`: names with values.
//!
//! Spec: dockerfile.md P17, P18, T7, T8.

use super::{Statement, comment};
use crate::ast::{ArgPair, Pair, Word};
use crate::diagnostic::Diagnostic;
use crate::fragment::{Fragment, SPACES};
use crate::lint::rules;

/// Reads `KEY=VALUE…`, or the legacy `KEY rest of the line`; `None` after reporting.
pub(super) fn pairs(
    statement: &Statement<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<Pair>> {
    let words = statement.arguments.quoted_words(statement.escape);
    if words.first().is_some_and(|word| !word.text().contains('=')) {
        return legacy(statement, diagnostics).map(|pair| vec![pair]);
    }
    let before = diagnostics.len();
    let mut pairs = Vec::with_capacity(words.len());
    for word in words {
        match word.split_equals() {
            Some((key, value)) if !key.text().is_empty() => pairs.push(Pair {
                key: key.word(),
                value: value.word(),
            }),
            Some(_) => diagnostics.push(blank_name(word)),
            None => diagnostics.push(no_equals(statement, word)),
        }
    }
    (diagnostics.len() == before).then_some(pairs)
}

fn legacy(statement: &Statement<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Pair> {
    let name = statement.keyword.name();
    let (key, value) = statement.arguments.split_first();
    let hint = format!("write `{name} {}=…`", shown(key));
    if value.text().is_empty() {
        let message = format!("`{name} {}` has no value", shown(key));
        diagnostics.push(Diagnostic::error(key.span(), message).with_hint(hint));
        return None;
    }
    let message = format!("`{name} key value` is an outdated form");
    let finding = Diagnostic::warning(key.until(value).span(), message).with_hint(hint);
    diagnostics.push(finding.of_rule(rules::LEGACY_KEY_VALUE_FORMAT));
    Some(Pair {
        key: key.word(),
        value: value.word(),
    })
}

/// Reads `NAME[=DEFAULT]…`; `None` after reporting.
pub(super) fn arguments(
    statement: &Statement<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<ArgPair>> {
    let before = diagnostics.len();
    let mut arguments = Vec::new();
    for word in statement.arguments.quoted_words(statement.escape) {
        let (name, default) = match word.split_equals() {
            Some((name, default)) => (name, Some(default.word())),
            None => (word, None),
        };
        match argument_name(name, statement.escape) {
            _ if name.text().is_empty() => diagnostics.push(blank_name(word)),
            Ok(name) => arguments.push(ArgPair {
                description: comment::description(statement.comments, &name.value),
                name,
                default,
            }),
            Err(diagnostic) => diagnostics.push(diagnostic),
        }
    }
    (diagnostics.len() == before).then_some(arguments)
}

/// The name, unless it has quotes, escapes or variables in it.
fn argument_name(name: Fragment<'_>, escape: char) -> Result<Word, Diagnostic> {
    if !name.text().contains(['"', '\'', '$', escape]) {
        return Ok(name.word());
    }
    let message = format!("`{}` cannot be the name of an argument", shown(name));
    let hint = "quotes and variables belong after the `=`";
    Err(Diagnostic::error(name.span(), message).with_hint(hint))
}

fn blank_name(word: Fragment<'_>) -> Diagnostic {
    Diagnostic::error(word.span(), "there is no name before the `=`")
}

fn no_equals(statement: &Statement<'_>, word: Fragment<'_>) -> Diagnostic {
    let message = format!("`{}` has no `=`", shown(word));
    let hint = format!(
        "quote a value that has spaces: `{} key=\"a b\"`",
        statement.keyword.name()
    );
    Diagnostic::error(word.span(), message).with_hint(hint)
}

/// The start of a word, for a message.
fn shown(word: Fragment<'_>) -> String {
    word.text().trim_matches(SPACES).chars().take(40).collect()
}
