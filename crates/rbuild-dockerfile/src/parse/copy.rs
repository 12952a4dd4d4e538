//! `COPY [--from=F] [--chown=O] [--chmod=M] source… destination`.
//!
//! Spec: dockerfile.md C1, C23, P14.

use super::Statement;
use super::words::json_or_plain;
use crate::ast::Copy;
use crate::diagnostic::Diagnostic;

/// Reads a `COPY`; `None` after reporting.
pub(super) fn copy(
    mut statement: Statement<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Copy> {
    let mut sources = json_or_plain(&statement, diagnostics)?;
    let destination = sources.pop();
    let Some(destination) = destination.filter(|_| !sources.is_empty()) else {
        let message = "`COPY` needs at least one source and a destination";
        let span = statement.arguments.span();
        let hint = "write `COPY source… destination`";
        diagnostics.push(Diagnostic::error(span, message).with_hint(hint));
        return None;
    };
    Some(Copy {
        from: statement.flags.take("from"),
        chown: statement.flags.take("chown"),
        chmod: statement.flags.take("chmod"),
        link: None,
        parents: None,
        exclude: Vec::new(),
        sources,
        heredocs: Vec::new(),
        destination,
    })
}
