//! Hashing on a second thread, while the first makes the bytes.
//!
//! Invariant: at most [`BLOCKS`] blocks are in memory; little data never starts a thread.

use std::{
    io::{self, Write},
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    thread::{self, Scope, ScopedJoinHandle},
};

use rbuild_oci::Hasher;

/// Up to this number of bytes everything is done by one thread.
const SMALL: u64 = 1 << 20;
/// Most blocks on the way; a block is what was written at once.
const BLOCKS: usize = 4;

/// Calls `make` and hashes all that it writes. Returns what `make` does.
pub(crate) fn hash_aside<T>(make: impl FnOnce(&mut dyn Write) -> T) -> (T, Hasher) {
    thread::scope(|scope| {
        let mut aside = Aside {
            scope,
            here: Hasher::new(),
            there: None,
        };
        let made = make(&mut aside);
        (made, aside.finish())
    })
}

/// Hashes what is written to it.
struct Aside<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    /// Until there is much.
    here: Hasher,
    /// From then on.
    there: Option<There<'scope>>,
}

/// The second thread.
struct There<'scope> {
    full: SyncSender<Vec<u8>>,
    /// Blocks come back to be filled again.
    empty: Receiver<Vec<u8>>,
    thread: ScopedJoinHandle<'scope, Hasher>,
}

impl<'scope> There<'scope> {
    fn start(scope: &'scope Scope<'scope, '_>, hasher: Hasher) -> Self {
        let (full, blocks) = sync_channel(BLOCKS);
        let (done, empty) = channel();
        for _ in 0..BLOCKS {
            let _ = done.send(Vec::new());
        }
        let thread = scope.spawn(move || hash_all(hasher, &blocks, &done));
        Self {
            full,
            empty,
            thread,
        }
    }

    fn send(&self, bytes: &[u8]) {
        let mut block = self.empty.recv().expect(ALIVE);
        block.clear();
        block.extend_from_slice(bytes);
        self.full.send(block).expect(ALIVE);
    }
}

const ALIVE: &str = "the thread ends when there is nothing more to come";

fn hash_all(mut hasher: Hasher, blocks: &Receiver<Vec<u8>>, done: &Sender<Vec<u8>>) -> Hasher {
    for block in blocks {
        hasher.update(&block);
        let _ = done.send(block);
    }
    hasher
}

impl Aside<'_, '_> {
    fn finish(self) -> Hasher {
        let Some(There { full, thread, .. }) = self.there else {
            return self.here;
        };
        drop(full);
        thread.join().expect("hashing does not panic")
    }
}

impl Write for Aside<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.there.is_none() && self.here.size() > SMALL {
            let hasher = std::mem::take(&mut self.here);
            self.there = Some(There::start(self.scope, hasher));
        }
        match &self.there {
            Some(there) => there.send(bytes),
            None => self.here.update(bytes),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rbuild_oci::Digest;

    use super::hash_aside;

    #[test]
    fn the_digest_is_that_of_all_bytes_in_order() {
        for blocks in [0_u8, 1, 3, 40] {
            let mut all = Vec::new();
            let ((), hasher) = hash_aside(|out| {
                for block in 0..blocks {
                    let block = vec![block; 300_000 + usize::from(block)];
                    out.write_all(&block).unwrap();
                    all.extend_from_slice(&block);
                }
            });
            assert_eq!(hasher.size(), all.len() as u64);
            assert_eq!(hasher.finish(), Digest::of(&all), "{blocks} blocks");
        }
    }
}
