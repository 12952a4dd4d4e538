//! `--metadata-file`: what became of a build, for programs. The keys are buildx's.
//!
//! The digest is that of the manifest in the store, as podman has it: a push compresses the layers,
//! and what it sends has another one.

use std::path::Path;

use rbuild_export::local_descriptor;
use rbuild_oci::{BlobDigest, Descriptor, Digest, Name};
use rbuild_store::ImageRecord;
use serde_json::{Value, json};

use crate::failure::Failure;

/// Writes `metadata` to `path`.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, metadata: &Value) -> Result<(), Failure> {
    let text = format!("{metadata:#}\n");
    std::fs::write(path, text)
        .map_err(|error| Failure::message(format!("cannot write `{}`: {error}", path.display())))
}

/// What is to be known of an image that is called `names`.
pub fn of_image((id, image): (&Digest, &ImageRecord), names: &[Name]) -> Value {
    let mut metadata = of(&local_descriptor(image), names);
    metadata["containerimage.config.digest"] = id.to_string().into();
    metadata
}

/// What is to be known of images for several platforms: `text` lists them.
pub fn of_list(text: &str, names: &[Name]) -> Value {
    let list: Value = serde_json::from_str(text).expect("we wrote it");
    let media_type = list["mediaType"].as_str().unwrap_or_default();
    let digest = BlobDigest(Digest::of(text.as_bytes()));
    of(
        &Descriptor::new(media_type, digest, text.len() as u64),
        names,
    )
}

fn of(descriptor: &Descriptor, names: &[Name]) -> Value {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    let mut metadata = json!({
        "containerimage.descriptor": descriptor,
        "containerimage.digest": descriptor.digest.to_string(),
    });
    if !names.is_empty() {
        metadata["image.name"] = names.join(",").into();
    }
    metadata
}
