//! `COPY` and `ADD`: `[flags] source… destination`.
//!
//! Spec: dockerfile.md C1, C22–C29, H4, P14.

use super::Statement;
use super::words::json_or_plain;
use crate::ast::{Add, Copy, Heredoc, Spanned, Word};
use crate::diagnostic::Diagnostic;

/// Reads a `COPY`; `None` after reporting.
pub(super) fn copy(
    mut statement: Statement<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Copy> {
    let places = places(&statement, diagnostics)?;
    let heredocs = bodies(&mut statement);
    let flags = &mut statement.flags;
    Some(Copy {
        from: flags.take("from"),
        chown: flags.take("chown"),
        chmod: flags.take("chmod"),
        link: flags.take_switch("link"),
        parents: flags.take_switch("parents"),
        exclude: excluded(flags.take_all("exclude")),
        sources: places.sources,
        heredocs,
        destination: places.destination,
    })
}

/// Reads an `ADD`; `None` after reporting.
pub(super) fn add(mut statement: Statement<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Add> {
    let places = places(&statement, diagnostics)?;
    let heredocs = bodies(&mut statement);
    let flags = &mut statement.flags;
    Some(Add {
        checksum: flags.take("checksum"),
        keep_git_dir: flags.take_switch("keep-git-dir"),
        unpack: flags.take_switch("unpack"),
        chown: flags.take("chown"),
        chmod: flags.take("chmod"),
        link: flags.take_switch("link"),
        exclude: excluded(flags.take_all("exclude")),
        sources: places.sources,
        heredocs,
        destination: places.destination,
    })
}

/// From where and whereto.
struct Places {
    sources: Vec<Word>,
    destination: Word,
}

fn places(statement: &Statement<'_>, diagnostics: &mut Vec<Diagnostic>) -> Option<Places> {
    let mut sources = match statement.heredocs.is_empty() {
        true => json_or_plain(statement, diagnostics)?,
        false => besides_heredocs(statement, diagnostics)?,
    };
    let name = statement.keyword.name();
    let destination = sources.pop();
    let anything = !sources.is_empty() || !statement.heredocs.is_empty();
    let Some(destination) = destination.filter(|_| anything) else {
        let message = format!("`{name}` needs at least one source and a destination");
        let span = statement.arguments.span();
        let hint = format!("write `{name} source… destination`");
        diagnostics.push(Diagnostic::error(span, message).with_hint(hint));
        return None;
    };
    Some(Places {
        sources,
        destination,
    })
}

/// The words that open no heredoc. The last word of all must be one of them (H4).
fn besides_heredocs(
    statement: &Statement<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Vec<Word>> {
    let name = statement.keyword.name();
    let words = statement.arguments.plain_words();
    let mut openings = statement.heredocs.iter().peekable();
    let mut besides = Vec::new();
    for word in &words {
        while openings.next_if(|it| it.word.precedes(*word)).is_some() {}
        if !openings.peek().is_some_and(|it| it.word.covers(*word)) {
            besides.push(word.word());
        }
    }
    let before = diagnostics.len();
    let heredocs = statement.heredocs.iter();
    let unnamed = heredocs.filter(|opened| opened.heredoc.name.value.is_empty());
    let bare = besides.iter().filter(|word| is_bare(&word.value));
    let spans = unnamed.map(|opened| opened.word.span());
    for span in spans.chain(bare.map(|word| word.span.clone())) {
        let message = format!("the heredoc of `{name}` has no name for its file");
        diagnostics.push(Diagnostic::error(span, message));
    }
    let last = statement.heredocs.last()?.word;
    if words.last().is_some_and(|word| last.covers(*word)) {
        let message = format!("`{name}` needs a destination after the heredoc");
        let hint = format!("write `{name} <<NAME destination`");
        diagnostics.push(Diagnostic::error(last.span(), message).with_hint(hint));
    }
    (diagnostics.len() == before).then_some(besides)
}

/// Whether `word` opens a heredoc without saying which: `<<` or `<<-`.
fn is_bare(word: &str) -> bool {
    let after_digits = word.trim_start_matches(|c: char| c.is_ascii_digit());
    matches!(after_digits, "<<" | "<<-")
}

fn bodies(statement: &mut Statement<'_>) -> Vec<Heredoc> {
    let heredocs = std::mem::take(&mut statement.heredocs).into_iter();
    heredocs.map(|opened| opened.heredoc).collect()
}

fn excluded(flags: Vec<(Word, crate::ast::Span)>) -> Vec<Spanned<String>> {
    flags.into_iter().map(|(word, _)| word).collect()
}
