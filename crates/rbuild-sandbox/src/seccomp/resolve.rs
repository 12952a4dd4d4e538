//! What a profile means for one interface, in its circumstances: a decision for each number.
//!
//! Precedence is libseccomp's: a rule without conditions on arguments beats those with, and of
//! several the first counts; else the first whose conditions hold; else the default.

use std::collections::BTreeMap;

use super::{
    Abi,
    profile::{Action, Circumstances, Condition, Rule, SeccompProfile},
    table,
};
use crate::capability::CapabilitySet;

/// Where a command runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    /// What it is capable of at most.
    pub(super) capabilities: CapabilitySet,
    /// The kernel's major and minor version.
    pub(super) kernel: (u32, u32),
    /// The machine's own interface.
    pub(super) native: Abi,
}

/// What becomes of the calls with one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// The first clause all of whose conditions hold decides.
    pub(super) clauses: Vec<(Vec<Condition>, Action)>,
    /// If there is none.
    pub(super) otherwise: Action,
}

impl Decision {
    pub(super) fn always(action: Action) -> Self {
        Self {
            clauses: Vec::new(),
            otherwise: action,
        }
    }
}

/// The decisions of `profile` for the numbers of `abi` that it is about. All others: its default.
pub(super) fn decisions(
    profile: &SeccompProfile,
    abi: Abi,
    setting: &Setting,
) -> BTreeMap<u32, Decision> {
    let mut rules: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
    for rule in profile.rules.iter().filter(|rule| counts(rule, setting)) {
        for name in &rule.names {
            rules.entry(name).or_default().push(rule);
        }
    }
    table::calls(abi)
        .filter_map(|(number, name)| Some((number, decision(rules.get(name)?, profile.default))))
        .collect()
}

/// Whether the rule is about `setting`.
fn counts(rule: &Rule, setting: &Setting) -> bool {
    let Circumstances {
        capabilities,
        architectures,
        kernel,
    } = &rule.includes;
    let held = setting.capabilities;
    let native = |architectures: &[String]| {
        let go = setting.native.go_name();
        architectures.iter().any(|name| name == go)
    };
    let included = held.contains(*capabilities)
        && (architectures.is_empty() || native(architectures))
        && kernel.is_none_or(|least| setting.kernel >= least);
    let Circumstances {
        capabilities,
        architectures,
        kernel,
    } = &rule.excludes;
    let excluded = held.intersects(*capabilities)
        || native(architectures)
        || kernel.is_some_and(|least| setting.kernel >= least);
    included && !excluded
}

/// What `rules`, which are all about one call, say.
fn decision(rules: &[&Rule], default: Action) -> Decision {
    if let Some(rule) = rules.iter().find(|rule| rule.conditions.is_empty()) {
        return Decision::always(rule.action);
    }
    let mut decision = Decision::always(default);
    for rule in rules {
        if has_twins(&rule.conditions) {
            let each = rule.conditions.iter().map(|one| (vec![*one], rule.action));
            decision.clauses.extend(each);
        } else {
            decision
                .clauses
                .push((rule.conditions.clone(), rule.action));
        }
    }
    let always =
        |(conditions, _): &(Vec<Condition>, Action)| conditions.iter().all(Condition::is_always);
    if let Some(index) = decision.clauses.iter().position(always) {
        decision.otherwise = decision.clauses[index].1;
        decision.clauses.truncate(index);
    }
    decision
}

/// Whether two conditions are about one argument.
fn has_twins(conditions: &[Condition]) -> bool {
    let twin = |(index, one): (usize, &Condition)| {
        let before = &conditions[..index];
        before.iter().any(|other| other.argument == one.argument)
    };
    conditions.iter().enumerate().any(twin)
}
