//! Instructions of a stage one after the other: what is overridden, what depends on
//! something said before.

use super::rules::{
    HEREDOC_WITHOUT_ERREXIT, JSON_ARGS_RECOMMENDED, MAINTAINER_DEPRECATED,
    MULTIPLE_INSTRUCTIONS_DISALLOWED, WORKDIR_RELATIVE_PATH,
};
use crate::ast::{Command, Dockerfile, Instruction, Kind, RunForm, Span, Word};
use crate::diagnostic::Diagnostic;
use std::collections::BTreeMap;

/// What a stage has said so far; a stage based on it goes on from there.
#[derive(Clone, Default)]
struct Said<'f> {
    /// A `WORKDIR` that is absolute, or may be.
    workdir: bool,
    /// `SHELL`.
    shell: Option<&'f [String]>,
}

pub(super) fn check(file: &Dockerfile, source: &str, found: &mut Vec<Diagnostic>) {
    let mut stages: BTreeMap<&str, Said<'_>> = BTreeMap::new();
    for stage in &file.stages {
        let base = stage.base.value.to_ascii_lowercase();
        let mut said = stages.get(base.as_str()).cloned().unwrap_or_default();
        let mut seen: BTreeMap<&str, &Span> = BTreeMap::new();
        for instruction in &stage.instructions {
            if let Some(name) = only_once(&instruction.kind)
                && let Some(earlier) = seen.insert(name, &instruction.span)
            {
                found.push(overridden(name, earlier, source));
            }
            found.extend(said.finding(instruction));
        }
        if let Some(name) = &stage.name {
            stages.insert(&name.value, said);
        }
    }
}

fn only_once(kind: &Kind) -> Option<&'static str> {
    match kind {
        Kind::Cmd(_) => Some("CMD"),
        Kind::Entrypoint(_) => Some("ENTRYPOINT"),
        Kind::Healthcheck(_) => Some("HEALTHCHECK"),
        _ => None,
    }
}

fn overridden(name: &str, span: &Span, source: &str) -> Diagnostic {
    let message = format!("a later `{name}` of this stage overrides this one");
    let written = source.get(span.clone()).unwrap_or_default();
    let end = written.len().min(name.len());
    let finding = Diagnostic::warning(span.start..span.start + end, message);
    finding.of_rule(MULTIPLE_INSTRUCTIONS_DISALLOWED)
}

impl<'f> Said<'f> {
    /// What is to be said about `instruction`, which is then among what was said.
    fn finding(&mut self, instruction: &'f Instruction) -> Option<Diagnostic> {
        match &instruction.kind {
            Kind::Shell(argv) => {
                self.shell = Some(argv);
                None
            }
            Kind::Workdir(path) => self.workdir(path),
            Kind::Cmd(command) => self.shell_form("CMD", command),
            Kind::Entrypoint(command) => self.shell_form("ENTRYPOINT", command),
            Kind::Maintainer(name) => {
                let message = "`MAINTAINER` is outdated";
                let hint = "write `LABEL org.opencontainers.image.authors=…`";
                let finding = Diagnostic::warning(name.span.clone(), message).with_hint(hint);
                Some(finding.of_rule(MAINTAINER_DEPRECATED))
            }
            Kind::Run(run) => match &run.form {
                RunForm::Script(script) => self.script(&script.body.value, &script.name.span),
                _ => None,
            },
            _ => None,
        }
    }

    fn workdir(&mut self, path: &Word) -> Option<Diagnostic> {
        let text = path.value.trim_start_matches(['"', '\'']);
        let windows = text.as_bytes().get(1) == Some(&b':');
        let absolute = text.starts_with(['/', '\\', '$']) || windows;
        if absolute || self.workdir {
            self.workdir = true;
            return None;
        }
        let message = format!("`{text}` is relative to the working directory of the base image");
        let hint = "make the first `WORKDIR` absolute";
        let finding = Diagnostic::warning(path.span.clone(), message).with_hint(hint);
        Some(finding.of_rule(WORKDIR_RELATIVE_PATH))
    }

    fn shell_form(&self, name: &str, command: &Command) -> Option<Diagnostic> {
        let Command::Shell(text) = command else {
            return None;
        };
        if self.shell.is_some() {
            return None;
        }
        let message = format!("the shell keeps signals from what `{name}` starts");
        let hint = format!("write `{name} [\"program\", \"argument\"]`, or choose a `SHELL`");
        let finding = Diagnostic::warning(text.span.clone(), message).with_hint(hint);
        Some(finding.of_rule(JSON_ARGS_RECOMMENDED))
    }

    /// A script of several lines that does not stop when one fails.
    fn script(&self, body: &str, opening: &Span) -> Option<Diagnostic> {
        let lines = body.lines().map(str::trim);
        let lines: Vec<&str> = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect();
        let shell = self.shell.unwrap_or_default().iter().skip(1);
        let stops = lines
            .iter()
            .any(|line| sets_errexit(line.split_whitespace()))
            || sets_errexit(std::iter::once("set").chain(shell.map(String::as_str)));
        if lines.len() < 2 || stops {
            return None;
        }
        let message = "the script goes on after a command that failed";
        let hint = "start it with `set -e`";
        let finding = Diagnostic::warning(opening.clone(), message).with_hint(hint);
        Some(finding.of_rule(HEREDOC_WITHOUT_ERREXIT))
    }
}

/// Whether `words` are `set -e`, or with it among other options.
fn sets_errexit<'w>(mut words: impl Iterator<Item = &'w str>) -> bool {
    words.next() == Some("set")
        && words.any(|word| {
            let word = word.trim_end_matches(';');
            let short = word.strip_prefix('-').filter(|it| !it.starts_with('-'));
            word == "errexit" || short.is_some_and(|options| options.contains('e'))
        })
}
