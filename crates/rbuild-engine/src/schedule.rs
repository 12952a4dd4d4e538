//! Which step may start next?
//!
//! Knows: what each step waits for, what is running and done.
//! Does not know: threads, time, what a step does.
//!
//! Invariant: of the steps that may start, the first of the Dockerfile does; so one worker
//! executes them in the order of the plan, and the result never depends on how many there are.

use std::collections::BTreeSet;

use rbuild_plan::{Plan, StepId};

/// The steps of a plan that are not done yet.
#[derive(Debug)]
pub struct Schedule {
    /// For each step: those that wait for it.
    waiting: Vec<Vec<StepId>>,
    /// For each step: how many steps it still waits for.
    missing: Vec<usize>,
    ready: BTreeSet<StepId>,
    running: usize,
}

impl Schedule {
    /// Nothing of `plan` has started.
    pub fn new(plan: &Plan) -> Self {
        let ids = || (0..).map(StepId).take(plan.steps.len());
        let mut schedule = Self {
            waiting: vec![Vec::new(); plan.steps.len()],
            missing: vec![0; plan.steps.len()],
            ready: BTreeSet::new(),
            running: 0,
        };
        for id in ids() {
            let needs = plan.needs(id);
            schedule.missing[id.0 as usize] = needs.len();
            if needs.is_empty() {
                schedule.ready.insert(id);
            }
            for before in needs {
                schedule.waiting[before.0 as usize].push(id);
            }
        }
        schedule
    }

    /// Takes a step that may start; `None` if there is none now.
    pub fn start(&mut self) -> Option<StepId> {
        let next = self.ready.pop_first()?;
        self.running += 1;
        Some(next)
    }

    /// Step `id`, which was started, is done.
    pub fn finish(&mut self, id: StepId) {
        self.running -= 1;
        for waiting in std::mem::take(&mut self.waiting[id.0 as usize]) {
            let missing = &mut self.missing[waiting.0 as usize];
            *missing -= 1;
            if *missing == 0 {
                self.ready.insert(waiting);
            }
        }
    }

    /// Whether all steps are done: edges point backwards, so when nothing runs and nothing may
    /// start, nothing is left.
    pub fn is_done(&self) -> bool {
        self.running == 0 && self.ready.is_empty()
    }
}

#[cfg(test)]
pub(crate) mod tests;
