//! The build context: where COPY looks, what it must not see, and which digests are known.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rbuild_context::{
    IgnoreRules, Place, StatCache, hidden, ignore_file_names, read_ignore_file, read_ignore_rules,
};
use rbuild_snapshot::readable;
use rbuild_store::{Key, Session, Store};
use rbuild_sys::{Dir, Error as SysError, FileKind, Node};

use crate::{Error, step::StepError};

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
    /// Made when the first command sees the context.
    mask: Mutex<Option<Mask>>,
    now: i64,
}

/// What lies over the context when it is mounted, so that ignored files are not seen.
enum Mask {
    /// Nothing is ignored.
    Needless,
    /// A directory with a whiteout for each that is, as overlayfs wants it.
    Whiteouts(Dir),
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
            mask: Mutex::default(),
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
            mask: Mutex::default(),
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

    /// Its files without those that are ignored, as one tree (I9). `empty` is an empty directory.
    ///
    /// # Errors
    /// [`StepError::Source`], [`StepError::Stage`], [`StepError::Mount`].
    pub(crate) fn visible(&self, session: &Session, empty: &Dir) -> Result<Dir, StepError> {
        let mut slot = self.mask.lock().unwrap_or_else(PoisonError::into_inner);
        let mask = match slot.take() {
            Some(mask) => mask,
            None => self.mask(session)?,
        };
        match slot.insert(mask) {
            Mask::Needless => self.root.try_clone().map_err(masked),
            Mask::Whiteouts(mask) => readable(&[mask, &self.root], empty).map_err(StepError::Mount),
        }
    }

    fn mask(&self, session: &Session) -> Result<Mask, StepError> {
        let hidden = match &self.rules {
            Some(rules) => hidden(&self.root, rules)?,
            None => Vec::new(),
        };
        if hidden.is_empty() {
            return Ok(Mask::Needless);
        }
        let mask = session.new_layer()?.diff;
        let mode = |path: &[u8]| Ok::<_, SysError>(self.root.resolve_stat(path)?.mode);
        let hide = |path: &[u8]| {
            let (parent, name) = match path.iter().rposition(|&byte| byte == b'/') {
                Some(slash) => (&path[..slash], &path[slash + 1..]),
                None => (&b""[..], path),
            };
            // What is on the way is merged with the context's, and shows this mode.
            for end in (0..parent.len())
                .filter(|&at| parent[at] == b'/')
                .chain([parent.len()])
            {
                mask.make_dirs(&parent[..end], 0o755, |dir, name| {
                    dir.set_mode(name, mode(&parent[..end])?)
                })?;
            }
            let dir = mask.resolve_dir(parent)?;
            dir.mknod(
                name,
                Node {
                    kind: FileKind::CharDevice,
                    mode: 0,
                    rdev: (0, 0),
                },
            )
        };
        let root = mode(b"").and_then(|mode| mask.set_mode(b".", mode));
        root.map_err(masked)?;
        for path in &hidden {
            hide(path).map_err(masked)?;
        }
        Ok(Mask::Whiteouts(mask))
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

fn masked(source: SysError) -> StepError {
    StepError::Stage {
        what: "the build context without what is ignored".to_owned(),
        source,
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
