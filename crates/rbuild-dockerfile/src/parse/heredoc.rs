//! Finds heredocs and reads over their bodies, so that a body is never taken for
//! instructions.
//!
//! Spec: dockerfile.md H1, H2.

use crate::fragment::{Fragment, Json};
use crate::keyword::Keyword;
use crate::line::Lines;

/// `<<EOF` among the arguments of an instruction.
pub(super) struct Opening<'l> {
    /// The opening as written.
    pub word: Fragment<'l>,
    /// What the last line of the body is, quotes removed.
    pub delimiter: String,
    /// `<<-`: tabs before the delimiter do not count.
    strips_tabs: bool,
}

impl Opening<'_> {
    /// Reads up to the line that closes this heredoc; false if there is none.
    pub(super) fn skip_body(&self, lines: &mut Lines<'_>) -> bool {
        while let Some(line) = lines.next_physical() {
            let text = match self.strips_tabs {
                true => line.text.trim_start_matches('\t'),
                false => line.text,
            };
            if text == self.delimiter {
                return true;
            }
        }
        false
    }
}

/// The heredocs that the arguments of `keyword` open, in order.
pub(super) fn openings(
    keyword: Keyword,
    arguments: Fragment<'_>,
    escape: char,
) -> Vec<Opening<'_>> {
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
    among(&arguments.quoted_words(escape))
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
    let (whole, quoted) = match (rest, next) {
        ("", Some(next)) => (word.until(next), next.text()),
        _ => (word, rest),
    };
    if quoted.is_empty() || quoted.contains('<') {
        return None;
    }
    Some(Opening {
        word: whole,
        delimiter: quoted.replace(['"', '\''], ""),
        strips_tabs,
    })
}
