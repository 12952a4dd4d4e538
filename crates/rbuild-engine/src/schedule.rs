//! Which step may start next?
//!
//! Knows: what each step waits for, what is running and done.
//! Does not know: threads, time, what a step does.
//!
//! Invariant: of the steps that may start, the first of the Dockerfile does, for the first plan that
//! has one; so one worker executes plan after plan, each in its order, and the result never depends on how many there are.

use std::collections::BTreeSet;

use crate::graph::Graph;

/// The steps of a graph that are not done yet, by number.
#[derive(Debug)]
pub struct Schedule {
    /// For each step: those that wait for it.
    waiting: Vec<Vec<usize>>,
    /// For each step: how many steps it still waits for.
    missing: Vec<usize>,
    ready: BTreeSet<usize>,
    running: usize,
}

impl Schedule {
    /// Nothing of `graph` has started.
    pub fn new(graph: &Graph) -> Self {
        let mut schedule = Self {
            waiting: vec![Vec::new(); graph.len()],
            missing: graph.needs().iter().map(BTreeSet::len).collect(),
            ready: BTreeSet::new(),
            running: 0,
        };
        for (number, needs) in graph.needs().iter().enumerate() {
            if needs.is_empty() {
                schedule.ready.insert(number);
            }
            for &before in needs {
                schedule.waiting[before].push(number);
            }
        }
        schedule
    }

    /// Takes a step that may start; `None` if there is none now.
    pub fn start(&mut self) -> Option<usize> {
        let next = self.ready.pop_first()?;
        self.running += 1;
        Some(next)
    }

    /// Step `number`, which was started, is done.
    pub fn finish(&mut self, number: usize) {
        self.running -= 1;
        for waiting in std::mem::take(&mut self.waiting[number]) {
            let missing = &mut self.missing[waiting];
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
