//! `COPY`: its words made into paths, an owner and a mode.
//!
//! Knows: how sources and destinations are written.
//! Does not know: which files exist; wildcards are left for those who see the files.
//!
//! Spec: dockerfile.md 1.10 C1, C2, C17, C20, C21; traps T14, T25, T26.

use rbuild_dockerfile::Diagnostic;
use rbuild_dockerfile::ast::{self, Span, Word};
use rbuild_oci::ImagePath;

use crate::fold::Fold;
use crate::graph::{Copy, Op, Source};
use crate::history::{self, CopyWords};

/// What a source of `COPY` must not start with: it is for `ADD` (C17).
const REMOTE: [&str; 5] = ["http://", "https://", "git://", "ssh://", "git@"];

impl Fold<'_> {
    pub(crate) fn copy(&mut self, copy: &ast::Copy, source: &Source, span: &Span) -> Option<()> {
        // All parts are looked at before the first error ends it.
        let sources = self.expand_all(&copy.sources);
        let destination = self.expand(&copy.destination);
        let chown = self.chown(copy.chown.as_ref());
        let chmod = self.chmod(copy.chmod.as_ref());
        let (sources, destination, chown, chmod) = (sources?, destination?, chown?, chmod?);

        let mut patterns = Vec::new();
        for (text, word) in sources.iter().zip(&copy.sources) {
            patterns.push(self.pattern(text, word)?);
        }
        let path = self.path(&self.cwd(), &destination, &copy.destination)?;
        let created_by = history::copy(&CopyWords {
            chown: chown.as_deref(),
            chmod: chmod.as_ref().map(|(text, _)| text.as_str()),
            sources: &sources,
            destination: &destination,
        });
        let op = Op::Copy(Copy {
            source: source.clone(),
            patterns,
            destination: path,
            destination_is_dir: is_directory(&destination),
            chown,
            chmod: chmod.map(|(_, mode)| mode),
        });
        self.push_step(op, span, created_by);
        Some(())
    }

    /// A source, seen from the root that it is below (C1).
    fn pattern(&mut self, text: &str, word: &Word) -> Option<String> {
        if REMOTE.iter().any(|prefix| text.starts_with(prefix)) {
            let message = format!("`COPY` cannot fetch `{text}`");
            let diagnostic = Diagnostic::error(word.span.clone(), message);
            return self.fail(diagnostic.with_hint("download it in a `RUN` step"));
        }
        let path = self.path(&ImagePath::root(), text, word)?;
        Some(path.relative().to_owned())
    }

    fn path(&mut self, from: &ImagePath, text: &str, word: &Word) -> Option<ImagePath> {
        let path = from.join(text);
        if path.is_none() {
            let message = "a path cannot have a NUL in it";
            return self.fail(Diagnostic::error(word.span.clone(), message));
        }
        path
    }

    /// `Some(None)` if it was not written. Nothing left after expansion is an error:
    /// it would silently mean root (T14).
    fn chown(&mut self, word: Option<&Word>) -> Option<Option<String>> {
        let Some(word) = word else { return Some(None) };
        let text = self.expand(word)?;
        if text.is_empty() {
            let message = format!("`--chown={}` names no owner", word.value);
            return self.fail(Diagnostic::error(word.span.clone(), message));
        }
        Some(Some(text))
    }

    /// The mode as written and as a number; `Some(None)` if it was not written.
    fn chmod(&mut self, word: Option<&Word>) -> Option<Option<(String, u32)>> {
        let Some(word) = word else { return Some(None) };
        let text = self.expand(word)?;
        if let Some(mode) = octal_mode(&text) {
            return Some(Some((text, mode)));
        }
        let message = if looks_symbolic(&text) {
            format!("symbolic mode `{text}` is not supported yet")
        } else {
            format!("`{text}` is not a mode")
        };
        let diagnostic = Diagnostic::error(word.span.clone(), message);
        self.fail(diagnostic.with_hint("modes are octal, from `0` to `07777`"))
    }
}

/// Whether `destination` can only mean a directory (C2).
fn is_directory(destination: &str) -> bool {
    matches!(destination, "" | ".") || destination.ends_with('/') || destination.ends_with("/.")
}

/// `text` as a mode of at most 12 bits.
fn octal_mode(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok().filter(|_| digits)?;
    (mode <= 0o7777).then_some(mode)
}

fn looks_symbolic(text: &str) -> bool {
    text.contains(['+', '-', '=']) && text.bytes().all(|b| b"ugoarwxXst+-=,".contains(&b))
}
