//! The files of an image, all layers merged: a plain directory (`-o type=local`), or a tar
//! (`-o type=tar`, `rbuild export`). Parts of a tree as files of the host.

use std::{
    fs::{self, File},
    io::Write,
    os::fd::AsFd,
    path::Path,
};

use rbuild_layer::{Form, PackOptions, pack};
use rbuild_oci::ImagePath;
use rbuild_snapshot::readable;
use rbuild_store::{LayerId, Store};
use rbuild_sys::{Dir, FileKind, set_file_mode};

use crate::{Error, Replica, import::through_tar};

/// Writes the files of `layers`, bottom first and merged, into `to`.
///
/// # Errors
/// [`Error::LayerMissing`], [`Error::Unpack`]; nothing is removed then.
pub fn write_tree(
    store: &Store,
    layers: &[LayerId],
    empty: &Dir,
    to: &Replica,
) -> Result<(), Error> {
    let tree = merged(store, layers, empty)?;
    to.write(&[&tree])
}

/// Writes the same as a tar to `out`.
///
/// # Errors
/// [`Error::LayerMissing`], [`Error::Pack`].
pub fn write_tree_tar(
    store: &Store,
    layers: &[LayerId],
    empty: &Dir,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let tree = merged(store, layers, empty)?;
    pack(&[&tree], &PackOptions::new(Form::Plain), out)
        .map(drop)
        .map_err(Error::Pack)
}

/// `layers`, bottom first, as one tree; `empty` is a directory without anything in it.
///
/// # Errors
/// [`Error::LayerMissing`], [`Error::Snapshot`].
pub fn merged(store: &Store, layers: &[LayerId], empty: &Dir) -> Result<Dir, Error> {
    let mut dirs = Vec::with_capacity(layers.len());
    for layer in layers.iter().rev() {
        let found = store.layer(layer)?.ok_or(Error::LayerMissing(*layer))?;
        dirs.push(found.diff);
    }
    let below: Vec<&Dir> = dirs.iter().collect();
    Ok(readable(&below, empty)?)
}

/// Copies what is at `path` in `tree` to `to`: a file to a file, or into the directory that is
/// there; what is in a directory into a directory, made if it is missing.
///
/// # Errors
/// [`Error::Select`] if there is nothing, or something else; [`Error::File`], [`Error::Unpack`].
pub fn write_path(tree: &Dir, path: &ImagePath, to: &Path) -> Result<(), Error> {
    let cannot = |source| Error::Select {
        path: path.to_string(),
        source,
    };
    let stat = tree
        .resolve_stat(path.as_str().as_bytes())
        .map_err(cannot)?;
    if stat.is_dir() {
        let from = tree.resolve_dir(path.as_str().as_bytes()).map_err(cannot)?;
        return through_tar(&[&from], &PackOptions::new(Form::Plain), &made(to)?);
    }
    if stat.kind != FileKind::File {
        return Err(Error::NotCopied {
            path: path.to_string(),
        });
    }
    let name = path.as_str().rsplit('/').next().unwrap_or_default();
    let to = &if to.is_dir() {
        to.join(name)
    } else {
        to.to_owned()
    };
    let mut from = tree
        .resolve_file(path.as_str().as_bytes())
        .map_err(cannot)?;
    let mut copy = File::create(to).map_err(Error::file("create", to))?;
    std::io::copy(&mut from, &mut copy).map_err(Error::file("write", to))?;
    set_file_mode(copy.as_fd(), stat.mode & 0o777).map_err(Error::directory(to))
}

/// The directory `path` of the host, made if it is missing.
pub(crate) fn made(path: &Path) -> Result<Dir, Error> {
    fs::create_dir_all(path).map_err(Error::file("create", path))?;
    Dir::open(path).map_err(Error::directory(path))
}
