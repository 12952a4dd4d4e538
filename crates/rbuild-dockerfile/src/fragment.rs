//! A part of a logical line that still knows where it was written.
//!
//! Knows: white space, quotes, escapes, JSON arrays. Does not know: instructions.
//!
//! Spec: dockerfile.md P11, P14, P17.

use crate::ast::{Span, Spanned, Word};
use crate::line::Line;

/// White space between arguments; Unicode spaces do not count (P11).
pub(crate) const SPACES: [char; 5] = ['\t', '\u{b}', '\u{c}', '\r', ' '];

/// Bytes `start..end` of a logical line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment<'l> {
    line: &'l Line,
    start: usize,
    end: usize,
}

/// What an argument text that may be a JSON array turned out to be (P14).
#[derive(Debug)]
pub(crate) enum Json {
    /// A valid array of strings.
    Strings(Vec<Word>),
    /// A valid array with something else in it.
    Mixed,
    /// Not a JSON array; the text stands for itself.
    Not,
}

impl<'l> Fragment<'l> {
    /// The whole of `line`.
    pub(crate) fn whole(line: &'l Line) -> Self {
        Self {
            line,
            start: 0,
            end: line.text.len(),
        }
    }

    /// The text.
    pub(crate) fn text(self) -> &'l str {
        &self.line.text[self.start..self.end]
    }

    /// Where it was written.
    pub(crate) fn span(self) -> Span {
        self.line.span(self.start..self.end)
    }

    /// Its text and place, unexpanded.
    pub(crate) fn word(self) -> Word {
        Spanned {
            value: self.text().to_owned(),
            span: self.span(),
        }
    }

    /// Bytes `range` of this fragment.
    pub(crate) fn slice(self, range: Span) -> Self {
        Self {
            line: self.line,
            start: self.start + range.start,
            end: self.start + range.end,
        }
    }

    /// From byte `start` on.
    pub(crate) fn from(self, start: usize) -> Self {
        self.slice(start..self.text().len())
    }

    /// From here to the end of `last`, which comes later in the same line.
    pub(crate) fn until(self, last: Self) -> Self {
        Self {
            end: last.end,
            ..self
        }
    }

    /// Whether `other`, of the same line, is inside of this one.
    pub(crate) fn covers(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Whether this ends before `other`, of the same line, starts.
    pub(crate) fn precedes(self, other: Self) -> bool {
        self.end <= other.start
    }

    /// Without white space at both ends.
    pub(crate) fn trim(self) -> Self {
        let text = self.text();
        let start = text.len() - text.trim_start().len();
        self.slice(start..start + text.trim().len())
    }

    /// The first word and what follows it, white space removed.
    pub(crate) fn split_first(self) -> (Self, Self) {
        let end = self.text().find(SPACES).unwrap_or(self.text().len());
        (self.slice(0..end), self.from(end).trim())
    }

    /// The part before the first `=` and the part after it.
    pub(crate) fn split_equals(self) -> Option<(Self, Self)> {
        let at = self.text().find('=')?;
        Some((self.slice(0..at), self.from(at + 1)))
    }

    /// Words between white space; quotes mean nothing.
    pub(crate) fn plain_words(self) -> Vec<Self> {
        let mut words = Vec::new();
        let mut start = 0;
        for part in self.text().split(SPACES) {
            if !part.is_empty() {
                words.push(self.slice(start..start + part.len()));
            }
            start += part.len() + 1;
        }
        words
    }

    /// Words between white space outside of quotes. Quotes and escapes stay (P17).
    pub(crate) fn quoted_words(self, escape: char) -> Vec<Self> {
        self.split_quoted(escape, char::is_whitespace)
    }

    /// As a shell splits words: Unicode spaces do not count.
    pub(crate) fn shell_words(self, escape: char) -> Vec<Self> {
        self.split_quoted(escape, |char| SPACES.contains(&char))
    }

    fn split_quoted(self, escape: char, is_space: fn(char) -> bool) -> Vec<Self> {
        let mut words = Vec::new();
        let mut start = None;
        let mut quote = None;
        let mut chars = self.text().char_indices();
        while let Some((at, char)) = chars.next() {
            if quote.is_none() && is_space(char) {
                words.extend(start.take().map(|start| self.slice(start..at)));
                continue;
            }
            start.get_or_insert(at);
            if char == escape && quote != Some('\'') {
                chars.next();
            } else if quote == Some(char) {
                quote = None;
            } else if quote.is_none() && matches!(char, '\'' | '"') {
                quote = Some(char);
            }
        }
        words.extend(start.map(|start| self.from(start)));
        words
    }

    /// The JSON array that the text is, if it is one.
    pub(crate) fn json(self) -> Json {
        if !self.text().starts_with('[') {
            return Json::Not;
        }
        let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(self.text()) else {
            return Json::Not;
        };
        let places = string_literals(self.text());
        let words: Option<Vec<Word>> = values
            .into_iter()
            .zip(places.into_iter().chain(std::iter::repeat(0..0)))
            .map(|(value, place)| match value {
                serde_json::Value::String(value) => Some(Spanned {
                    value,
                    span: self.slice(place).span(),
                }),
                _ => None,
            })
            .collect();
        words.map_or(Json::Mixed, Json::Strings)
    }
}

/// Places of the string literals in `json`, which is valid JSON; quotes included.
fn string_literals(json: &str) -> Vec<Span> {
    let mut places = Vec::new();
    let mut start = None;
    let mut bytes = json.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match (byte, start) {
            (b'\\', Some(_)) => drop(bytes.next()),
            (b'"', Some(from)) => {
                places.push(from..at + 1);
                start = None;
            }
            (b'"', None) => start = Some(at),
            _ => {}
        }
    }
    places
}
