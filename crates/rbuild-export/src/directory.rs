//! `dir:DIR`: a manifest and its blobs, side by side, as skopeo and podman write them.
//!
//! containers-transports(5), "dir": a blob is called by the digits of its digest. `manifest.json` may
//! be an index; then its manifests are `HEX.manifest.json`.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use crate::{
    Error, Outgoing, Place,
    layout::{open, replace},
};

const VERSION: &str = "Directory Transport Version: 1.1\n";

/// Writes `what` into `directory`, made if it is missing; what was there is replaced.
///
/// # Errors
/// [`Error::NotEmpty`] if `directory` holds something else; [`Error::File`].
pub fn write_directory<'a>(
    place: Place<'_>,
    what: impl Into<Outgoing<'a>>,
    directory: &Path,
) -> Result<(), Error> {
    let what = what.into();
    fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
    let mut there = fs::read_dir(directory).map_err(Error::file("read", directory))?;
    if there.next().is_some() && !directory.join("version").is_file() {
        return Err(Error::NotEmpty {
            path: directory.to_owned(),
        });
    }
    let write = |name: &str, text: &str| {
        replace(&directory.join(name), &mut |file| {
            file.write_all(text.as_bytes())
        })
    };
    for layer in what.layers() {
        let mut blob = open(place, layer)?;
        let path = directory.join(layer.digest.0.hex());
        replace(&path, &mut |file| io::copy(&mut blob, file).map(drop))?;
    }
    for image in what.images() {
        write(&image.config_descriptor.digest.0.hex(), &image.config)?;
        if let Outgoing::Index(_) = what {
            let hex = image.descriptor.digest.0.hex();
            write(&format!("{hex}.manifest.json"), &image.manifest)?;
        }
    }
    write("version", VERSION)?;
    write("manifest.json", what.text())
}
