//! What is said of a step that failed, at its line of the Dockerfile.
//!
//! Knows: which status a build ends with. Does not know: why steps fail.

use std::io;

use rbuild_dockerfile::{Diagnostic, ast::Span};
use rbuild_engine::Error as BuildError;
use rbuild_plan::{Plan, Reason, Step};

use crate::{
    failure::{Failure, hint},
    progress::Progress,
    report, signals,
    source::Source,
};

/// Exit status when `--require-cached` is not met.
const UNCACHED: u8 = 3;

/// A failing step is shown at its line of the Dockerfile.
pub fn explain(error: BuildError, plan: &Plan, source: &Source, progress: &Progress) -> Failure {
    if let Some(status) = signals::status() {
        return Failure::message("interrupted").with_status(status);
    }
    let (step, reason) = match error {
        BuildError::Step { step, source } => (step, source),
        BuildError::Uncached { step, why } => return uncached(plan.step(step), &why, source),
        other => return other.into(),
    };
    progress.show_kept(step);
    let span: Span = plan.step(step).span.clone();
    let mut out = io::stderr().lock();
    report::diagnostics(
        &[Diagnostic::error(span, reason.to_string())],
        source,
        &mut out,
    );
    report::causes(reason.as_ref(), &mut out);
    report::hint(hint(reason.as_ref()).as_deref(), &mut out);
    Failure::said(1)
}

/// A step that would have to be executed is shown at its line.
fn uncached(step: &Step, why: &Reason, source: &Source) -> Failure {
    let message = format!("this step is not cached: {why}");
    let diagnostic = Diagnostic::error(step.span.clone(), message);
    report::diagnostics(&[diagnostic], source, &mut io::stderr().lock());
    Failure::said(UNCACHED)
}
