//! Errors and diagnostics, for people. The one place that prints them.

use std::{
    error::Error,
    io::{self, Write},
    iter::successors,
};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use rbuild_dockerfile::{Diagnostic, Severity};

/// No more diagnostics than so many are shown: who has them made a machine write the file.
const SHOWN: usize = 100;

/// Writes `error` and its causes, one per line, and what to try.
pub fn failure(error: &(dyn Error + 'static), hint: Option<&str>, out: &mut dyn Write) {
    let _ = writeln!(out, "error: {error}");
    causes(error, out);
    self::hint(hint, out);
}

/// Writes what to try, if that is known.
pub fn hint(hint: Option<&str>, out: &mut dyn Write) {
    if let Some(hint) = hint {
        let _ = writeln!(out, "hint: {hint}");
    }
}

/// Writes `diagnostics` about `source`, which the user knows as `name`, with the lines and carets.
pub fn diagnostics(diagnostics: &[Diagnostic], name: &str, source: &str, out: &mut dyn Write) {
    for diagnostic in diagnostics.iter().take(SHOWN) {
        let _ = writeln!(out, "{}", render(diagnostic, name, source));
    }
    if diagnostics.len() > SHOWN {
        let _ = writeln!(out, "… and {} more", diagnostics.len() - SHOWN);
    }
}

fn render(diagnostic: &Diagnostic, name: &str, source: &str) -> String {
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
        return format!("{word}: {}{}", diagnostic.message, hint.unwrap_or_default());
    }
    let start = diagnostic.span.start.min(source.len());
    let end = diagnostic.span.end.clamp(start, source.len());
    let snippet = Snippet::source(source)
        .path(name)
        .annotation(AnnotationKind::Primary.span(start..end));
    let mut text = Renderer::plain().render(&[level
        .primary_title(diagnostic.message.as_str())
        .element(snippet)]);
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

    #[test]
    fn a_diagnostic_shows_the_line_a_caret_and_a_hint() {
        let source = "FROM a\nCOPY --from=biuld /out /out\n";
        let diagnostic = Diagnostic::error(19..24, "no stage or image named `biuld`")
            .with_hint("did you mean `build`?");
        assert_eq!(
            render(&diagnostic, "Dockerfile", source),
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
