//! The printable form of a tree and its diagnostics, for goldens and bug reports.
//!
//! Every node shows its line and column. A word shows its own place only if the
//! source there is not the word verbatim, so a wrong span cannot hide.

mod flags;

use crate::ast::{
    ArgPair, Checks, Command, Dockerfile, Healthcheck, Instruction, Kind, Pair, Span, Spanned,
    Stage, Word,
};
use crate::diagnostic::{Diagnostic, Severity};
use std::fmt::Write;

/// Prints `file` and `diagnostics`; `source` is what they were parsed from.
pub fn dump(file: &Dockerfile, diagnostics: &[Diagnostic], source: &str) -> String {
    let mut dump = Dump {
        source,
        out: String::new(),
    };
    if let Some(syntax) = &file.syntax {
        let syntax = format!("syntax {}\n", dump.word(syntax));
        dump.out += &syntax;
    }
    if file.checks != Checks::default() {
        dump.checks(&file.checks);
        dump.out = dump.out.trim_end().to_owned() + "\n";
    }
    if file.escape != '\\' {
        dump.out += &format!("escape {}\n", file.escape);
    }
    for global in &file.globals {
        dump.instruction(global);
    }
    for stage in &file.stages {
        dump.stage(stage);
    }
    for diagnostic in diagnostics {
        dump.diagnostic(diagnostic);
    }
    dump.out
}

struct Dump<'s> {
    source: &'s str,
    out: String,
}

