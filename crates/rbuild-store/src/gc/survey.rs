//! What is in the store, and who refers to what: all that a decision needs, as data.
//!
//! Order of reading: leases, then what refers, then what is referred to. A session that ends
//! between the first two has written its image by then; an object that appears after its list
//! was read is in no survey, so it is never a victim.

use std::collections::{BTreeMap, BTreeSet};

use rbuild_oci::{BlobDigest, Digest, ImageConfig, ImageId};
use rbuild_sys::{Dir, FileKind};

use super::{leases::leased, usage::Meter};
use crate::{
    CacheRecord, ImageRecord, Key, LayerId, LayerRecord, Store,
    error::{Context, Result},
    record,
};

/// No note that names a blob is longer, in bytes.
const SHORT_NOTE: usize = 64 << 10;

/// What is in the store.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Images, by id.
    pub images: BTreeMap<ImageId, SurveyedImage>,
    /// Cache records, by key.
    pub records: BTreeMap<Key, SurveyedRecord>,
    /// Notes, by kind and key.
    pub notes: BTreeMap<(String, Key), SurveyedNote>,
    /// Layers, by id.
    pub layers: BTreeMap<LayerId, SurveyedLayer>,
    /// Blobs, by digest.
    pub blobs: BTreeMap<BlobDigest, Use>,
    /// What living sessions hold: layer ids, and digests of blobs and images, as text.
    pub leased: BTreeSet<String>,
    /// Bytes that are free on the file system.
    pub free: u64,
}

/// How large something is and how long it was not needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Bytes on disk, as du(1) counts; 0 if nothing was measured.
    pub size: u64,
    /// Seconds since 1970. Only a hint: clocks jump.
    pub last: i64,
}

/// An image.
#[derive(Clone, Debug, Default)]
pub struct SurveyedImage {
    /// Whether a name or an index leads to it.
    pub named: bool,
    /// The labels of its configuration.
    pub labels: BTreeMap<String, String>,
    /// Its layers.
    pub layers: Vec<LayerId>,
    /// The blobs that its layers came as.
    pub blobs: Vec<BlobDigest>,
    /// Of its record; its layers count for themselves.
    pub usage: Use,
}

/// A cache record.
#[derive(Clone, Debug, Default)]
pub struct SurveyedRecord {
    /// Whether it can be understood.
    pub readable: bool,
    /// The layer that it leads to.
    pub layer: Option<LayerId>,
    /// Of its file.
    pub usage: Use,
}

/// A note.
#[derive(Clone, Debug, Default)]
pub struct SurveyedNote {
    /// The blobs that it names.
    pub blobs: Vec<BlobDigest>,
    /// Of its file.
    pub usage: Use,
}

/// A layer.
#[derive(Clone, Debug, Default)]
pub struct SurveyedLayer {
    /// The layer below.
    pub parent: Option<LayerId>,
    /// Of its whole tree.
    pub usage: Use,
}

/// Whether sizes are wanted, for which every file is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// They are. A file with several names counts once.
    Sizes,
    /// They are not; all are 0.
    Names,
}

impl Store {
    /// Looks at everything that can be deleted.
    ///
    /// # Errors
    /// [`crate::Error::Read`] if something is there and cannot be read.
    pub fn survey(&self, measure: Measure) -> Result<Survey> {
        let leased = leased(self)?;
        let mut surveyor = Surveyor {
            store: self,
            meter: (measure == Measure::Sizes).then(Meter::default),
        };
        Ok(Survey {
            leased,
            images: surveyor.images()?,
            records: surveyor.records()?,
            notes: surveyor.notes()?,
            layers: surveyor.layers()?,
            blobs: surveyor.blobs()?,
            free: self.file_system()?.free,
        })
    }
}

struct Surveyor<'a> {
    store: &'a Store,
    meter: Option<Meter>,
}

