//! Layers: frozen trees of files.
//!
//! `layers/<id>/diff` is what one step changed, in the form that overlayfs wants for a lower
//! directory. `record.json` beside it was written before the layer became visible.

use rbuild_oci::DiffId;
use rbuild_sys::{Dir, Errno};
use serde::{Deserialize, Serialize};

use crate::{
    LayerId, Session, Store,
    error::{Context, Result},
    gc::aside,
    record,
};

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

    fn publish_layer(
        &self,
        staged: StagedLayer,
        id: LayerId,
        layer: &LayerRecord,
    ) -> rbuild_sys::Result<()> {
        let StagedLayer { home, name, .. } = staged;
        home.remove_all(b"work")?;
        record::create(&home, b"record.json", &record::encode(layer))?;
        let layers = self.store().make_subdirectory("layers")?;
        if self.is_durable() {
            rbuild_sys::sync_file_system(&layers)?;
        }
        let id_name = id.to_string();
        let mut renamed = layers.rename_new(self.staging(), &name, id_name.as_bytes());
        if renamed.as_ref().is_err_and(|error| error.is(Errno::EXIST)) {
            if open_layer(&layers, &id)?.is_some() {
                return self.staging().remove_all(&name);
            }
            self.discard(&layers, id_name.as_bytes())?;
            renamed = layers.rename_new(self.staging(), &name, id_name.as_bytes());
        }
        match renamed {
            Err(error) if error.is(Errno::EXIST) => self.staging().remove_all(&name),
            Err(error) => Err(error),
            Ok(()) if self.is_durable() => record::sync_names(&layers),
            Ok(()) => Ok(()),
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
        let read = || match self.subdirectory("layers")? {
            Some(layers) => open_layer(&layers, id),
            None => Ok(None),
        };
        read().reading(|| format!("layer {id}"))
    }
}

fn open_layer(layers: &Dir, id: &LayerId) -> rbuild_sys::Result<Option<Layer>> {
    let open = || {
        let home = aside::open(layers, id.to_string().as_bytes())?;
        let Some(record) = record::read(&home, b"record.json")? else {
            return Ok(None);
        };
        let diff = home.child(b"diff")?;
        Ok(Some(Layer { diff, record }))
    };
    match open() {
        Err(error) if record::is_miss(&error) => Ok(None),
        answer => answer,
    }
}