impl Dump<'_> {
    fn stage(&mut self, stage: &Stage) {
        self.checks(&stage.checks);
        let platform = self.flag("platform", stage.platform.as_ref());
        let after = self.flags("after", &stage.after);
        let base = self.word(&stage.base);
        let name = stage
            .name
            .as_ref()
            .map(|name| format!(" AS {:?}", name.value));
        let line = format!("FROM{platform}{after} {base}{}", name.unwrap_or_default());
        let line = line + &self.description(stage.description.as_ref());
        self.line(&stage.span, &line);
        for instruction in &stage.instructions {
            self.out += "  ";
            self.instruction(instruction);
        }
    }

    fn instruction(&mut self, instruction: &Instruction) {
        self.checks(&instruction.checks);
        let text = match &instruction.kind {
            Kind::Arg(arguments) => "ARG".to_owned() + &self.arguments(arguments),
            Kind::Env(pairs) => "ENV".to_owned() + &self.pairs(pairs),
            Kind::Label(pairs) => "LABEL".to_owned() + &self.pairs(pairs),
            Kind::Workdir(word) => format!("WORKDIR {}", self.word(word)),
            Kind::User(word) => format!("USER {}", self.word(word)),
            Kind::Stopsignal(word) => format!("STOPSIGNAL {}", self.word(word)),
            Kind::Expose(words) => "EXPOSE".to_owned() + &self.words(words),
            Kind::Volume(words) => "VOLUME".to_owned() + &self.words(words),
            Kind::Shell(words) => format!("SHELL {words:?}"),
            Kind::Cmd(command) => format!("CMD {}", self.command(command)),
            Kind::Entrypoint(command) => format!("ENTRYPOINT {}", self.command(command)),
            Kind::Run(run) => format!("RUN{} {}", self.run_flags(run), self.form(&run.form)),
            Kind::Copy(copy) => format!("COPY{}", self.copy(copy)),
            Kind::Add(add) => format!("ADD{}", self.add(add)),
            Kind::Healthcheck(Healthcheck::None) => "HEALTHCHECK NONE".to_owned(),
            Kind::Healthcheck(Healthcheck::Probe(probe)) => {
                format!("HEALTHCHECK{}", self.probe(probe))
            }
            Kind::Maintainer(name) => format!("MAINTAINER {}", self.word(name)),
            Kind::Onbuild(onbuild) => {
                self.line(
                    &instruction.span,
                    &format!("ONBUILD {:?}", onbuild.text.value),
                );
                self.out += "    ";
                return self.instruction(&onbuild.instruction);
            }
        };
        self.line(&instruction.span, &text);
    }

    /// `{check=…}` at the start of a line.
    fn checks(&mut self, checks: &Checks) {
        if *checks != Checks::default() {
            let text = crate::print::checks(checks);
            let text = text.trim_start_matches("# ").trim_end();
            let _ = write!(self.out, "{{{text}}} ");
        }
    }

    fn diagnostic(&mut self, diagnostic: &Diagnostic) {
        let severity = match diagnostic.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let place = self.range(&diagnostic.span);
        let rule = diagnostic.rule.map(|rule| format!(" ({rule})"));
        let rule = rule.unwrap_or_default();
        let _ = writeln!(self.out, "{place} {severity}: {}{rule}", diagnostic.message);
        if let Some(hint) = &diagnostic.hint {
            let _ = writeln!(self.out, "  hint: {hint}");
        }
    }

    fn line(&mut self, span: &Span, text: &str) {
        let range = self.range(span);
        let _ = writeln!(self.out, "{range} {text}");
    }

    fn flag(&self, name: &str, value: Option<&Word>) -> String {
        value.map_or_else(String::new, |value| {
            format!(" --{name}={}", self.word(value))
        })
    }

    fn arguments(&self, arguments: &[ArgPair]) -> String {
        let one = |argument: &ArgPair| {
            let default = argument.default.as_ref();
            let default = default.map(|default| "=".to_owned() + &self.word(default));
            format!(
                " {}{}{}",
                self.word(&argument.name),
                default.unwrap_or_default(),
                self.description(argument.description.as_ref())
            )
        };
        arguments.iter().map(one).collect()
    }

    fn pairs(&self, pairs: &[Pair]) -> String {
        let one = |pair: &Pair| format!(" {}={}", self.word(&pair.key), self.word(&pair.value));
        pairs.iter().map(one).collect()
    }

    fn words(&self, words: &[Word]) -> String {
        words
            .iter()
            .map(|word| " ".to_owned() + &self.word(word))
            .collect()
    }

    fn command(&self, command: &Command) -> String {
        match command {
            Command::Shell(text) => format!("shell {}", self.word(text)),
            Command::Exec(Spanned { value, .. }) => format!("exec {value:?}"),
        }
    }

    fn word(&self, word: &Word) -> String {
        let verbatim = self.source.get(word.span.clone()) == Some(word.value.as_str());
        let place = if verbatim {
            String::new()
        } else {
            format!("@{}", self.range(&word.span))
        };
        format!("{:?}{place}", word.value)
    }

    /// `line:column-column`, the end exclusive; `line:column-line:column` if it is
    /// in another line. Columns count characters from 1.
    fn range(&self, span: &Span) -> String {
        let (line, column) = self.position(span.start);
        let (end_line, end_column) = self.position(span.end);
        if line == end_line {
            format!("{line}:{column}-{end_column}")
        } else {
            format!("{line}:{column}-{end_line}:{end_column}")
        }
    }

    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.source.get(..offset).unwrap_or(self.source);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::dump;
    use crate::parse;
    use expect_test::expect;

    #[test]
    fn a_dump_has_the_tree_then_the_diagnostics() {
        let source = "# escape=`\nARG v\nFROM a AS b\nENV x y`\n\n z\nCOPPY é\n";
        let (file, diagnostics) = parse(source);
        expect![[r#"
            escape `
            2:1-6 ARG "v"
            3:1-12 FROM "a" AS "b"
              4:1-6:3 ENV "x"="y z"@4:7-6:3
            4:5-6:3 warning: `ENV key value` is an outdated form (LegacyKeyValueFormat)
              hint: write `ENV x=…`
            5:1-1 warning: a blank line inside of an instruction (NoEmptyContinuation)
              hint: delete it, or end the line before it without the escape character
            7:1-6 error: unknown instruction `COPPY`
              hint: did you mean `COPY`?
        "#]]
        .assert_eq(&dump(&file, &diagnostics, source));
    }
}
