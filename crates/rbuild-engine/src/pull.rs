//! From a manifest to an image in the store: layers are fetched in parallel, verified and unpacked
//! while they stream.
//!
//! Invariant: nothing becomes visible before its digest, size and diff id were right.

mod patchwork;
mod stock;
mod tally;

use std::{
    io::{self, Read, Write},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use rbuild_layer::{Decoder, Disk, UnpackOptions, Whiteouts, unpack};
use rbuild_oci::{
    ChainId, Descriptor, DiffId, Digest, FileTimes, Hasher, ImageConfig, ImageId, Manifest,
    RootEntry, media_type,
};
use rbuild_registry::Repository;
use rbuild_store::{
    BlobWriter, Draft, Durability, ImageLayer, ImageRecord, LayerId, LayerRecord, Session,
    StagedLayer,
};

use crate::{directory::Directory, docker_archive::Parts, layout::Layout, shelf::ShelfError};
use patchwork::Patchwork;
pub(crate) use stock::Stock;
pub use tally::Tally;

/// Layers that are fetched at the same time.
const CONNECTIONS: usize = 4;
/// A layer that unpacks to more than so many times its size is refused (sandbox.md, Limits).
const RATIO_LIMIT: u64 = 2000;

/// Where an image comes from.
pub enum Origin<'a> {
    /// An OCI layout.
    Layout(Layout<'a>),
    /// A manifest and its blobs, side by side.
    Directory(Directory<'a>),
    /// An archive of `docker save`, which has no manifest.
    Docker(Parts<'a>),
    /// A repository of a registry.
    Registry(&'a Repository),
}

/// Why an image could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The files are damaged, or lack something.
    #[error(transparent)]
    Files(#[from] ShelfError),
    /// The registry refused, or served something else.
    #[error(transparent)]
    Registry(#[from] rbuild_registry::Error),
    /// The store refused; also when a blob's digest is wrong.
    #[error("cannot store layer {layer}")]
    Store {
        /// Digest of its blob.
        layer: String,
        /// Why.
        source: rbuild_store::Error,
    },
    /// The layer's tar is damaged or hostile.
    #[error("cannot unpack layer {layer}")]
    Unpack {
        /// Digest of its blob.
        layer: String,
        /// Why.
        source: rbuild_layer::Error,
    },
    /// Fetching ended early.
    #[error("cannot read layer {layer}")]
    Read {
        /// Digest of its blob.
        layer: String,
        /// Why.
        source: io::Error,
    },
    /// The layer is not the one that the configuration names.
    #[error("layer {layer} unpacks to {found}, but the image's configuration says {expected}")]
    DiffId {
        /// Digest of its blob.
        layer: String,
        /// What the configuration says.
        expected: DiffId,
        /// What it is.
        found: DiffId,
    },
    /// The configuration is not JSON of the right form.
    #[error("the image's configuration is damaged")]
    Config(#[from] serde_json::Error),
    /// Manifest and configuration do not fit together.
    #[error("the manifest has {layers} layers, the configuration {diff_ids}")]
    Layers {
        /// In the manifest.
        layers: usize,
        /// In the configuration.
        diff_ids: usize,
    },
}

impl Origin<'_> {
    pub(crate) fn config(&self, manifest: &Manifest) -> Result<String, PullError> {
        Ok(match self {
            Self::Layout(layout) => layout.config(manifest)?,
            Self::Directory(directory) => directory.config(manifest)?,
            Self::Docker(parts) => parts.config.clone(),
            Self::Registry(repository) => repository.config(manifest)?,
        })
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, PullError> {
        Ok(match self {
            Self::Layout(layout) => layout.blob(descriptor)?,
            Self::Directory(directory) => directory.blob(descriptor)?,
            Self::Docker(parts) => parts.layer(descriptor)?,
            Self::Registry(repository) => Box::new(repository.blob(descriptor)?),
        })
    }
}

/// Fetches the image that `manifest` describes, and records it without a name.
///
/// Layers that the store has are not fetched again; `tally` gets the others.
///
/// # Errors
/// The first failure; layers that were complete stay.
pub fn pull(
    origin: &Origin<'_>,
    manifest: Manifest,
    (session, tally): (&Session, &Tally),
) -> Result<ImageRecord, PullError> {
    let config = origin.config(&manifest)?;
    let layers = layers(origin, (session, tally), (&config, &manifest.layers))?;
    record(
        session,
        ImageRecord {
            config,
            manifest: Some(manifest.text),
            draft: Draft::default(),
            layers,
        },
    )
}

/// The same for an image of an archive that has no manifest. If the store has that image, it stays
/// as it is: its record may know more.
///
/// # Errors
/// As [`pull`].
pub fn pull_parts(parts: Parts<'_>, session: &Session) -> Result<ImageRecord, PullError> {
    if let Some(known) = known(session, &parts.config)? {
        return record(session, known);
    }
    let (config, blobs) = (parts.config.clone(), parts.layers.clone());
    let tally = Tally::default();
    let layers = layers(&Origin::Docker(parts), (session, &tally), (&config, &blobs))?;
    record(
        session,
        ImageRecord {
            config,
            manifest: None,
            draft: Draft::default(),
            layers,
        },
    )
}

/// The image with that configuration, if all its layers are in the store; they are kept from
/// deletion.
fn known(session: &Session, config: &str) -> Result<Option<ImageRecord>, PullError> {
    let id = ImageId(Digest::of(config.as_bytes()));
    let look = || {
        let Some(image) = session.store().image(&id)? else {
            return Ok(None);
        };
        for layer in &image.layers {
            if session.layer(&layer.layer)?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(image))
    };
    look().map_err(|source| PullError::Store {
        layer: "record".to_owned(),
        source,
    })
}

fn record(session: &Session, image: ImageRecord) -> Result<ImageRecord, PullError> {
    session
        .put_image(&image)
        .map_err(|source| PullError::Store {
            layer: "record".to_owned(),
            source,
        })?;
    Ok(image)
}

/// Fetches the layers `blobs` of the image with configuration `config`.
fn layers(
    origin: &Origin<'_>,
    (session, tally): (&Session, &Tally),
    (config, blobs): (&str, &[Descriptor]),
) -> Result<Vec<ImageLayer>, PullError> {
    let config: ImageConfig = serde_json::from_str(config)?;
    let diff_ids = config.rootfs.diff_ids;
    if diff_ids.len() != blobs.len() {
        return Err(PullError::Layers {
            layers: blobs.len(),
            diff_ids: diff_ids.len(),
        });
    }
    let ids = layer_ids(&diff_ids);
    let stock = Stock::new(session);
    let mut wanted = Vec::with_capacity(diff_ids.len());
    for (index, (blob, &diff_id)) in blobs.iter().zip(&diff_ids).enumerate() {
        wanted.push(Wanted {
            origin,
            session,
            stock: &stock,
            tally,
            blob,
            diff_id,
            id: ids[index],
            parent: index.checked_sub(1).map(|below| ids[below]),
        });
    }
    fetch_all(&wanted)
}

/// What the layers of an image are called in the store: each after its chain.
pub(crate) fn layer_ids(diff_ids: &[DiffId]) -> Vec<LayerId> {
    let mut below: Option<ChainId> = None;
    let chains = diff_ids.iter().map(|&diff_id| {
        let chain = ChainId::extend(below, diff_id);
        below = Some(chain);
        chain.into()
    });
    chains.collect()
}

/// Fetches in parallel; the layers come back in their order.
fn fetch_all(wanted: &[Wanted<'_>]) -> Result<Vec<ImageLayer>, PullError> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<ImageLayer, PullError>)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS.min(wanted.len()) {
            scope.spawn(|| {
                while let Some((index, layer)) = Some(next.fetch_add(1, Ordering::Relaxed))
                    .and_then(|index| Some((index, wanted.get(index)?)))
                {
                    let result = layer.fetch();
                    if result.is_err() {
                        next.store(wanted.len(), Ordering::Relaxed);
                    }
                    done.lock().expect("no holder panics").push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no holder panics");
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// A layer to fetch.
pub(crate) struct Wanted<'a> {
    pub origin: &'a Origin<'a>,
    pub session: &'a Session,
    /// What may be used for the blob.
    pub stock: &'a Stock<'a>,
    /// Is told how much of the blob came from where.
    pub tally: &'a Tally,
    pub blob: &'a Descriptor,
    pub diff_id: DiffId,
    pub id: LayerId,
    /// The layer below.
    pub parent: Option<LayerId>,
}

impl Wanted<'_> {
    /// Fetches it, unless the store has tree and blob.
    ///
    /// # Errors
    /// As [`pull`].
    pub fn fetch(&self) -> Result<ImageLayer, PullError> {
        let size = match self.present()? {
            Some(size) => size,
            None => self.unpack()?,
        };
        Ok(ImageLayer {
            layer: self.id,
            diff_id: self.diff_id,
            size,
            blob: Some(self.blob.clone()),
            times: FileTimes::Kept,
            root: RootEntry::Unusual,
        })
    }

    /// Bytes of the layer's tar, if the store has both tree and blob.
    fn present(&self) -> Result<Option<u64>, PullError> {
        let look = || {
            let Some(layer) = self.session.finished_layer(&self.id)? else {
                return Ok(None);
            };
            let blob = self.session.open_blob(&self.blob.digest)?;
            Ok(blob.and(layer.record.tar_size))
        };
        look().map_err(|source| self.store_error(source))
    }

    /// Fetches the layer; returns the size of its tar.
    fn unpack(&self) -> Result<u64, PullError> {
        if let Origin::Registry(repository) = self.origin
            && let Some(mut patchwork) = Patchwork::of(repository, self.blob, self.stock)
        {
            // What the store has was guessed; if it was something else, all is fetched.
            let staged = self.stage()?;
            let kept = patchwork.kept();
            match self.unpack_into(&staged, &mut patchwork) {
                Ok(size) => {
                    self.tally.add(self.blob, kept);
                    return self.commit(staged, size);
                }
                Err(_) => self.give_up(staged)?,
            }
        }
        let staged = self.stage()?;
        let size = self.unpack_into(&staged, &mut self.origin.blob(self.blob)?)?;
        self.tally.add(self.blob, 0);
        self.commit(staged, size)
    }

    fn stage(&self) -> Result<StagedLayer, PullError> {
        let staged = self.session.new_layer();
        staged.map_err(|source| self.store_error(source))
    }

    fn give_up(&self, staged: StagedLayer) -> Result<(), PullError> {
        let dropped = self.session.drop_layer(staged);
        dropped.map_err(|source| self.store_error(source))
    }

    fn commit(&self, staged: StagedLayer, size: u64) -> Result<u64, PullError> {
        let record = LayerRecord {
            parent: self.parent,
            diff_id: Some(self.diff_id),
            tar_size: Some(size),
        };
        let committed = self.session.commit_layer(staged, self.id, &record);
        committed.map_err(|source| self.store_error(source))?;
        Ok(size)
    }

    /// `bytes` → store, and at the same time → decompressed → hashed → tree. Returns the tar's size.
    fn unpack_into(&self, staged: &StagedLayer, bytes: &mut dyn Read) -> Result<u64, PullError> {
        let compression = media_type::layer_compression(&self.blob.media_type)
            .expect("a manifest with other layers is refused");
        let mut blob = self
            .session
            .blob()
            .map_err(|source| self.store_error(source))?;
        // One byte more than announced tells that there is more.
        let mut keeping = Keeping {
            from: bytes.take(self.blob.size.saturating_add(1)),
            copy: &mut blob,
        };
        let mut tar = Hashing {
            from: Decoder::of_layer(&mut keeping, compression, RATIO_LIMIT)
                .map_err(|source| self.read_error(source))?,
            hasher: Hasher::new(),
        };
        let options = UnpackOptions {
            disk: match self.session.store().durability() {
                Durability::Commit => Disk::Meanwhile,
                Durability::None => Disk::Later,
            },
            ..UnpackOptions::new(Whiteouts::Overlay)
        };
        unpack(&mut tar, &staged.diff, &options).map_err(|source| PullError::Unpack {
            layer: self.name(),
            source,
        })?;
        io::copy(&mut tar, &mut io::sink()).map_err(|source| self.read_error(source))?;
        let (size, found) = (tar.hasher.size(), DiffId(tar.hasher.finish()));
        io::copy(&mut keeping, &mut io::sink()).map_err(|source| self.read_error(source))?;
        blob.commit(Some((self.blob.digest, self.blob.size)))
            .map_err(|source| self.store_error(source))?;
        if found != self.diff_id {
            return Err(PullError::DiffId {
                layer: self.name(),
                expected: self.diff_id,
                found,
            });
        }
        Ok(size)
    }

    fn name(&self) -> String {
        self.blob.digest.to_string()
    }

    fn store_error(&self, source: rbuild_store::Error) -> PullError {
        PullError::Store {
            layer: self.name(),
            source,
        }
    }

    fn read_error(&self, source: io::Error) -> PullError {
        PullError::Read {
            layer: self.name(),
            source,
        }
    }
}

/// Copies what is read through it.
struct Keeping<'a, 'session, R> {
    from: R,
    copy: &'a mut BlobWriter<'session>,
}

impl<R: Read> Read for Keeping<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.copy.write_all(&buffer[..count])?;
        Ok(count)
    }
}

/// Hashes what is read through it.
struct Hashing<R> {
    from: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
