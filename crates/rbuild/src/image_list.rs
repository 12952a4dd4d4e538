//! A list of images that a build makes, or adds to.
//!
//! Knows: that who changes a list is alone with it, and that one platform has one image of a build.
//! Does not know: what lists are for, nor how they leave the store.

use rbuild_oci::{ImageConfig, ListedPlatform, Name};
use rbuild_store::{ImageRecord, IndexRecord, Key, KeyLock, ListedImage, Session, Store, Wait};

use crate::{
    failure::Failure,
    output::{Made, Part, Remarks},
    report,
};

/// A list of `images`, each for the platform that it says itself.
///
/// # Errors
/// If one is not in the store any more.
pub fn list(store: &Store, images: &[Made<'_>]) -> Result<IndexRecord, Failure> {
    let mut index = IndexRecord::default();
    for made in images {
        let record = made.record(store)?;
        index.images.push(ListedImage {
            image: made.id,
            platform: platform(&record)?,
            annotations: Default::default(),
        });
    }
    Ok(index)
}

/// Adds what `said` says to `list`, which is of `images`.
pub fn describe(list: &mut IndexRecord, images: &[Made<'_>], said: &Remarks) {
    for (made, listed) in images.iter().zip(&mut list.images) {
        let entry = said.of(Part::Entry, &made.platform);
        listed.annotations.extend(entry);
        list.annotations
            .extend(said.of(Part::Index, &made.platform));
    }
}

/// What `image` says that it is for.
///
/// # Errors
/// If its configuration is none.
pub fn platform(image: &ImageRecord) -> Result<ListedPlatform, Failure> {
    let config: ImageConfig = serde_json::from_str(&image.config).map_err(|error| {
        let id = image.id();
        Failure::message(format!(
            "the configuration of image {id} is damaged: {error}"
        ))
    })?;
    Ok(ListedPlatform::from(&config))
}

/// Makes `index` what `names` stand for; images that had them lose them.
///
/// # Errors
/// If the store cannot be written.
pub fn call(session: &Session, index: &IndexRecord, names: &[Name]) -> Result<(), Failure> {
    for name in names {
        let _lock = lock(session, name)?;
        session.set_index(name, index)?;
    }
    Ok(())
}

/// Adds what `new` lists and says to the list `name`, made if it is missing. An image for the same platform
/// is replaced: nobody would find the second one.
///
/// # Errors
/// If the store cannot be written, or an image has that name.
pub fn add(session: &Session, name: &Name, new: &IndexRecord) -> Result<(), Failure> {
    let store = session.store();
    if store.name(name)?.is_some() {
        return Err(Failure::message(format!(
            "--manifest: `{name}` is the name of an image"
        )));
    }
    let _lock = lock(session, name)?;
    let mut index = store.index(name)?.unwrap_or_default();
    for listed in &new.images {
        let is_other = |old: &ListedImage| old.platform != listed.platform;
        index.images.retain(is_other);
        index.images.push(listed.clone());
    }
    index.annotations.extend(new.annotations.clone());
    Ok(session.set_index(name, &index)?)
}

/// Keeps others from changing the list `name`.
///
/// # Errors
/// If the store cannot be locked.
pub fn lock(session: &Session, name: &Name) -> Result<KeyLock, Failure> {
    let key = Key::of(format!("index {name}").as_bytes());
    let mut wait = Wait {
        waiting: &mut || report::note(&format!("waiting for another change of `{name}`")),
        give_up: &|| false,
    };
    Ok(session.key_lock(&key, &mut wait)?)
}
