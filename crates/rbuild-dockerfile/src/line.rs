//! Physical lines → logical lines: comments dropped, continuations joined.
//!
//! Knows: the escape character, and where each joined byte came from.
//! Does not know: instructions.
//!
//! Invariant: every byte of [`Line::text`] maps to exactly one byte of the source.
//!
//! Spec: dockerfile.md P3, P6–P10.

use crate::ast::{Span, Spanned};

/// Most bytes of one line after its continuations are joined (sandbox.md, "Limits").
pub(crate) const MAX_LINE: usize = 1 << 20;

/// The byte order mark, which may precede the first line (P3).
pub(crate) const BYTE_ORDER_MARK: char = '\u{feff}';

/// One instruction's text, continuations removed.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// The joined text; at most [`MAX_LINE`] bytes.
    pub text: String,
    /// Whether there was more than that; the rest was read and dropped.
    pub too_long: bool,
    /// The first blank line among the continuations (P9).
    pub blank: Option<Span>,
    /// The comments directly above it, without `#` and the white space around.
    pub comments: Vec<Spanned<String>>,
    segments: Vec<Segment>,
}

/// A run of bytes that was written in one piece.
#[derive(Debug)]
struct Segment {
    /// Offset of its first byte in the joined text.
    joined: usize,
    /// Offset of the same byte in the source.
    source: usize,
}

impl Line {
    /// A line that is `text`, written in one piece.
    pub(crate) fn verbatim(text: &str) -> Self {
        let mut line = Self::default();
        line.push(text, 0);
        line
    }

    /// Where the bytes `range` of the text were written.
    pub(crate) fn span(&self, range: Span) -> Span {
        let start = self.source_of(range.start);
        match range.end.checked_sub(1) {
            Some(last) if last >= range.start => start..self.source_of(last) + 1,
            _ => start..start,
        }
    }

    fn source_of(&self, offset: usize) -> usize {
        let after = self
            .segments
            .partition_point(|segment| segment.joined <= offset);
        match after.checked_sub(1).map(|index| &self.segments[index]) {
            Some(segment) => segment.source + (offset - segment.joined),
            None => 0,
        }
    }

    /// Appends `text`, which was written at `source`, unless that is too much.
    fn push(&mut self, text: &str, source: usize) {
        let fits = self.text.len() + text.len() <= MAX_LINE;
        if text.is_empty() {
            return;
        }
        if fits || self.segments.is_empty() {
            let joined = self.text.len();
            self.segments.push(Segment { joined, source });
        }
        if fits {
            self.text.push_str(text);
        } else {
            self.too_long = true;
        }
    }
}

/// One line as it stands in the file, without its line end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Physical<'s> {
    /// Its text.
    pub text: &'s str,
    /// Offset of its first byte.
    pub start: usize,
}

impl Physical<'_> {
    fn is_comment(self) -> bool {
        self.text.trim_start().starts_with('#')
    }

    /// What a comment says.
    fn comment(self) -> Spanned<String> {
        let after = self.text.trim_start().trim_start_matches('#');
        let value = after.trim().to_owned();
        let start = self.start + self.text.len() - after.trim_start().len();
        let span = start..start + value.len();
        Spanned { value, span }
    }

    fn is_blank(self) -> bool {
        self.text.trim_start().is_empty()
    }
}

/// Reads lines from the start of a file to its end.
#[derive(Debug)]
pub(crate) struct Lines<'s> {
    source: &'s str,
    position: usize,
    escape: char,
}

impl<'s> Lines<'s> {
    /// A reader at the start of `source`, after a byte order mark.
    pub(crate) fn new(source: &'s str, escape: char) -> Self {
        let position = match source.starts_with(BYTE_ORDER_MARK) {
            true => BYTE_ORDER_MARK.len_utf8(),
            false => 0,
        };
        Self {
            source,
            position,
            escape,
        }
    }

    /// The next line of the file, whatever it is; `None` at the end.
    pub(crate) fn next_physical(&mut self) -> Option<Physical<'s>> {
        let rest = &self.source[self.position..];
        if rest.is_empty() {
            return None;
        }
        let start = self.position;
        let length = rest.find('\n').unwrap_or(rest.len());
        self.position = self.source.len().min(start + length + 1);
        Some(Physical {
            text: rest[..length].trim_end_matches('\r'),
            start,
        })
    }

    /// The size of the source, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.source.len()
    }

    /// Where the next line starts.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Bytes `range` of the source.
    pub(crate) fn slice(&self, range: Span) -> &'s str {
        &self.source[range]
    }

    /// The next instruction's line; `None` at the end.
    pub(crate) fn next_logical(&mut self) -> Option<Line> {
        let mut comments = Vec::new();
        loop {
            let first = self.next_physical()?;
            if first.is_comment() {
                comments.push(first.comment());
                continue;
            }
            if !first.is_blank() {
                let mut line = self.join(first);
                if line.too_long || !line.text.trim().is_empty() {
                    line.comments = comments;
                    return Some(line);
                }
            }
            comments.clear();
        }
    }

    /// Joins `first` and its continuations. Comments among them are dropped (P7),
    /// white space at their start is kept (P9).
    fn join(&mut self, first: Physical<'s>) -> Line {
        let mut line = Line::default();
        let text = first.text.trim_start();
        let (text, mut continues) = strip_continuation(text, self.escape);
        let indent = first.text.len() - first.text.trim_start().len();
        line.push(text, first.start + indent);
        while continues {
            let Some(next) = self.next_physical() else {
                break;
            };
            if next.is_comment() {
                continue;
            }
            if next.is_blank() {
                line.blank
                    .get_or_insert(next.start..next.start + next.text.len());
                continue;
            }
            let text;
            (text, continues) = strip_continuation(next.text, self.escape);
            line.push(text, next.start);
        }
        line
    }
}

/// Takes the continuation off the end of `text`, if there is one: exactly one
/// escape character, then spaces and tabs only (P8).
pub(crate) fn strip_continuation(text: &str, escape: char) -> (&str, bool) {
    match text.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(before) if !before.ends_with(escape) => (before, true),
        _ => (text, false),
    }
}
