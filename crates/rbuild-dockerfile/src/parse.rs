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
mod comment;
mod copy;
mod duration;
mod flags;
mod from;
mod healthcheck;
mod heredoc;
mod mount;
mod onbuild;
mod pairs;
mod run;
mod words;

use crate::ast::{Dockerfile, Instruction, Kind, Span, Spanned, Stage};
use crate::diagnostic::{Diagnostic, Severity};
use crate::fragment::Fragment;
use crate::keyword::Keyword;
use crate::line::{Line, Lines, MAX_LINE};
use crate::lint::rules;
use crate::{directive, directive::Directives};
use flags::Flags;
use heredoc::Opened;

/// Most bytes of a Dockerfile (sandbox.md, "Limits").
const MAX_FILE: usize = 4 << 20;

/// Most instructions of a Dockerfile (sandbox.md, "Limits").
const MAX_INSTRUCTIONS: usize = 10_000;

/// Parses a Dockerfile. Cannot fail: what is not understood is left out of the
/// tree and reported, so that one run shows every problem.
///
/// Diagnostics are in the order of the file. Findings of checks are among them also if
/// the file does not want to hear of them: see [`crate::lint::applied`].
pub fn parse(source: &str) -> (Dockerfile, Vec<Diagnostic>) {
    let directives = match source.len() <= MAX_FILE {
        true => directive::read(source),
        false => Directives::default(),
    };
    let mut parser = Parser::new(source, directives);
    parser.instructions();
    parser.finish()
}

/// Parses `text`, an `ONBUILD` instruction as an image has it, which may be anything:
/// the tree of what is to be done. The escape character is `\` (O1, O2).
///
/// Spans are in `text`.
pub fn parse_trigger(text: &str) -> (Vec<Instruction>, Vec<Diagnostic>) {
    let mut parser = Parser::new(text, Directives::default());
    parser.file.stages.push(from::nameless(0..0));
    parser.instructions();
    let (file, mut diagnostics) = parser.finish();
    let mut stages = file.stages.into_iter();
    let instructions = stages.next().map(|stage| stage.instructions);
    let froms = stages.map(|stage| (stage.span, "FROM"));
    let instructions = instructions.unwrap_or_default();
    let others = instructions.iter().filter_map(|it| match it.kind {
        Kind::Onbuild(_) => Some((it.span.clone(), "ONBUILD")),
        Kind::Maintainer(_) => Some((it.span.clone(), "MAINTAINER")),
        _ => None,
    });
    diagnostics.extend(
        froms
            .chain(others)
            .map(|(span, name)| onbuild::not_allowed(name, span)),
    );
    (instructions, diagnostics)
}

/// One instruction, its name known, its flags taken off.
struct Statement<'l> {
    keyword: Keyword,
    /// Where the name is.
    name: Span,
    flags: Flags,
    arguments: Fragment<'l>,
    /// What its arguments open, in order.
    heredocs: Vec<Opened<'l>>,
    /// What is directly above it.
    comments: &'l [Spanned<String>],
    escape: char,
}

/// What was read so far.
struct Parser<'s> {
    lines: Lines<'s>,
    file: Dockerfile,
    diagnostics: Vec<Diagnostic>,
    /// Where the first line starts that is no directive.
    directives_end: usize,
    /// No more complaints about a missing `FROM`: it was said, or the `FROM` may
    /// have been among the lines that were not understood.
    stage_excused: bool,
}

impl<'s> Parser<'s> {
    fn new(source: &'s str, directives: Directives) -> Self {
        Self {
            lines: Lines::new(source, directives.escape),
            file: Dockerfile {
                escape: directives.escape,
                syntax: directives.syntax,
                checks: directives.checks,
                globals: Vec::new(),
                stages: Vec::new(),
            },
            diagnostics: directives.diagnostics,
            directives_end: directives.end,
            stage_excused: false,
        }
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reads all instructions, or as many as are allowed.
    fn instructions(&mut self) {
        if self.lines.len() > MAX_FILE {
            let message = format!("the Dockerfile is larger than the limit of {MAX_FILE} bytes");
            return self.report(Diagnostic::error(0..0, message));
        }
        let mut count = 0;
        while let Some(mut line) = self.lines.next_logical() {
            count += 1;
            if count > MAX_INSTRUCTIONS {
                let message = format!(
                    "the Dockerfile has more than the limit of {MAX_INSTRUCTIONS} instructions"
                );
                let (name, _) = Fragment::whole(&line).trim().split_first();
                return self.report(Diagnostic::error(name.span(), message));
            }
            // A directive is not a comment.
            let end = self.directives_end;
            line.comments.retain(|comment| comment.span.start >= end);
            self.line(&line);
        }
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
            let finding = Diagnostic::warning(span.clone(), message).with_hint(hint);
            self.report(finding.of_rule(rules::NO_EMPTY_CONTINUATION));
        }
        let Some(keyword) = Keyword::parse(name.text()) else {
            self.unknown(name, rest);
            return;
        };
        let escape = self.file.escape;
        let (flags, arguments) = flags::split(rest);
        let arguments_of = (keyword, arguments);
        let found = &mut self.diagnostics;
        let (heredocs, unclosed) = heredoc::read(arguments_of, &mut self.lines, escape, found);
        let (flags, refused) = flags::accept(keyword, flags, found);
        let statement = Statement {
            keyword,
            name: name.span(),
            flags,
            arguments,
            heredocs,
            comments: &line.comments,
            escape,
        };
        if keyword == Keyword::From {
            let stage = from::stage(statement, whole.span(), found);
            self.file.stages.push(stage);
        } else if unclosed {
            self.stage_excused |= self.file.stages.is_empty();
        } else {
            self.statement(statement, whole.span(), refused);
        }
    }

