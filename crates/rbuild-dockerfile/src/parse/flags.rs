//! `--name=value` between an instruction's name and its arguments.
//!
//! Knows: how flags are written, which ones an instruction has.
//! Does not know: what their values mean.
//!
//! Spec: dockerfile.md P13.

use crate::ast::{Span, Spanned, Word};
use crate::diagnostic::Diagnostic;
use crate::fragment::Fragment;
use crate::keyword::{Arity, Keyword};
use crate::mount::parse_bool;
use crate::suggest::nearest;
use std::collections::BTreeSet;

/// A flag as written, quotes and escapes removed.
pub(super) struct Flag {
    /// Without the dashes.
    name: String,
    /// What follows the first `=`; `None` without one.
    value: Option<Word>,
    /// From the dashes to the end of the value.
    span: Span,
}

/// The flags that were given and are right.
#[derive(Default)]
pub(super) struct Flags(Vec<Flag>);

impl Flags {
    /// Takes out the value of flag `name`.
    pub(super) fn take(&mut self, name: &str) -> Option<Word> {
        self.take_flag(name)?.value
    }

    /// Takes out the values of all flags `name`, each with the place of its flag.
    pub(super) fn take_all(&mut self, name: &str) -> Vec<(Word, Span)> {
        let taken = self.0.extract_if(.., |flag| flag.name == name);
        taken
            .filter_map(|flag| Some((flag.value?, flag.span)))
            .collect()
    }

    /// Takes out the boolean flag `name`, with its place.
    pub(super) fn take_switch(&mut self, name: &str) -> Option<Spanned<bool>> {
        let flag = self.take_flag(name)?;
        let value = flag
            .value
            .is_none_or(|value| parse_bool(&value.value) == Some(true));
        Some(Spanned {
            value,
            span: flag.span,
        })
    }

    /// Where the first flag is that was not taken.
    pub(super) fn first_span(&self) -> Option<&Span> {
        self.0.first().map(|flag| &flag.span)
    }

    fn take_flag(&mut self, name: &str) -> Option<Flag> {
        let index = self.0.iter().position(|flag| flag.name == name)?;
        Some(self.0.remove(index))
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

/// Keeps the flags that `keyword` has, and reports all others. The second is whether
/// there were others.
pub(super) fn accept(
    keyword: Keyword,
    flags: Vec<Flag>,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Flags, bool) {
    let mut accepted = Flags::default();
    let before = diagnostics.len();
    let mut seen = BTreeSet::new();
    for flag in flags {
        match refusal(keyword, &flag, &mut seen) {
            Some(diagnostic) => diagnostics.push(diagnostic),
            None => accepted.0.push(flag),
        }
    }
    (accepted, diagnostics.len() > before)
}

/// What is wrong with `flag`, if anything. `seen` has the names of flags that may be
/// given only once.
fn refusal(keyword: Keyword, flag: &Flag, seen: &mut BTreeSet<&'static str>) -> Option<Diagnostic> {
    let instruction = keyword.name();
    let error = |message: String| Some(Diagnostic::error(flag.span.clone(), message));
    let known = keyword.flags().iter().find(|known| known.0 == flag.name);
    let Some((name, arity)) = known else {
        let name: String = flag.name.chars().take(40).collect();
        return Some(unknown(keyword, &name, flag));
    };
    match flag.value.as_ref().map(|word| word.value.as_str()) {
        None if *arity != Arity::Switch => {
            return error(format!("`{instruction} --{name}` needs a value"))
                .map(|it| it.with_hint(format!("write `--{name}=…`")));
        }
        Some("") => return error(format!("`{instruction} --{name}=` has an empty value")),
        Some(value) if *arity == Arity::Switch && parse_bool(value).is_none() => {
            let shown: String = value.chars().take(40).collect();
            return error(format!("`{shown}` is neither `true` nor `false`"));
        }
        _ => {}
    }
    if *arity != Arity::List && !seen.insert(name) {
        return error(format!("`{instruction} --{name}` is given twice"));
    }
    None
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
