//! Waiting for what takes no time on an idle machine.
//!
//! How long it takes on which machine is a benchmark's question, never a test's.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// How long a test waits before it calls something missing.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `met` says so.
///
/// # Panics
/// After [`PATIENCE`], with what `missing` says.
#[track_caller]
pub fn wait_until<M: std::fmt::Display>(missing: impl Fn() -> M, mut met: impl FnMut() -> bool) {
    let start = Instant::now();
    while !met() {
        assert!(start.elapsed() < PATIENCE, "{}", missing());
        sleep(Duration::from_millis(2));
    }
}
