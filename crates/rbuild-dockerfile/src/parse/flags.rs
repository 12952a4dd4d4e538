//! `--name=value` between an instruction's name and its arguments.
//!
//! Knows: how flags are written, which ones an instruction has.
//! Does not know: what their values mean.
//!
//! Spec: dockerfile.md P13.

use crate::ast::{Span, Spanned, Word};
use crate::diagnostic::Diagnostic;
use crate::fragment::Fragment;
use crate::keyword::{Keyword, Support};
use crate::suggest::nearest;

/// A flag as written, quotes and escapes removed.
pub(super) struct Flag {
    /// Without the dashes.
    name: String,
    /// What follows the first `=`; `None` without one.
    value: Option<Word>,
    /// From the dashes to the end of the value.
    span: Span,
}

/// The flags that were given and are supported, each once.
#[derive(Default)]
pub(super) struct Flags(Vec<(String, Word)>);

impl Flags {
    /// Takes out the value of flag `name`.
    pub(super) fn take(&mut self, name: &str) -> Option<Word> {
        let index = self.0.iter().position(|(given, _)| given == name)?;
        Some(self.0.swap_remove(index).1)
    }
}

/// Splits the flags off the start of an instruction's rest. They end at the first
/// word without dashes, or at a bare `--`.
pub(super) fn split(rest: Fragment<'_>) -> (Vec<Flag>, Fragment<'_>) {
    let mut flags = Vec::new();
    let mut rest = rest.trim();
    while rest.text().starts_with("--") {
        let (text, end) = unquote(rest.text());
        let whole = rest.slice(0..end);
        rest = rest.from(end).trim();
        if text == "--" {
            break;
        }
        flags.push(flag(&text, whole));
    }
    (flags, rest)
}

/// The first word of `text` without quotes and escapes, and where it ends. The
/// escape is always `\` here, as in the reference builder.
fn unquote(text: &str) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            _ if quote.is_none() && char.is_whitespace() => return (word, at),
            '\\' => word.extend(chars.next().map(|(_, escaped)| escaped)),
            _ if quote == Some(char) => quote = None,
            '\'' | '"' if quote.is_none() => quote = Some(char),
            _ => word.push(char),
        }
    }
    (word, text.len())
}

fn flag(text: &str, whole: Fragment<'_>) -> Flag {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let place = match whole.split_equals() {
        Some((_, place)) => place,
        None => whole,
    };
    Flag {
        name: name.trim_start_matches("--").to_owned(),
        value: value.map(|value| Spanned {
            value: value.to_owned(),
            span: place.span(),
        }),
        span: whole.span(),
    }
}

/// Keeps the flags that `keyword` supports; `None` after reporting all others.
pub(super) fn accept(
    keyword: Keyword,
    flags: Vec<Flag>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Flags> {
    let mut accepted = Flags::default();
    let before = diagnostics.len();
    for flag in flags {
        match refusal(keyword, &flag, &accepted) {
            Some(diagnostic) => diagnostics.push(diagnostic),
            None => accepted
                .0
                .extend(flag.value.map(|value| (flag.name, value))),
        }
    }
    (diagnostics.len() == before).then_some(accepted)
}

/// What is wrong with `flag`, if anything.
fn refusal(keyword: Keyword, flag: &Flag, accepted: &Flags) -> Option<Diagnostic> {
    let instruction = keyword.name();
    let name: String = flag.name.chars().take(40).collect();
    let error = |message: String| Diagnostic::error(flag.span.clone(), message);
    let known = keyword
        .flags()
        .iter()
        .find(|(known, _)| *known == flag.name);
    match (known, flag.value.as_ref()) {
        (None, _) => Some(unknown(keyword, &name, flag)),
        (Some((_, Support::Later)), _) => Some(error(format!(
            "`{instruction} --{name}` is not supported yet by this version of rbuild"
        ))),
        (Some(_), None) => Some(
            error(format!("`{instruction} --{name}` needs a value"))
                .with_hint(format!("write `--{name}=…`")),
        ),
        (Some(_), Some(value)) if value.value.is_empty() => Some(error(format!(
            "`{instruction} --{name}=` has an empty value"
        ))),
        (Some(_), Some(_)) => accepted
            .0
            .iter()
            .any(|(given, _)| *given == flag.name)
            .then(|| error(format!("`{instruction} --{name}` is given twice"))),
    }
}

/// A flag that the instruction does not have in any version.
fn unknown(keyword: Keyword, name: &str, flag: &Flag) -> Diagnostic {
    let instruction = keyword.name();
    let message = format!("`{instruction}` has no flag `--{name}`");
    let diagnostic = Diagnostic::error(flag.span.clone(), message);
    match nearest(&flag.name, keyword.flags().iter().map(|(known, _)| *known)) {
        Some(meant) => diagnostic.with_hint(format!("did you mean `--{meant}`?")),
        None if keyword.flags().is_empty() => diagnostic.with_hint(format!(
            "write `{instruction} -- --{name}` if it belongs to the argument"
        )),
        None => diagnostic,
    }
}
