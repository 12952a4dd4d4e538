//! OCI image layouts: a directory, or the same as a tar.
//!
//! OCI image-spec, image-layout.md.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use rbuild_oci::{BlobDigest, Descriptor, Hasher, media_type};
use serde_json::{Value, json};

use crate::{Error, Outgoing, Place, Replacement};

const MARKER: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
/// Annotation that carries a tag in `index.json`.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Adds `what` to the layout at `directory`, made if it is missing, under `tag`.
///
/// What had the tag before loses it. `index.json` is replaced by a rename, after all blobs are
/// there.
///
/// # Errors
/// [`Error::NotALayout`] if `directory` holds something else; [`Error::File`], with
/// [`Error::BlobChanged`] as its source if the store's copy of a layer is damaged.
pub fn write_layout<'a>(
    place: Place<'_>,
    what: impl Into<Outgoing<'a>>,
    directory: &Path,
    tag: Option<&str>,
) -> Result<(), Error> {
    let what = what.into();
    let layout = Begun::at(directory)?;
    for layer in what.layers() {
        layout.add_layer(place, layer)?;
    }
    for (descriptor, text) in what.documents() {
        layout.add_text(descriptor, text)?;
    }
    layout.finish(what.descriptor(), tag)
}

/// A layout that gets blobs.
struct Begun<'a> {
    directory: &'a Path,
    blobs: PathBuf,
    /// What `index.json` was.
    old: Value,
}

impl<'a> Begun<'a> {
    fn at(directory: &'a Path) -> Result<Self, Error> {
        let old = read_index(directory, &directory.join("index.json"))?;
        let blobs = directory.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(Error::file("create", &blobs))?;
        Ok(Self {
            directory,
            blobs,
            old,
        })
    }

    fn add_layer(&self, place: Place<'_>, layer: &Descriptor) -> Result<(), Error> {
        let path = self.blobs.join(layer.digest.0.hex());
        if fs::metadata(&path).is_ok_and(|file| file.len() == layer.size) {
            return Ok(());
        }
        let mut blob = open(place, layer)?;
        replace(&path, &mut |file| io::copy(&mut blob, file).map(drop))
    }

    fn add_text(&self, descriptor: &Descriptor, text: &str) -> Result<(), Error> {
        write(&self.blobs.join(descriptor.digest.0.hex()), text)
    }

    /// The image or index appears.
    fn finish(self, descriptor: &Descriptor, tag: Option<&str>) -> Result<(), Error> {
        write(&self.directory.join("oci-layout"), MARKER)?;
        let index = with_image(self.old, descriptor, tag);
        write(&self.directory.join("index.json"), &index.to_string())
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    replace(path, &mut |file| file.write_all(text.as_bytes()))
}

/// What a layout has, and what it is called there.
#[derive(Clone, Copy, Debug)]
pub struct Tagged<'a> {
    /// An image, or an index with its images.
    pub what: Outgoing<'a>,
    /// Its tag, or whole name.
    pub tag: Option<&'a str>,
}

/// Writes all of `things` as a tar of one layout to `out`.
///
/// Same things and tags in, same bytes out.
///
/// # Errors
/// [`Error::File`].
pub fn write_archive(
    place: Place<'_>,
    things: &[Tagged<'_>],
    out: &mut dyn Write,
) -> Result<(), Error> {
    let index = things.iter().fold(empty_index(), |index, tagged| {
        with_image(index, tagged.what.descriptor(), tagged.tag)
    });
    let mut content = Content::default();
    for Tagged { what, .. } in things {
        content.add(*what);
    }
    content.write(place, &index, out)
}

/// The blobs of an archive: each once, and in the same order every time.
#[derive(Default)]
struct Content<'a> {
    layers: BTreeMap<String, &'a Descriptor>,
    texts: BTreeMap<String, &'a str>,
}

impl<'a> Content<'a> {
    fn add(&mut self, what: Outgoing<'a>) {
        let layers = what.layers();
        self.layers
            .extend(layers.map(|layer| (layer.digest.0.hex(), layer)));
        let documents = what.documents();
        self.texts
            .extend(documents.map(|(descriptor, text)| (descriptor.digest.0.hex(), text)));
    }

    fn write(self, place: Place<'_>, index: &Value, out: &mut dyn Write) -> Result<(), Error> {
        let failed = || Error::file("write", "the archive");
        let mut archive = tar::Builder::new(out);
        // Without entries of their own, c/image would want to give these directories to root.
        for path in ["blobs/", "blobs/sha256/"] {
            let mut header = header(tar::EntryType::Directory, 0o755, 0);
            archive
                .append_data(&mut header, path, io::empty())
                .map_err(failed())?;
        }
        append_text(&mut archive, "oci-layout", MARKER)?;
        append_text(&mut archive, "index.json", &index.to_string())?;
        for (hex, layer) in self.layers {
            let mut blob = open(place, layer)?;
            let mut header = header(tar::EntryType::Regular, 0o644, layer.size);
            archive
                .append_data(&mut header, format!("blobs/sha256/{hex}"), &mut blob)
                .map_err(failed())?;
        }
        for (hex, text) in self.texts {
            append_text(&mut archive, &format!("blobs/sha256/{hex}"), text)?;
        }
        archive.finish().map_err(failed())
    }
}

