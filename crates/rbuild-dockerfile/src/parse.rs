//! Text → tree: one instruction per logical line, every problem reported.
//!
//! Knows: the order of instructions and stages. Does not know: variables, images.
//!
//! Invariant: an instruction is in the tree only if it was understood completely;
//! the one exception is a bad `FROM`, which still opens a stage, so that what
//! follows is not reported for want of it.
//!
//! Spec: dockerfile.md 1.1–1.3, 1.5–1.12.

mod command;
mod copy;
mod flags;
mod from;
mod heredoc;
mod pairs;
mod words;

use crate::ast::{Checks, Dockerfile, Instruction, Kind, Span, Stage};
use crate::diagnostic::{Diagnostic, Severity};
use crate::directive;
use crate::fragment::Fragment;
use crate::keyword::Keyword;
use crate::line::{Line, Lines, MAX_LINE};
use flags::Flags;

/// Most bytes of a Dockerfile (sandbox.md, "Limits").
const MAX_FILE: usize = 4 << 20;

/// Most instructions of a Dockerfile (sandbox.md, "Limits").
const MAX_INSTRUCTIONS: usize = 10_000;

/// Parses a Dockerfile. Cannot fail: what is not understood is left out of the
/// tree and reported, so that one run shows every problem.
///
/// Diagnostics are in the order of the file.
pub fn parse(source: &str) -> (Dockerfile, Vec<Diagnostic>) {
    let mut parser = Parser::new(source);
    if source.len() > MAX_FILE {
        let message = format!("the Dockerfile is larger than the limit of {MAX_FILE} bytes");
        parser.report(Diagnostic::error(0..0, message));
        return (parser.file, parser.diagnostics);
    }
    let mut count = 0;
    while let Some(line) = parser.lines.next_logical() {
        count += 1;
        if count > MAX_INSTRUCTIONS {
            let message = format!(
                "the Dockerfile has more than the limit of {MAX_INSTRUCTIONS} instructions"
            );
            let (name, _) = Fragment::whole(&line).trim().split_first();
            parser.report(Diagnostic::error(name.span(), message));
            break;
        }
        parser.line(&line);
    }
    parser.finish()
}

/// One instruction, its name known, its flags taken off.
struct Statement<'l> {
    keyword: Keyword,
    /// Where the name is.
    name: Span,
    flags: Flags,
    arguments: Fragment<'l>,
    escape: char,
}

/// What was read so far.
struct Parser<'s> {
    lines: Lines<'s>,
    file: Dockerfile,
    diagnostics: Vec<Diagnostic>,
    /// No more complaints about a missing `FROM`: it was said, or the `FROM` may
    /// have been among the lines that were not understood.
    stage_excused: bool,
}

