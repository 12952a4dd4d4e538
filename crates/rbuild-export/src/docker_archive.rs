//! Archives as `docker save` writes them: `docker load`, `podman load` and skopeo take them.
//!
//! moby image-spec v1.2, "Combined Image JSON + Filesystem Changeset Format": layers are plain
//! tars; a layer that several images have is there once.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use rbuild_oci::{DiffId, Name};
use rbuild_store::{ImageLayer, ImageRecord};
use serde_json::{Value, json};

use crate::{
    Error, Place,
    blob::write_tar,
    layout::{append_text, header},
};

/// Unit of a tar, in bytes.
const BLOCK: u64 = 512;

/// An image and what it is called.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// As the store has it.
    pub image: &'a ImageRecord,
    /// Its names; perhaps none.
    pub names: &'a [Name],
}

/// Writes `images` as one archive to `out`.
///
/// Same images and names in, same bytes out.
///
/// # Errors
/// [`Error::LayerMissing`], [`Error::LayerChanged`], [`Error::File`]; the archive is of no use
/// then.
pub fn write_docker_archive(
    place: Place<'_>,
    images: &[Named<'_>],
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut archive = tar::Builder::new(out);
    append_text(&mut archive, "manifest.json", &manifest(images).to_string())?;
    let repositories = repositories(images);
    if repositories != json!({}) {
        append_text(&mut archive, "repositories", &repositories.to_string())?;
    }
    let mut written = BTreeSet::new();
    for Named { image, .. } in images {
        append_text(&mut archive, &config_path(image), &image.config)?;
    }
    for layer in images.iter().flat_map(|named| &named.image.layers) {
        if written.insert(layer_path(layer.diff_id)) {
            append_layer(&mut archive, place, layer)?;
        }
    }
    archive.finish().map_err(failed())
}

fn manifest(images: &[Named<'_>]) -> Value {
    let entry = |named: &Named<'_>| {
        let layers = named.image.layers.iter();
        let layers: Vec<String> = layers.map(|layer| layer_path(layer.diff_id)).collect();
        // A name by digest is not one of these: docker refuses the archive.
        let names = named.names.iter().filter(|name| name.tag().is_some());
        let names: Vec<&str> = names.map(Name::as_str).collect();
        json!({
            "Config": config_path(named.image),
            "RepoTags": names,
            "Layers": layers,
        })
    };
    images.iter().map(entry).collect()
}

/// What readers before docker 1.10 look at: repository → tag → top layer.
fn repositories(images: &[Named<'_>]) -> Value {
    let mut all: BTreeMap<&str, BTreeMap<&str, String>> = BTreeMap::new();
    for Named { image, names } in images {
        let Some(top) = image.layers.last() else {
            continue;
        };
        for name in *names {
            if let Some(tag) = name.tag() {
                let tags = all.entry(name.repository()).or_default();
                tags.insert(tag, top.diff_id.0.hex());
            }
        }
    }
    json!(all)
}

fn config_path(image: &ImageRecord) -> String {
    format!("{}.json", image.id().0.hex())
}

fn layer_path(diff_id: DiffId) -> String {
    format!("{}.tar", diff_id.0.hex())
}

/// The layer's tar is written straight into the archive: its size is known beforehand.
fn append_layer(
    archive: &mut tar::Builder<&mut dyn Write>,
    place: Place<'_>,
    layer: &ImageLayer,
) -> Result<(), Error> {
    let mut header = header(tar::EntryType::Regular, 0o644, layer.size);
    header
        .set_path(layer_path(layer.diff_id))
        .map_err(failed())?;
    header.set_cksum();
    let out = archive.get_mut();
    out.write_all(header.as_bytes()).map_err(failed())?;
    let mut counted = Counted { out, size: 0 };
    write_tar(place, layer, &mut counted)?;
    let (size, missing) = (counted.size, (BLOCK - layer.size % BLOCK) % BLOCK);
    if size != layer.size {
        let wrong = format!("the layer has {size} bytes instead of {}", layer.size);
        return Err(failed()(io::Error::other(wrong)));
    }
    let zeros = vec![0; usize::try_from(missing).expect("less than a block")];
    archive.get_mut().write_all(&zeros).map_err(failed())
}

fn failed() -> impl FnOnce(io::Error) -> Error {
    Error::file("write", "the archive")
}

/// Counts what is written through it.
struct Counted<'a> {
    out: &'a mut dyn Write,
    size: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
