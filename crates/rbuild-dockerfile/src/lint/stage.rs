//! `FROM`, and comments above stages and `ARG`s.

use super::rules::{
    DUPLICATE_STAGE_NAME, FROM_PLATFORM_FLAG_CONST_DISALLOWED, INVALID_DEFINITION_DESCRIPTION,
    REDUNDANT_TARGET_PLATFORM, RESERVED_STAGE_NAME,
};
use crate::ast::{Dockerfile, Kind, Span, Stage};
use crate::diagnostic::Diagnostic;
use std::collections::BTreeSet;

const RESERVED: [&str; 2] = ["context", "scratch"];

pub(super) fn check(file: &Dockerfile, source: &str, found: &mut Vec<Diagnostic>) {
    let mut names = BTreeSet::new();
    for stage in &file.stages {
        platform(stage, found);
        let Some(name) = &stage.name else { continue };
        if !names.insert(&name.value) {
            let message = format!("there is a stage named `{}` before", name.value);
            let finding = Diagnostic::warning(name.span.clone(), message);
            found.push(finding.of_rule(DUPLICATE_STAGE_NAME));
        }
        if RESERVED.contains(&name.value.as_str()) {
            let message = format!("`{}` is a reserved stage name", name.value);
            let finding = Diagnostic::warning(name.span.clone(), message);
            found.push(finding.of_rule(RESERVED_STAGE_NAME));
        }
        let names = [name.value.as_str()];
        found.extend(description(&stage.span, &names, source));
    }
    let instructions = file.stages.iter().flat_map(|stage| &stage.instructions);
    for instruction in file.globals.iter().chain(instructions) {
        if let Kind::Arg(pairs) = &instruction.kind {
            let names: Vec<&str> = pairs.iter().map(|pair| pair.name.value.as_str()).collect();
            found.extend(description(&instruction.span, &names, source));
        }
    }
}

fn platform(stage: &Stage, found: &mut Vec<Diagnostic>) {
    let Some(platform) = &stage.platform else {
        return;
    };
    let text = platform.value.as_str();
    if matches!(text, "$TARGETPLATFORM" | "${TARGETPLATFORM}") {
        let message = format!("`--platform={text}` is the default");
        let finding = Diagnostic::warning(platform.span.clone(), message);
        found.push(finding.of_rule(REDUNDANT_TARGET_PLATFORM));
        return;
    }
    let name = stage.name.as_ref().map_or("", |name| &name.value);
    let mut parts = text.split('/').take(2).filter(|part| !part.is_empty());
    if !text.contains('$') && !parts.any(|part| name.contains(part)) {
        let message = format!("`--platform={text}` is a constant");
        let hint = "use a variable, or name the stage after the platform";
        let finding = Diagnostic::warning(platform.span.clone(), message).with_hint(hint);
        found.push(finding.of_rule(FROM_PLATFORM_FLAG_CONST_DISALLOWED));
    }
}

/// The comment directly above what is at `span`, if it does not start with one of `names`.
fn description(span: &Span, names: &[&str], source: &str) -> Option<Diagnostic> {
    let before = source.get(..span.start)?.rsplit_once('\n')?.0;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before[start..].trim_end();
    let comment = line
        .trim_start()
        .strip_prefix('#')?
        .trim_start_matches('#')
        .trim();
    let word = comment.split_whitespace().next()?;
    let described = names.iter().any(|name| name.eq_ignore_ascii_case(word));
    let setting = comment
        .split_once('=')
        .is_some_and(|(name, _)| crate::directive::is_known(name.trim()));
    if described || setting {
        return None;
    }
    let message = format!("the comment does not start with `{}`", names.join("` or `"));
    let hint = "put an empty line after it if it is not a description";
    let finding = Diagnostic::warning(start..start + line.len(), message).with_hint(hint);
    Some(finding.of_rule(INVALID_DEFINITION_DESCRIPTION))
}
