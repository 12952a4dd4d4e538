//! From the store to a registry.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    sync::Mutex,
};

use rbuild_oci::{BlobDigest, Descriptor, Reference};
use rbuild_registry::Repository;
use rbuild_store::Store;

use crate::{
    Error, Exported, ExportedIndex, Place,
    blob::{Stop, given_up},
};

/// Layers that are uploaded at the same time.
const CONNECTIONS: usize = 4;

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
    push_layers(place, repository, &image.layers)?;
    repository.push_blob(&image.config_descriptor, &mut || {
        Ok(Box::new(io::Cursor::new(image.config.clone().into_bytes())) as Box<dyn Read>)
    })?;
    repository.push_manifest(tag, &image.descriptor.media_type, &image.manifest)?;
    Ok(())
}

/// Uploads layers, several at the same time.
fn push_layers(
    place: Place<'_>,
    repository: &Repository,
    layers: &[Descriptor],
) -> Result<(), Error> {
    // A layer may be in an image twice.
    let layers: BTreeMap<&BlobDigest, &Descriptor> =
        layers.iter().map(|layer| (&layer.digest, layer)).collect();
    let waiting = Mutex::new(layers.into_values());
    let failure = Mutex::new(None);
    let next = || match failure.lock().expect("no holder panics").is_some() {
        true => None,
        false => waiting.lock().expect("no holder panics").next(),
    };
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                while let Some(layer) = next() {
                    if let Err(error) = push_layer(place.store, repository, layer, &|| false) {
                        let mut failure = failure.lock().expect("no holder panics");
                        failure.get_or_insert(error);
                    }
                }
            });
        }
    });
    let failure = failure.into_inner().expect("no holder panics");
    failure.map_or(Ok(()), Err)
}

/// Uploads the blob of one layer, which `store` has, if the registry lacks it.
///
/// # Errors
/// As [`push`]; also after a `stop`, as soon as the registry says something.
pub fn push_layer(
    store: &Store,
    repository: &Repository,
    layer: &Descriptor,
    stop: Stop<'_>,
) -> Result<(), Error> {
    let pushed = repository.push_blob(layer, &mut || {
        if stop() {
            return Err(given_up());
        }
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let blob = store.open_blob(&layer.digest);
        let blob = blob.map_err(io::Error::other)?.ok_or_else(missing)?;
        Ok(Box::new(Stoppable { blob, stop }) as Box<dyn Read + '_>)
    });
    Ok(pushed?)
}

/// Reads until it is told to stop.
struct Stoppable<'a, R> {
    blob: R,
    stop: Stop<'a>,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match (self.stop)() {
            true => Err(given_up()),
            false => self.blob.read(buffer),
        }
    }
}
