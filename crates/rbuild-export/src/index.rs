//! An index on its way out: the images that it lists, and a document that names their manifests.
//!
//! Which digests it has is only known when its images are ready to leave: a layer has another one
//! when it is compressed. OCI image-spec, image-index.md; Docker's manifest list.

use std::collections::BTreeMap;

use rbuild_oci::{Descriptor, Format, ListedPlatform};
use rbuild_store::{ImageRecord, IndexRecord, ListedImage, Store};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Error, Exported, Looks, Place, export, local_descriptor, manifest::describe};

/// An index ready to leave.
#[derive(Clone, Debug)]
pub struct ExportedIndex {
    /// Its bytes.
    pub text: String,
    /// Its descriptor.
    pub descriptor: Descriptor,
    /// The images that it lists, each once.
    pub images: Vec<Exported>,
}

impl ExportedIndex {
    /// The same with more annotations: of itself, and of its first entries, in their order. Only
    /// OCI's indexes have a place for them.
    #[must_use]
    pub fn annotated(
        self,
        own: &BTreeMap<String, String>,
        entries: &[BTreeMap<String, String>],
    ) -> Self {
        if own.is_empty() && entries.iter().all(BTreeMap::is_empty) {
            return self;
        }
        let mut document: Value = serde_json::from_str(&self.text).expect("we wrote it");
        add(&mut document, own);
        let listed = document["manifests"].as_array_mut();
        let listed = listed.into_iter().flatten();
        listed
            .zip(entries)
            .for_each(|(entry, more)| add(entry, more));
        let text = document.to_string();
        Self {
            descriptor: describe(&self.descriptor.media_type, &text),
            text,
            ..self
        }
    }
}

impl ExportedIndex {
    /// The same with what `others` lists listed too, after its own and with annotations: the same
    /// images in another form. What is in both is there once.
    #[must_use]
    pub fn with(self, others: Self, annotations: &BTreeMap<String, String>) -> Self {
        let parse = |text: &str| -> Value { serde_json::from_str(text).expect("we wrote it") };
        let (mut document, mut more) = (parse(&self.text), parse(&others.text));
        let listed = document["manifests"].as_array_mut();
        let listed = listed.expect("it is an index");
        for mut entry in more["manifests"]
            .as_array_mut()
            .into_iter()
            .flat_map(std::mem::take)
        {
            if listed.iter().all(|own| own["digest"] != entry["digest"]) {
                add(&mut entry, annotations);
                listed.push(entry);
            }
        }
        let text = document.to_string();
        let mut images = self.images;
        for image in others.images {
            let digest = image.descriptor.digest;
            if images.iter().all(|own| own.descriptor.digest != digest) {
                images.push(image);
            }
        }
        Self {
            descriptor: describe(&self.descriptor.media_type, &text),
            text,
            images,
        }
    }
}

/// Adds `more` to the annotations of a document or an entry.
fn add(of: &mut Value, more: &BTreeMap<String, String>) {
    for (key, value) in more {
        of["annotations"][key] = json!(value);
    }
}

/// An entry of the document.
#[derive(Serialize)]
struct Entry<'a> {
    #[serde(flatten)]
    image: Descriptor,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    platform: &'a ListedPlatform,
}

/// Makes the images of `index` ready to leave, and the document that lists them: in the format of
/// `looks`, else in Docker's if all images are, else in OCI's.
///
/// # Errors
/// As [`export`]; [`Error::ImageMissing`].
pub fn export_index(
    place: Place<'_>,
    index: &IndexRecord,
    looks: Looks,
) -> Result<ExportedIndex, Error> {
    let mut records = Vec::with_capacity(index.images.len());
    for listed in &index.images {
        records.push(record(place.store, listed)?);
    }
    export_listed(place, (index, &records), looks)
}

/// The same, where `records` are what the images of `index` are to be.
///
/// # Errors
/// As [`export`].
pub fn export_listed(
    place: Place<'_>,
    (index, records): (&IndexRecord, &[ImageRecord]),
    looks: Looks,
) -> Result<ExportedIndex, Error> {
    let mut images = Vec::with_capacity(records.len());
    for record in records {
        images.push(export(place, record, looks)?);
    }
    let descriptors: Vec<Descriptor> = images.iter().map(|it| it.descriptor.clone()).collect();
    let text = written(index, &descriptors, looks.format);
    let descriptor = describe(format(&descriptors, looks.format).index(), &text);
    let mut seen = Vec::new();
    images.retain(|image| {
        let is_new = !seen.contains(&image.descriptor.digest);
        seen.push(image.descriptor.digest);
        is_new
    });
    Ok(ExportedIndex {
        text,
        descriptor,
        images,
    })
}

/// The document as it is in the store: it names the manifests that [`crate::local_digest`] does.
///
/// # Errors
/// [`Error::ImageMissing`].
pub fn local_index(store: &Store, index: &IndexRecord) -> Result<String, Error> {
    let mut descriptors = Vec::with_capacity(index.images.len());
    for listed in &index.images {
        descriptors.push(local_descriptor(&record(store, listed)?));
    }
    Ok(written(index, &descriptors, None))
}

fn record(store: &Store, listed: &ListedImage) -> Result<ImageRecord, Error> {
    let found = store.image(&listed.image)?;
    found.ok_or(Error::ImageMissing(listed.image))
}

fn format(images: &[Descriptor], wanted: Option<Format>) -> Format {
    let is_docker =
        |image: &Descriptor| Format::of_manifest(&image.media_type) == Some(Format::Docker);
    wanted.unwrap_or(match !images.is_empty() && images.iter().all(is_docker) {
        true => Format::Docker,
        false => Format::Oci,
    })
}

/// Keys are in the order of the specification's examples; Docker's lists have no annotations.
fn written(index: &IndexRecord, images: &[Descriptor], wanted: Option<Format>) -> String {
    let format = format(images, wanted);
    let none = BTreeMap::new();
    let said = |annotations| match format {
        Format::Oci => annotations,
        Format::Docker => &none,
    };
    let entries = index.images.iter().zip(images);
    let entries: Vec<Entry<'_>> = entries
        .map(|(listed, image)| Entry {
            image: image.clone(),
            annotations: said(&listed.annotations),
            platform: &listed.platform,
        })
        .collect();
    let mut document = json!({
        "schemaVersion": 2,
        "mediaType": format.index(),
        "manifests": entries,
    });
    let annotations = said(&index.annotations);
    if !annotations.is_empty() {
        document["annotations"] = json!(annotations);
    }
    document.to_string()
}
