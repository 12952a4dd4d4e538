//! `rbuild inspect`: images, and lists of them, as JSON.

use std::process::ExitCode;

use rbuild_export::{annotations, format_of, local_digest, local_index};
use rbuild_oci::{ImageConfig, Name};
use rbuild_store::Store;
use serde_json::{Value, json};

use crate::{
    cli::{Global, InspectArgs, Inspected},
    failure::Failure,
    find::{Found, find, find_index, look_up, look_up_index},
    report::print,
    settings,
    template::fill,
};

/// Prints a JSON array with one object for each image, its fields named as podman names them; with
/// `--format` a line for each.
///
/// # Errors
/// If there is no such thing, its configuration is damaged, or the template is wrong.
pub fn execute(global: &Global, args: &InspectArgs) -> Result<ExitCode, Failure> {
    let store = settings::store(global)?;
    let images: Vec<Value> = args
        .images
        .iter()
        .map(|name| inspected(&store, name, args.r#type))
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

/// What `text` is the name of, among things of that type.
fn inspected(store: &Store, text: &str, r#type: Inspected) -> Result<Value, Failure> {
    let is_list = match r#type {
        Inspected::Image => false,
        Inspected::Manifest => true,
        Inspected::All => look_up(store, text)?.is_none() && look_up_index(store, text)?.is_some(),
    };
    match is_list {
        true => Ok(serde_json::from_str(&local_index(
            store,
            &find_index(store, text)?.1,
        )?)?),
        false => describe(store, &find(store, text)?),
    }
}

fn describe(store: &Store, image: &Found) -> Result<Value, Failure> {
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
