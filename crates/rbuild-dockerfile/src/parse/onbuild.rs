//! `ONBUILD instruction`.
//!
//! Spec: dockerfile.md O1.

use super::{Statement, flags, kind, unknown_instruction};
use crate::ast::{Checks, Heredoc, Instruction, Onbuild, Span, Spanned, with_bodies};
use crate::diagnostic::Diagnostic;
use crate::keyword::Keyword;

/// Reads the instruction after `ONBUILD`; `None` after reporting.
pub(super) fn onbuild(
    statement: Statement<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Onbuild> {
    let all = statement.arguments;
    let (name, rest) = all.split_first();
    let Some(keyword) = Keyword::parse(name.text()) else {
        diagnostics.push(unknown_instruction(name.text(), name.span()));
        return None;
    };
    if matches!(
        keyword,
        Keyword::Onbuild | Keyword::From | Keyword::Maintainer
    ) {
        diagnostics.push(not_allowed(keyword.name(), name.span()));
        return None;
    }
    let bodies: Vec<Heredoc> = statement
        .heredocs
        .iter()
        .map(|it| it.heredoc.clone())
        .collect();
    let (flags, arguments) = flags::split(rest);
    let (flags, refused) = flags::accept(keyword, flags, diagnostics);
    let inner = Statement {
        keyword,
        name: name.span(),
        flags,
        arguments,
        comments: &[],
        ..statement
    };
    let kind = kind(inner, diagnostics).filter(|_| !refused)?;
    Some(Onbuild {
        text: Spanned {
            value: with_bodies(all.text(), &bodies),
            span: all.span(),
        },
        instruction: Box::new(Instruction {
            span: all.span(),
            checks: Checks::default(),
            kind,
        }),
    })
}

/// The refusal of instruction `name` after `ONBUILD`.
pub(super) fn not_allowed(name: &str, span: Span) -> Diagnostic {
    Diagnostic::error(span, format!("`ONBUILD {name}` is not allowed"))
}
