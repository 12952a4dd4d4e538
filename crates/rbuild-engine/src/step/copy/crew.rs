//! Several threads copy regular files while one of them walks.
//!
//! Knows: batches of files, and which of several failures counts.
//! Does not know: how a file is copied ([`leaf`]), or what was in its way: the walk has seen to it.
//!
//! Invariant: what comes out, tree or failure, is what one thread alone comes to. Batches are
//! numbered as the walk goes; before one that fails none is left out, and of several failures that
//! of the lowest number counts. A batch bounds names in memory and descriptors.

use std::{
    mem,
    num::NonZero,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, Scope},
};

use rbuild_context::Visit;
use rbuild_sys::{Dir, Stat};

use super::{
    super::{StepError, directory::New},
    folder::Folder,
    leaf::{self, Original},
};

/// More threads would only wait for the file system's journal.
const THREADS: usize = 4;
/// Most batches that wait for a thread.
const WAITING: usize = 2;
/// A batch is complete with so many files,
const FILES: usize = 64;
/// or from so many directories, of which each has three descriptors,
const PARTS: usize = 8;
/// or with so many bytes.
const BYTES: u64 = 4 << 20;

/// How many threads copy where all processors are ours that we may use.
pub(super) fn threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Calls `walk`, which adds files; returns when all are copied. At most `threads` threads copy, that
/// of the walk among them.
///
/// # Errors
/// The first failure in the order of the walk.
pub(super) fn run(
    threads: usize,
    walk: impl FnOnce(&mut Crew<'_, '_>) -> Result<(), Stop>,
) -> Result<(), StepError> {
    let (waiting, batches) = sync_channel(WAITING);
    let work = Work {
        batches: Mutex::new(batches),
        failure: Mutex::new(None),
    };
    let walked = thread::scope(|scope| {
        let mut crew = Crew {
            scope,
            work: &work,
            waiting,
            batch: Batch::default(),
            to_start: threads.min(THREADS).saturating_sub(1),
        };
        let walked = walk(&mut crew);
        crew.finish();
        walked
    });
    let failure = work.failure.into_inner();
    match (failure.unwrap_or_else(PoisonError::into_inner), walked) {
        // All that was added is before what the walk stumbled over.
        (Some((_, failure)), _) | (None, Err(Stop::Failed(failure))) => Err(failure),
        (None, Ok(()) | Err(Stop::Elsewhere)) => Ok(()),
    }
}

/// Why a walk ends early.
pub(super) enum Stop {
    /// It failed itself.
    Failed(StepError),
    /// A file could not be copied that it had added.
    Elsewhere,
}

impl From<StepError> for Stop {
    fn from(error: StepError) -> Self {
        Self::Failed(error)
    }
}

impl From<rbuild_context::Error> for Stop {
    fn from(error: rbuild_context::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// The threads, as the walk sees them.
pub(super) struct Crew<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    work: &'env Work,
    waiting: SyncSender<Batch>,
    /// What is being collected.
    batch: Batch,
    /// Threads that are not started yet.
    to_start: usize,
}

impl Crew<'_, '_> {
    /// Has the regular file `visit` copied into `to`, where nothing has its name, as `new` says.
    ///
    /// # Errors
    /// [`Stop::Elsewhere`] if a file failed, no matter which.
    pub fn add(&mut self, to: &Arc<Folder>, visit: &Visit<'_>, new: New) -> Result<(), Stop> {
        let added = self.batch.add(to, visit, new);
        added.map_err(|source| StepError::write(to.shown(visit.name), source))?;
        match self.batch.is_complete() {
            true => self.hand_over(),
            false => Ok(()),
        }
    }

    /// Gives the batch away, and does it here where all others are busy.
    fn hand_over(&mut self) -> Result<(), Stop> {
        let number = self.batch.number + 1;
        let next = Batch {
            number,
            ..Batch::default()
        };
        let batch = mem::replace(&mut self.batch, next);
        if self.to_start > 0 {
            self.to_start -= 1;
            let work = self.work;
            self.scope.spawn(|| work.all());
        }
        match self.waiting.try_send(batch) {
            Ok(()) => {}
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => {
                self.work.copy(batch);
            }
        }
        match *self.work.failure() {
            Some(_) => Err(Stop::Elsewhere),
            None => Ok(()),
        }
    }

    /// Does with the others what is left.
    fn finish(self) {
        self.work.copy(self.batch);
        drop(self.waiting);
        self.work.all();
    }
}

/// What the threads share.
struct Work {
    batches: Mutex<Receiver<Batch>>,
    /// The first one by the number of its batch.
    failure: Mutex<Option<(usize, StepError)>>,
}

impl Work {
    /// Copies batches until no more will come.
    fn all(&self) {
        while let Some(batch) = self.next() {
            self.copy(batch);
        }
    }

    fn next(&self) -> Option<Batch> {
        let batches = self.batches.lock();
        let batches = batches.unwrap_or_else(PoisonError::into_inner);
        batches.recv().ok()
    }

    fn copy(&self, batch: Batch) {
        let number = batch.number;
        let is_first = |failure: &Option<(usize, StepError)>| {
            failure.as_ref().is_none_or(|(failed, _)| number < *failed)
        };
        if !is_first(&self.failure()) {
            return;
        }
        if let Err(error) = batch.copy() {
            let mut failure = self.failure();
            if is_first(&failure) {
                *failure = Some((number, error));
            }
        }
    }

    fn failure(&self) -> MutexGuard<'_, Option<(usize, StepError)>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Files that one thread copies, in the order of the walk.
#[derive(Default)]
struct Batch {
    number: usize,
    parts: Vec<Part>,
    files: usize,
    /// Bytes of all of them.
    size: u64,
}

/// Files of one directory.
struct Part {
    from: Dir,
    to: Arc<Folder>,
    files: Vec<Added>,
}

/// A file that is to be copied.
struct Added {
    name: Vec<u8>,
    stat: Stat,
    new: New,
}

impl Batch {
    fn is_complete(&self) -> bool {
        self.files >= FILES || self.parts.len() >= PARTS || self.size >= BYTES
    }

    fn add(&mut self, to: &Arc<Folder>, visit: &Visit<'_>, new: New) -> rbuild_sys::Result<()> {
        let file = Added {
            name: visit.name.to_vec(),
            stat: *visit.stat,
            new,
        };
        self.files += 1;
        self.size = self.size.saturating_add(visit.stat.size);
        match self.parts.last_mut() {
            Some(part) if Arc::ptr_eq(&part.to, to) => part.files.push(file),
            _ => self.parts.push(Part {
                from: visit.dir.try_clone()?,
                to: Arc::clone(to),
                files: vec![file],
            }),
        }
        Ok(())
    }

    fn copy(self) -> Result<(), StepError> {
        self.parts.into_iter().try_for_each(Part::copy)
    }
}

impl Part {
    fn copy(self) -> Result<(), StepError> {
        let to = &self.to;
        for Added { name, stat, new } in &self.files {
            let dir = &self.from;
            let original = Original { dir, name, stat };
            leaf::copy(original, &to.place.changes, name, *new)
                .map_err(|source| StepError::write(to.shown(name), source))?;
        }
        self.to.leave()
    }
}

#[cfg(test)]
mod tests;
