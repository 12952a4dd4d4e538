//! The build context: where COPY looks, what it must not see, and which digests are known.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rbuild_context::{
    IgnoreRules, Place, StatCache, ignore_file_names, read_ignore_file, read_ignore_rules,
};
use rbuild_store::{Key, Session, Store};
use rbuild_sys::Dir;

use crate::Error;

/// Kind of the store's notes that keep digests of context files.
const NOTES: &str = "context";

/// An open build context.
pub struct BuildContext {
    root: Dir,
    rules: Option<IgnoreRules>,
    /// Under what the digests of its files are remembered between builds; `None` for files that
    /// are new each time.
    key: Option<Key>,
    /// Loaded when the first COPY asks: a build without one does not pay for it.
    digests: Mutex<Option<StatCache>>,
    now: i64,
}

/// Which ignore file says what COPY cannot see.
#[derive(Clone, Copy, Debug)]
pub enum Ignoring<'a> {
    /// The first that there is of those beside the Dockerfile at this host path, then of those in
    /// the root of the context (I2).
    Usual(Option<&'a Path>),
    /// This one, wherever it is on this machine (`--ignorefile`).
    File(&'a Path),
}

impl BuildContext {
    /// Opens the directory `path`. `now` in seconds since 1970 decides which digests are too
    /// young to trust.
    ///
    /// # Errors
    /// [`Error::ContextRoot`], [`Error::ContextDirectory`] if it is not a directory;
    /// [`Error::Context`], [`Error::IgnoreFile`], [`Error::IgnoreFileClosed`] if an ignore file is wrong.
    pub fn open(path: &Path, ignoring: Ignoring<'_>, now: i64) -> Result<Self, Error> {
        let failed = |source| Error::Context {
            path: PathBuf::from(path),
            source,
        };
        let canonical = path.canonicalize().map_err(|source| Error::ContextRoot {
            path: path.into(),
            source,
        })?;
        let root = Dir::open(&canonical).map_err(|source| Error::ContextDirectory {
            path: path.into(),
            source,
        })?;
        let rules = match ignoring {
            Ignoring::Usual(dockerfile) => ignore_rules(&root, dockerfile).map_err(failed)?,
            Ignoring::File(file) => Some(rules_of(file)?),
        };
        let key = Key::of(canonical.as_os_str().as_encoded_bytes());
        Ok(Self {
            root,
            rules,
            key: Some(key),
            digests: Mutex::default(),
            now,
        })
    }

    /// Files that were fetched to `root`. No ignore file among them counts (T40), only
    /// `ignore_file` on this machine.
    ///
    /// # Errors
    /// [`Error::IgnoreFile`], [`Error::IgnoreFileClosed`] if that is wrong.
    pub fn fetched(root: Dir, ignore_file: Option<&Path>) -> Result<Self, Error> {
        Ok(Self {
            root,
            rules: ignore_file.map(rules_of).transpose()?,
            key: None,
            digests: Mutex::default(),
            now: 0,
        })
    }

    /// Its root.
    pub fn root(&self) -> &Dir {
        &self.root
    }

    /// The rules of the ignore file; `None` if there is none.
    pub fn rules(&self) -> Option<&IgnoreRules> {
        self.rules.as_ref()
    }

    /// Calls `compute` with the digests of files that are known; new ones are remembered.
    pub(crate) fn with_digests<T>(
        &self,
        store: &Store,
        compute: &mut dyn FnMut(&mut StatCache) -> T,
    ) -> T {
        let mut slot = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        let cache = slot.get_or_insert_with(|| {
            let known = |key: &Key| store.note(NOTES, key).ok().flatten();
            let bytes = self.key.as_ref().and_then(known);
            StatCache::load(&bytes.unwrap_or_default()).unwrap_or_default()
        });
        compute(cache)
    }

    /// Remembers the digests for the next build. It is only a cache, so failing is fine.
    pub fn save(&self, session: &Session) {
        let digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = &self.key
            && let Some(cache) = digests.as_ref()
            && cache.is_changed()
        {
            let _ = session.put_note(NOTES, key, &cache.store(self.now));
        }
    }
}

/// The rules of the ignore file at the host path `path`.
fn rules_of(path: &Path) -> Result<IgnoreRules, Error> {
    let file = File::open(path).map_err(|source| Error::IgnoreFileClosed {
        path: path.into(),
        source,
    })?;
    read_ignore_rules(&path.display().to_string(), file).map_err(|source| Error::IgnoreFile {
        path: path.into(),
        source: Box::new(source),
    })
}

/// The rules of the first ignore file that there is (I2).
fn ignore_rules(
    root: &Dir,
    dockerfile: Option<&Path>,
) -> Result<Option<IgnoreRules>, rbuild_context::Error> {
    let name = dockerfile
        .and_then(Path::file_name)
        .and_then(|name| name.to_str())
        .unwrap_or("Dockerfile");
    let beside = dockerfile.and_then(Path::parent).map(|dir| {
        if dir.as_os_str().is_empty() {
            Path::new(".")
        } else {
            dir
        }
    });
    let beside = beside.and_then(|dir| Dir::open(dir).ok());
    for file in ignore_file_names(name) {
        let dir = match file.place {
            Place::BesideDockerfile => beside.as_ref(),
            Place::ContextRoot => Some(root),
        };
        let Some(dir) = dir else { continue };
        if let Some(rules) = read_ignore_file(dir, &file.name)? {
            return Ok(Some(rules));
        }
    }
    Ok(None)
}
