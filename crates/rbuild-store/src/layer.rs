//! Layers: frozen trees of files.
//!
//! `layers/<id>/diff` is what one step changed, in the form that overlayfs wants for a lower
//! directory. `record.json` beside it was written before the layer became visible; `synced`
//! appears when everything in it has reached the disk.
//!
//! Invariant: a layer that a power cut may have emptied is never taken for a result. It is
//! visible without `synced` and says that an earlier boot of the machine made it. An image
//! record is written after its layers were synced, so what it names needs no such proof.

use rbuild_oci::DiffId;
use rbuild_sys::{Dir, Errno, Error};
use serde::{Deserialize, Serialize};

use crate::{
    LayerId, Session, Store,
    error::{Context, Result},
    gc::aside,
    record,
};

/// The file that says that a layer has reached the disk.
const SYNCED: &[u8] = b"synced";

/// What is known of a layer when it is committed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// The layer below; `None` for the bottom.
    pub parent: Option<LayerId>,
    /// Digest of the tar it was unpacked from; `None` for a step's result.
    pub diff_id: Option<DiffId>,
    /// Bytes of that tar, uncompressed.
    pub tar_size: Option<u64>,
}

/// A committed layer. Nobody writes to it any more.
#[derive(Debug)]
pub struct Layer {
    /// Its files.
    pub diff: Dir,
    /// What was known when it was committed.
    pub record: LayerRecord,
}

/// The content of `record.json`.
#[derive(Serialize, Deserialize)]
struct Committed<L> {
    #[serde(flatten)]
    layer: L,
    /// The boot of the machine in which it was written.
    #[serde(default)]
    boot: String,
}

/// A committed layer and what tells whether it can be trusted.
struct Found {
    layer: Layer,
    boot: String,
    home: Dir,
}

/// A layer that is being made, in the session's staging directory.
#[derive(Debug)]
pub struct StagedLayer {
    /// Where its files go; mode 0755, whatever the umask is.
    pub diff: Dir,
    /// An empty directory on the same file system: the overlay's work directory.
    pub work: Dir,
    /// Holds both.
    home: Dir,
    name: Vec<u8>,
}

impl Session {
    /// Makes room for a new layer. Without [`Session::commit_layer`] it goes with the session.
    ///
    /// # Errors
    /// [`crate::Error::Write`] if the directories cannot be created.
    pub fn new_layer(&self) -> Result<StagedLayer> {
        let name = self.unused_name();
        let stage = || {
            self.staging().mkdir(&name, 0o700)?;
            let home = self.staging().child(&name)?;
            home.mkdir(b"diff", 0o755)?;
            home.set_mode(b"diff", 0o755)?;
            home.mkdir(b"work", 0o700)?;
            Ok(StagedLayer {
                diff: home.child(b"diff")?,
                work: home.child(b"work")?,
                home,
                name: name.clone(),
            })
        };
        stage().writing(|| "a new layer".to_owned())
    }

    /// Freezes `staged` and makes it visible as `id`, by one rename. If `id` is there already,
    /// `staged` is dropped: equal ids mean interchangeable layers.
    ///
    /// Nothing is synced: that is done once for all layers of an image, by
    /// [`Session::put_image`].
    ///
    /// The overlay that writes to it must be unmounted.
    ///
    /// # Errors
    /// [`crate::Error::Write`] if the disk refuses; nothing is visible then.
    pub fn commit_layer(
        &self,
        staged: StagedLayer,
        id: LayerId,
        layer: &LayerRecord,
    ) -> Result<()> {
        self.hold(&id)?;
        self.publish_layer(staged, id, layer)
            .writing(|| format!("layer {id}"))
    }

    /// Gives up `staged` now, not only at the end of the session.
    ///
    /// # Errors
    /// [`crate::Error::Remove`] if something cannot be deleted.
    pub fn drop_layer(&self, staged: StagedLayer) -> Result<()> {
        let StagedLayer { name, .. } = staged;
        self.staging()
            .remove_all(&name)
            .removing(|| "an unfinished layer".to_owned())
    }

