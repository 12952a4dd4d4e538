//! The files of an image as a plain directory: `-o type=local,dest=DIR`.

use std::path::Path;

use rbuild_layer::{Form, PackOptions};
use rbuild_snapshot::readable;
use rbuild_store::{ImageRecord, Store};
use rbuild_sys::Dir;

use crate::{Error, import::through_tar};

/// Writes the files of `image` into `directory`, made if it is missing; what is there already and
/// has another name stays.
///
/// # Errors
/// [`Error::LayerMissing`], [`Error::Unpack`].
pub fn write_tree(
    store: &Store,
    image: &ImageRecord,
    empty: &Dir,
    directory: &Path,
) -> Result<(), Error> {
    std::fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
    let to = Dir::open(directory).map_err(Error::directory(directory))?;
    let mut dirs = Vec::with_capacity(image.layers.len());
    for layer in image.layers.iter().rev() {
        dirs.push(
            store
                .layer(&layer.layer)?
                .ok_or(Error::LayerMissing(layer.layer))?
                .diff,
        );
    }
    let below: Vec<&Dir> = dirs.iter().collect();
    let tree = readable(&below, empty)?;
    through_tar(&[&tree], &PackOptions::new(Form::Plain), &to)
}
