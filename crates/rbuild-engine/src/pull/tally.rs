//! How much of an image's layers came from a registry, and how much of them was here.
//!
//! Knows: numbers. Does not know: who is told of them.

use std::sync::atomic::{AtomicU64, Ordering};

use rbuild_oci::Descriptor;

/// Bytes of layers that the store lacked, as blobs.
#[derive(Debug, Default)]
pub struct Tally {
    fetched: AtomicU64,
    kept: AtomicU64,
}

impl Tally {
    /// `blob` was put together; `kept` bytes of it are from other layers.
    pub(crate) fn add(&self, blob: &Descriptor, kept: u64) {
        let fetched = blob.size.saturating_sub(kept);
        self.fetched.fetch_add(fetched, Ordering::Relaxed);
        self.kept.fetch_add(kept, Ordering::Relaxed);
    }

    /// Those that a registry served.
    pub fn fetched(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }

    /// Those that other layers of the store have.
    pub fn kept(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }
}
