//! Tree → Dockerfile, in one form for all spellings.
//!
//! Knows: how each node is written so that it is read the same again.
//! Does not know: the source; comments and layout are gone.
//!
//! Invariant: `parse(print(parse(x)))` is `parse(x)`, but for spans, if `x` has no errors.

mod run;
mod words;

use crate::ast::{
    Add, ArgPair, Checks, Command, Copy, Dockerfile, Healthcheck, Heredoc, Instruction, Kind, Pair,
    Rules, Spanned, Stage, Word, with_bodies,
};
use crate::fragment::Fragment;
use crate::line::{Line, strip_continuation};
use std::fmt::Write;
use std::time::Duration;
use words::{flag, json, switch};

/// Writes `file` as a Dockerfile.
pub fn print(file: &Dockerfile) -> String {
    let mut out = String::new();
    if let Some(syntax) = &file.syntax {
        let _ = writeln!(out, "# syntax={}", syntax.value);
    }
    if file.escape != '\\' {
        let _ = writeln!(out, "# escape={}", file.escape);
    }
    out += &checks(&file.checks);
    let mut printer = Printer {
        escape: file.escape,
        out,
    };
    // A blank line ends the directives: a comment below is not one of them.
    printer.out.push('\n');
    for global in &file.globals {
        printer.instruction(global);
    }
    for stage in &file.stages {
        printer.stage(stage);
    }
    printer.out
}

struct Printer {
    escape: char,
    out: String,
}

impl Printer {
    fn stage(&mut self, stage: &Stage) {
        self.out += "\n";
        self.out += &checks(&stage.checks);
        let name = stage.name.as_ref().map(|name| name.value.as_str());
        if let (Some(text), Some(name)) = (&stage.description, name) {
            let _ = writeln!(self.out, "# {name} {}", text.value);
        }
        let mut line = "FROM".to_owned();
        line.extend(stage.platform.iter().map(|it| flag("platform", &it.value)));
        line.extend(stage.after.iter().map(|it| flag("after", &it.value)));
        let name = name.map(|name| format!(" AS {name}"));
        let arguments = format!("{}{}", stage.base.value, name.unwrap_or_default());
        self.line(&with_arguments(line, &arguments), &[]);
        for instruction in &stage.instructions {
            self.instruction(instruction);
        }
    }

    fn instruction(&mut self, instruction: &Instruction) {
        self.out += &checks(&instruction.checks);
        match &instruction.kind {
            Kind::Arg(pairs) => self.arguments(pairs),
            Kind::Env(pairs) => self.pairs("ENV", pairs),
            Kind::Label(pairs) => self.pairs("LABEL", pairs),
            Kind::Workdir(word) => self.text("WORKDIR", &word.value),
            Kind::User(word) => self.text("USER", &word.value),
            Kind::Stopsignal(word) => self.text("STOPSIGNAL", &word.value),
            Kind::Maintainer(word) => self.text("MAINTAINER", &word.value),
            Kind::Expose(all) => self.text("EXPOSE", &words::plain(all)),
            Kind::Volume(all) => self.text("VOLUME", &words::plain_or_json(all, self.escape)),
            Kind::Shell(argv) => self.text("SHELL", &json(argv)),
            Kind::Cmd(it) => self.text("CMD", &command(it)),
            Kind::Entrypoint(it) => self.text("ENTRYPOINT", &command(it)),
            Kind::Run(run) => self.run(run),
            Kind::Copy(copy) => self.copy(copy),
            Kind::Add(add) => self.add(add),
            Kind::Healthcheck(check) => self.healthcheck(check),
            Kind::Onbuild(onbuild) => {
                // Its heredocs are in the text already.
                let text = format!("ONBUILD {}", onbuild.text.value);
                self.line(&text, &[]);
            }
        }
    }

    /// Writes a logical line, with the bodies of its heredocs.
    fn line(&mut self, line: &str, heredocs: &[Heredoc]) {
        let (first, bodies) = line.split_at(line.find('\n').unwrap_or(line.len()));
        self.out += first;
        if strip_continuation(first, self.escape).1 {
            // White space that is trimmed, but is none for a continuation (P8).
            self.out.push('\u{a0}');
        }
        self.out += &with_bodies(bodies, heredocs);
        self.out.push('\n');
    }

    fn text(&mut self, name: &str, arguments: &str) {
        self.line(&with_arguments(name.to_owned(), arguments), &[]);
    }

    fn arguments(&mut self, pairs: &[ArgPair]) {
        let mut words = Vec::new();
        for pair in pairs {
            if let Some(text) = &pair.description {
                let _ = writeln!(self.out, "# {} {}", pair.name.value, text.value);
            }
            words.push(match &pair.default {
                Some(default) => format!("{}={}", pair.name.value, default.value),
                None => pair.name.value.clone(),
            });
        }
        self.text("ARG", &words.join(" "));
    }

    fn pairs(&mut self, name: &str, pairs: &[Pair]) {
        let arguments = match pairs {
            [pair] if !is_one_word(&joined(pair), self.escape) => self.legacy(pair),
            _ => pairs.iter().map(joined).collect::<Vec<_>>().join(" "),
        };
        self.text(name, &arguments);
    }

