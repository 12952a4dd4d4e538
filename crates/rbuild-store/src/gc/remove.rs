//! Deleting what was decided: aside, look again, trash. No file is created or written.

use std::collections::BTreeSet;

use rbuild_oci::ImageId;
use rbuild_sys::{Dir, Errno, Error};

use super::{Object, Survey, Victim, aside, holds::Holds, leases::leased, survey::blobs_of};
use crate::{
    LayerId, Store,
    error::{Context, Result},
    id::random_bytes,
    record,
};

/// So many victims are aside at the same time, for one look at the leases.
const BATCH: usize = 256;
/// How often a directory that others delete at the same time is tried.
const ATTEMPTS: u32 = 100;

/// Moves `victims` to the trash, in their order; returns those that went. The others were
/// needed after all, or are gone already.
///
/// # Errors
/// As [`Store::prune`].
pub fn remove(store: &Store, survey: &Survey, victims: Vec<Victim>) -> Result<Vec<Victim>> {
    let mut gone = Vec::new();
    // An image that turns out to be needed is back before anybody asks what needs its layers.
    let is_image = |victim: &Victim| matches!(victim.object, Object::Image(_));
    let (images, others): (Vec<_>, Vec<_>) = victims.into_iter().partition(is_image);
    for batch in images.chunks(BATCH).chain(others.chunks(BATCH)) {
        gone.extend(remove_batch(store, survey, batch)?);
    }
    Ok(gone)
}

fn remove_batch(store: &Store, survey: &Survey, batch: &[Victim]) -> Result<Vec<Victim>> {
    let mut hidden = Vec::new();
    for victim in batch {
        let what = || victim.object.to_string();
        let Some((dir, name)) = place(store, &victim.object).removing(what)? else {
            continue;
        };
        // Records and notes are worth nothing to who holds them: a missing one is a miss.
        let there = match victim.object {
            Object::Record(_) | Object::Note(..) => Error::absent(dir.unlink(&name)).map(|_| true),
            _ => aside::put(&dir, &name),
        };
        if there.removing(what)? {
            hidden.push((victim, dir, name));
        }
    }
    let needed = match Needed::now(store, survey) {
        Ok(needed) => needed,
        Err(error) => {
            for (_, dir, name) in &hidden {
                let _ = aside::restore(dir, name);
            }
            return Err(error);
        }
    };
    let trash = store.make_subdirectory("trash");
    let trash = trash.removing(|| "what is in the trash".to_owned())?;
    let mut gone = Vec::new();
    for (victim, dir, name) in hidden {
        let went = match victim.object {
            Object::Record(_) | Object::Note(..) => Ok(true),
            _ if needed.has(&victim.object) => aside::restore(&dir, &name).map(|_| false),
            _ => trash_name().and_then(|new| aside::trash(&dir, &name, &trash, &new)),
        };
        if went.removing(|| victim.object.to_string())? {
            gone.push(victim.clone());
        }
    }
    Ok(gone)
}

/// Where `object` is; `None` if its directory is not even there.
fn place(store: &Store, object: &Object) -> rbuild_sys::Result<Option<(Dir, Vec<u8>)>> {
    let (path, name) = match object {
        Object::Image(id) => ("images".to_owned(), id.0.hex()),
        Object::Record(key) => (format!("cache/{}", fan(key)), key.to_string()),
        Object::Note(kind, key) => (format!("notes/{kind}/{}", fan(key)), key.to_string()),
        Object::Layer(id) => ("layers".to_owned(), id.to_string()),
        Object::Blob(digest) => {
            let hex = digest.0.hex();
            (format!("blobs/sha256/{}", &hex[..2]), hex)
        }
    };
    let dir = store.subdirectory(&path)?;
    Ok(dir.map(|dir| (dir, name.into_bytes())))
}

fn fan(key: &crate::Key) -> String {
    key.to_string()[..2].to_owned()
}

/// What must not be deleted, at one moment.
struct Needed<'a> {
    leased: BTreeSet<String>,
    named: BTreeSet<ImageId>,
    holds: Holds<'a>,
}

impl<'a> Needed<'a> {
    /// Leases first: a session that has ended by then has its image written.
    fn now(store: &Store, survey: &'a Survey) -> Result<Self> {
        let leased = leased(store)?;
        let named = store.names()?.into_iter().map(|(_, id)| id).collect();
        let mut holds = Holds::new(&survey.layers);
        for (_, image) in store.images()? {
            image
                .layers
                .iter()
                .for_each(|layer| holds.hold(layer.layer));
            blobs_of(&image)
                .into_iter()
                .for_each(|blob| holds.hold_blob(blob));
        }
        let layers = leased.iter().filter_map(|line| LayerId::from_hex(line));
        layers.for_each(|layer| holds.hold(layer));
        Ok(Self {
            leased,
            named,
            holds,
        })
    }

    fn has(&self, object: &Object) -> bool {
        let leased = |object: &dyn std::fmt::Display| self.leased.contains(&object.to_string());
        match object {
            Object::Image(id) => self.named.contains(id) || leased(id),
            Object::Layer(id) => self.holds.has(id),
            Object::Blob(digest) => self.holds.has_blob(digest) || leased(digest),
            Object::Record(_) | Object::Note(..) => false,
        }
    }
}

/// Moves the layers, blobs and records of images in `objects` to the trash, whoever holds them.
///
/// # Errors
/// [`crate::Error::Remove`].
pub fn discard(store: &Store, object: &Object) -> Result<()> {
    let moved = || {
        let Some((dir, name)) = place(store, object)? else {
            return Ok(());
        };
        let trash = store.make_subdirectory("trash")?;
        let moved = trash.rename_new(&dir, &name, &trash_name()?);
        Error::absent(moved).map(drop)
    };
    moved().removing(|| object.to_string())
}

/// Deletes all that is in the trash.
///
/// # Errors
/// [`crate::Error::Remove`] if something cannot be deleted.
pub fn empty_trash(store: &Store) -> Result<()> {
    let empty = || {
        let trash = store.make_subdirectory("trash")?;
        for entry in trash.entries()? {
            remove_with_others(&trash, &entry.name)?;
        }
        Ok(())
    };
    empty().removing(|| "what is in the trash".to_owned())
}

/// As [`Dir::remove_all`], also while the sweep of another session deletes the same.
fn remove_with_others(dir: &Dir, name: &[u8]) -> rbuild_sys::Result<()> {
    let mut attempts = 0;
    loop {
        match dir.remove_all(name) {
            Err(error) if error.is(Errno::NOENT) && attempts < ATTEMPTS => attempts += 1,
            answer => return answer,
        }
    }
}

/// A name in the trash that nobody else has.
pub fn trash_name() -> rbuild_sys::Result<Vec<u8>> {
    let random = record::on(random_bytes(), "read", b"/dev/urandom")?;
    Ok(format!("{:016x}", u64::from_ne_bytes(random)).into_bytes())
}
