//! What the language has and plans do not have yet.
//!
//! Knows: which parts of the tree no other file of this crate looks at.
//!
//! Invariant: what is not obeyed is refused. A part that becomes supported leaves here.

use rbuild_dockerfile::Diagnostic;
use rbuild_dockerfile::ast::{Copy, Heredoc, Instruction, Kind, Run, Span, Stage};

/// Why `FROM` of `stage` cannot be planned, if it cannot.
pub(crate) fn in_from(stage: &Stage) -> Vec<Diagnostic> {
    let after = stage.after.iter();
    after
        .map(|stage| refusal(&stage.span, "FROM --after"))
        .collect()
}

/// Why `instruction` cannot be planned; empty if it can.
pub(crate) fn in_instruction(instruction: &Instruction) -> Vec<Diagnostic> {
    let whole = |name| vec![refusal(&instruction.span, name)];
    match &instruction.kind {
        Kind::Run(run) => in_run(run),
        Kind::Copy(copy) => in_copy(copy),
        Kind::Add(_) => whole("ADD"),
        Kind::Healthcheck(_) => whole("HEALTHCHECK"),
        Kind::Maintainer(_) => whole("MAINTAINER"),
        Kind::Onbuild(_) => whole("ONBUILD"),
        _ => Vec::new(),
    }
}

fn in_run(run: &Run) -> Vec<Diagnostic> {
    let mounts = run.mounts.iter().map(|mount| (&mount.span, "RUN --mount"));
    let network = run.network.iter().map(|it| (&it.span, "RUN --network"));
    let security = run.security.iter().map(|it| (&it.span, "RUN --security"));
    let devices = run.devices.iter().map(|it| (&it.span, "RUN --device"));
    let heredocs = heredocs("RUN <<", run.form.heredocs());
    let all = mounts.chain(network).chain(security).chain(devices);
    all.chain(heredocs)
        .map(|(span, what)| refusal(span, what))
        .collect()
}

fn in_copy(copy: &Copy) -> Vec<Diagnostic> {
    let link = copy.link.iter().map(|it| (&it.span, "COPY --link"));
    let parents = copy.parents.iter().map(|it| (&it.span, "COPY --parents"));
    let exclude = copy.exclude.iter().map(|it| (&it.span, "COPY --exclude"));
    let heredocs = heredocs("COPY <<", &copy.heredocs);
    let all = link.chain(parents).chain(exclude);
    all.chain(heredocs)
        .map(|(span, what)| refusal(span, what))
        .collect()
}

fn heredocs<'a>(
    what: &'static str,
    heredocs: &'a [Heredoc],
) -> impl Iterator<Item = (&'a Span, &'static str)> {
    heredocs
        .iter()
        .map(move |heredoc| (&heredoc.name.span, what))
}

fn refusal(span: &Span, what: &str) -> Diagnostic {
    let message = format!("`{what}` is not supported yet by this version of rbuild");
    Diagnostic::error(span.clone(), message)
}
