//! A work tree as git made it → files that do not depend on who checked them out.
//!
//! Invariant: modes are 0644 and 0755, whatever the umask was; of git's own files at most the
//! repository's `.git` is left. dockerfile.md 1.11, X6.

use rbuild_sys::{Descent, Dir, Entry, FileKind, Timestamp};

use super::fetch::GitDir;
use crate::{
    error::{Error, Result, shown},
    source::join,
};

/// Descriptors that are open at most.
const DESCRIPTORS: usize = 32;

/// A directory that is being gone through.
struct Level {
    path: Vec<u8>,
    left: Vec<Entry>,
}

/// Sets modes, and times if `seconds` since 1970 are given, of all that is in `tree`; removes
/// what git keeps for itself.
pub(super) fn normalize(tree: &Dir, git_dir: GitDir, seconds: Option<i64>) -> Result<()> {
    let read = |path: &[u8]| {
        let path = shown(path);
        move |source| Error::Read { path, source }
    };
    let mtime = seconds.map(|seconds| Timestamp {
        seconds,
        nanoseconds: 0,
    });
    let mut descent = Descent::new(tree.try_clone().map_err(read(b""))?, DESCRIPTORS);
    let left = tree.entries().map_err(read(b""))?;
    let mut levels = vec![Level {
        path: Vec::new(),
        left,
    }];
    while let Some(level) = levels.last_mut() {
        let Some(entry) = level.left.pop() else {
            finish(descent.dir(), mtime).map_err(read(&level.path))?;
            levels.pop();
            descent.leave().map_err(read(b""))?;
            continue;
        };
        let path = join(&level.path, &entry.name);
        if entry.name == b".git" {
            let own = level.path.is_empty() && git_dir == GitDir::Kept;
            if !own {
                descent.dir().remove_all(&entry.name).map_err(read(&path))?;
            }
        } else if entry.kind == FileKind::Directory {
            descent.enter(&entry.name).map_err(read(&path))?;
            let left = descent.dir().entries().map_err(read(&path))?;
            levels.push(Level { path, left });
        } else {
            file(descent.dir(), &entry, mtime).map_err(read(&path))?;
        }
    }
    Ok(())
}

fn file(dir: &Dir, entry: &Entry, mtime: Option<Timestamp>) -> rbuild_sys::Result<()> {
    if entry.kind == FileKind::File {
        let executable = dir.stat(&entry.name)?.mode & 0o111 != 0;
        dir.set_mode(&entry.name, if executable { 0o755 } else { 0o644 })?;
    }
    match mtime {
        Some(mtime) => dir.set_mtime(&entry.name, mtime),
        None => Ok(()),
    }
}

/// The directory itself, when nothing in it changes any more.
fn finish(dir: &Dir, mtime: Option<Timestamp>) -> rbuild_sys::Result<()> {
    rbuild_sys::set_file_mode(dir, 0o755)?;
    match mtime {
        Some(mtime) => rbuild_sys::set_file_mtime(dir, mtime),
        None => Ok(()),
    }
}
