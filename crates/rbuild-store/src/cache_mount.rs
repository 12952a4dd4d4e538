//! Cache mounts: directories that commands keep between builds, and who may use one when.
//!
//! `caches/<key>/` has `record.json` and, for each copy, a directory `<n>` and a file `<n>.lock`.
//! Copy 0 is everybody's; more exist where private use coincided. Whoever uses a copy holds its
//! lock: shared or exclusive, as [`Sharing`] says, and a shared lock on `<key>`, which whoever
//! removes the cache takes exclusively. Locks die with their process.
//!
//! Invariant: the key is a digest, so that no id is ever a path (CVE-2024-9675); a copy appears
//! by one rename, filled; what is removed is moved away first, while it is locked.

use std::{fs::File, os::fd::OwnedFd, sync::Arc, time::SystemTime};

use rbuild_sys::{Dir, Errno, FileKind, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    Key, LayerId, Session, Store,
    error::{Context, Error, Result},
    flock::Flock,
    gc::usage::Meter,
    record,
    wait::{Wait, Waited},
};

/// Which cache: two with the same name share their content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CacheName {
    /// As in `id=`, or what stands for it. Any text.
    pub id: String,
    /// Owner of the directory when it is new.
    pub uid: u32,
    /// Group of the directory when it is new.
    pub gid: u32,
    /// Permission bits of the directory when it is new.
    pub mode: u32,
    /// What it is filled with when it is new; `None`: with nothing.
    pub seed: Option<Key>,
}

/// Who else may use a cache meanwhile. dockerfile.md R8, R12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sharing {
    /// Everybody who shares it too.
    Shared,
    /// Nobody; where it is in use, another copy is used.
    Private,
    /// Nobody; where it is in use, one waits.
    Locked,
}

/// The wish to use a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheClaim {
    /// Which.
    pub name: CacheName,
    /// With whom.
    pub sharing: Sharing,
}

/// The right to use a copy of a cache, until it is dropped.
#[derive(Debug)]
pub struct CacheMount {
    name: CacheName,
    home: Dir,
    copy: u32,
    /// With others of the same command.
    locks: Arc<Locks>,
}

/// What keeps others from a copy of a cache, and from removing the cache.
#[derive(Debug)]
struct Locks {
    _copy: Flock,
    _home: Flock,
}

/// A cache, for listings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheEntry {
    /// Under which it is kept.
    pub key: Key,
    /// What it is called.
    pub name: CacheName,
    /// How many copies there are.
    pub copies: usize,
    /// When one of them was last claimed.
    pub used: Option<Timestamp>,
}

/// What became of a cache that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheRemoval {
    /// It is gone.
    Removed,
    /// There was none.
    Missing,
    /// Somebody uses it; it stays.
    InUse,
}

impl CacheName {
    /// Under which it is kept.
    pub fn key(&self) -> Key {
        Key::of(&record::encode(self))
    }
}

impl Session {
    /// Claims all caches of one command, in the order of `claims`; waits where it must.
    ///
    /// One call for all of them, as commands that claim one by one can wait for each other for
    /// ever. Equal names are one copy, under the strictest sharing that is asked for.
    ///
    /// # Errors
    /// [`Error::GaveUp`] if `wait` says so, [`Error::Write`], [`Error::Lock`].
    pub fn claim_caches(
        &self,
        claims: &[CacheClaim],
        wait: &mut Wait<'_>,
    ) -> Result<Vec<CacheMount>> {
        let mut order: Vec<usize> = (0..claims.len()).collect();
        // Of equal names the strictest comes first.
        order.sort_by_key(|&index| {
            let CacheClaim { name, sharing } = &claims[index];
            (name.key(), std::cmp::Reverse(*sharing))
        });
        let mut mounts: Vec<Option<CacheMount>> = claims.iter().map(|_| None).collect();
        let mut previous: Option<usize> = None;
        for index in order {
            let claim = &claims[index];
            let same = previous.filter(|&previous| claims[previous].name == claim.name);
            let mount = match same.and_then(|previous| mounts[previous].as_ref()) {
                Some(holder) => holder.again().writing(|| claim.what())?,
                None => self.claim(claim, wait)?,
            };
            mounts[index] = Some(mount);
            previous = Some(index);
        }
        Ok(mounts.into_iter().flatten().collect())
    }

