//! Attestations of files: where a result is a directory or a tar, statements are files beside
//! those of the image, as BuildKit writes them, and speak of each regular file in it.

use std::io::{self, Write};

use rbuild_layer::{Form, PackOptions, pack};
use rbuild_oci::Hasher;
use rbuild_store::{Session, StagedLayer};
use rbuild_sys::{Descent, Dir, FileKind, Timestamp};

use crate::{Attestation, Error, Replica, Subject, import::through_tar};

/// How many directories are held open.
const OPEN: usize = 32;

/// An image's files, and what is said of them.
pub struct AttestedFiles<'a> {
    tree: &'a Dir,
    /// Holds the statements.
    beside: StagedLayer,
}

impl<'a> AttestedFiles<'a> {
    /// The files of `tree`, with statements that have the time `seconds` since 1970.
    ///
    /// # Errors
    /// [`Error::Taken`] if the image has a file of such a name itself.
    pub fn new(
        session: &Session,
        tree: &'a Dir,
        attestations: &[Attestation],
        seconds: i64,
    ) -> Result<Self, Error> {
        let subjects = match attestations {
            [] => Vec::new(),
            _ => subjects(tree)?,
        };
        let beside = session.new_layer()?;
        for attestation in attestations {
            let name = attestation.claim.file_name();
            let cannot = || Error::directory(name);
            let taken = rbuild_sys::Error::absent(tree.stat(name.as_bytes()));
            if taken.map_err(cannot())?.is_some() {
                return Err(Error::Taken { name });
            }
            let dir = &beside.diff;
            let mut file = dir.create(name.as_bytes(), 0o644).map_err(cannot())?;
            writeln!(file, "{}", attestation.statement(&subjects))
                .map_err(Error::file("write", name))?;
            dir.set_mode(name.as_bytes(), 0o644).map_err(cannot())?;
            let mtime = Timestamp {
                seconds,
                nanoseconds: 0,
            };
            dir.set_mtime(name.as_bytes(), mtime).map_err(cannot())?;
        }
        Ok(Self { tree, beside })
    }

    /// Writes all into `to`.
    ///
    /// # Errors
    /// As [`crate::write_tree`].
    pub fn write_to(&self, to: &Replica) -> Result<(), Error> {
        to.write(&self.trees())
    }

    pub(crate) fn write_into(&self, directory: &Dir) -> Result<(), Error> {
        through_tar(&self.trees(), &PackOptions::new(Form::Plain), directory)
    }

    /// Writes all as a tar to `out`.
    ///
    /// # Errors
    /// As [`crate::write_tree_tar`].
    pub fn write_tar(&self, out: &mut dyn Write) -> Result<(), Error> {
        pack(&self.trees(), &PackOptions::new(Form::Plain), out)
            .map(drop)
            .map_err(Error::Pack)
    }

    /// The image is on top: its root's mode and owner count.
    fn trees(&self) -> [&Dir; 2] {
        [&self.beside.diff, self.tree]
    }
}

/// Each regular file of `tree`, by its path.
fn subjects(tree: &Dir) -> Result<Vec<Subject>, Error> {
    let cannot = || Error::directory(".");
    let root = tree.try_clone().map_err(cannot())?;
    let mut levels = vec![root.entries().map_err(cannot())?.into_iter()];
    let mut descent = Descent::new(root, OPEN);
    let mut path: Vec<Vec<u8>> = Vec::new();
    let mut found = Vec::new();
    while let Some(level) = levels.last_mut() {
        let Some(entry) = level.next() else {
            levels.pop();
            path.pop();
            descent.leave().map_err(cannot())?;
            continue;
        };
        match entry.kind {
            FileKind::Directory => {
                descent.enter(&entry.name).map_err(cannot())?;
                levels.push(descent.dir().entries().map_err(cannot())?.into_iter());
                path.push(entry.name);
            }
            FileKind::File => {
                path.push(entry.name);
                let shown = String::from_utf8_lossy(&path.join(&b'/')).into_owned();
                let name = path.pop().unwrap_or_default();
                let opened = descent.dir().read(&name);
                let mut file = opened.map_err(Error::directory(&shown))?;
                let mut hasher = Hasher::new();
                io::copy(&mut file, &mut hasher).map_err(Error::file("read", &shown))?;
                found.push(Subject {
                    name: shown,
                    digest: hasher.finish(),
                });
            }
            _ => {}
        }
    }
    Ok(found)
}