    /// Opens layer `id` for use as the result of earlier work, and keeps it from being deleted
    /// as long as this session lives. `None` if it is missing, damaged, or may have been emptied
    /// by a power cut: a miss, also when it vanished just now (T53).
    ///
    /// # Errors
    /// [`crate::Error::Write`] if the lease cannot be extended, [`crate::Error::Read`] if reading
    /// fails.
    pub fn finished_layer(&self, id: &LayerId) -> Result<Option<Layer>> {
        self.hold(id)?;
        let found = self.store().found_layer(id)?;
        Ok(found
            .filter(|found| self.trusts(found))
            .map(|found| found.layer))
    }

    /// Makes sure that `layers` are on disk before an image names them: it then waits for none.
    ///
    /// # Errors
    /// [`crate::Error::Write`] if the disk refuses: then no image may name them.
    pub fn sync(&self, layers: &[LayerId]) -> Result<()> {
        self.sync_layers(layers.iter())
            .writing(|| "the layers of an image".to_owned())
    }

    /// Makes sure that `layers` are on disk; nothing is done for those that are known to be.
    pub(crate) fn sync_layers<'id>(
        &self,
        ids: impl Iterator<Item = &'id LayerId>,
    ) -> rbuild_sys::Result<()> {
        if !self.is_durable() {
            return Ok(());
        }
        let layers = self.store().make_subdirectory("layers")?;
        let mut pending = Vec::new();
        for id in ids {
            if let Some(found) = open_layer(&layers, id)?
                && Error::absent(found.home.stat(SYNCED))?.is_none()
            {
                pending.push(found.home);
            }
        }
        if pending.is_empty() {
            return Ok(());
        }
        rbuild_sys::sync_file_system(&layers)?;
        for home in pending {
            match home.create(SYNCED, 0o600) {
                Err(error) if !error.is(Errno::EXIST) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn trusts(&self, found: &Found) -> bool {
        !self.is_durable() || found.boot == self.boot() || found.home.stat(SYNCED).is_ok()
    }

    fn publish_layer(
        &self,
        staged: StagedLayer,
        id: LayerId,
        layer: &LayerRecord,
    ) -> rbuild_sys::Result<()> {
        let StagedLayer { home, name, .. } = staged;
        home.remove_all(b"work")?;
        let boot = self.boot().to_owned();
        let committed = record::encode(&Committed { layer, boot });
        record::create(&home, b"record.json", &committed)?;
        let layers = self.store().make_subdirectory("layers")?;
        let id_name = id.to_string();
        let mut renamed = layers.rename_new(self.staging(), &name, id_name.as_bytes());
        if renamed.as_ref().is_err_and(|error| error.is(Errno::EXIST)) {
            if open_layer(&layers, &id)?.is_some_and(|found| self.trusts(&found)) {
                return self.staging().remove_all(&name);
            }
            self.discard(&layers, id_name.as_bytes())?;
            renamed = layers.rename_new(self.staging(), &name, id_name.as_bytes());
        }
        match renamed {
            Err(error) if error.is(Errno::EXIST) => self.staging().remove_all(&name),
            answer => answer,
        }
    }
}

impl Store {
    /// Opens layer `id`; `None` if it is missing or damaged.
    ///
    /// Nothing keeps it from being deleted meanwhile: a build uses [`Session::layer`].
    ///
    /// # Errors
    /// [`crate::Error::Read`] if it is there and cannot be opened.
    pub fn layer(&self, id: &LayerId) -> Result<Option<Layer>> {
        Ok(self.found_layer(id)?.map(|found| found.layer))
    }

    fn found_layer(&self, id: &LayerId) -> Result<Option<Found>> {
        let read = || match self.subdirectory("layers")? {
            Some(layers) => open_layer(&layers, id),
            None => Ok(None),
        };
        read().reading(|| format!("layer {id}"))
    }
}

fn open_layer(layers: &Dir, id: &LayerId) -> rbuild_sys::Result<Option<Found>> {
    let open = || {
        let home = aside::open(layers, id.to_string().as_bytes())?;
        let Some(committed) = record::read::<Committed<LayerRecord>>(&home, b"record.json")? else {
            return Ok(None);
        };
        let diff = home.child(b"diff")?;
        let record = committed.layer;
        Ok(Some(Found {
            layer: Layer { diff, record },
            boot: committed.boot,
            home,
        }))
    };
    match open() {
        Err(error) if record::is_miss(&error) => Ok(None),
        answer => answer,
    }
}
