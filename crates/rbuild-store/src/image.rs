//! Images: a configuration, and the layers that it stands for.
//!
//! One immutable file per image names everything that belongs to it, by digest: an image
//! whose layer is lost does not harm any other.

use std::collections::BTreeMap;

use rbuild_oci::{Descriptor, DiffId, Digest, FileTimes, Format, ImageId, RootEntry};
use serde::{Deserialize, Serialize};

use crate::{
    IndexRecord, LayerId, Session, Store,
    error::{Context, Error, Result},
    gc::aside,
    record,
};

/// An image as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// The configuration file, byte for byte; its digest is the image's id.
    pub config: String,
    /// The manifest it was pulled with, byte for byte, so that a push keeps its digest.
    pub manifest: Option<String>,
    /// What its manifest is to be when it has none yet.
    #[serde(default)]
    pub draft: Draft,
    /// Bottom first.
    pub layers: Vec<ImageLayer>,
}

/// What is known of a manifest before there are blobs for it to name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// How it is to be written.
    pub format: Format,
    /// What it is to say of the image; only OCI's format has a place for that.
    pub annotations: BTreeMap<String, String>,
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageLayer {
    /// Its files.
    pub layer: LayerId,
    /// Digest of its uncompressed tar.
    pub diff_id: DiffId,
    /// Bytes of its uncompressed tar.
    pub size: u64,
    /// The blob it came as; the store may not have it any more.
    pub blob: Option<Descriptor>,
    /// What becomes of times of modification in its tar.
    #[serde(rename = "mtime_limit")]
    pub times: FileTimes,
    /// Whether its tar says what its root is like.
    #[serde(default)]
    pub root: RootEntry,
}

impl ImageRecord {
    /// Digest of the configuration.
    pub fn id(&self) -> ImageId {
        ImageId(Digest::of(self.config.as_bytes()))
    }

    /// What its layers are called in the store, bottom first.
    pub fn layer_ids(&self) -> Vec<LayerId> {
        self.layers.iter().map(|layer| layer.layer).collect()
    }
}

impl Session {
    /// Writes `image` and returns its id; an older record of the same id is replaced. Atomic.
    /// Its layers are synced first: a record is only worth as much as they are.
    ///
    /// # Errors
    /// [`Error::Write`] if the disk refuses; the older record stays then.
    pub fn put_image(&self, image: &ImageRecord) -> Result<ImageId> {
        let id = image.id();
        self.hold(&id)?;
        let written = self.store().image(&id)?.is_some_and(|old| old == *image);
        let write = || {
            self.sync_layers(image.layers.iter().map(|layer| &layer.layer))?;
            let images = self.store().make_subdirectory("images")?;
            let name = id.0.hex();
            if !written {
                self.replace(&images, name.as_bytes(), &record::encode(image))?;
            }
            self.sync_names(&images)
        };
        write().writing(|| format!("image {id}"))?;
        Ok(id)
    }
}

impl Store {
    /// Image `id`; `None` if it is missing or damaged.
    ///
    /// # Errors
    /// [`Error::Read`] if it is there and cannot be read.
    pub fn image(&self, id: &ImageId) -> Result<Option<ImageRecord>> {
        let read = || match self.subdirectory("images")? {
            Some(images) => {
                aside::read(&images, id.0.hex().as_bytes(), record::read::<ImageRecord>)
            }
            None => Ok(None),
        };
        let found = read().reading(|| format!("image {id}"))?;
        Ok(found.filter(|image| image.id() == *id))
    }

    /// All images, by id; damaged ones are left out.
    ///
    /// # Errors
    /// [`Error::Read`] if the list, or one that is there, cannot be read.
    pub fn images(&self) -> Result<Vec<(ImageId, ImageRecord)>> {
        let list = || match self.subdirectory("images")? {
            Some(images) => images.entries(),
            None => Ok(Vec::new()),
        };
        let mut images = Vec::new();
        for entry in list().reading(|| "the list of images".to_owned())? {
            let name = std::str::from_utf8(&entry.name).unwrap_or_default();
            let Ok(digest) = Digest::from_hex(name) else {
                continue;
            };
            if let Some(image) = self.image(&ImageId(digest))? {
                images.push((ImageId(digest), image));
            }
        }
        Ok(images)
    }

    /// Deletes the record of image `id`: one unlink, which works on a full disk. Its layers
    /// stay until a prune. Returns whether it was there.
    ///
    /// # Errors
    /// [`Error::StillNamed`] if a name leads to it, [`Error::Listed`], [`Error::Remove`] if it cannot be deleted.
    pub fn remove_image(&self, id: &ImageId) -> Result<bool> {
        if let Some((name, _)) = self.names()?.into_iter().find(|(_, named)| named == id) {
            return Err(Error::StillNamed { image: *id, name });
        }
        let lists = |index: &IndexRecord| index.images.iter().any(|listed| listed.image == *id);
        if let Some((index, _)) = self.indexes()?.into_iter().find(|it| lists(&it.1)) {
            return Err(Error::Listed { image: *id, index });
        }
        let remove = || match self.subdirectory("images")? {
            Some(images) => rbuild_sys::Error::absent(images.unlink(id.0.hex().as_bytes())),
            None => Ok(None),
        };
        let removed = remove().removing(|| format!("image {id}"))?;
        Ok(removed.is_some())
    }
}
