//! Waiting for a lock that somebody else holds.
//!
//! Locks are tried again and again instead of slept on, so that a wait can be given up.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use crate::error::{Error, Result};

/// How long a wait stays silent.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// What happens while one waits.
pub struct Wait<'a> {
    /// Told once for each thing that is waited for longer than a second.
    pub waiting: &'a mut dyn FnMut(),
    /// Asked again and again; the wait ends when it says `true`.
    pub give_up: &'a dyn Fn() -> bool,
}

/// How long somebody has been waiting for one thing.
pub(crate) struct Waited {
    since: Instant,
    told: bool,
}

impl Waited {
    pub fn new() -> Self {
        Self {
            since: Instant::now(),
            told: false,
        }
    }

    /// Waits a little for `what`.
    ///
    /// # Errors
    /// [`Error::GaveUp`] when that is enough.
    pub fn longer(&mut self, what: &dyn Fn() -> String, wait: &mut Wait<'_>) -> Result<()> {
        if (wait.give_up)() {
            return Err(Error::GaveUp { what: what() });
        }
        if self.since.elapsed() > PATIENCE && !std::mem::replace(&mut self.told, true) {
            (wait.waiting)();
        }
        sleep(PAUSE);
        Ok(())
    }
}
