//! What a Dockerfile says, as a tree with byte spans.
//!
//! Knows: the shape of the language. Does not know: variables' values, files, images.
//!
//! Words keep their quotes and escapes: [`crate::expand`] removes them, because
//! what they mean depends on the stage's variables.
//!
//! Spec: dockerfile.md 1.1–1.12.

mod checks;
mod command;
mod copy;
mod run;

pub use checks::{Checks, Rules};
pub use command::{Command, Healthcheck, Probe};
pub use copy::{Add, Copy};
pub use run::{Access, Device, Mount, Network, Run, RunForm, Security};

use std::ops::Range;

/// Bytes of the source that a node came from.
pub type Span = Range<usize>;

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// What was written.
    pub value: T,
    /// Where: byte offsets into the source.
    pub span: Span,
}

impl<T: AsRef<str>> Spanned<T> {
    /// Where byte `offset` of the value was written.
    ///
    /// Exact when the value was written in one piece; a value with continuations,
    /// JSON escapes or removed quotes in it answers with the whole span.
    pub fn span_at(&self, offset: usize) -> Span {
        let text = self.value.as_ref();
        if self.span.len() != text.len() || !text.is_char_boundary(offset) {
            return self.span.clone();
        }
        let width = text[offset..].chars().next().map_or(0, char::len_utf8);
        let start = self.span.start + offset;
        start..start + width
    }
}

/// Unexpanded text of one argument: quotes, escapes and `$` are still in it.
pub type Word = Spanned<String>;

/// A whole file, as far as it could be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// Escape character: `\` or `` ` `` (D3).
    pub escape: char,
    /// `# syntax=`: the image of a frontend, one whose language this is (D4).
    pub syntax: Option<Spanned<String>>,
    /// `# check=`, for the whole file (D5).
    pub checks: Checks,
    /// `ARG` instructions before the first `FROM` (A1).
    pub globals: Vec<Instruction>,
    /// Stages in the order of the file.
    pub stages: Vec<Stage>,
}

/// One `FROM` and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The whole `FROM` instruction.
    pub span: Span,
    /// `# check=` directly above: for all of the stage (D5).
    pub checks: Checks,
    /// What the comment directly above says about the stage's name (P19).
    pub description: Option<Spanned<String>>,
    /// `--platform=`, unexpanded.
    pub platform: Option<Word>,
    /// `--after=`, verbatim: stages that must be done before this one starts (F1).
    pub after: Vec<Spanned<String>>,
    /// Image, earlier stage or `scratch`; unexpanded.
    pub base: Word,
    /// `AS name`, lower-cased (F2).
    pub name: Option<Spanned<String>>,
    /// Everything until the next `FROM`.
    pub instructions: Vec<Instruction>,
}

/// One instruction of a stage (or a global `ARG`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// From the first byte of its name to the end of its last argument.
    ///
    /// Heredoc bodies come after it and are not part of it.
    pub span: Span,
    /// `# check=` directly above (D5).
    pub checks: Checks,
    /// What it says.
    pub kind: Kind,
}

/// The instructions, but for `FROM`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `ARG NAME[=DEFAULT]…` (P18).
    Arg(Vec<ArgPair>),
    /// `ENV KEY=VALUE…` or the legacy `ENV KEY VALUE` (P17).
    Env(Vec<Pair>),
    /// `LABEL KEY=VALUE…` (P17).
    Label(Vec<Pair>),
    /// `WORKDIR path`: the rest of the line (P16).
    Workdir(Word),
    /// `USER user[:group]`: the rest of the line (P16).
    User(Word),
    /// `EXPOSE port[/proto]…`; split again after expansion (V8).
    Expose(Vec<Word>),
    /// `STOPSIGNAL signal` (P16).
    Stopsignal(Word),
    /// `VOLUME path…`, words or JSON (P14).
    Volume(Vec<Word>),
    /// `SHELL ["…", …]` (P15).
    Shell(Vec<String>),
    /// `CMD …`.
    Cmd(Command),
    /// `ENTRYPOINT …`.
    Entrypoint(Command),
    /// `RUN …`.
    Run(Run),
    /// `COPY …`.
    Copy(Copy),
    /// `ADD …`.
    Add(Add),
    /// `HEALTHCHECK …`.
    Healthcheck(Healthcheck),
    /// `MAINTAINER name`: the rest of the line, not expanded (E9).
    Maintainer(Spanned<String>),
    /// `ONBUILD instruction`.
    Onbuild(Onbuild),
}

/// An instruction for the builds that are based on this image (1.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Onbuild {
    /// The instruction as it is stored in the image: continuations joined, heredoc
    /// bodies appended (O1).
    pub text: Spanned<String>,
    /// What it says; never `ONBUILD` or `MAINTAINER`.
    pub instruction: Box<Instruction>,
}

/// `<<NAME` and the lines that belong to it (1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heredoc {
    /// The delimiter without quotes; the span is that of the whole opening, `<<-"NAME"`.
    pub name: Spanned<String>,
    /// A quote was in the delimiter: the body is literal (H3).
    pub quoted: bool,
    /// `<<-`: tabs at the start of each line do not count (H2).
    pub strips_tabs: bool,
    /// All lines before the delimiter's with their line ends, tabs stripped if
    /// asked for; the span is that of the lines as written.
    pub body: Spanned<String>,
}

/// `NAME` or `NAME=DEFAULT` of an `ARG`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgPair {
    /// The variable's name.
    pub name: Spanned<String>,
    /// Unexpanded default; `None` when no `=` was written.
    pub default: Option<Word>,
    /// What the comment directly above says about this name (P19).
    pub description: Option<Spanned<String>>,
}

/// One `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Unexpanded key (V9).
    pub key: Word,
    /// Unexpanded value.
    pub value: Word,
}

/// `text`, then each body and its delimiter: an instruction as one string.
pub(crate) fn with_bodies(text: &str, heredocs: &[Heredoc]) -> String {
    let mut all = text.to_owned();
    for heredoc in heredocs {
        all.push('\n');
        all.push_str(&heredoc.body.value);
        all.push_str(&heredoc.name.value);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{Span, Word};

    fn check(value: &str, span: Span, offset: usize, expected: Span) {
        let value = value.to_owned();
        assert_eq!(Word { value, span }.span_at(offset), expected);
    }

    #[test]
    fn a_place_in_a_verbatim_word_is_exact() {
        check("a$é", 10..14, 1, 11..12);
        check("a$é", 10..14, 2, 12..14);
        check("a$é", 10..14, 4, 14..14);
    }

    #[test]
    fn a_place_in_a_changed_word_is_the_whole_word() {
        check("a$b", 10..15, 1, 10..15);
        check("a$é", 10..14, 3, 10..14);
        check("a", 10..11, 7, 10..11);
    }
}
