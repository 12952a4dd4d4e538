//! What a step led to, and notes of the engine: one small file per key.
//!
//! A lookup opens one file. Nothing here is needed for correctness: what is missing or
//! damaged is a miss, so nothing is synced either.

use serde::{Deserialize, Serialize};

use crate::{
    Key, LayerId, Session, Store,
    error::{Context, Result},
    gc::aside,
    record,
};

/// What a step led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRecord {
    /// The layer it made; `None` if it changed nothing.
    pub layer: Option<LayerId>,
    /// The key of the state it led to: that of the content, if the record is kept under another.
    pub state: Key,
    /// When it ended, seconds since 1970.
    pub created: i64,
}

impl Session {
    /// Remembers that `key` leads to `record`. Atomic; replaces an older record.
    ///
    /// # Errors
    /// [`crate::Error::Write`] if the disk refuses.
    pub fn record(&self, key: &Key, record: &CacheRecord) -> Result<()> {
        self.put("cache", key, &record::encode(record))
    }

    /// Remembers `bytes` (at most 64 MiB) as the note `key` of `kind`. Atomic; replaces an
    /// older note. `kind` is a single path component.
    ///
    /// # Errors
    /// [`crate::Error::Write`] if the disk refuses.
    pub fn put_note(&self, kind: &str, key: &Key, bytes: &[u8]) -> Result<()> {
        self.put(&format!("notes/{kind}"), key, bytes)
    }

    fn put(&self, place: &str, key: &Key, bytes: &[u8]) -> Result<()> {
        let key = key.to_string();
        let write = || {
            let dir = self
                .store()
                .make_subdirectory(&format!("{place}/{}", &key[..2]))?;
            let temporary = self.unused_name();
            record::create(self.staging(), &temporary, bytes)?;
            dir.rename(self.staging(), &temporary, key.as_bytes())
        };
        write().writing(|| format!("{place}/{key}"))
    }
}

impl Store {
    /// What `key` led to; `None` if nothing is known of it. The layer may be gone (T53):
    /// [`Session::layer`] tells.
    ///
    /// # Errors
    /// [`crate::Error::Read`] if a record is there and cannot be read.
    pub fn lookup(&self, key: &Key) -> Result<Option<CacheRecord>> {
        let bytes = self.get("cache", key)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// The note `key` of `kind`; `None` if there is none. After a power cut it may be empty.
    ///
    /// # Errors
    /// [`crate::Error::Read`] if it is there and cannot be read.
    pub fn note(&self, kind: &str, key: &Key) -> Result<Option<Vec<u8>>> {
        self.get(&format!("notes/{kind}"), key)
    }

    fn get(&self, place: &str, key: &Key) -> Result<Option<Vec<u8>>> {
        let key = key.to_string();
        let read = || match self.subdirectory(&format!("{place}/{}", &key[..2]))? {
            Some(dir) => {
                let found = record::read_bytes(&dir, key.as_bytes())?;
                aside::touch(&dir, key.as_bytes());
                Ok(found)
            }
            None => Ok(None),
        };
        read().reading(|| format!("{place}/{key}"))
    }
}
