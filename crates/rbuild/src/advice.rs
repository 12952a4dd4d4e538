//! What is said about a Dockerfile that can be built: the findings of checks.
//!
//! Knows: who finds what, and when a finding ends the build.
//! Does not know: how a finding is drawn.

use std::process::ExitCode;

use rbuild_dockerfile::{
    Diagnostic, Dockerfile,
    lint::{applied, fails, lint},
};

use crate::{failure::Failure, report};

/// What the parser (`parsed`), the text's checks and the plan (`planned`) have found, in the
/// order of the file, but for what the file does not want to hear.
pub fn findings(
    file: &Dockerfile,
    text: &str,
    parsed: Vec<Diagnostic>,
    planned: &[Diagnostic],
) -> Vec<Diagnostic> {
    let mut found = applied(file, parsed);
    found.extend(lint(file, text));
    found.extend_from_slice(planned);
    found.sort_by_key(|finding| finding.span.start);
    found
}

/// # Errors
/// When the file says that findings make the build fail.
pub fn tolerate(file: &Dockerfile, found: &[Diagnostic]) -> Result<(), Failure> {
    if fails(file, found) {
        return Err(
            Failure::message("the Dockerfile does not pass its own checks").with_hint(
                "it says `# check=error=true`; fix what is above, or skip checks by name",
            ),
        );
    }
    Ok(())
}

/// What `--check` ends with: 0 when nothing was found, else 1, as docker's.
pub fn verdict(found: &[Diagnostic]) -> ExitCode {
    if found.is_empty() {
        report::note("check complete, no warnings found");
        return ExitCode::SUCCESS;
    }
    report::note(&format!(
        "check complete, warnings: {}; each check has a page in docs/checks",
        found.len()
    ));
    ExitCode::FAILURE
}
