//! Digests of files that have not changed since they were read.
//!
//! In memory only: the caller keeps the bytes. A file is known by device and inode, and taken for
//! unchanged while size, times of modification and of change are the same.
//!
//! Invariant: a file that changed in or after the second in which the digests were begun is never
//! trusted later: its times could have stayed the same while its content did not.

use std::{collections::HashMap, io};

use rbuild_sys::{Stat, Timestamp};

use crate::{
    content::FileDigests,
    error::{Error, Result},
};

/// First bytes of the stored form, with its version.
const MAGIC: &[u8; 16] = b"rbuild stat 1\n\0\0";
/// Bytes of a stored entry.
const RECORD: usize = 8 + 8 + 8 + 12 + 12 + 32;
/// Most entries that are stored: 80 MB.
const MAX_ENTRIES: usize = 1_000_000;

/// Remembered digests.
#[derive(Clone, Debug, Default)]
pub struct StatCache {
    entries: HashMap<(u64, u64), Entry>,
    /// Whether a digest was computed since it was loaded.
    changed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    size: u64,
    mtime: Timestamp,
    ctime: Timestamp,
    digest: [u8; 32],
    /// Whether it was asked for since it was loaded.
    used: bool,
}

impl StatCache {
    /// Reads what [`StatCache::store`] returned.
    ///
    /// # Errors
    /// [`Error::StatCache`] if it is anything else.
    pub fn load(bytes: &[u8]) -> Result<Self> {
        let records = bytes.strip_prefix(MAGIC).ok_or(Error::StatCache)?;
        let (records, rest) = records.as_chunks::<RECORD>();
        if !rest.is_empty() {
            return Err(Error::StatCache);
        }
        let entries = records.iter().map(|record| {
            let mut reader = Fields(record);
            let key = (reader.u64(), reader.u64());
            let size = reader.u64();
            let (mtime, ctime) = (reader.time(), reader.time());
            (
                key,
                Entry {
                    size,
                    mtime,
                    ctime,
                    digest: reader.take(),
                    used: false,
                },
            )
        });
        Ok(Self {
            entries: entries.collect(),
            changed: false,
        })
    }

    /// Whether there is something new to store.
    pub const fn is_changed(&self) -> bool {
        self.changed
    }

    /// The entries that can be trusted later, in a fixed order. `begun` is the time, in seconds
    /// since 1970, at which this run asked for its first digest.
    pub fn store(&self, begun: i64) -> Vec<u8> {
        let trusted = |entry: &Entry| entry.mtime.seconds.max(entry.ctime.seconds) < begun;
        let mut kept: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| trusted(entry))
            .collect();
        if kept.len() > MAX_ENTRIES {
            kept.retain(|(_, entry)| entry.used);
        }
        kept.sort_unstable_by_key(|(key, _)| **key);
        kept.truncate(MAX_ENTRIES);
        let mut out = Vec::with_capacity(MAGIC.len() + kept.len() * RECORD);
        out.extend_from_slice(MAGIC);
        for ((dev, ino), entry) in kept {
            for number in [*dev, *ino, entry.size] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            for time in [entry.mtime, entry.ctime] {
                out.extend_from_slice(&time.seconds.to_le_bytes());
                out.extend_from_slice(&time.nanoseconds.to_le_bytes());
            }
            out.extend_from_slice(&entry.digest);
        }
        out
    }
}

impl FileDigests for StatCache {
    fn digest(
        &mut self,
        stat: &Stat,
        compute: &mut dyn FnMut() -> io::Result<[u8; 32]>,
    ) -> io::Result<[u8; 32]> {
        let key = (stat.dev, stat.ino);
        if let Some(entry) = self.entries.get_mut(&key) {
            let then = (entry.size, entry.mtime, entry.ctime);
            if then == (stat.size, stat.mtime, stat.ctime) {
                entry.used = true;
                return Ok(entry.digest);
            }
        }
        let digest = compute()?;
        self.changed = true;
        let Stat {
            size, mtime, ctime, ..
        } = *stat;
        self.entries.insert(
            key,
            Entry {
                size,
                mtime,
                ctime,
                digest,
                used: true,
            },
        );
        Ok(digest)
    }
}

/// Takes numbers off a record.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (bytes, rest) = self
            .0
            .split_first_chunk()
            .expect("a record holds all fields");
        self.0 = rest;
        *bytes
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn time(&mut self) -> Timestamp {
        let seconds = i64::from_le_bytes(self.take());
        let nanoseconds = u32::from_le_bytes(self.take());
        Timestamp {
            seconds,
            nanoseconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use rbuild_sys::{FileKind, Stat, Timestamp};

    use super::StatCache;
    use crate::FileDigests;

    fn stat(ino: u64, changed: i64) -> Stat {
        let time = Timestamp {
            seconds: changed,
            nanoseconds: 7,
        };
        Stat {
            kind: FileKind::File,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 3,
            blocks: 8,
            mtime: time,
            ctime: time,
            links: 1,
            dev: 1,
            ino,
            rdev: (0, 0),
        }
    }

    /// Whether `cache` has to read the file.
    fn reads(cache: &mut StatCache, stat: &Stat) -> bool {
        let mut read = false;
        let mut compute = || {
            read = true;
            Ok([9; 32])
        };
        assert_eq!(cache.digest(stat, &mut compute).unwrap(), [9; 32]);
        read
    }

    #[test]
    fn unchanged_files_are_not_read_again() {
        let mut cache = StatCache::default();
        assert!(reads(&mut cache, &stat(1, 100)));
        let mut cache = StatCache::load(&cache.store(101)).unwrap();
        assert!(!reads(&mut cache, &stat(1, 100)));
        assert!(reads(&mut cache, &stat(2, 100)));
        assert!(reads(
            &mut cache,
            &Stat {
                size: 4,
                ..stat(1, 100)
            }
        ));
        assert!(reads(&mut cache, &stat(1, 99)));
    }

    #[test]
    fn files_that_changed_just_now_are_not_trusted_later() {
        let mut cache = StatCache::default();
        reads(&mut cache, &stat(1, 100));
        reads(&mut cache, &stat(2, 99));
        let mut cache = StatCache::load(&cache.store(100)).unwrap();
        assert!(reads(&mut cache, &stat(1, 100)));
        assert!(!reads(&mut cache, &stat(2, 99)));
    }

    #[test]
    fn what_is_not_a_cache_is_refused() {
        let bytes = StatCache::default().store(0);
        assert!(StatCache::load(&bytes).is_ok());
        assert!(StatCache::load(&bytes[1..]).is_err());
        assert!(StatCache::load(&[&bytes[..], b"x"].concat()).is_err());
    }
}
