//! The text of a Dockerfile, and which file each part of it is from.
//!
//! Knows: how several files become one text (P2). Does not know: where files come from.
//!
//! Invariant: a byte of the text is at its place of the part that it comes from, so that a span
//! can be shown as a line of that file.

use std::path::PathBuf;

use rbuild_dockerfile::{ast::Span, parse};

use crate::failure::Failure;

/// What is to be built, as text.
#[derive(Debug)]
pub struct Source {
    /// All parts, one after the other: spans count in it.
    pub text: String,
    /// Where the first part is on this machine; `None` if it comes from elsewhere.
    pub path: Option<PathBuf>,
    parts: Vec<Start>,
}

/// One file.
#[derive(Debug)]
pub struct Part {
    /// What the user calls it, for messages.
    pub name: String,
    /// Where it is on this machine; `None` if it comes from elsewhere.
    pub path: Option<PathBuf>,
    /// All of it.
    pub text: String,
}

#[derive(Debug)]
struct Start {
    name: String,
    at: usize,
}

/// A place in one file.
#[derive(Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Which of the files it is, from 0.
    pub index: usize,
    /// What the user calls the file.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
    /// Where in it.
    pub span: Span,
}

impl Source {
    /// The text of one file.
    pub fn of(part: Part) -> Self {
        Self {
            text: part.text,
            path: part.path,
            parts: vec![Start {
                name: part.name,
                at: 0,
            }],
        }
    }

    /// The text of `first` and of what continues it. An instruction ends with its file.
    ///
    /// # Errors
    /// When a later file has another escape character: directives are for the whole text.
    pub fn joined(first: Part, others: Vec<Part>) -> Result<Self, Failure> {
        let mut whole = Self::of(first);
        if others.is_empty() {
            return Ok(whole);
        }
        let escape = parse(&whole.text).0.escape;
        for part in others {
            if parse(&part.text).0.escape != escape {
                return Err(Failure::message(format!(
                    "`{}` has another escape character than `{}`",
                    part.name, whole.parts[0].name
                ))
                .with_hint("all files of one build need the same `# escape=`"));
            }
            whole.end_line(escape);
            whole.parts.push(Start {
                name: part.name,
                at: whole.text.len(),
            });
            whole
                .text
                .push_str(part.text.trim_start_matches('\u{feff}'));
        }
        Ok(whole)
    }

    /// Lets nothing that follows belong to the last instruction.
    fn end_line(&mut self, escape: char) {
        let end = self.text.trim_end().len();
        if self.text[..end].ends_with(escape) {
            // The same number of bytes: places stay what they are.
            self.text.replace_range(end - escape.len_utf8()..end, " ");
        }
        if !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// What the user calls the files, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| part.name.as_str())
    }

    /// Where `span` is.
    pub fn place(&self, span: &Span) -> Place<'_> {
        let next = self.parts.partition_point(|part| part.at <= span.start);
        let index = next.saturating_sub(1);
        let part = &self.parts[index];
        let end = self.parts.get(next).map_or(self.text.len(), |it| it.at);
        let text = &self.text[part.at..end];
        let start = (span.start - part.at).min(text.len());
        Place {
            index,
            name: &part.name,
            text,
            span: start..span.end.saturating_sub(part.at).clamp(start, text.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rbuild_dockerfile::{ast::Span, parse};

    use super::{Part, Source};

    fn joined(texts: &[&str]) -> Source {
        let part = |(name, text): (char, &&str)| Part {
            name: name.to_string(),
            path: None,
            text: (*text).to_owned(),
        };
        let mut parts = ('a'..).zip(texts).map(part);
        let first = parts.next().unwrap();
        Source::joined(first, parts.collect()).unwrap()
    }

    /// `span` as `file:line "text"`.
    fn shown(source: &Source, span: &Span) -> String {
        let place = source.place(span);
        let line = 1 + place.text[..place.span.start].matches('\n').count();
        format!("{}:{line} {:?}", place.name, &place.text[place.span])
    }

    #[test]
    fn p2_places_are_those_of_the_file_that_they_are_in() {
        let source = joined(&["FROM a\nRUN x", "\u{feff}RUN y\nBAD z\n", "# c\nRUN 3"]);
        let place = |text: &str| {
            let at = source.text.find(text).unwrap();
            shown(&source, &(at..at + text.len()))
        };
        assert_eq!(place("RUN x"), "a:2 \"RUN x\"");
        assert_eq!(place("RUN y"), "b:1 \"RUN y\"");
        assert_eq!(place("BAD"), "b:2 \"BAD\"");
        assert_eq!(place("RUN 3"), "c:2 \"RUN 3\"");
        let end = source.text.len();
        assert_eq!(shown(&source, &(end..end)), "c:2 \"\"");
        assert_eq!(shown(&source, &(0..0)), "a:1 \"\"");
    }

    #[test]
    fn p2_an_instruction_ends_with_its_file() {
        for first in [
            "FROM a\nRUN x \\",
            "FROM a\nRUN x \\\n",
            "FROM a\nRUN x \\  \n\n",
        ] {
            let source = joined(&[first, "RUN y\n"]);
            let (file, diagnostics) = parse(&source.text);
            assert!(diagnostics.is_empty(), "{diagnostics:?}");
            assert_eq!(file.stages[0].instructions.len(), 2, "{first:?}");
        }
    }

    #[test]
    fn d3_files_must_agree_on_the_escape_character() {
        let part = |text: &str| Part {
            name: "f".to_owned(),
            path: None,
            text: text.to_owned(),
        };
        let other = vec![part("# escape=`\nRUN x\n")];
        assert!(Source::joined(part("FROM a\n"), other).is_err());
    }
}
