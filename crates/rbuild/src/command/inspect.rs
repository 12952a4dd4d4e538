//! `rbuild inspect`: an image as JSON.

use std::process::ExitCode;

use rbuild_export::{annotations, format_of, local_digest};
use rbuild_oci::{ImageConfig, Name};
use rbuild_store::Store;
use serde_json::{Value, json};

use crate::{
    cli::{Global, InspectArgs},
    failure::Failure,
    find::find,
    report::print,
    settings,
    template::fill,
};

/// Prints a JSON array with one object for each image, its fields named as podman names them; with
/// `--format` a line for each.
///
/// # Errors
/// If there is no such image, its configuration is damaged, or the template is wrong.
pub fn execute(global: &Global, args: &InspectArgs) -> Result<ExitCode, Failure> {
    let store = settings::store(global)?;
    let images: Vec<Value> = args
        .images
        .iter()
        .map(|name| describe(&store, name))
        .collect::<Result<_, _>>()?;
    match args.format.as_deref() {
        None | Some("json") => print(&format!("{:#}", Value::from(images)))?,
        Some(template) => {
            for image in &images {
                print(&fill(template, image).map_err(Failure::message)?)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(store: &Store, text: &str) -> Result<Value, Failure> {
    let image = find(store, text)?;
    let config: ImageConfig = serde_json::from_str(&image.record.config)?;
    let names = store.names()?;
    let names: Vec<&str> = names
        .iter()
        .filter(|(_, id)| *id == image.id)
        .map(|(name, _)| Name::as_str(name))
        .collect();
    let (digests, tags): (Vec<&str>, Vec<&str>) =
        names.into_iter().partition(|name| name.contains('@'));
    let layers: Vec<String> = config
        .rootfs
        .diff_ids
        .iter()
        .map(ToString::to_string)
        .collect();
    Ok(json!({
        "Id": image.id.0.hex(),
        "RepoTags": tags,
        "RepoDigests": digests,
        "Digest": local_digest(&image.record).to_string(),
        "ManifestType": format_of(&image.record).manifest(),
        "Annotations": annotations(&image.record),
        "Created": config.created,
        "Author": config.author.unwrap_or_default(),
        "Architecture": config.architecture,
        "Os": config.os,
        "Variant": config.variant.unwrap_or_default(),
        "User": config.config.user,
        "Size": image.record.layers.iter().map(|layer| layer.size).sum::<u64>(),
        "Config": config.config,
        "Labels": config.config.labels,
        "RootFS": { "Type": config.rootfs.kind, "Layers": layers },
        "History": config.history,
    }))
}
