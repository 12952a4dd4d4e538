//! Several steps at a time.
//!
//! Knows: threads, and that the first failure ends a build.
//! Does not know: what a step does, or why one waits for another ([`Schedule`]).
//!
//! Invariant: nothing is called while the lock is held, so that who stops others waits for none.

use std::{
    num::NonZero,
    sync::{
        Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::{
    graph::{Graph, Task},
    schedule::Schedule,
};

/// What each step made.
pub struct Made<'a, T> {
    graph: &'a Graph,
    /// By number; empty until it is done.
    steps: Vec<OnceLock<T>>,
}

impl<T> Made<'_, T> {
    /// What `task` made; `None` until it is done.
    pub fn by(&self, task: Task) -> Option<&T> {
        self.steps[self.graph.number(task)].get()
    }
}

/// Executes a step, when all that it needs is made.
type Execute<'a, T, E> = dyn Fn(Task, &Made<'_, T>) -> Result<T, E> + Sync + 'a;

/// What is to be done with the steps of a graph.
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
    /// What each step of each plan made, if it was executed.
    pub made: Vec<Vec<Option<T>>>,
}

impl<T: Send + Sync, E: Send> Steps<'_, T, E> {
    /// Executes every step of `graph`; returns what each made, plan by plan. After a failure no step
    /// starts, and what those return that run does not count.
    ///
    /// # Errors
    /// The first failure, and what was made until the others had stopped.
    pub fn of(&self, graph: &Graph) -> Result<Vec<Vec<T>>, Stopped<T, E>> {
        let board = Board {
            made: Made {
                graph,
                steps: (0..graph.len()).map(|_| OnceLock::new()).collect(),
            },
            progress: Mutex::new(Progress {
                schedule: Schedule::new(graph),
                is_over: false,
            }),
            failure: Mutex::new(None),
            abandoned: AtomicBool::new(false),
            changed: Condvar::new(),
        };
        thread::scope(|scope| {
            for _ in 1..self.jobs.get().min(graph.len()) {
                scope.spawn(|| self.worker(&board));
            }
            self.worker(&board);
        });
        let failure = board.failure.into_inner();
        let failure = failure.unwrap_or_else(PoisonError::into_inner);
        let made = board.made.steps.into_iter().map(OnceLock::into_inner);
        match failure {
            Some(failure) => Err(Stopped {
                failure,
                made: graph.by_plan(made.collect()),
            }),
            None => Ok(graph.by_plan(made.flatten().collect())),
        }
    }

    fn worker(&self, board: &Board<'_, T, E>) {
        let _alarm = Alarm(board);
        while let Some(number) = board.next() {
            match (self.execute)(board.made.graph.task(number), &board.made) {
                Ok(made) => board.finish(number, made),
                Err(failure) if board.end() == Ended::Now => {
                    (self.stop)(&failure);
                    board.keep(failure);
                }
                Err(_) => {}
            }
        }
    }
}

/// What the workers share.
struct Board<'a, T, E> {
    made: Made<'a, T>,
    progress: Mutex<Progress>,
    changed: Condvar,
    /// The first one.
    failure: Mutex<Option<E>>,
    /// Whether a worker panicked: its step will never be done.
    abandoned: AtomicBool,
}

/// How far the workers are.
struct Progress {
    /// What is left.
    schedule: Schedule,
    /// Whether a step has failed: no more start.
    is_over: bool,
}

/// Lets no worker wait for one that panicked; the panic goes on when all have ended.
struct Alarm<'a, T, E>(&'a Board<'a, T, E>);

impl<T, E> Drop for Alarm<'_, T, E> {
    fn drop(&mut self) {
        if thread::panicking() {
            let _progress = self.0.lock(); // who looked before waits by now
            self.0.abandoned.store(true, Ordering::Relaxed);
            self.0.changed.notify_all();
        }
    }
}

/// When the build ended.
#[derive(PartialEq, Eq)]
enum Ended {
    /// With this very failure.
    Now,
    /// With another one.
    Before,
}

impl<T, E> Board<'_, T, E> {
    /// Step `number` has `made` something.
    fn finish(&self, number: usize, made: T) {
        let first = self.made.steps[number].set(made);
        debug_assert!(first.is_ok(), "a step is executed once");
        self.lock().schedule.finish(number);
        self.changed.notify_all();
    }

    /// A step has failed: no other one starts.
    fn end(&self) -> Ended {
        let was_over = std::mem::replace(&mut self.lock().is_over, true);
        self.changed.notify_all();
        match was_over {
            true => Ended::Before,
            false => Ended::Now,
        }
    }

    fn keep(&self, failure: E) {
        let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        *first = Some(failure);
    }

    /// Waits for a step that may start; `None` when no more will.
    fn next(&self) -> Option<usize> {
        let mut progress = self.lock();
        loop {
            let abandoned = self.abandoned.load(Ordering::Relaxed);
            if abandoned || progress.is_over || progress.schedule.is_done() {
                return None;
            }
            if let Some(number) = progress.schedule.start() {
                return Some(number);
            }
            progress = self
                .changed
                .wait(progress)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
