//! What the language has and plans do not have yet.
//!
//! Knows: which parts of the tree no other file of this crate looks at.
//!
//! Invariant: what is not obeyed is refused. A part that becomes supported leaves here.

use rbuild_dockerfile::Diagnostic;
use rbuild_dockerfile::ast::{Instruction, Kind, Run, Security, Span};

/// Why `instruction` cannot be planned; empty if it can.
pub(crate) fn in_instruction(instruction: &Instruction) -> Vec<Diagnostic> {
    match &instruction.kind {
        Kind::Run(run) => in_run(run),
        _ => Vec::new(),
    }
}

fn in_run(run: &Run) -> Vec<Diagnostic> {
    let security = run
        .security
        .iter()
        .filter(|it| it.value == Security::Insecure);
    let security = security.map(|it| (&it.span, "RUN --security=insecure"));
    let devices = run.devices.iter().map(|it| (&it.span, "RUN --device"));
    security
        .chain(devices)
        .map(|(span, what)| refusal(span, what))
        .collect()
}

fn refusal(span: &Span, what: &str) -> Diagnostic {
    let message = format!("`{what}` is not supported yet by this version of rbuild");
    Diagnostic::error(span.clone(), message)
}