    /// Reads what is not `FROM`. If it was `refused` before, only to find more problems.
    fn statement(&mut self, statement: Statement<'_>, span: Span, refused: bool) {
        let (keyword, name) = (statement.keyword, statement.name.clone());
        let checks = comment::checks(statement.comments, &mut self.diagnostics);
        // Where everything was taken for flags, what is missing is not the problem.
        let readable = !(refused && statement.arguments.text().is_empty());
        let kind = readable
            .then(|| kind(statement, &mut self.diagnostics))
            .flatten();
        let kind = kind.filter(|_| !refused);
        let instruction = kind.map(|kind| Instruction { span, checks, kind });
        match (self.file.stages.last_mut(), instruction) {
            (Some(Stage { instructions, .. }), Some(instruction)) => {
                instructions.push(instruction);
            }
            (None, Some(instruction)) if keyword == Keyword::Arg => {
                self.file.globals.push(instruction);
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
        self.report(unknown_instruction(name.text(), name.span()));
        if let Some(meant) = Keyword::meant(name.text()) {
            // Its heredocs are not instructions.
            let arguments = (meant, flags::split(rest).1);
            let escape = self.file.escape;
            heredoc::read(arguments, &mut self.lines, escape, &mut self.diagnostics);
        }
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
    if statement.arguments.text().is_empty() {
        diagnostics.push(needs_argument(&statement));
        return None;
    }
    match statement.keyword {
        Keyword::Add => copy::add(statement, diagnostics).map(Kind::Add),
        Keyword::Arg => pairs::arguments(&statement, diagnostics).map(Kind::Arg),
        Keyword::Cmd => command::command(&statement, diagnostics).map(Kind::Cmd),
        Keyword::Copy => copy::copy(statement, diagnostics).map(Kind::Copy),
        Keyword::Entrypoint => command::command(&statement, diagnostics).map(Kind::Entrypoint),
        Keyword::Env => pairs::pairs(&statement, diagnostics).map(Kind::Env),
        Keyword::Expose => Some(Kind::Expose(words::plain(statement.arguments))),
        Keyword::From => None,
        Keyword::Healthcheck => {
            healthcheck::healthcheck(statement, diagnostics).map(Kind::Healthcheck)
        }
        Keyword::Label => pairs::pairs(&statement, diagnostics).map(Kind::Label),
        Keyword::Maintainer => Some(Kind::Maintainer(statement.arguments.word())),
        Keyword::Onbuild => onbuild::onbuild(statement, diagnostics).map(Kind::Onbuild),
        Keyword::Run => run::run(statement, diagnostics).map(Kind::Run),
        Keyword::Shell => command::shell(&statement, diagnostics).map(Kind::Shell),
        Keyword::Stopsignal => Some(Kind::Stopsignal(statement.arguments.word())),
        Keyword::User => Some(Kind::User(statement.arguments.word())),
        Keyword::Volume => words::volumes(&statement, diagnostics).map(Kind::Volume),
        Keyword::Workdir => Some(Kind::Workdir(statement.arguments.word())),
    }
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

/// The refusal of an instruction that the language does not have (P6).
fn unknown_instruction(name: &str, span: Span) -> Diagnostic {
    let shown: String = name.chars().take(40).flat_map(char::escape_debug).collect();
    let diagnostic = Diagnostic::error(span, format!("unknown instruction `{shown}`"));
    match Keyword::meant(name) {
        Some(meant) => diagnostic.with_hint(format!("did you mean `{}`?", meant.name())),
        None => diagnostic,
    }
}