/// Adds the file `path` to an archive.
pub(crate) fn append_text(
    archive: &mut tar::Builder<&mut dyn Write>,
    path: &str,
    text: &str,
) -> Result<(), Error> {
    let mut header = header(tar::EntryType::Regular, 0o644, text.len() as u64);
    archive
        .append_data(&mut header, path, text.as_bytes())
        .map_err(Error::file("write", "the archive"))
}

/// An entry of nobody in particular, of 1970.
pub(crate) fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(kind);
    header
}

/// A blob of the store that is hashed again while it leaves (store.md, fault 24).
pub(crate) struct Leaving<'a> {
    place: Place<'a>,
    file: File,
    expected: &'a Descriptor,
    hasher: Hasher,
}

pub(crate) fn open<'a>(place: Place<'a>, layer: &'a Descriptor) -> Result<Leaving<'a>, Error> {
    let missing = || Error::file("read", layer.digest.to_string())(io::ErrorKind::NotFound.into());
    let file = place.store.open_blob(&layer.digest)?.ok_or_else(missing)?;
    Ok(Leaving {
        place,
        file,
        expected: layer,
        hasher: Hasher::new(),
    })
}

impl Read for Leaving<'_> {
    /// At the end: an error if the bytes were not those that the blob is named after.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        if count > 0 || buffer.is_empty() {
            return Ok(count);
        }
        let found = BlobDigest(std::mem::take(&mut self.hasher).finish());
        let expected = self.expected.digest;
        if found == expected {
            return Ok(0);
        }
        // A damaged object is a missing one. If it stays, the next export finds it out again.
        let _ = self.place.store.remove_blob(&expected);
        Err(io::Error::other(Error::BlobChanged { expected, found }))
    }
}

/// Writes the file `path`, in place of what was there.
pub(crate) fn replace(
    path: &Path,
    fill: &mut dyn FnMut(&mut File) -> io::Result<()>,
) -> Result<(), Error> {
    let written = Replacement::begin(path).and_then(|mut new| {
        fill(&mut new.file)?;
        new.finish()
    });
    written.map_err(Error::file("write", path))
}

fn empty_index() -> Value {
    json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []})
}

/// The index of an existing layout, or an empty one where nothing is but what an earlier attempt
/// may have left.
fn read_index(directory: &Path, index: &Path) -> Result<Value, Error> {
    let not_a_layout = || Error::NotALayout {
        path: directory.to_owned(),
    };
    match fs::read(index) {
        Ok(bytes) => {
            let value: Value = serde_json::from_slice(&bytes).map_err(|_| not_a_layout())?;
            value["manifests"]
                .as_array()
                .is_some()
                .then_some(value)
                .ok_or_else(not_a_layout)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut left = fs::read_dir(directory).into_iter().flatten().flatten();
            left.all(|entry| is_begun(&entry.file_name().to_string_lossy()))
                .then(empty_index)
                .ok_or_else(not_a_layout)
        }
        Err(error) => Err(Error::file("read", index)(error)),
    }
}

/// Whether `name` is what a layout begins with; its index comes last.
fn is_begun(name: &str) -> bool {
    let partial = |file: &str| name.starts_with(&format!("{file}.rbuild-"));
    matches!(name, "blobs" | "oci-layout") || partial("oci-layout") || partial("index")
}

/// `index` with `image` in it; the tag is taken from whoever had it.
fn with_image(mut index: Value, image: &Descriptor, tag: Option<&str>) -> Value {
    let mut entry = serde_json::to_value(image).expect("a descriptor has string keys");
    if let Some(tag) = tag {
        entry["annotations"][REF_NAME] = json!(tag);
    }
    let tag = entry["annotations"][REF_NAME].as_str();
    let manifests = index["manifests"]
        .as_array_mut()
        .expect("read_index() made sure of it");
    manifests.retain(|old| {
        let old_tag = old["annotations"][REF_NAME].as_str();
        old_tag != tag || (tag.is_none() && old["digest"] != entry["digest"])
    });
    manifests.push(entry);
    index
}

#[cfg(test)]
mod tests {
    use rbuild_oci::{BlobDigest, Descriptor, Digest};

    use super::{empty_index, with_image};

    fn image(content: &str) -> Descriptor {
        Descriptor::new("m", BlobDigest(Digest::of(content.as_bytes())), 1)
    }

    /// Adds images `(content, tag)` and counts what is left, and how many have a tag.
    #[track_caller]
    fn check(images: &[(&str, Option<&str>)], expected: (usize, usize)) {
        let index = images.iter().fold(empty_index(), |index, (content, tag)| {
            with_image(index, &image(content), *tag)
        });
        let manifests = index["manifests"].as_array().unwrap();
        let tagged = manifests
            .iter()
            .filter(|entry| entry["annotations"].is_object())
            .count();
        assert_eq!((manifests.len(), tagged), expected);
    }

    #[test]
    fn a_tag_belongs_to_one_image() {
        check(&[("a", Some("1")), ("b", Some("1"))], (1, 1));
        check(&[("a", Some("1")), ("b", Some("2"))], (2, 2));
        check(&[("a", Some("1")), ("b", None)], (2, 1));
    }

    #[test]
    fn an_image_without_a_tag_is_there_once() {
        check(&[("a", None), ("a", None)], (1, 0));
        check(&[("a", None), ("b", None)], (2, 0));
    }
}
