//! Looking for damage, on request only: nothing is checked or repaired in normal work, where a
//! damaged object is the same as a missing one.

use std::io::{self, Read};

use rbuild_oci::{BlobDigest, Digest, Hasher, ImageId, Name};
use rbuild_sys::FileKind;

use crate::{
    ImageLayer, ImageRecord, IndexRecord, Layer, LayerId, Store,
    error::{Context, Result},
    gc::{Object, Pruner, discard, empty_trash},
};

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// A name whose image is lost, damaged, or lacks a layer.
    Name(Name),
    /// A list that cannot be read, or that has an image that is lost, damaged, or lacks a layer.
    Index(Name),
    /// An image whose record cannot be read, or that lacks a layer.
    Image(ImageId),
    /// A layer without its record, or with other files than it had.
    Layer(LayerId),
    /// A blob with other bytes than it had.
    Blob(BlobDigest),
}

impl Store {
    /// Reads everything and says what is damaged: names first, blobs last. `is_right` tells
    /// whether a layer still is what the image says.
    ///
    /// To be called inside the user namespace.
    ///
    /// # Errors
    /// [`crate::Error::Read`] if the store itself cannot be read.
    pub fn check(
        &self,
        is_right: &mut dyn FnMut(&ImageLayer, &Layer) -> bool,
    ) -> Result<Vec<Damage>> {
        let images = self.images()?;
        let layers = self.damaged_layers(&images, is_right)?;
        let mut damage: Vec<Damage> = self
            .damaged_blobs()?
            .into_iter()
            .map(Damage::Blob)
            .collect();
        damage.extend(layers.iter().copied().map(Damage::Layer));
        let mut whole = Vec::new();
        for (id, image) in &images {
            let lacks = |layer: &ImageLayer| {
                Ok(layers.contains(&layer.layer) || self.layer(&layer.layer)?.is_none())
            };
            let lacking: Result<Vec<bool>> = image.layers.iter().map(lacks).collect();
            if lacking?.contains(&true) {
                damage.push(Damage::Image(*id));
            } else {
                whole.push(*id);
            }
        }
        for id in self.hex_names("images")?.into_iter().map(ImageId) {
            if images.iter().all(|(known, _)| *known != id) {
                damage.push(Damage::Image(id));
            }
        }
        let names = self.names()?.into_iter();
        let lost = names.filter(|(_, id)| !whole.contains(id));
        damage.extend(lost.map(|(name, _)| Damage::Name(name)));
        damage.extend(self.damaged_indexes(&whole)?.into_iter().map(Damage::Index));
        damage.sort();
        Ok(damage)
    }

    /// Moves what is damaged out of the way and forgets the names that led there; a pull or a
    /// build then makes it anew. `false` if another process is pruning: nothing was done.
    ///
    /// # Errors
    /// [`crate::Error::Remove`] if something cannot be moved.
    pub fn repair(&self, damage: &[Damage]) -> Result<bool> {
        let Some(_pruner) = Pruner::start(self)? else {
            return Ok(false);
        };
        for damage in damage {
            match damage {
                Damage::Name(name) => drop(self.remove_name(name)?),
                Damage::Index(name) => drop(self.remove_index(name)?),
                Damage::Image(id) => discard(self, &Object::Image(*id))?,
                Damage::Layer(id) => discard(self, &Object::Layer(*id))?,
                Damage::Blob(digest) => discard(self, &Object::Blob(*digest))?,
            }
        }
        empty_trash(self)?;
        Ok(true)
    }

    /// The names of lists of which something is missing, if only images that are `whole` count.
    fn damaged_indexes(&self, whole: &[ImageId]) -> Result<Vec<Name>> {
        let mut damaged = Vec::new();
        for name in self.index_names()? {
            let index = self.index(&name)?;
            let is_whole = |index: &IndexRecord| {
                let mut images = index.images.iter();
                images.all(|listed| whole.contains(&listed.image))
            };
            if !index.as_ref().is_some_and(is_whole) {
                damaged.push(name);
            }
        }
        Ok(damaged)
    }

    fn damaged_layers(
        &self,
        images: &[(ImageId, ImageRecord)],
        is_right: &mut dyn FnMut(&ImageLayer, &Layer) -> bool,
    ) -> Result<Vec<LayerId>> {
        let mut known: Vec<&ImageLayer> = images.iter().flat_map(|(_, it)| &it.layers).collect();
        known.sort_by_key(|layer| layer.layer);
        known.dedup_by_key(|layer| (layer.layer, layer.diff_id));
        let mut damaged = Vec::new();
        for digest in self.hex_names("layers")? {
            let id = LayerId::from_bytes(*digest.as_bytes());
            let right = match self.layer(&id)? {
                Some(found) => {
                    let mut of_images = known.iter().filter(|layer| layer.layer == id);
                    of_images.all(|layer| is_right(layer, &found))
                }
                None => false,
            };
            if !right {
                damaged.push(id);
            }
        }
        Ok(damaged)
    }

    fn damaged_blobs(&self) -> Result<Vec<BlobDigest>> {
        let mut damaged = Vec::new();
        let fans = match self.subdirectory("blobs/sha256") {
            Ok(Some(dir)) => dir.entries(),
            answer => answer.map(|_| Vec::new()),
        };
        for fan in fans.reading(|| "the blobs".to_owned())? {
            if fan.kind != FileKind::Directory {
                continue;
            }
            let place = format!("blobs/sha256/{}", String::from_utf8_lossy(&fan.name));
            for digest in self.hex_names(&place)?.into_iter().map(BlobDigest) {
                if self
                    .open_blob(&digest)?
                    .is_some_and(|blob| !is_blob(blob, &digest))
                {
                    damaged.push(digest);
                }
            }
        }
        Ok(damaged)
    }

    /// Entries of `place` that are named like objects.
    fn hex_names(&self, place: &str) -> Result<Vec<Digest>> {
        let list = || match self.subdirectory(place)? {
            Some(dir) => dir.entries(),
            None => Ok(Vec::new()),
        };
        let entries = list().reading(|| format!("`{place}`"))?.into_iter();
        let digest = |name: Vec<u8>| Digest::from_hex(std::str::from_utf8(&name).ok()?).ok();
        Ok(entries.filter_map(|entry| digest(entry.name)).collect())
    }
}

/// Whether `blob` has the bytes that its digest says; what cannot be read has not.
fn is_blob(mut blob: impl Read, digest: &BlobDigest) -> bool {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match blob.read(&mut buffer) {
            Ok(0) => return hasher.finish() == digest.0,
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}
