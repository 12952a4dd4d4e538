use std::{
    num::NonZero,
    sync::{
        Barrier, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Sender, channel},
    },
};

use rbuild_plan::StepId;

use super::{Made, Steps};
use crate::{
    graph::{Graph, Task},
    schedule::tests::planned,
};

const DIAMOND: &str = "FROM scratch AS base\nRUN base\nFROM base AS a\nRUN a\nFROM base AS b\n\
                       RUN b\nFROM base\nCOPY --from=a /x /\nCOPY --from=b /x /\n";

/// Executes the diamond: each step makes its own number and the numbers of all that it needs.
fn diamond(
    jobs: usize,
    step: &(dyn Fn(StepId) -> Result<(), &'static str> + Sync),
    stop: &(dyn Fn(&&'static str) + Sync),
) -> Result<Vec<Vec<u32>>, &'static str> {
    let plan = planned(DIAMOND);
    let execute = |task: Task, made: &Made<'_, Vec<u32>>| {
        step(task.step)?;
        let before = plan.needs(task.step).into_iter();
        let before = before.flat_map(|step| made.by(Task { step, ..task }).unwrap().clone());
        Ok(before.chain([task.step.0]).collect())
    };
    let steps = Steps {
        execute: &execute,
        stop,
        jobs: NonZero::new(jobs).unwrap(),
    };
    let made = steps.of(&Graph::of([&plan]));
    made.map(|mut plans| plans.remove(0))
        .map_err(|stopped| stopped.failure)
}

#[test]
fn the_result_does_not_depend_on_the_number_of_workers() {
    let alone = diamond(1, &|_| Ok(()), &|_| {}).unwrap();
    for jobs in [2, 3, 64] {
        assert_eq!(diamond(jobs, &|_| Ok(()), &|_| {}).unwrap(), alone);
    }
}

#[test]
fn one_worker_keeps_the_order_of_the_file() {
    let order = Mutex::new(Vec::new());
    let note = |id: StepId| {
        order.lock().unwrap().push(id.0);
        Ok(())
    };
    diamond(1, &note, &|_| {}).unwrap();
    assert_eq!(order.into_inner().unwrap(), [0, 1, 2, 3, 4]);
}

#[test]
fn independent_steps_run_at_the_same_time() {
    // Ends only if `a` and `b` are both inside.
    let both = Barrier::new(2);
    let meet = |id: StepId| {
        if matches!(id.0, 1 | 2) {
            both.wait();
        }
        Ok(())
    };
    diamond(2, &meet, &|_| {}).unwrap();
}

#[test]
fn a_failure_stops_what_runs_and_starts_nothing_more() {
    // `a` fails when `b` runs, and `b` runs until it is stopped.
    let (both, stopped) = (Barrier::new(2), Barrier::new(2));
    let started = AtomicUsize::new(0);
    let step = |id: StepId| {
        started.fetch_add(1, Ordering::SeqCst);
        if matches!(id.0, 1 | 2) {
            both.wait();
        }
        match id.0 {
            1 => Err("a failed"),
            2 => {
                stopped.wait();
                Err("b was stopped")
            }
            _ => Ok(()),
        }
    };
    let stop = |_: &&'static str| {
        stopped.wait();
    };
    let result = diamond(2, &step, &stop);
    assert_eq!(result, Err("a failed"));
    assert_eq!(started.into_inner(), 3);
}

/// A failure that tells when it is dropped.
struct Told(Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[test]
fn others_can_end_while_they_are_being_stopped() {
    // Ends only if the failure of `b` is taken while that of `a` stops it.
    let (sender, receiver) = channel();
    let (both, receiver) = (Barrier::new(2), Mutex::new(receiver));
    let stopped = Barrier::new(2);
    let execute = |task: Task, _: &Made<'_, ()>| {
        let id = task.step;
        if matches!(id.0, 1 | 2) {
            both.wait();
        }
        if id.0 == 2 {
            stopped.wait();
        }
        match id.0 {
            1 | 2 => Err(Told(sender.clone())),
            _ => Ok(()),
        }
    };
    let stop = |_: &Told| {
        stopped.wait();
        receiver.lock().unwrap().recv().unwrap();
    };
    let steps = Steps {
        execute: &execute,
        stop: &stop,
        jobs: NonZero::new(2).unwrap(),
    };
    assert!(steps.of(&Graph::of([&planned(DIAMOND)])).is_err());
}