impl<'s> Parser<'s> {
    fn new(source: &'s str) -> Self {
        let (escape, diagnostics) = match source.len() <= MAX_FILE {
            true => directive::read(source),
            false => ('\\', Vec::new()),
        };
        Self {
            lines: Lines::new(source, escape),
            file: Dockerfile {
                escape,
                syntax: None,
                checks: Checks::default(),
                globals: Vec::new(),
                stages: Vec::new(),
            },
            diagnostics,
            stage_excused: false,
        }
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reads one instruction.
    fn line(&mut self, line: &Line) {
        let whole = Fragment::whole(line).trim();
        let (name, rest) = whole.split_first();
        if line.too_long {
            self.stage_excused = true;
            let message = format!("the instruction is longer than the limit of {MAX_LINE} bytes");
            self.report(Diagnostic::error(name.span(), message));
            return;
        }
        if let Some(span) = &line.blank {
            let message = "a blank line inside of an instruction";
            let hint = "delete it, or end the line before it without the escape character";
            self.report(Diagnostic::warning(span.clone(), message).with_hint(hint));
        }
        let Some(keyword) = Keyword::parse(name.text()) else {
            self.unknown(name, rest);
            return;
        };
        let (flags, arguments) = flags::split(rest);
        if self.heredocs(keyword, arguments) {
            return;
        }
        let flags = match flags::accept(keyword, flags, &mut self.diagnostics) {
            Some(flags) => flags,
            None if keyword == Keyword::From => Flags::default(),
            None => return,
        };
        let statement = Statement {
            keyword,
            name: name.span(),
            flags,
            arguments,
            escape: self.file.escape,
        };
        self.statement(statement, whole.span());
    }

    fn statement(&mut self, statement: Statement<'_>, span: Span) {
        if statement.keyword == Keyword::From {
            let stage = from::stage(statement, span, &mut self.diagnostics);
            self.file.stages.push(stage);
            return;
        }
        let (keyword, name) = (statement.keyword, statement.name.clone());
        let kind = kind(statement, &mut self.diagnostics);
        match (self.file.stages.last_mut(), kind) {
            (Some(Stage { instructions, .. }), Some(kind)) => {
                let checks = Checks::default();
                instructions.push(Instruction { span, checks, kind });
            }
            (None, Some(kind @ Kind::Arg(_))) => {
                let checks = Checks::default();
                self.file.globals.push(Instruction { span, checks, kind });
            }
            (None, _) if keyword != Keyword::Arg => self.no_stage_yet(keyword, name),
            _ => {}
        }
    }

    /// Only `ARG` may precede the first `FROM` (P12); said once.
    fn no_stage_yet(&mut self, keyword: Keyword, span: Span) {
        if !self.stage_excused {
            self.stage_excused = true;
            let message = format!("`{}` before the first `FROM`", keyword.name());
            let hint = "only `ARG` may come before `FROM`";
            self.report(Diagnostic::error(span, message).with_hint(hint));
        }
    }

    /// Reports an instruction that the language does not have (P6).
    fn unknown(&mut self, name: Fragment<'_>, rest: Fragment<'_>) {
        self.stage_excused = true;
        let shown: String = name
            .text()
            .chars()
            .take(40)
            .flat_map(char::escape_debug)
            .collect();
        let mut diagnostic =
            Diagnostic::error(name.span(), format!("unknown instruction `{shown}`"));
        if let Some(meant) = Keyword::meant(name.text()) {
            diagnostic = diagnostic.with_hint(format!("did you mean `{}`?", meant.name()));
            self.report(diagnostic);
            self.heredocs(meant, flags::split(rest).1);
        } else {
            self.report(diagnostic);
        }
    }

    /// Reads over the bodies of the heredocs that `arguments` opens, and refuses
    /// them. Whether there were any.
    fn heredocs(&mut self, keyword: Keyword, arguments: Fragment<'_>) -> bool {
        let openings = heredoc::openings(keyword, arguments, self.file.escape);
        for opening in &openings {
            let message = "heredocs are not supported yet by this version of rbuild";
            self.report(Diagnostic::error(opening.word.span(), message));
            if !opening.skip_body(&mut self.lines) {
                let message = format!("the heredoc `{}` is never closed", opening.delimiter);
                let hint = format!("end it with a line that is exactly `{}`", opening.delimiter);
                self.report(Diagnostic::error(opening.word.span(), message).with_hint(hint));
            }
        }
        !openings.is_empty()
    }

    /// A file without any stage is an error of its own (P5), unless that follows
    /// from another one.
    fn finish(mut self) -> (Dockerfile, Vec<Diagnostic>) {
        let failed = self
            .diagnostics
            .iter()
            .any(|found| found.severity == Severity::Error);
        if self.file.stages.is_empty() && !failed {
            let (span, message) = match self.file.globals.last() {
                Some(last) => (last.span.clone(), "the Dockerfile has no stage"),
                None => (0..0, "the Dockerfile has no instructions"),
            };
            self.report(Diagnostic::error(span, message).with_hint("start a stage with `FROM`"));
        }
        self.diagnostics.sort_by_key(|found| found.span.start);
        (self.file, self.diagnostics)
    }
}

/// Reads the arguments of anything but `FROM`; `None` after reporting.
fn kind(statement: Statement<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Kind> {
    if let Some(diagnostic) = not_yet(statement.keyword, &statement.name) {
        diagnostics.push(diagnostic);
        return None;
    }
    if statement.arguments.text().is_empty() {
        diagnostics.push(needs_argument(&statement));
        return None;
    }
    match statement.keyword {
        Keyword::Arg => pairs::arguments(&statement, diagnostics).map(Kind::Arg),
        Keyword::Env => pairs::pairs(&statement, diagnostics).map(Kind::Env),
        Keyword::Label => pairs::pairs(&statement, diagnostics).map(Kind::Label),
        Keyword::Workdir => Some(Kind::Workdir(statement.arguments.word())),
        Keyword::User => Some(Kind::User(statement.arguments.word())),
        Keyword::Stopsignal => Some(Kind::Stopsignal(statement.arguments.word())),
        Keyword::Expose => Some(Kind::Expose(words::plain(statement.arguments))),
        Keyword::Volume => words::volumes(&statement, diagnostics).map(Kind::Volume),
        Keyword::Shell => command::shell(&statement, diagnostics).map(Kind::Shell),
        Keyword::Cmd => command::command(&statement, diagnostics).map(Kind::Cmd),
        Keyword::Entrypoint => command::command(&statement, diagnostics).map(Kind::Entrypoint),
        Keyword::Run => command::run(&statement, diagnostics).map(Kind::Run),
        Keyword::Copy => copy::copy(statement, diagnostics).map(Kind::Copy),
        Keyword::From
        | Keyword::Add
        | Keyword::Healthcheck
        | Keyword::Maintainer
        | Keyword::Onbuild => None,
    }
}

/// The refusal of an instruction that the language has and rbuild has not.
fn not_yet(keyword: Keyword, name: &Span) -> Option<Diagnostic> {
    let hint = match keyword {
        Keyword::Add => Some("use `COPY` for files of the build context"),
        Keyword::Maintainer => Some("use `LABEL org.opencontainers.image.authors=…`"),
        Keyword::Healthcheck | Keyword::Onbuild => None,
        _ => return None,
    };
    let message = format!(
        "`{}` is not supported yet by this version of rbuild",
        keyword.name()
    );
    let diagnostic = Diagnostic::error(name.clone(), message);
    Some(match hint {
        Some(hint) => diagnostic.with_hint(hint),
        None => diagnostic,
    })
}

/// The refusal of an instruction without arguments (T5).
fn needs_argument(statement: &Statement<'_>) -> Diagnostic {
    let name = statement.keyword.name();
    let message = format!("`{name}` needs an argument");
    let diagnostic = Diagnostic::error(statement.name.clone(), message);
    match statement.keyword {
        Keyword::Cmd | Keyword::Entrypoint => {
            diagnostic.with_hint(format!("`{name} []` clears what the base image has"))
        }
        _ => diagnostic,
    }
}
