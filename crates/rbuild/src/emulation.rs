//! Whose commands can be executed here, and by what: the processor, an interpreter that the host's
//! kernel has, or one that is registered for this build alone.
//!
//! Does not know: how a command is executed: the kernel starts the interpreter by itself. It must
//! have opened it when it was registered (flag `F`), for it is not in the tree of an image.
//!
//! `docs/adr/0012-interpreters.md`.

mod architecture;
mod machine;
mod qemu;
mod registered;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use rbuild_dockerfile::{Diagnostic, ast::Span};
use rbuild_oci::Platform;
use rbuild_plan::{Op, Plan};
use rbuild_sandbox::Sandbox;

pub use self::machine::Means;
use self::{
    architecture::ARCHITECTURES,
    machine::{Judged, Lack, Machine, is_native},
};
use crate::{
    failure::{self, Failure},
    report,
    subject::Subject,
};

/// Makes sure that `sandbox` executes commands for `platforms`; says for which it cannot, and why.
/// Nothing is registered if there is one. Once.
fn enable(platforms: &BTreeSet<Platform>, sandbox: &Sandbox) -> BTreeMap<Platform, Lack> {
    let ours = Platform::default();
    if platforms.iter().all(|it| is_native(it, &ours)) {
        return BTreeMap::new();
    }
    let mut machine = Machine::seen();
    let mut judged = machine.judged(platforms);
    if !judged.programs.is_empty() {
        machine.forget_unreachable();
        judged = machine.judged(platforms);
    }
    let Judged {
        mut lacks,
        programs,
    } = judged;
    if lacks.is_empty()
        && !programs.is_empty()
        && let Err(error) = sandbox.register(&machine.interpreters(&programs))
    {
        let refused = |program| Lack::Refused {
            program,
            why: report::one_line(&error),
            hint: failure::hint(&error),
        };
        let all = programs.into_iter();
        lacks = all.map(|(it, program)| (it, refused(program))).collect();
    }
    let lacks = lacks.into_iter();
    lacks.map(|(it, lack)| (it.clone(), lack)).collect()
}

/// Makes sure that commands for `platform` can be executed; if not, says so and goes on: an image
/// may be for another platform than it says.
pub fn enable_or_note(platform: &Platform, sandbox: &Sandbox) {
    for (platform, lack) in enable(&[platform.clone()].into(), sandbox) {
        report::note(&refusal(&platform, &lack));
        report::hint(lack.hint().as_deref(), &mut io::stderr().lock());
    }
}

/// Makes sure that each RUN of a build can be executed. One that is for a platform whose commands
/// cannot be is shown at its line.
///
/// # Errors
/// If there is one.
pub fn enable_all(subject: &Subject, sandbox: &Sandbox) -> Result<(), Failure> {
    let plans = subject.variants.iter().map(|variant| &*variant.plan);
    let runs: Vec<(&Platform, &Span)> = plans.flat_map(runs).collect();
    let platforms = runs.iter().map(|(platform, _)| (*platform).clone());
    let lacks = enable(&platforms.collect(), sandbox);
    let mut found: Vec<Diagnostic> = Vec::new();
    for (platform, span) in runs {
        let Some(lack) = lacks.get(platform) else {
            continue;
        };
        let diagnostic = Diagnostic {
            hint: lack.hint(),
            ..Diagnostic::error(span.clone(), refusal(platform, lack))
        };
        if !found.contains(&diagnostic) {
            found.push(diagnostic);
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    report::diagnostics(&found, &subject.source, &mut io::stderr().lock());
    Err(Failure::said(1))
}

/// That commands for `platform` cannot be executed, and why.
fn refusal(platform: &Platform, lack: &Lack) -> String {
    format!("commands for `{platform}` cannot be executed here: {lack}")
}

/// The first RUN of each stage of `plan`, and the platform that it is for.
fn runs(plan: &Plan) -> Vec<(&Platform, &Span)> {
    let mut stages = Vec::new();
    let mut found = Vec::new();
    for step in &plan.steps {
        if matches!(step.op, Op::Run(_)) && !stages.contains(&step.stage) {
            stages.push(step.stage);
            found.push((&plan.stage(step.stage).platform, &step.span));
        }
    }
    found
}

/// The platforms whose commands can be executed here, and by what; this machine's own first.
pub fn executed() -> Vec<(Platform, Means)> {
    let machine = Machine::seen();
    let mut all = ARCHITECTURES.map(|it| Platform::new(&machine.ours.os, it.name, None));
    all.sort_by_key(|it| it.architecture != machine.ours.architecture);
    let all = all.into_iter();
    all.filter_map(|it| Some((it.clone(), machine.means(&it).ok()?)))
        .collect()
}
