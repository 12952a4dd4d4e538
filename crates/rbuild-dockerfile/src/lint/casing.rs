//! Upper and lower case: `ConsistentInstructionCasing`, `FromAsCasing`, `StageNameCasing`.

use super::rules::{CONSISTENT_INSTRUCTION_CASING, FROM_AS_CASING, STAGE_NAME_CASING};
use crate::ast::{Dockerfile, Span, Stage};
use crate::diagnostic::Diagnostic;
use crate::fragment::SPACES;

pub(super) fn check(file: &Dockerfile, source: &str, found: &mut Vec<Diagnostic>) {
    instructions(file, source, found);
    for stage in &file.stages {
        from_as(stage, source, found);
        stage_name(stage, source, found);
    }
}

/// Each instruction should be in the case that most are in.
fn instructions(file: &Dockerfile, source: &str, found: &mut Vec<Diagnostic>) {
    let globals = file.globals.iter().map(|it| &it.span);
    let stages = file.stages.iter().flat_map(|stage| {
        std::iter::once(&stage.span).chain(stage.instructions.iter().map(|it| &it.span))
    });
    let names: Vec<(&str, Span)> = globals
        .chain(stages)
        .map(|span| first_word(source, span))
        .collect();
    let lower = names.iter().filter(|(name, _)| is_lower(name)).count();
    let upper = names.iter().filter(|(name, _)| is_upper(name)).count();
    let (is_usual, usual): (fn(&str) -> bool, _) = match lower > upper {
        true => (is_lower, "lower"),
        false => (is_upper, "upper"),
    };
    for (name, span) in names {
        if !is_usual(name) {
            let message = format!("`{name}` is not in {usual} case like the other instructions");
            found.push(Diagnostic::warning(span, message).of_rule(CONSISTENT_INSTRUCTION_CASING));
        }
    }
}

/// The word at the start of `span`, which is where an instruction is.
fn first_word<'s>(source: &'s str, span: &Span) -> (&'s str, Span) {
    let text = source.get(span.clone()).unwrap_or_default();
    let end = text
        .find(|c| SPACES.contains(&c) || c == '\n')
        .unwrap_or(text.len());
    (&text[..end], span.start..span.start + end)
}

fn is_lower(name: &str) -> bool {
    !name.contains(|c: char| c.is_ascii_uppercase())
}

fn is_upper(name: &str) -> bool {
    !name.contains(|c: char| c.is_ascii_lowercase())
}

fn from_as(stage: &Stage, source: &str, found: &mut Vec<Diagnostic>) {
    let Some(name) = &stage.name else { return };
    let (from, _) = first_word(source, &stage.span);
    let start = stage.base.span.end;
    let between = source.get(start..name.span.start).unwrap_or_default();
    let Some(at) = find_as(between) else { return };
    let (keyword, span) = (&between[at..at + 2], start + at..start + at + 2);
    let agree = is_lower(from) && is_lower(keyword) || is_upper(from) && is_upper(keyword);
    if !agree {
        let message = format!("`{keyword}` and `{from}` are not in the same case");
        found.push(Diagnostic::warning(span, message).of_rule(FROM_AS_CASING));
    }
}

/// Where `AS` is between a base and a name, which may have comments between them.
fn find_as(between: &str) -> Option<usize> {
    let mut start = 0;
    for line in between.split_inclusive('\n') {
        if !line.trim_start().starts_with('#') {
            let at = line.to_ascii_lowercase().find("as");
            if let Some(at) = at {
                return Some(start + at);
            }
        }
        start += line.len();
    }
    None
}

fn stage_name(stage: &Stage, source: &str, found: &mut Vec<Diagnostic>) {
    let Some(name) = &stage.name else { return };
    let written = source.get(name.span.clone()).unwrap_or_default();
    if !is_lower(written) {
        let message = format!("the stage name `{written}` is not in lower case");
        let hint = format!("write `{}`", name.value);
        let finding = Diagnostic::warning(name.span.clone(), message).with_hint(hint);
        found.push(finding.of_rule(STAGE_NAME_CASING));
    }
}
