//! What waits for what, in the steps of several plans?
//!
//! Knows: what each step needs, and that equal steps are executed once: the others come after the
//! first, and find its result.
//! Does not know: which steps are equal ([`Graph::queue`] is told), or who executes them.
//!
//! Invariant: edges point backwards, within a plan and to those before it.

use std::collections::{BTreeMap, BTreeSet};

use rbuild_plan::{Plan, StepId};

/// A step of one of the plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Task {
    /// Which plan, from 0.
    pub build: usize,
    /// Its step.
    pub step: StepId,
}

/// The steps of several plans, one plan's after the other's: so each has a number.
#[derive(Debug, Default)]
pub struct Graph {
    /// For each plan: the number of its first step.
    starts: Vec<usize>,
    /// For each step: those that must be done before.
    needs: Vec<BTreeSet<usize>>,
}

impl Graph {
    /// The steps of `plans`; a plan waits for no other.
    pub fn of<'a>(plans: impl IntoIterator<Item = &'a Plan>) -> Self {
        let mut graph = Self::default();
        for plan in plans {
            let start = graph.needs.len();
            let number = |id: StepId| start + id.0 as usize;
            let ids = (0..).map(StepId).take(plan.steps.len());
            let needs = ids.map(|id| plan.needs(id).into_iter().map(number).collect());
            graph.needs.extend(needs);
            graph.starts.push(start);
        }
        graph
    }

    /// Lets each step wait for the first one with the same of `names`, of which each step has one.
    #[must_use]
    pub fn queue<T: Ord>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        let mut first = BTreeMap::new();
        for (number, (name, needs)) in names.into_iter().zip(&mut self.needs).enumerate() {
            let first = *first.entry(name).or_insert(number);
            if first != number {
                needs.insert(first);
            }
        }
        self
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.needs.len()
    }

    /// For each step: those that must be done before.
    pub fn needs(&self) -> &[BTreeSet<usize>] {
        &self.needs
    }

    /// Which step has the number `number`.
    pub fn task(&self, number: usize) -> Task {
        // The last plan that starts there or before; those without steps start where the next does.
        let build = self.starts.partition_point(|&start| start <= number) - 1;
        let step = u32::try_from(number - self.starts[build]);
        Task {
            build,
            step: StepId(step.expect("a plan has at most 10,000 steps")),
        }
    }

    /// The number of `task`.
    pub fn number(&self, task: Task) -> usize {
        self.starts[task.build] + task.step.0 as usize
    }

    /// `all`, one for each step, plan by plan.
    pub fn by_plan<T>(&self, mut all: Vec<T>) -> Vec<Vec<T>> {
        let starts = self.starts.iter().rev();
        let mut plans: Vec<Vec<T>> = starts.map(|&start| all.split_off(start)).collect();
        plans.reverse();
        plans
    }
}