    fn claim(&self, claim: &CacheClaim, wait: &mut Wait<'_>) -> Result<CacheMount> {
        let mut waited = Waited::new();
        let mut copy = 0;
        loop {
            let home = self.cache_home(&claim.name.key());
            let Some(home) = home.writing(|| claim.what())? else {
                continue;
            };
            // `None`: somebody removes it just now.
            let kept = self.keep_home(&home, claim)?;
            let ours = kept.is_some();
            if let Some(kept) = kept
                && let Some(lock) = self.lock_copy(&home, copy, claim)?
            {
                return Ok(CacheMount {
                    name: claim.name.clone(),
                    home,
                    copy,
                    locks: Arc::new(Locks {
                        _copy: lock,
                        _home: kept,
                    }),
                });
            }
            if ours && claim.sharing == Sharing::Private {
                copy += 1;
            } else {
                waited.longer(&|| claim.what(), wait)?;
            }
        }
    }

    /// The directory of the cache, made if it is missing; `None` if it was removed meanwhile.
    fn cache_home(&self, key: &Key) -> rbuild_sys::Result<Option<Dir>> {
        rbuild_sys::Error::absent(self.store().make_subdirectory(&place(key)))
    }

    /// What keeps `home` from being removed; `None` if that has begun.
    fn keep_home(&self, home: &Dir, claim: &CacheClaim) -> Result<Option<Flock>> {
        let what = || claim.what();
        let same = home.try_clone().reading(what)?;
        let lock = Flock::try_shared(File::from(OwnedFd::from(same)), what)?;
        let is_current = (self.store().is_current(&claim.name.key(), home)).reading(what)?;
        Ok(lock.filter(|_| is_current))
    }

    /// The lock of a copy in `home`, which is locked itself; `None` if somebody is in the way.
    fn lock_copy(&self, home: &Dir, copy: u32, claim: &CacheClaim) -> Result<Option<Flock>> {
        let open = || {
            if rbuild_sys::Error::absent(home.stat(RECORD))?.is_none() {
                self.replace(home, RECORD, &record::encode(&claim.name))?;
            }
            home.open_or_create(lock_name(copy).as_bytes(), 0o600)
        };
        let file = open().writing(|| claim.what())?;
        let lock = match claim.sharing {
            Sharing::Shared => Flock::try_shared(file, || claim.what()),
            Sharing::Private | Sharing::Locked => Flock::try_exclusive(file, || claim.what()),
        }?;
        if let Some(file) = &lock {
            // Only listings look at it.
            let _ = file.set_modified(SystemTime::now());
        }
        Ok(lock)
    }
}

impl CacheMount {
    /// The directory, and the right to it for as long as this lives. If it is new, `fill` is
    /// called with it before anybody sees it; if that fails it stays new.
    ///
    /// # Errors
    /// What `fill` returns; [`Error::Write`].
    pub fn open<E: From<Error>>(
        &self,
        session: &Session,
        fill: impl FnOnce(&Dir) -> std::result::Result<(), E>,
    ) -> std::result::Result<Dir, E> {
        let what = || format!("cache `{}`", self.name.id);
        let copy = self.copy.to_string();
        let found = rbuild_sys::Error::absent(self.home.child(copy.as_bytes()));
        if let Some(dir) = found.reading(what)? {
            return Ok(dir);
        }
        let staged = session.unused_name();
        let stage = || {
            session.staging().mkdir(&staged, 0o700)?;
            session.staging().child(&staged)
        };
        fill(&stage().writing(what)?)?;
        self.publish(session, &staged).writing(what)?;
        Ok(self.home.child(copy.as_bytes()).reading(what)?)
    }

    /// Gives the staged directory its owner and its place. Another process that shares the cache
    /// may have been first.
    fn publish(&self, session: &Session, staged: &[u8]) -> rbuild_sys::Result<()> {
        let CacheName { uid, gid, mode, .. } = self.name;
        let staging = session.staging();
        staging.set_owner(staged, uid, gid)?;
        staging.set_mode(staged, mode)?;
        let copy = self.copy.to_string();
        match self.home.rename_new(staging, staged, copy.as_bytes()) {
            Err(error) if error.is(Errno::EXIST) => staging.remove_all(staged),
            answer => answer,
        }
    }

