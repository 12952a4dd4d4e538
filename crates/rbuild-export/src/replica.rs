//! A directory of the host that gets the files of a result.
//!
//! Knows: what becomes of what is there already. Does not know: whether that may be lost: who opens
//! it has asked.
//!
//! Invariant: nothing outside of the directory is written or removed, whatever links are in it, and
//! nothing is removed before everything is written.

use std::path::{Path, PathBuf};

use rbuild_layer::{Form, PackOptions};
use rbuild_sys::{self as sys, Dir, Errno};

use crate::{
    Error,
    import::through_tar,
    local::made,
    sweep::{remove_others, sweep},
};

/// What becomes of the files there whose names the result does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Others {
    /// They stay.
    #[default]
    Kept,
    /// They are removed when the result is written.
    Removed,
}

/// A directory that gets files.
#[derive(Debug)]
pub struct Replica {
    dir: Dir,
    /// For messages.
    path: PathBuf,
    others: Others,
}

impl Replica {
    /// The directory `path` of the host, made if it is missing.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Directory`].
    pub fn open(path: &Path, others: Others) -> Result<Self, Error> {
        Ok(Self {
            dir: made(path)?,
            path: path.to_owned(),
            others,
        })
    }

    /// What it is called, from `/` on and without symlinks.
    ///
    /// # Errors
    /// [`Error::Directory`].
    pub fn host_path(&self) -> Result<PathBuf, Error> {
        self.dir.host_path().map_err(Error::directory(&self.path))
    }

    /// The directory `name` in it, made if it is missing; what is no directory, such as a link that
    /// leads elsewhere, is replaced.
    ///
    /// # Errors
    /// [`Error::Directory`].
    pub fn part(&self, name: &str) -> Result<Self, Error> {
        let path = self.path.join(name);
        let opened = open_or_make(&self.dir, name.as_bytes());
        Ok(Self {
            dir: opened.map_err(Error::directory(&path))?,
            path,
            others: self.others,
        })
    }

    /// Writes `trees`, bottom first, as one tree. What has the same names is replaced.
    ///
    /// # Errors
    /// [`Error::Pack`], [`Error::Unpack`]: nothing is removed then; [`Error::Remove`].
    pub(crate) fn write(&self, trees: &[&Dir]) -> Result<(), Error> {
        through_tar(trees, &PackOptions::new(Form::Plain), &self.dir)?;
        match self.others {
            Others::Kept => Ok(()),
            Others::Removed => sweep((&self.dir, &self.path), trees),
        }
    }

    /// Ends a replica of which only the parts `names` were written.
    ///
    /// # Errors
    /// [`Error::Remove`].
    pub fn finish(&self, names: &[String]) -> Result<(), Error> {
        match self.others {
            Others::Kept => Ok(()),
            Others::Removed => {
                let is_wanted = |name: &[u8]| names.iter().any(|it| it.as_bytes() == name);
                remove_others((&self.dir, &self.path), is_wanted).map(drop)
            }
        }
    }
}

fn open_or_make(dir: &Dir, name: &[u8]) -> sys::Result<Dir> {
    match dir.child(name) {
        Err(error) if error.is(Errno::NOENT) => {}
        Err(error) if error.is(Errno::NOTDIR) || error.is(Errno::LOOP) => dir.unlink(name)?,
        answer => return answer,
    }
    dir.mkdir(name, 0o755)?;
    dir.child(name)
}
