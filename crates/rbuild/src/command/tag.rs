//! `rbuild tag`, `untag` and `rmi`: names come and go.

use std::process::ExitCode;

use rbuild_oci::Name;
use rbuild_store::{Error, ImageRecord, IndexRecord, Store};

use crate::{
    cli::{Global, RmiArgs, TagArgs, UntagArgs},
    failure::Failure,
    find::{find, index_id, look_up, look_up_index, new_name},
    image_list,
    report::print,
    settings,
};

/// Gives an image, or else a list of images, more names: all of them or none. Whatever had them
/// loses them.
///
/// # Errors
/// If there is no such image, or a name is not one.
pub fn add(global: &Global, args: &TagArgs) -> Result<ExitCode, Failure> {
    let store = settings::store(global)?;
    let names: Vec<_> = args
        .names
        .iter()
        .map(|name| new_name(name))
        .collect::<Result<_, _>>()?;
    let session = store.begin()?;
    if look_up(&store, &args.image)?.is_none()
        && let Some((_, index)) = look_up_index(&store, &args.image)?
    {
        image_list::call(&session, &index, &names)?;
        return Ok(ExitCode::SUCCESS);
    }
    let image = find(&store, &args.image)?;
    for name in names {
        session.set_name(&name, &image.id)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes names away from an image: those that are given, or all.
///
/// # Errors
/// If there is no such image, or a name leads elsewhere.
pub fn take(global: &Global, args: &UntagArgs) -> Result<ExitCode, Failure> {
    let store = settings::store(global)?;
    let image = find(&store, &args.image)?;
    let mut doomed = Vec::new();
    for text in &args.names {
        let found = find(&store, text)?;
        match found.name {
            Some(name) if found.id == image.id => doomed.push(name),
            _ => {
                let message = format!("`{text}` is not a name of `{}`", args.image);
                return Err(Failure::message(message));
            }
        }
    }
    if args.names.is_empty() {
        let names = store.names()?.into_iter();
        doomed.extend(
            names
                .filter(|(_, id)| *id == image.id)
                .map(|(name, _)| name),
        );
    }
    for name in doomed {
        store.remove_name(&name)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes names, and images that have none left, with the layers that only these needed. Says
/// what it removed, and of what cannot be removed why: the others go all the same.
///
/// # Errors
/// If the store cannot be used.
pub fn remove(global: &Global, args: &RmiArgs) -> Result<ExitCode, Failure> {
    // Layers have files of other ids.
    rbuild_sandbox::enter()?;
    let store = settings::store(global)?;
    let mut removed = Vec::new();
    if args.all {
        for (name, _) in store.names()? {
            store.remove_name(&name)?;
            print(&format!("Untagged: {name}"))?;
        }
        for (name, _) in store.indexes()? {
            store.remove_index(&name)?;
            print(&format!("Untagged: {name}"))?;
        }
        for (id, image) in store.images()? {
            store.remove_image(&id)?;
            print(&format!("Deleted: {}", id.0.hex()))?;
            removed.push(image);
        }
    }
    if args.prune {
        for (id, image) in store.images()? {
            match store.remove_image(&id) {
                Err(Error::StillNamed { .. } | Error::Listed { .. }) => {}
                gone => {
                    gone?;
                    print(&format!("Deleted: {}", id.0.hex()))?;
                    removed.push(image);
                }
            }
        }
    }
    let mut status = ExitCode::SUCCESS;
    for text in &args.images {
        match remove_one(&store, text, args.force) {
            Ok(image) => removed.extend(image),
            Err(failure) => status = failure.report(),
        }
    }
    store.release(&removed)?;
    Ok(status)
}

/// Removes a list of images, or one of its names; its images stay.
fn remove_list(store: &Store, (name, index): (&Name, &IndexRecord)) -> Result<(), Failure> {
    let id = index_id(store, index);
    store.remove_index(name)?;
    print(&format!("Untagged: {name}"))?;
    let others = store.indexes()?;
    if let Ok(id) = id
        && others.iter().all(|(_, other)| other != index)
    {
        print(&format!("Deleted: {}", id.hex()))?;
    }
    Ok(())
}

/// Returns the image if it had no other name.
///
/// # Errors
/// If there is none, or an id has several names: both only without `force`.
fn remove_one(store: &Store, text: &str, force: bool) -> Result<Option<ImageRecord>, Failure> {
    if look_up(store, text)?.is_none() {
        match look_up_index(store, text)? {
            Some((name, index)) => {
                remove_list(store, (&name, &index))?;
                return Ok(None);
            }
            None if force => return Ok(None),
            None => {}
        }
    }
    // 125 is for a store that cannot be used, as podman has it.
    let image = find(store, text).map_err(|failure| failure.with_status(1))?;
    let names = store
        .names()?
        .into_iter()
        .filter(|(_, id)| *id == image.id)
        .map(|(name, _)| name);
    let names: Vec<_> = names.collect();
    let doomed = match &image.name {
        Some(name) => vec![name.clone()],
        None if names.len() > 1 && !force => {
            let list: Vec<&str> = names.iter().map(Name::as_str).collect();
            let message = format!(
                "image `{text}` has {} names: {}",
                list.len(),
                list.join(", ")
            );
            return Err(Failure::message(message).with_hint("--force removes them all"));
        }
        None => names.clone(),
    };
    for name in &doomed {
        store.remove_name(name)?;
        print(&format!("Untagged: {name}"))?;
    }
    if doomed.len() < names.len() {
        return Ok(None);
    }
    match store.remove_image(&image.id) {
        // Its name is gone, and the list still has it.
        Err(Error::Listed { .. }) if !doomed.is_empty() => return Ok(None),
        removed => {
            if !removed? {
                return Ok(None);
            }
        }
    }
    print(&format!("Deleted: {}", image.id.0.hex()))?;
    Ok(Some(image.record))
}
