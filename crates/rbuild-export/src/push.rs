//! From the store to a registry.

use std::io::Read;

use rbuild_oci::Reference;
use rbuild_registry::Repository;

use crate::{Error, Exported, Place};

/// Uploads what the registry lacks: layers, configuration, and last the manifest under the tag of
/// `to`.
///
/// # Errors
/// [`Error::Pinned`] if `to` has another digest; [`Error::Registry`]: blobs that are uploaded
/// already stay there.
pub fn push(
    place: Place<'_>,
    repository: &Repository,
    image: &Exported,
    to: &Reference,
) -> Result<(), Error> {
    let found = image.descriptor.digest;
    if to.digest.is_some_and(|digest| digest != found.0) {
        return Err(Error::Pinned {
            destination: to.to_string(),
            found,
        });
    }
    for layer in &image.layers {
        repository.push_blob(layer, &mut || {
            let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
            let blob = place
                .store
                .open_blob(&layer.digest)
                .map_err(std::io::Error::other)?;
            Ok(Box::new(blob.ok_or_else(missing)?) as Box<dyn Read>)
        })?;
    }
    repository.push_blob(&image.config_descriptor, &mut || {
        Ok(Box::new(std::io::Cursor::new(image.config.clone().into_bytes())) as Box<dyn Read>)
    })?;
    repository.push_manifest(
        to.tag_or_latest(),
        &image.descriptor.media_type,
        &image.manifest,
    )?;
    Ok(())
}
