//! `RUN [flags] command`.
//!
//! Spec: dockerfile.md 1.3 H5–H7, 1.12, T5.

use super::{Statement, command, mount};
use crate::ast::{Command, Device, Network, Run, RunForm, Security, Span, Spanned, Word};
use crate::diagnostic::Diagnostic;
use crate::mount::parse_bool;
use crate::suggest::nearest;

/// Reads a `RUN`; `None` after reporting.
pub(super) fn run(mut statement: Statement<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Run> {
    let before = diagnostics.len();
    let flags = &mut statement.flags;
    let mounts = flags.take_all("mount");
    let mounts = mounts
        .into_iter()
        .filter_map(|(value, span)| mount::mount(&value, span, diagnostics))
        .collect();
    let network = flags.take("network");
    let network = network.and_then(|word| one_of("network", word, &NETWORKS, diagnostics));
    let security = flags.take("security");
    let security = security.and_then(|word| one_of("security", word, &SECURITIES, diagnostics));
    let devices = flags.take_all("device");
    let devices = devices
        .into_iter()
        .filter_map(|(value, span)| device(&value, span, diagnostics))
        .collect();
    let form = form(statement, diagnostics)?;
    (diagnostics[before..]
        .iter()
        .all(|found| found.severity == crate::Severity::Warning))
    .then_some(Run {
        mounts,
        network,
        security,
        devices,
        form,
    })
}

const NETWORKS: [(&str, Network); 3] = [
    ("default", Network::Default),
    ("none", Network::None),
    ("host", Network::Host),
];

const SECURITIES: [(&str, Security); 2] = [
    ("sandbox", Security::Sandbox),
    ("insecure", Security::Insecure),
];

/// The value of flag `name` as one of `choices`.
fn one_of<T: Copy>(
    name: &str,
    word: Word,
    choices: &[(&str, T)],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Spanned<T>> {
    let chosen = choices.iter().find(|(choice, _)| *choice == word.value);
    if let Some((_, value)) = chosen {
        let (value, span) = (*value, word.span);
        return Some(Spanned { value, span });
    }
    let shown: String = word.value.chars().take(40).collect();
    let names: Vec<String> = choices.iter().map(|(it, _)| format!("`{it}`")).collect();
    let hint = match nearest(&word.value, choices.iter().map(|(it, _)| *it)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("use one of {}", names.join(", ")),
    };
    let message = format!("`RUN --{name}` cannot be `{shown}`");
    diagnostics.push(Diagnostic::error(word.span, message).with_hint(hint));
    None
}

/// Reads `NAME[,required]`, also written `name=NAME,required=true` (R7).
fn device(value: &Word, span: Span, diagnostics: &mut Vec<Diagnostic>) -> Option<Device> {
    let mut name = None;
    let mut required = false;
    for (index, part) in value.value.split(',').enumerate() {
        match part.split_once('=') {
            None if part == "required" => required = true,
            Some(("required", flag)) if parse_bool(flag).is_some() => {
                required = parse_bool(flag) == Some(true);
            }
            Some(("name", part)) => name = Some(part),
            _ if index == 0 => name = Some(part),
            _ => {
                let shown: String = part.chars().take(40).collect();
                let message = format!("`RUN --device` has no option `{shown}`");
                diagnostics.push(Diagnostic::error(value.span.clone(), message));
                return None;
            }
        }
    }
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        let message = "`RUN --device` needs the name of a device";
        let hint = "write `--device=vendor/class=name`";
        diagnostics.push(Diagnostic::error(span, message).with_hint(hint));
        return None;
    };
    Some(Device {
        name: Spanned {
            value: name.to_owned(),
            span: value.span.clone(),
        },
        span,
        required,
    })
}

/// What runs: a command, or one of the forms with heredocs (H5–H7).
fn form(statement: Statement<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<RunForm> {
    let arguments = statement.arguments;
    if statement.heredocs.is_empty() {
        let command = command::command(&statement, diagnostics)?;
        if matches!(&command, Command::Exec(words) if words.value.is_empty()) {
            let message = "`RUN []` has nothing to run";
            diagnostics.push(Diagnostic::error(arguments.span(), message));
            return None;
        }
        return Some(RunForm::Command(command));
    }
    let alone = statement.heredocs.len() == 1 && statement.heredocs[0].word.covers(arguments);
    let mut heredocs: Vec<_> = statement
        .heredocs
        .into_iter()
        .map(|opened| opened.heredoc)
        .collect();
    Some(match heredocs.pop_if(|_| alone) {
        Some(program) if program.body.value.starts_with("#!") => RunForm::Program(program),
        Some(script) => RunForm::Script(script),
        None => RunForm::Heredocs {
            text: arguments.word(),
            heredocs,
        },
    })
}
