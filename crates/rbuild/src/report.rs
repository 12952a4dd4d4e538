//! Errors and diagnostics, for people. The one place that prints them.

use std::{
    error::Error,
    io::{self, Write},
    iter::successors,
};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use rbuild_dockerfile::{Diagnostic, Severity};
use rbuild_engine::Notice;

use crate::{source::Source, template::size};

/// No more diagnostics than so many are shown: who has them made a machine write the file.
const SHOWN: usize = 100;

/// Writes `error` and its causes, one per line, and what to try.
pub fn failure(error: &(dyn Error + 'static), hint: Option<&str>, out: &mut dyn Write) {
    let _ = writeln!(out, "error: {error}");
    causes(error, out);
    self::hint(hint, out);
}

/// `error` and its causes in one line.
pub fn one_line(error: &(dyn Error + 'static)) -> String {
    let chain = successors(Some(error), |&error| error.source());
    let texts: Vec<String> = chain.map(ToString::to_string).collect();
    texts.join(": ")
}

/// Writes what to try, if that is known.
pub fn hint(hint: Option<&str>, out: &mut dyn Write) {
    if let Some(hint) = hint {
        let _ = writeln!(out, "hint: {hint}");
    }
}

/// Writes `diagnostics` about `source`, with the lines and carets.
pub fn diagnostics(diagnostics: &[Diagnostic], source: &Source, out: &mut dyn Write) {
    for diagnostic in diagnostics.iter().take(SHOWN) {
        let _ = writeln!(out, "{}", render(diagnostic, source));
    }
    if diagnostics.len() > SHOWN {
        let _ = writeln!(out, "… and {} more", diagnostics.len() - SHOWN);
    }
}

fn render(diagnostic: &Diagnostic, source: &Source) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    if diagnostic.span == (0..0) {
        // About the command line, or the file as a whole.
        let word = if diagnostic.severity == Severity::Error {
            "error"
        } else {
            "warning"
        };
        let hint = diagnostic
            .hint
            .as_ref()
            .map(|hint| format!("\nhint: {hint}"));
        let rule = diagnostic.rule.map(|name| format!("[{name}]"));
        return format!(
            "{word}{}: {}{}",
            rule.unwrap_or_default(),
            diagnostic.message,
            hint.unwrap_or_default()
        );
    }
    let place = source.place(&diagnostic.span);
    let snippet = Snippet::source(place.text)
        .path(place.name)
        .annotation(AnnotationKind::Primary.span(place.span));
    let title = level.primary_title(diagnostic.message.as_str());
    let title = match diagnostic.rule {
        Some(name) => title.id(name),
        None => title,
    };
    let mut text = Renderer::plain().render(&[title.element(snippet)]);
    if let Some(hint) = &diagnostic.hint {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    text
}

/// Writes what made `error` happen, one cause a line.
pub fn causes(error: &(dyn Error + 'static), out: &mut dyn Write) {
    for cause in successors(error.source(), |&cause| cause.source()) {
        let _ = writeln!(out, "  caused by: {cause}");
    }
}

/// Tells something that is neither a result nor an error.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// How much is told besides results, warnings and errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// What goes on.
    Usual,
    /// Nothing.
    Quiet,
}

impl Verbosity {
    /// What `--quiet` says.
    pub fn of(quiet: bool) -> Self {
        match quiet {
            true => Self::Quiet,
            false => Self::Usual,
        }
    }

    /// Tells what goes on, if that is told.
    pub fn progress(self, line: &str) {
        if self == Self::Usual {
            note(line);
        }
    }
}

/// Tells where an image comes from, or warns why it does not.
pub fn notice(notice: Notice<'_>, verbosity: Verbosity) {
    match notice {
        Notice::Fetching(place) => verbosity.progress(&format!("pulling {place}")),
        Notice::Fetched(tally) => {
            let (fetched, kept) = (tally.fetched(), tally.kept());
            verbosity.progress(&format!(
                "fetched {} of {}: the store has the rest in other layers",
                size(fetched),
                size(fetched + kept)
            ));
        }
        Notice::Kept { name, why } => {
            // That there is none in the store is not what is wrong here.
            let why = one_line(why.source().unwrap_or(why));
            note(&format!(
                "warning: `{name}` is taken from the store, as what is newer cannot be had: {why}"
            ));
        }
    }
}

/// Writes a line to standard output.
///
/// # Errors
/// `BrokenPipe` when nobody reads it any more.
pub fn print(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

#[cfg(test)]
mod tests {
    use rbuild_dockerfile::Diagnostic;

    use super::render;
    use crate::source::{Part, Source};

    fn dockerfile(text: &str) -> Source {
        Source::of(Part {
            name: "Dockerfile".to_owned(),
            path: None,
            text: text.to_owned(),
        })
    }

    #[test]
    fn the_finding_of_a_check_has_its_name() {
        let source = dockerfile("FROM a AS B\n");
        let finding = Diagnostic::warning(10..11, "capitals").of_rule("StageNameCasing");
        assert!(render(&finding, &source).starts_with("warning[StageNameCasing]: capitals\n"));
        let finding = Diagnostic::warning(0..0, "not taken").of_rule("UnusedBuildArg");
        assert_eq!(
            render(&finding, &source),
            "warning[UnusedBuildArg]: not taken"
        );
    }

    #[test]
    fn a_diagnostic_shows_the_line_a_caret_and_a_hint() {
        let source = dockerfile("FROM a\nCOPY --from=biuld /out /out\n");
        let diagnostic = Diagnostic::error(19..24, "no stage or image named `biuld`")
            .with_hint("did you mean `build`?");
        assert_eq!(
            render(&diagnostic, &source),
            "\
error: no stage or image named `biuld`
 --> Dockerfile:2:13
  |
2 | COPY --from=biuld /out /out
  |             ^^^^^
hint: did you mean `build`?"
        );
    }
}