    /// `KEY VALUE`. An escape at the end of the key takes one space for itself.
    fn legacy(&self, pair: &Pair) -> String {
        let (key, value) = (&pair.key.value, &pair.value.value);
        let space = if key.ends_with(self.escape) {
            "  "
        } else {
            " "
        };
        format!("{key}{space}{value}")
    }

    fn copy(&mut self, copy: &Copy) {
        let mut line = "COPY".to_owned();
        line.extend(copy.from.iter().map(|it| flag("from", &it.value)));
        line.extend(copy.chown.iter().map(|it| flag("chown", &it.value)));
        line.extend(copy.chmod.iter().map(|it| flag("chmod", &it.value)));
        line.extend(copy.link.iter().map(|it| switch("link", it)));
        line.extend(copy.parents.iter().map(|it| switch("parents", it)));
        line.extend(copy.exclude.iter().map(|it| flag("exclude", &it.value)));
        self.places(line, (&copy.sources, &copy.destination), &copy.heredocs);
    }

    fn add(&mut self, add: &Add) {
        let mut line = "ADD".to_owned();
        line.extend(add.checksum.iter().map(|it| flag("checksum", &it.value)));
        line.extend(add.keep_git_dir.iter().map(|it| switch("keep-git-dir", it)));
        line.extend(add.unpack.iter().map(|it| switch("unpack", it)));
        line.extend(add.chown.iter().map(|it| flag("chown", &it.value)));
        line.extend(add.chmod.iter().map(|it| flag("chmod", &it.value)));
        line.extend(add.link.iter().map(|it| switch("link", it)));
        line.extend(add.exclude.iter().map(|it| flag("exclude", &it.value)));
        self.places(line, (&add.sources, &add.destination), &add.heredocs);
    }

    /// Heredocs come first: after other words, a quote could hide them.
    fn places(&mut self, line: String, (from, to): (&[Word], &Word), heredocs: &[Heredoc]) {
        let all: Vec<Word> = from.iter().chain([to]).cloned().collect();
        let arguments = match heredocs {
            [] => words::plain_or_json(&all, self.escape),
            _ => {
                let openings = heredocs.iter().map(words::opening).collect::<Vec<_>>();
                format!("{} {}", openings.join(" "), words::plain(&all))
            }
        };
        self.line(&with_arguments(line, &arguments), heredocs);
    }

    fn healthcheck(&mut self, check: &Healthcheck) {
        let Healthcheck::Probe(probe) = check else {
            return self.text("HEALTHCHECK", "NONE");
        };
        let mut line = "HEALTHCHECK".to_owned();
        let lengths = [
            ("interval", probe.interval),
            ("timeout", probe.timeout),
            ("start-period", probe.start_period),
            ("start-interval", probe.start_interval),
        ];
        for (name, length) in lengths {
            line.extend(length.map(|length| flag(name, &duration(length))));
        }
        line.extend(probe.retries.map(|it| flag("retries", &it.to_string())));
        let command = format!("CMD {}", command(&probe.command));
        self.line(&with_arguments(line, &command), &[]);
    }
}

/// `line`, the name and flags of an instruction, with its `arguments`. Those that look
/// like flags are protected (P13).
fn with_arguments(line: String, arguments: &str) -> String {
    let protection = if arguments.starts_with("--") {
        "-- "
    } else {
        ""
    };
    line + " " + protection + arguments
}

/// `# check=…` as a line; empty if nothing is to be said.
pub(crate) fn checks(checks: &Checks) -> String {
    let mut parts = Vec::new();
    let names = |rules: &Rules| match rules {
        Rules::All => "all".to_owned(),
        Rules::Named(names) => names
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(","),
    };
    if !checks.skip.is_empty() {
        parts.push(format!("skip={}", names(&checks.skip)));
    }
    if checks.error {
        parts.push("error=true".to_owned());
    }
    if !checks.experimental.is_empty() {
        parts.push(format!("experimental={}", names(&checks.experimental)));
    }
    match parts.is_empty() {
        true => String::new(),
        false => format!("# check={}\n", parts.join(";")),
    }
}

fn joined(pair: &Pair) -> String {
    format!("{}={}", pair.key.value, pair.value.value)
}

/// Whether `text` is one word with an equals sign for the reader of pairs.
fn is_one_word(text: &str, escape: char) -> bool {
    let line = Line::verbatim(text);
    let words = Fragment::whole(&line).quoted_words(escape);
    matches!(words.as_slice(), [word] if word.text() == text)
}

fn command(command: &Command) -> String {
    match command {
        Command::Shell(text) => text.value.clone(),
        Command::Exec(Spanned { value, .. }) => json(value),
    }
}

/// In the largest unit that has no fraction, of seconds, milliseconds, nanoseconds.
fn duration(length: Duration) -> String {
    let nanoseconds = length.as_nanos();
    if nanoseconds.is_multiple_of(1_000_000_000) {
        format!("{}s", length.as_secs())
    } else if nanoseconds.is_multiple_of(1_000_000) {
        format!("{}ms", length.as_millis())
    } else {
        format!("{nanoseconds}ns")
    }
}
