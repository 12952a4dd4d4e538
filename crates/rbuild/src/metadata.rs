//! `--metadata-file`: what became of a build, for programs. The keys are buildx's.
//!
//! Knows: the words. Does not know: whose manifest is told of; that is what a registry or a layout
//! has got, or else what podman would have in its store.

use std::path::Path;

use rbuild_oci::{Descriptor, Digest, Name};
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

/// What is to be known of an image or a list that `descriptor` describes, and that is called
/// `names`; a list has no `config`.
pub fn of(descriptor: &Descriptor, config: Option<&Digest>, names: &[Name]) -> Value {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    let mut metadata = json!({
        "containerimage.descriptor": descriptor,
        "containerimage.digest": descriptor.digest.to_string(),
    });
    if let Some(config) = config {
        metadata["containerimage.config.digest"] = config.to_string().into();
    }
    if !names.is_empty() {
        metadata["image.name"] = names.join(",").into();
    }
    metadata
}
