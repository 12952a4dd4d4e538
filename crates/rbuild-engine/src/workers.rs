//! Several steps at a time.
//!
//! Knows: threads, and that the first failure ends a build.
//! Does not know: what a step does, or why one waits for another ([`Schedule`]).

use std::{
    num::NonZero,
    sync::{
        Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use rbuild_plan::{Plan, StepId};

use crate::schedule::Schedule;

/// What each step made; empty until it is done.
pub type Made<T> = [OnceLock<T>];

/// Executes a step, when all that it needs is made.
type Execute<'a, T, E> = dyn Fn(StepId, &Made<T>) -> Result<T, E> + Sync + 'a;

/// What is to be done with the steps of a plan.
pub struct Steps<'a, T, E> {
    /// What is done with each.
    pub execute: &'a Execute<'a, T, E>,
    /// Ends what runs: called once, with the first failure.
    pub stop: &'a (dyn Fn(&E) + Sync),
    /// So many steps at the same time.
    pub jobs: NonZero<usize>,
}

/// Not all steps were executed.
#[derive(Debug)]
pub struct Stopped<T, E> {
    /// The first failure.
    pub failure: E,
    /// What each step made, if it was executed.
    pub made: Vec<Option<T>>,
}

impl<T: Send + Sync, E: Send> Steps<'_, T, E> {
    /// Executes every step of `plan`; returns what each made. After a failure no step starts, and
    /// what those return that run does not count.
    ///
    /// # Errors
    /// The first failure, and what was made until the others had stopped.
    pub fn of(&self, plan: &Plan) -> Result<Vec<T>, Stopped<T, E>> {
        let board = Board {
            made: plan.steps.iter().map(|_| OnceLock::new()).collect(),
            progress: Mutex::new((Schedule::new(plan), None)),
            abandoned: AtomicBool::new(false),
            changed: Condvar::new(),
        };
        thread::scope(|scope| {
            for _ in 1..self.jobs.get().min(plan.steps.len()) {
                scope.spawn(|| self.worker(&board));
            }
            self.worker(&board);
        });
        let failure = board.lock().1.take();
        let made = board.made.into_iter().map(OnceLock::into_inner);
        match failure {
            Some(failure) => Err(Stopped {
                failure,
                made: made.collect(),
            }),
            None => Ok(made.flatten().collect()),
        }
    }

    fn worker(&self, board: &Board<T, E>) {
        let _alarm = Alarm(board);
        while let Some(id) = board.next() {
            let result = (self.execute)(id, &board.made);
            if board.note(id, result) == Noted::FirstFailure
                && let Some(failure) = &board.lock().1
            {
                (self.stop)(failure);
            }
            board.changed.notify_all();
        }
    }
}

/// What the workers share.
struct Board<T, E> {
    made: Vec<OnceLock<T>>,
    /// What is left, and the first failure.
    progress: Mutex<(Schedule, Option<E>)>,
    changed: Condvar,
    /// Whether a worker panicked: its step will never be done.
    abandoned: AtomicBool,
}

/// Lets no worker wait for one that panicked; the panic goes on when all have ended.
struct Alarm<'a, T, E>(&'a Board<T, E>);

impl<T, E> Drop for Alarm<'_, T, E> {
    fn drop(&mut self) {
        if thread::panicking() {
            let _progress = self.0.lock(); // who looked before waits by now
            self.0.abandoned.store(true, Ordering::Relaxed);
            self.0.changed.notify_all();
        }
    }
}

/// What a result means for the others.
#[derive(PartialEq, Eq)]
enum Noted {
    GoOn,
    FirstFailure,
}

impl<T, E> Board<T, E> {
    fn note(&self, id: StepId, result: Result<T, E>) -> Noted {
        let mut progress = self.lock();
        match result {
            Ok(made) => {
                let first = self.made[id.0 as usize].set(made);
                debug_assert!(first.is_ok(), "a step is executed once");
                progress.0.finish(id);
                Noted::GoOn
            }
            Err(failure) if progress.1.is_none() => {
                progress.1 = Some(failure);
                Noted::FirstFailure
            }
            Err(_) => Noted::GoOn,
        }
    }

    /// Waits for a step that may start; `None` when no more will.
    fn next(&self) -> Option<StepId> {
        let mut progress = self.lock();
        loop {
            let abandoned = self.abandoned.load(Ordering::Relaxed);
            if abandoned || progress.1.is_some() || progress.0.is_done() {
                return None;
            }
            if let Some(id) = progress.0.start() {
                return Some(id);
            }
            progress = self
                .changed
                .wait(progress)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Schedule, Option<E>)> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
