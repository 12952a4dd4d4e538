//! From the store to a registry.

use std::io::Read;

use rbuild_oci::{Descriptor, Reference};
use rbuild_registry::Repository;

use crate::{Error, Exported, ExportedIndex, Place};

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
    refuse_other_digest(&image.descriptor, to)?;
    push_as(place, repository, image, to.tag_or_latest())
}

/// Whether the images of an index are pushed with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Images {
    /// They are, each under its digest.
    Included,
    /// They are not: the registry has them, or it refuses the index.
    Omitted,
}

/// The same for an index: its images come first.
///
/// # Errors
/// As [`push`].
pub fn push_index(
    place: Place<'_>,
    (repository, to): (&Repository, &Reference),
    index: &ExportedIndex,
    images: Images,
) -> Result<(), Error> {
    refuse_other_digest(&index.descriptor, to)?;
    if images == Images::Included {
        for image in &index.images {
            push_as(place, repository, image, None)?;
        }
    }
    let (media_type, text) = (&index.descriptor.media_type, &index.text);
    repository.push_manifest(to.tag_or_latest(), media_type, text)?;
    Ok(())
}

fn refuse_other_digest(sent: &Descriptor, to: &Reference) -> Result<(), Error> {
    match to.digest {
        Some(digest) if digest != sent.digest.0 => Err(Error::Pinned {
            destination: to.to_string(),
            found: sent.digest,
        }),
        _ => Ok(()),
    }
}

/// Uploads an image under `tag`, else under its digest alone.
fn push_as(
    place: Place<'_>,
    repository: &Repository,
    image: &Exported,
    tag: Option<&str>,
) -> Result<(), Error> {
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
    repository.push_manifest(tag, &image.descriptor.media_type, &image.manifest)?;
    Ok(())
}
