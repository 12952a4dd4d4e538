//! A directory that must be there before something is put into it (C3, W2, W5).
//!
//! Invariant: nothing is made outside of the tree, wherever its links lead.

use rbuild_sys::{Dir, Errno, Error as SysError, FileKind, Result as SysResult};

use super::{StepError, shown};

/// Most links that lead nowhere on the way to a directory, as in path_resolution(7).
const MAX_LINKS: usize = 40;

/// What a file or directory gets when it is made.
#[derive(Clone, Copy, Debug)]
pub struct New {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

/// Opens the directory `path` of `tree`. What is missing is made as `new` says, the target of a
/// link that leads nowhere too; what exists stays as it is.
///
/// # Errors
/// [`StepError::OntoFile`] if a component is something else, [`StepError::Write`].
pub fn make_directory(tree: &Dir, path: &[u8], new: New) -> Result<Dir, StepError> {
    let make = || {
        tree.make_dirs(&through_links(tree, path)?, new.mode, |parent, name| {
            parent.set_owner(name, new.uid, new.gid)?;
            parent.set_mode(name, new.mode)
        })
    };
    make().map_err(|source| match source.errno() {
        Some(Errno::NOTDIR) => StepError::OntoFile {
            path: shown(file_on_the_way(tree, path)),
        },
        _ => StepError::write(shown(path), source),
    })
}

/// The shortest beginning of `path` that is there and not a directory; `path` if there is none.
pub fn file_on_the_way<'path>(tree: &Dir, path: &'path [u8]) -> &'path [u8] {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let is_file = |part: &&[u8]| tree.resolve_stat(part).is_ok_and(|stat| !stat.is_dir());
    ends.map(|(end, _)| &path[..end])
        .find(is_file)
        .unwrap_or(path)
}

/// `path` with each link in it that leads nowhere replaced by its target.
fn through_links(tree: &Dir, path: &[u8]) -> SysResult<Vec<u8>> {
    let mut path = path.to_vec();
    for _ in 0..MAX_LINKS {
        let Some((start, end)) = first_missing(tree, &path)? else {
            return Ok(path);
        };
        let (parent, name) = (tree.resolve_dir(&path[..start])?, &path[start..end]);
        match SysError::absent(parent.stat(name))? {
            Some(stat) if stat.kind == FileKind::Symlink => {
                let target = parent.read_link(name)?;
                let before = if target.starts_with(b"/") { 0 } else { start };
                path.splice(before..end, target);
            }
            _ => return Ok(path),
        }
    }
    Err(SysError::new("openat2", &path, Errno::LOOP))
}

/// Where in `path` the first component that leads nowhere is; `None` if there is none.
fn first_missing(tree: &Dir, path: &[u8]) -> SysResult<Option<(usize, usize)>> {
    if SysError::absent(tree.resolve_dir(path))?.is_some() {
        return Ok(None);
    }
    let mut start = 0;
    for part in path.split(|&b| b == b'/') {
        let end = start + part.len();
        if SysError::absent(tree.resolve_stat(&path[..end]))?.is_none() {
            return Ok(Some((start, end)));
        }
        start = end + 1;
    }
    Ok(None)
}
