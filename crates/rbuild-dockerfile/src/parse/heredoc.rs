//! Finds heredocs and reads their bodies, so that a body is never taken for
//! instructions.
//!
//! Knows: openings and delimiters. Does not know: what a body is for.
//!
//! Spec: dockerfile.md H1–H3.

use crate::ast::{Heredoc, Spanned};
use crate::diagnostic::Diagnostic;
use crate::fragment::{Fragment, Json};
use crate::keyword::Keyword;
use crate::line::Lines;

/// `<<EOF` among the arguments of an instruction.
struct Opening<'l> {
    /// The opening as written.
    word: Fragment<'l>,
    /// What the last line of the body is, quotes removed.
    delimiter: String,
    /// Something was quoted in it.
    quoted: bool,
    /// `<<-`: tabs at the start of lines do not count.
    strips_tabs: bool,
}

/// A heredoc that was read, and where among the arguments it was opened.
pub(super) struct Opened<'l> {
    /// The opening as written.
    pub word: Fragment<'l>,
    /// What was read.
    pub heredoc: Heredoc,
}

/// Reads the bodies of the heredocs that the arguments of `keyword` open. The second
/// is whether one of them is never closed, which is reported.
pub(super) fn read<'l>(
    (keyword, arguments): (Keyword, Fragment<'l>),
    lines: &mut Lines<'_>,
    escape: char,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Vec<Opened<'l>>, bool) {
    let mut opened = Vec::new();
    let mut failed = false;
    for opening in openings(keyword, arguments, escape) {
        match opening.body(lines) {
            Some(body) => opened.push(opening.with(body)),
            None => {
                failed = true;
                diagnostics.push(opening.never_closed());
            }
        }
    }
    (opened, failed)
}

impl<'l> Opening<'l> {
    /// Reads up to the line that closes this heredoc; `None` if there is none.
    fn body(&self, lines: &mut Lines<'_>) -> Option<Spanned<String>> {
        let start = lines.position();
        loop {
            let line = lines.next_physical()?;
            if self.stripped(line.text) == self.delimiter {
                let span = start..line.start;
                let written = lines.slice(span.clone());
                let value = match self.strips_tabs {
                    true => written
                        .split_inclusive('\n')
                        .map(|line| self.stripped(line))
                        .collect(),
                    false => written.to_owned(),
                };
                return Some(Spanned { value, span });
            }
        }
    }

    /// `line` without the tabs that do not count (H2).
    fn stripped<'t>(&self, line: &'t str) -> &'t str {
        match self.strips_tabs {
            true => line.trim_start_matches('\t'),
            false => line,
        }
    }

    fn with(self, body: Spanned<String>) -> Opened<'l> {
        let heredoc = Heredoc {
            name: Spanned {
                value: self.delimiter,
                span: self.word.span(),
            },
            quoted: self.quoted,
            strips_tabs: self.strips_tabs,
            body,
        };
        let word = self.word;
        Opened { word, heredoc }
    }

    fn never_closed(&self) -> Diagnostic {
        let message = format!("the heredoc `{}` is never closed", self.delimiter);
        let hint = format!("end it with a line that is exactly `{}`", self.delimiter);
        Diagnostic::error(self.word.span(), message).with_hint(hint)
    }
}

/// The heredocs that the arguments of `keyword` open, in order.
fn openings(keyword: Keyword, arguments: Fragment<'_>, escape: char) -> Vec<Opening<'_>> {
    if keyword == Keyword::Onbuild {
        let (inner, rest) = arguments.split_first();
        return match Keyword::parse(inner.text()) {
            Some(inner) if inner.takes_heredocs() => {
                openings(inner, super::flags::split(rest).1, escape)
            }
            _ => Vec::new(),
        };
    }
    let heredocs_possible = keyword.takes_heredocs() && arguments.text().contains("<<");
    if !heredocs_possible || !matches!(arguments.json(), Json::Not) {
        return Vec::new();
    }
    among(&arguments.shell_words(escape))
}

/// The openings among `words`. A `<<` inside of `((…))` is an arithmetic shift.
fn among<'l>(words: &[Fragment<'l>]) -> Vec<Opening<'l>> {
    let mut found = Vec::new();
    let mut arithmetic = 0_usize;
    for (index, word) in words.iter().enumerate() {
        let next = words.get(index + 1).copied();
        if arithmetic == 0 {
            found.extend(opening(*word, next));
        }
        arithmetic += word.text().matches("((").count();
        arithmetic = arithmetic.saturating_sub(word.text().matches("))").count());
    }
    found
}

/// Reads `[n]<<[-]DELIMITER`, where `next` may be the delimiter.
fn opening<'l>(word: Fragment<'l>, next: Option<Fragment<'l>>) -> Option<Opening<'l>> {
    let after_digits = word.text().trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = after_digits.strip_prefix("<<")?;
    let (strips_tabs, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let (whole, written) = match (rest, next) {
        ("", Some(next)) => (word.until(next), next.text()),
        _ => (word, rest),
    };
    if written.is_empty() || written.contains('<') {
        return None;
    }
    let delimiter = unquoted(written);
    Some(Opening {
        word: whole,
        quoted: delimiter != written,
        delimiter,
        strips_tabs,
    })
}

/// `word` without quotes and escapes, as a shell reads a delimiter.
fn unquoted(word: &str) -> String {
    let mut text = String::new();
    let mut quote = None;
    let mut chars = word.chars();
    while let Some(char) = chars.next() {
        match char {
            _ if quote == Some(char) => quote = None,
            '\\' if quote != Some('\'') => text.extend(chars.next()),
            '\'' | '"' if quote.is_none() => quote = Some(char),
            _ => text.push(char),
        }
    }
    text
}