    /// The same right once more.
    fn again(&self) -> rbuild_sys::Result<Self> {
        Ok(Self {
            name: self.name.clone(),
            home: self.home.try_clone()?,
            copy: self.copy,
            locks: Arc::clone(&self.locks),
        })
    }
}

impl Store {
    /// All caches, by key. Damaged ones are left out.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn caches(&self) -> Result<Vec<CacheEntry>> {
        let read = || {
            let Some(caches) = self.subdirectory("caches")? else {
                return Ok(Vec::new());
            };
            let mut found = Vec::new();
            for entry in caches.entries()? {
                let key = std::str::from_utf8(&entry.name)
                    .ok()
                    .and_then(Key::from_hex);
                if let Some(key) = key
                    && let Some(home) = rbuild_sys::Error::absent(caches.child(&entry.name))?
                    && let Some(name) = record::read(&home, RECORD)?
                {
                    found.push(CacheEntry::read(key, name, &home)?);
                }
            }
            Ok(found)
        };
        read().reading(|| "the caches".to_owned())
    }

    /// Bytes on disk of the cache `key`, all copies together; 0 if there is none. To be called
    /// inside the user namespace.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn cache_size(&self, key: &Key) -> Result<u64> {
        let measure = || match self.subdirectory("caches")? {
            Some(caches) => Meter::default().measure(&caches, key.to_string().as_bytes()),
            None => Ok(0),
        };
        measure().reading(|| format!("cache {key}"))
    }

    /// Removes the cache `key` with all its copies, unless somebody uses it.
    ///
    /// # Errors
    /// [`Error::Remove`] if something cannot be deleted; then nobody sees it any more.
    pub fn remove_cache(&self, key: &Key) -> Result<CacheRemoval> {
        let remove = || {
            let Some(home) = self.subdirectory(&place(key))? else {
                return Ok(CacheRemoval::Missing);
            };
            let lock = File::from(OwnedFd::from(home.try_clone()?));
            let Ok(Some(_lock)) = Flock::try_exclusive(lock, String::new) else {
                return Ok(CacheRemoval::InUse);
            };
            if !self.is_current(key, &home)? {
                return Ok(CacheRemoval::Missing);
            }
            let (caches, trash) = (
                self.make_subdirectory("caches")?,
                self.make_subdirectory("trash")?,
            );
            let name = key.to_string();
            let random = record::on(LayerId::random(), "read", b"/dev/urandom")?.to_string();
            match trash.rename_new(&caches, name.as_bytes(), random.as_bytes()) {
                Err(error) if error.is(Errno::NOENT) => return Ok(CacheRemoval::Missing),
                answer => answer?,
            }
            trash.remove_all(random.as_bytes())?;
            Ok(CacheRemoval::Removed)
        };
        remove().removing(|| format!("cache {key}"))
    }
}

impl Store {
    /// Whether `home` is still what `key` leads to.
    fn is_current(&self, key: &Key, home: &Dir) -> rbuild_sys::Result<bool> {
        let now = self.subdirectory(&place(key))?;
        let now = now.map(|dir| dir.stat_self()).transpose()?;
        Ok(now.map(|stat| stat.ino) == Some(home.stat_self()?.ino))
    }
}

impl CacheEntry {
    fn read(key: Key, name: CacheName, home: &Dir) -> rbuild_sys::Result<Self> {
        let entries = home.entries()?;
        let directories = entries.iter().filter(|e| e.kind == FileKind::Directory);
        let mut used = None;
        for entry in entries.iter().filter(|e| e.name.ends_with(b".lock")) {
            let stat = home.stat(&entry.name)?;
            used = used.max(Some(stat.mtime));
        }
        Ok(Self {
            key,
            name,
            copies: directories.count(),
            used,
        })
    }
}

impl CacheClaim {
    fn what(&self) -> String {
        format!("cache `{}`", self.name.id)
    }
}

const RECORD: &[u8] = b"record.json";

fn place(key: &Key) -> String {
    format!("caches/{key}")
}

fn lock_name(copy: u32) -> String {
    format!("{copy}.lock")
}
