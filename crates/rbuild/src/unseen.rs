//! `CopyIgnoredFile` and `EmptyWildcard`: what `COPY` and `ADD` name and do not get.
//!
//! Knows: contexts that are open, and what the engine says of trees.
//! Does not know: how a pattern is matched, nor which findings the file wants to hear of.

use std::{collections::BTreeMap, sync::Mutex};

use rbuild_context::{Parents, Unseen, unseen};
use rbuild_dockerfile::{
    Diagnostic, Dockerfile,
    lint::{applied, rules},
};
use rbuild_engine::{BuildContext, Event};
use rbuild_plan::{Lookup, Plan, Source, StepId, lookups};

/// What `plan` looks for in contexts in vain; it was made from `file`. `main` is the build
/// context, if there is one.
pub fn in_contexts(
    file: &Dockerfile,
    plan: &Plan,
    main: Option<&BuildContext>,
    named: &BTreeMap<String, BuildContext>,
) -> Vec<Diagnostic> {
    let finding = |lookup: &Lookup<'_>| {
        let context = match lookup.source {
            Source::Context => main,
            Source::Named(name) => named.get(name),
            Source::Tree(_) => None,
        }?;
        let parents = match lookup.parents {
            true => Parents::Kept,
            false => Parents::Dropped,
        };
        let pattern = (lookup.pattern.as_bytes(), parents);
        let why = unseen(context.root(), context.rules(), pattern)?;
        Some(diagnostic(lookup, why))
    };
    lookups(file, plan).iter().filter_map(finding).collect()
}

fn diagnostic(lookup: &Lookup<'_>, why: Unseen) -> Diagnostic {
    let (rule, message) = match why {
        Unseen::Ignored => (rules::COPY_IGNORED_FILE, "is excluded by the ignore file"),
        Unseen::Unmatched => (rules::EMPTY_WILDCARD, "matches nothing"),
    };
    let message = format!("`{}` {message}", lookup.pattern);
    Diagnostic::warning(lookup.span.clone(), message).of_rule(rule)
}

/// Wildcards that matched nothing in stages and images, collected while these are built.
#[derive(Default)]
pub struct InTrees(Mutex<Vec<(StepId, usize)>>);

impl InTrees {
    /// Keeps `event` if it is one of those.
    pub fn note(&self, event: &Event) {
        if let Event::Unmatched { step, item } = *event {
            let mut noted = self.0.lock().expect("no holder panics");
            noted.push((step, item));
        }
    }

    /// What was noted and `file`, from which `plan` was made, wants to hear of.
    pub fn findings(&self, file: &Dockerfile, plan: &Plan) -> Vec<Diagnostic> {
        let noted = self.0.lock().expect("no holder panics");
        if noted.is_empty() {
            return Vec::new();
        }
        let all = lookups(file, plan);
        let unmatched = all.iter().filter(|it| noted.contains(&(it.step, it.item)));
        let findings = unmatched.map(|lookup| diagnostic(lookup, Unseen::Unmatched));
        applied(file, findings.collect())
    }
}
