//! The accounts of the steps that builds of one Dockerfile executed: what a miss is compared with.
//!
//! Knows: which earlier step is nearest to a step of a plan. Does not know: where it is kept.
//!
//! Invariant: at most one account for each step of each stage, so it grows with the Dockerfile,
//! not with the number of builds.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::graph::{Plan, StageId, StepId};

/// Most stages that are remembered.
const MOST_STAGES: usize = 200;

/// Accounts of steps that were executed, the last of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// By the name of a stage or its number; in the order of the steps, as far as each is known.
    stages: BTreeMap<String, Vec<Option<Account>>>,
}

impl Ledger {
    /// What step `id` of `plan` is to be compared with: the same instruction, wherever it was in
    /// its stage; else the one that was in its place and is not there any more.
    pub fn nearest(&self, plan: &Plan, id: StepId) -> Option<&Account> {
        let stage = plan.step(id).stage;
        let old = self.stages.get(&label(plan, stage))?;
        let steps = steps_of(plan, stage);
        let place = steps.iter().position(|&step| step == id)?;
        let title = |step: &StepId| &plan.step(*step).title;
        let wanted = title(&id);
        let same = |account: &&Account| &account.title == wanted;
        let nth = steps[..place]
            .iter()
            .filter(|it| title(it) == wanted)
            .count();
        let known = || old.iter().flatten();
        known()
            .filter(same)
            .nth(nth)
            .or_else(|| known().find(same))
            .or_else(|| {
                let titles: BTreeSet<&String> = steps.iter().map(title).collect();
                let there = old.get(place)?.as_ref()?;
                (!titles.contains(&there.title)).then_some(there)
            })
    }

    /// This one after a build of `plan` that executed the steps of `executed`.
    pub fn after(&self, plan: &Plan, executed: &BTreeMap<StepId, Account>) -> Self {
        let mut stages = self.stages.clone();
        for index in 0..plan.stages.len() {
            let id = StageId(u32::try_from(index).expect("a plan has fewer stages than bytes"));
            let steps = steps_of(plan, id);
            let account = |step: StepId| {
                let old = || self.nearest(plan, step).cloned();
                executed.get(&step).cloned().or_else(old)
            };
            let accounts = steps.into_iter().map(account).collect();
            stages.insert(label(plan, id), accounts);
        }
        while stages.len() > MOST_STAGES {
            stages.pop_first();
        }
        Self { stages }
    }
}

/// What a stage is remembered under.
fn label(plan: &Plan, id: StageId) -> String {
    let stage = plan.stage(id);
    stage
        .name
        .clone()
        .unwrap_or_else(|| format!("#{}", stage.index))
}

fn steps_of(plan: &Plan, stage: StageId) -> Vec<StepId> {
    let ids = (0..).map(StepId).zip(&plan.steps);
    ids.filter(|(_, step)| step.stage == stage)
        .map(|(id, _)| id)
        .collect()
}

#[cfg(test)]
mod tests;
