//! What is allowed, but better not done: the checks that need only the text.
//!
//! Knows: which findings the file wants to hear of.
//! Does not know: variables' values, images, the build context; what needs those is
//! found by the plan and the engine, and goes through [`applied`] as well.
//!
//! Two checks are found while parsing, for only the parser sees them:
//! `NoEmptyContinuation` and `LegacyKeyValueFormat`. They go through [`applied`] too: who
//! wants other checks than the file says (`BUILDKIT_DOCKERFILE_CHECK`, D5) changes
//! [`Dockerfile::checks`] before.
//!
//! Spec: dockerfile.md 1.18, D5.

mod casing;
mod command;
mod port;
pub mod rules;
mod secret;
mod stage;

use crate::ast::{Checks, Dockerfile};
use crate::diagnostic::Diagnostic;
pub use port::check_port;
pub use rules::{RULES, Rule, rule};
pub use secret::may_name_secret;

/// The findings in `file`, which was parsed from `source`, but for those that it does
/// not want; in the order of the file.
pub fn lint(file: &Dockerfile, source: &str) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    casing::check(file, source, &mut found);
    stage::check(file, source, &mut found);
    command::check(file, source, &mut found);
    port::check(file, &mut found);
    secret::check(file, &mut found);
    found.sort_by_key(|finding| finding.span.start);
    applied(file, found)
}

/// `found` without the findings of checks that `file` does not want, at their place or
/// at all. What is not the finding of a check stays.
pub fn applied(file: &Dockerfile, mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    found.retain(|finding| finding.rule.is_none_or(|name| wants(file, name, finding)));
    found
}

/// Whether `found` has something that makes the build fail because `file` says
/// `# check=error=true`.
pub fn fails(file: &Dockerfile, found: &[Diagnostic]) -> bool {
    file.checks.error && found.iter().any(|finding| finding.rule.is_some())
}

fn wants(file: &Dockerfile, name: &str, finding: &Diagnostic) -> bool {
    let experimental = rule(name).is_some_and(|rule| rule.experimental);
    let places = places(file, finding);
    let places = [Some(&file.checks)].into_iter().chain(places).flatten();
    let mut asked = !experimental;
    for checks in places {
        if checks.skip.contains(name) {
            return false;
        }
        asked |= checks.experimental.contains(name);
    }
    asked
}

/// What is said above the stage and above the instruction that `finding` is in.
fn places<'f>(file: &'f Dockerfile, finding: &Diagnostic) -> [Option<&'f Checks>; 2] {
    if finding.span == (0..0) {
        return [None, None];
    }
    let at = finding.span.start;
    let stages = file.stages.partition_point(|stage| stage.span.start <= at);
    let stage = stages.checked_sub(1).map(|index| &file.stages[index]);
    let instructions = stage.map_or(&file.globals, |stage| &stage.instructions);
    let before = instructions.partition_point(|it| it.span.start <= at);
    let instruction = before.checked_sub(1).map(|index| &instructions[index]);
    [stage.map(|it| &it.checks), instruction.map(|it| &it.checks)]
}
