//! `--metadata-file`: what became of a build, for programs. The keys are buildx's.
//!
//! The digest is that of the manifest in the store, as podman has it: a push compresses the layers,
//! and what it sends has another one.

use std::path::Path;

use rbuild_export::local_descriptor;
use rbuild_oci::{ImageId, Name};
use rbuild_store::ImageRecord;
use serde_json::{Value, json};

use crate::failure::Failure;

/// Writes to `path` what is to be known of `image`.
///
/// # Errors
/// If it cannot be written.
pub fn write(
    path: &Path,
    (id, image): (&ImageId, &ImageRecord),
    names: &[Name],
) -> Result<(), Failure> {
    let text = format!("{:#}\n", metadata((id, image), names));
    std::fs::write(path, text)
        .map_err(|error| Failure::message(format!("cannot write `{}`: {error}", path.display())))
}

fn metadata((id, image): (&ImageId, &ImageRecord), names: &[Name]) -> Value {
    let manifest = local_descriptor(image);
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    let mut metadata = json!({
        "containerimage.config.digest": id.to_string(),
        "containerimage.descriptor": manifest,
        "containerimage.digest": manifest.digest.to_string(),
    });
    if !names.is_empty() {
        metadata["image.name"] = names.join(",").into();
    }
    metadata
}
