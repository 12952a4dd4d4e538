//! The store's directory: may we use it, and what is where.
//!
//! ```text
//! version            "1\n", the first thing that is written
//! lock               flock: shared = any running command, exclusive = whole-store work
//! blobs/sha256/ab/   <hex>: a blob, verified while it was written
//! layers/<id>/       diff/ + record.json
//! images/<hex>       configuration, manifest and layers of an image
//! names/<name>       symlink to ../images/<hex>
//! cache/ab/<key>     what a step led to
//! caches/<key>/      a cache mount: record.json, directories <n> and their locks <n>.lock
//! notes/<kind>/ab/   <key>: what the engine wants to remember
//! leases/<session>   flock'ed by a session for its life
//! staging/<session>/ everything that the session has not finished; staging/key-<key>: key locks
//! trash/             what is being deleted
//! ```

use std::{
    fs::DirBuilder,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rbuild_sys::{Dir, Errno};

use crate::{
    error::{Context, Error, Result},
    flock::Flock,
    record,
    session::Session,
};

const VERSION: u32 = 1;
const SUBDIRECTORIES: [&str; 11] = [
    "blobs", "layers", "images", "names", "indexes", "cache", "caches", "notes", "leases",
    "staging", "trash",
];

/// When a committed object must survive a crash of the machine.
///
/// A crash of the process is survived in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// From its commit on.
    Commit,
    /// When the kernel gets around to it; for machines that are thrown away.
    None,
}

/// An open store. Clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: Dir,
    durability: Durability,
    /// Held shared for the life of the store; `None` when it cannot be created (read-only).
    _lock: Option<Flock>,
}

impl Store {
    /// Opens the store at `path`, creating it if it is missing or an empty directory.
    ///
    /// A store that we may not write to opens too; then only reading works.
    /// Waits while another process works on the store as a whole.
    ///
    /// # Errors
    /// [`Error::Owner`], [`Error::Mode`], [`Error::NotAStore`], [`Error::Newer`],
    /// [`Error::Network`], [`Error::Lock`] when it must not be used, [`Error::Open`] when it
    /// cannot be.
    pub fn open(path: &Path, durability: Durability) -> Result<Self> {
        create_directory(path).opening(path)?;
        let root = Dir::open(path).opening(path)?;
        check_place(&root, path)?;
        check_version(&root, path)?;
        for name in SUBDIRECTORIES {
            if let Err(source) = record::ensure_dir(&root, name.as_bytes())
                && !is_read_only(&source)
            {
                return Err(source).opening(path);
            }
        }
        let lock = lock_shared(&root)?;
        Ok(Self {
            shared: Arc::new(Shared {
                root,
                durability,
                _lock: lock,
            }),
        })
    }

    /// Starts writing; first cleans up after sessions whose process died, for at most about
    /// 200 ms.
    ///
    /// # Errors
    /// [`Error::Write`] or [`Error::Lock`] if no lease can be made.
    pub fn begin(&self) -> Result<Session> {
        Session::begin(self)
    }

    /// The file system that the store is on.
    ///
    /// # Errors
    /// [`Error::Read`] if the kernel does not say.
    pub fn file_system(&self) -> Result<rbuild_sys::FileSystem> {
        rbuild_sys::file_system(self.root()).reading(|| "the store's file system".to_owned())
    }

    pub(crate) fn root(&self) -> &Dir {
        &self.shared.root
    }

    /// What is on the disk when a command ends.
    pub fn durability(&self) -> Durability {
        self.shared.durability
    }

    /// The subdirectory `path`; `None` if it is missing.
    pub(crate) fn subdirectory(&self, path: &str) -> rbuild_sys::Result<Option<Dir>> {
        rbuild_sys::Error::absent(self.root().resolve_dir(path.as_bytes()))
    }

    /// The subdirectory `path`, created if it is missing.
    pub(crate) fn make_subdirectory(&self, path: &str) -> rbuild_sys::Result<Dir> {
        path.split('/')
            .try_fold(self.root().try_clone()?, |dir, name| {
                record::ensure_dir(&dir, name.as_bytes())
            })
    }
}

