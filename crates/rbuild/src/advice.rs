//! What is said about a Dockerfile that can be built: the findings of checks.
//!
//! Knows: who finds what, and when a finding ends the build.
//! Does not know: how a finding is drawn.

use std::{collections::BTreeMap, io, process::ExitCode};

use rbuild_dockerfile::{
    Diagnostic, Dockerfile, Severity,
    lint::{applied, fails, lint},
    parse_checks,
};

use crate::{failure::Failure, report, source::Source};

/// The build argument that replaces what the file says about checks (D5).
const CHECKS: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// Makes `file` want the checks that `build_args` ask for.
///
/// # Errors
/// If what they say is not understood.
pub fn obey(file: &mut Dockerfile, build_args: &BTreeMap<String, String>) -> Result<(), Failure> {
    if let Some(value) = build_args.get(CHECKS) {
        file.checks = parse_checks(value).map_err(|problem| {
            Failure::message(format!("cannot use build argument `{CHECKS}`: {problem}"))
        })?;
    }
    Ok(())
}

/// Reports what the parser has found if there is an error among it.
///
/// # Errors
/// If there is.
pub fn refuse(file: &Dockerfile, parsed: &[Diagnostic], source: &Source) -> Result<(), Failure> {
    if parsed.iter().all(|it| it.severity == Severity::Warning) {
        return Ok(());
    }
    let found = applied(file, parsed.to_vec());
    report::diagnostics(&found, source, &mut io::stderr().lock());
    Err(Failure::said(1))
}

/// What the parser (`parsed`), the text's checks and others (`planned`) have found, in the order
/// of the file, each once, but for what the file does not want to hear.
pub fn findings(
    file: &Dockerfile,
    text: &str,
    parsed: Vec<Diagnostic>,
    planned: Vec<Diagnostic>,
) -> Vec<Diagnostic> {
    let mut found = parsed;
    found.extend(planned);
    let mut found = applied(file, found);
    found.extend(lint(file, text));
    found.sort_by_key(|finding| finding.span.start);
    found.dedup();
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

/// What a check ends with: 0 when nothing was found, else 1, as docker's.
pub fn verdict(found: &[Diagnostic]) -> ExitCode {
    match found {
        [] => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Says in a line how many there are.
pub fn summary(found: &[Diagnostic]) {
    let errors = found.iter().filter(|it| it.severity == Severity::Error);
    let line = match (errors.count(), found.len()) {
        (0, 0) => "check complete, no warnings found".to_owned(),
        (0, count) => {
            format!("check complete, warnings: {count}; each check has a page in docs/checks")
        }
        (errors, count) => format!(
            "check complete, errors: {errors}, warnings: {}; each check has a page in docs/checks",
            count - errors
        ),
    };
    report::note(&line);
}
