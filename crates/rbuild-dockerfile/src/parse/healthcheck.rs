//! `HEALTHCHECK NONE` and `HEALTHCHECK [flags] CMD command`.
//!
//! Spec: dockerfile.md M5, P15.

use super::flags::Flags;
use super::{Statement, command, duration};
use crate::ast::{Command, Healthcheck, Probe};
use crate::diagnostic::Diagnostic;
use crate::fragment::Fragment;
use std::time::Duration;

/// Reads a `HEALTHCHECK`; `None` after reporting.
pub(super) fn healthcheck(
    mut statement: Statement<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Healthcheck> {
    let (form, rest) = statement.arguments.split_first();
    if form.text().eq_ignore_ascii_case("none") {
        return none(&statement, rest, diagnostics);
    }
    if !form.text().eq_ignore_ascii_case("cmd") {
        let shown: String = form.text().chars().take(40).collect();
        let message = format!("`CMD` or `NONE` expected, not `{shown}`");
        let hint = "write `HEALTHCHECK CMD command`";
        diagnostics.push(Diagnostic::error(form.span(), message).with_hint(hint));
        return None;
    }
    let before = diagnostics.len();
    let flags = &mut statement.flags;
    let interval = length("interval", flags, diagnostics);
    let timeout = length("timeout", flags, diagnostics);
    let start_period = length("start-period", flags, diagnostics);
    let start_interval = length("start-interval", flags, diagnostics);
    let retries = retries(flags, diagnostics);
    let sound = diagnostics.len() == before;
    statement.arguments = rest;
    let command = command::command(&statement, diagnostics)?;
    let empty = match &command {
        Command::Shell(text) => text.value.is_empty(),
        Command::Exec(words) => words.value.is_empty(),
    };
    if empty {
        let message = "`HEALTHCHECK CMD` has nothing to run";
        diagnostics.push(Diagnostic::error(form.until(rest).span(), message));
    }
    (sound && !empty).then_some(Healthcheck::Probe(Probe {
        interval,
        timeout,
        start_period,
        start_interval,
        retries,
        command,
    }))
}

fn none(
    statement: &Statement<'_>,
    rest: Fragment<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Healthcheck> {
    if let Some(span) = statement.flags.first_span() {
        let message = "flags of `HEALTHCHECK NONE` have no effect";
        diagnostics.push(Diagnostic::warning(span.clone(), message));
    }
    if rest.text().is_empty() {
        return Some(Healthcheck::None);
    }
    let message = "`HEALTHCHECK NONE` takes no arguments";
    diagnostics.push(Diagnostic::error(rest.span(), message));
    None
}

/// The duration of flag `name`: zero, or at least a millisecond.
fn length(name: &str, flags: &mut Flags, diagnostics: &mut Vec<Diagnostic>) -> Option<Duration> {
    let word = flags.take(name)?;
    let shown: String = word.value.chars().take(40).collect();
    match duration::parse(&word.value) {
        Some(time) if time.is_zero() || time >= Duration::from_millis(1) => return Some(time),
        Some(_) => {
            let message = format!("`--{name}={shown}` is shorter than a millisecond");
            diagnostics.push(Diagnostic::error(word.span, message));
        }
        None => {
            let message = format!("`{shown}` is not a duration");
            let hint = "durations are written `30s`, `1m30s` or `500ms`";
            diagnostics.push(Diagnostic::error(word.span, message).with_hint(hint));
        }
    }
    None
}

fn retries(flags: &mut Flags, diagnostics: &mut Vec<Diagnostic>) -> Option<u32> {
    let word = flags.take("retries")?;
    let number: Option<i32> = word.value.parse().ok();
    let retries = number.and_then(|number| u32::try_from(number).ok());
    if retries.is_none() {
        let shown: String = word.value.chars().take(40).collect();
        let message = format!("`--retries={shown}` is not a number from 0 to {}", i32::MAX);
        diagnostics.push(Diagnostic::error(word.span, message));
    }
    retries
}