/// Creates `path` with its parents; the last component is closed to others from the start.
fn create_directory(path: &Path) -> rbuild_sys::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let operand = path.as_os_str().as_encoded_bytes();
    if let Some(parent) = path.parent() {
        record::on(std::fs::create_dir_all(parent), "mkdir", operand)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        answer => record::on(answer, "mkdir", operand),
    }
}

/// Refuses a directory that others can reach into, or that cannot hold a store.
fn check_place(root: &Dir, path: &Path) -> Result<()> {
    let path_buf = || PathBuf::from(path);
    let file_system = rbuild_sys::file_system(root).opening(path)?;
    if file_system.is_network() {
        return Err(Error::Network {
            path: path_buf(),
            file_system: file_system.name().unwrap_or("unknown"),
        });
    }
    let stat = root.stat_self().opening(path)?;
    if stat.uid != rbuild_sys::effective_ids().0 {
        return Err(Error::Owner {
            path: path_buf(),
            owner: stat.uid,
        });
    }
    if stat.mode & 0o077 == 0 {
        return Ok(());
    }
    if !is_empty(root).opening(path)? {
        return Err(Error::Mode {
            path: path_buf(),
            mode: stat.mode & 0o777,
        });
    }
    rbuild_sys::set_file_mode(root, 0o700).opening(path)
}

/// Reads the version, or writes it into an empty directory.
fn check_version(root: &Dir, path: &Path) -> Result<()> {
    let refuse = || {
        Err(Error::NotAStore {
            path: PathBuf::from(path),
        })
    };
    let written = record::read_bytes(root, b"version").opening(path)?;
    let text = match written {
        None if is_empty(root).opening(path)? => {
            let bytes = format!("{VERSION}\n");
            return write_version(root, bytes.as_bytes()).opening(path);
        }
        // Another process may have written it just now.
        None => match record::read_bytes(root, b"version").opening(path)? {
            Some(bytes) => bytes,
            None => return refuse(),
        },
        Some(bytes) => bytes,
    };
    // Emptied by a power cut right after the store was made (fault 23).
    if text.iter().all(|&byte| byte == 0) {
        return Ok(());
    }
    match std::str::from_utf8(&text).map(|text| text.trim_end().parse::<u32>()) {
        Ok(Ok(VERSION)) => Ok(()),
        Ok(Ok(version)) if version > VERSION => Err(Error::Newer {
            path: PathBuf::from(path),
            version,
        }),
        _ => refuse(),
    }
}

/// Creates `version` with its content in one step where the file system can.
fn write_version(root: &Dir, bytes: &[u8]) -> rbuild_sys::Result<()> {
    let written = match root.create_unnamed(0o600) {
        Ok(mut file) => {
            let write = std::io::Write::write_all(&mut file, bytes);
            record::on(write, "write", b"version")?;
            root.link_unnamed(&file, b"version")
        }
        Err(_) => record::create(root, b"version", bytes).map(drop),
    };
    match written {
        Err(error) if !error.is(Errno::EXIST) => Err(error),
        _ => Ok(()),
    }
}

fn is_empty(root: &Dir) -> rbuild_sys::Result<bool> {
    let entries = root.entries()?;
    Ok(entries.iter().all(|entry| entry.name == b"lost+found"))
}

fn is_read_only(error: &rbuild_sys::Error) -> bool {
    [Errno::ROFS, Errno::ACCESS, Errno::PERM, Errno::NOSPC]
        .into_iter()
        .any(|errno| error.is(errno))
}

/// Takes the store's lock; `None` if it is missing and cannot be created.
fn lock_shared(root: &Dir) -> Result<Option<Flock>> {
    let opened = match root.open_or_create(b"lock", 0o600) {
        Err(error) if is_read_only(&error) => root.read(b"lock"),
        answer => answer,
    };
    let file = match opened {
        Ok(file) => file,
        Err(error) if record::is_miss(&error) => return Ok(None),
        Err(source) => return Err(source).writing(|| "`lock`".to_owned()),
    };
    Flock::shared(file, || "lock".to_owned()).map(Some)
}