impl Surveyor<'_> {
    fn images(&mut self) -> Result<BTreeMap<ImageId, SurveyedImage>> {
        let mut named: BTreeSet<ImageId> = self.store.names()?.into_iter().map(|it| it.1).collect();
        for (_, index) in self.store.indexes()? {
            named.extend(index.images.iter().map(|listed| listed.image));
        }
        let Some(dir) = self.directory("images")? else {
            return Ok(BTreeMap::new());
        };
        let mut images = BTreeMap::new();
        for (id, image) in self.store.images()? {
            let mut surveyed = surveyed_image(&image);
            surveyed.named = named.contains(&id);
            surveyed.usage = self.usage(&dir, id.0.hex().as_bytes())?;
            images.insert(id, surveyed);
        }
        Ok(images)
    }

    fn records(&mut self) -> Result<BTreeMap<Key, SurveyedRecord>> {
        let mut records = BTreeMap::new();
        for (dir, name) in self.fanned_out("cache")? {
            let Some(key) = Key::from_hex(&name) else {
                continue;
            };
            let found = record::read::<CacheRecord>(&dir, name.as_bytes());
            let found = found.reading(|| format!("cache/{name}"))?;
            let record = SurveyedRecord {
                readable: found.is_some(),
                layer: found.and_then(|record| record.layer),
                usage: self.usage(&dir, name.as_bytes())?,
            };
            records.insert(key, record);
        }
        Ok(records)
    }

    fn notes(&mut self) -> Result<BTreeMap<(String, Key), SurveyedNote>> {
        let mut notes = BTreeMap::new();
        for kind in names_in(self.directory("notes")?.as_ref())? {
            for (dir, name) in self.fanned_out(&format!("notes/{kind}"))? {
                let Some(key) = Key::from_hex(&name) else {
                    continue;
                };
                let bytes = record::read_bytes(&dir, name.as_bytes());
                let bytes = bytes.reading(|| format!("notes/{kind}/{name}"))?;
                let note = SurveyedNote {
                    blobs: digests_in(&bytes.unwrap_or_default()),
                    usage: self.usage(&dir, name.as_bytes())?,
                };
                notes.insert((kind.clone(), key), note);
            }
        }
        Ok(notes)
    }

    fn layers(&mut self) -> Result<BTreeMap<LayerId, SurveyedLayer>> {
        let dir = self.directory("layers")?;
        let mut layers = BTreeMap::new();
        for name in names_in(dir.as_ref())? {
            let (Some(dir), Some(id)) = (&dir, LayerId::from_hex(&name)) else {
                continue;
            };
            let parent = || match rbuild_sys::Error::absent(dir.child(name.as_bytes()))? {
                Some(home) => record::read::<LayerRecord>(&home, b"record.json"),
                None => Ok(None),
            };
            let found = parent().reading(|| format!("layer {id}"))?;
            let layer = SurveyedLayer {
                parent: found.and_then(|record| record.parent),
                usage: self.usage(dir, name.as_bytes())?,
            };
            layers.insert(id, layer);
        }
        Ok(layers)
    }

    fn blobs(&mut self) -> Result<BTreeMap<BlobDigest, Use>> {
        let mut blobs = BTreeMap::new();
        for (dir, name) in self.fanned_out("blobs/sha256")? {
            if let Ok(digest) = Digest::from_hex(&name) {
                blobs.insert(BlobDigest(digest), self.usage(&dir, name.as_bytes())?);
            }
        }
        Ok(blobs)
    }

    /// The files of `PLACE/ab/`, each with its directory.
    fn fanned_out(&self, place: &str) -> Result<Vec<(std::rc::Rc<Dir>, String)>> {
        let mut files = Vec::new();
        for fan in names_in(self.directory(place)?.as_ref())? {
            if let Some(dir) = self.directory(&format!("{place}/{fan}"))? {
                let dir = std::rc::Rc::new(dir);
                let names = names_in(Some(dir.as_ref()))?.into_iter();
                files.extend(names.map(|name| (dir.clone(), name)));
            }
        }
        Ok(files)
    }

    fn directory(&self, place: &str) -> Result<Option<Dir>> {
        let opened = match self.store.subdirectory(place) {
            Err(error) if record::is_miss(&error) => Ok(None),
            answer => answer,
        };
        opened.reading(|| format!("`{place}`"))
    }

    /// Zero for what vanished meanwhile.
    fn usage(&mut self, dir: &Dir, name: &[u8]) -> Result<Use> {
        let what = || String::from_utf8_lossy(name).into_owned();
        let Some(stat) = rbuild_sys::Error::absent(dir.stat(name)).reading(what)? else {
            return Ok(Use::default());
        };
        let size = match &mut self.meter {
            Some(meter) => meter.measure(dir, name).reading(what)?,
            None => 0,
        };
        Ok(Use {
            size,
            last: stat.mtime.seconds,
        })
    }
}

/// Names that are UTF-8, as all of ours are, and not aside.
fn names_in(dir: Option<&Dir>) -> Result<Vec<String>> {
    let entries = dir.map_or(Ok(Vec::new()), Dir::entries);
    let entries = entries.reading(|| "a directory".to_owned())?;
    let names = entries
        .into_iter()
        .filter(|entry| entry.kind != FileKind::Symlink && !entry.name.starts_with(b"."))
        .filter_map(|entry| String::from_utf8(entry.name).ok());
    Ok(names.collect())
}

fn surveyed_image(image: &ImageRecord) -> SurveyedImage {
    let config = serde_json::from_str::<ImageConfig>(&image.config).ok();
    let labels = config.and_then(|config| config.config.labels.into());
    SurveyedImage {
        labels: labels.unwrap_or_default(),
        layers: image.layers.iter().map(|layer| layer.layer).collect(),
        blobs: blobs_of(image),
        ..SurveyedImage::default()
    }
}

/// The blobs that `image` names.
pub(super) fn blobs_of(image: &ImageRecord) -> Vec<BlobDigest> {
    let blobs = image.layers.iter().filter_map(|layer| layer.blob.as_ref());
    blobs.map(|blob| blob.digest).collect()
}

/// The digests in `note`, which is in a form of its writer's. Long notes name no blobs.
fn digests_in(note: &[u8]) -> Vec<BlobDigest> {
    let text = match std::str::from_utf8(note) {
        Ok(text) if text.len() <= SHORT_NOTE => text,
        _ => return Vec::new(),
    };
    let after = text.split("sha256:").skip(1);
    after
        .filter_map(|rest| Digest::from_hex(rest.get(..64)?).ok())
        .map(BlobDigest)
        .collect()
}
