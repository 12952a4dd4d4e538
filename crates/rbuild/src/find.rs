//! Which image does the user mean?

use rbuild_export::{local_digest, local_index};
use rbuild_oci::{Digest, ImageConfig, ImageId, Name, Platform, Reference};
use rbuild_store::{ImageRecord, IndexRecord, Session, Store};

use crate::failure::Failure;

/// An image that was found.
pub struct Found {
    /// Its id.
    pub id: ImageId,
    /// What the store knows of it.
    pub record: ImageRecord,
    /// The name that led to it; `None` if it was given by id.
    pub name: Option<Name>,
}

/// Fewest digits of an id that are taken for one.
const SHORTEST_ID: usize = 4;

/// Finds an image by name, or by its id or the start of that.
///
/// # Errors
/// If there is none, or the start of an id fits several.
pub fn find(store: &Store, text: &str) -> Result<Found, Failure> {
    look_up(store, text)?.ok_or_else(|| missing(text))
}

fn missing(text: &str) -> Failure {
    Failure::message(format!("no image `{text}` in the store"))
        .with_hint("`rbuild images` lists what is there; `rbuild pull` fetches images")
        .with_status(125)
}

/// The same; `None` if there is none.
///
/// # Errors
/// If the start of an id fits several.
pub fn look_up(store: &Store, text: &str) -> Result<Option<Found>, Failure> {
    if let Ok(reference) = text.parse::<Reference>() {
        for name in reference.local_names() {
            if let Some(id) = store.name(&name)?
                && let Some(record) = store.image(&id)?
            {
                return Ok(Some(Found {
                    id,
                    record,
                    name: Some(name),
                }));
            }
        }
    }
    if let Ok(reference) = text.parse::<Reference>()
        && let Some(found) = pinned(store, &reference)?
    {
        return Ok(Some(found));
    }
    let mut fitting: Vec<_> = match digits_of_id(text) {
        Some(digits) => store
            .images()?
            .into_iter()
            .filter(|(id, _)| id.0.hex().starts_with(digits))
            .collect(),
        None => Vec::new(),
    };
    match fitting.len() {
        0 => Ok(None),
        1 => {
            let (id, record) = fitting.remove(0);
            Ok(Some(Found {
                id,
                record,
                name: None,
            }))
        }
        count => Err(Failure::message(format!(
            "`{text}` is the start of {count} ids"
        ))),
    }
}

/// What a name can stand for.
pub enum Thing {
    /// An image.
    Image(Box<Found>),
    /// A list of images, and what it is called.
    List(Name, IndexRecord),
}

impl Thing {
    /// The name that led to it; `None` if it was given by id.
    pub fn name(&self) -> Option<&Name> {
        match self {
            Self::Image(found) => found.name.as_ref(),
            Self::List(name, _) => Some(name),
        }
    }

    /// Keeps the images of a list from deletion as long as `session` lives.
    ///
    /// # Errors
    /// If the store cannot be read, or written to.
    pub fn hold(&mut self, session: &Session) -> Result<(), Failure> {
        if let Self::List(name, index) = self
            && let Some(held) = session.index(name)?
        {
            *index = held;
        }
        Ok(())
    }
}

/// Finds an image as [`find`] does, else a list of images.
///
/// # Errors
/// As [`find`].
pub fn find_thing(store: &Store, text: &str) -> Result<Thing, Failure> {
    if let Some(found) = look_up(store, text)? {
        return Ok(Thing::Image(Box::new(found)));
    }
    match look_up_index(store, text)? {
        Some((name, index)) => Ok(Thing::List(name, index)),
        None => Err(missing(text)),
    }
}

/// Finds an image as [`find`] does, or in a list of that name or id the one for `wanted`, by default
/// this machine's platform. A name may stand for both: the image goes first, if it is for `wanted`.
///
/// # Errors
/// As [`find`], or if what is found is for other platforms.
pub fn find_for(store: &Store, text: &str, wanted: Option<&Platform>) -> Result<Found, Failure> {
    let index = look_up_index(store, text)?;
    let image = match &index {
        Some(_) => look_up(store, text)?,
        None => Some(find(store, text)?),
    };
    let its = image.as_ref().map(platform).transpose()?.flatten();
    let is_wanted = match (wanted, &its) {
        (Some(wanted), Some(its)) => its.matches(wanted),
        _ => true,
    };
    match (image, index) {
        (Some(image), _) if is_wanted => Ok(image),
        (_, Some((name, index))) => listed(store, (name, &index), wanted),
        (_, None) => Err(for_others(text, wanted, its.iter())),
    }
}

/// What an image says that it is for.
fn platform(image: &Found) -> Result<Option<Platform>, Failure> {
    let config: ImageConfig = serde_json::from_str(&image.record.config)?;
    Ok(config.platform())
}

/// The image in the list `name` for `wanted`, by default this machine's platform.
fn listed(
    store: &Store,
    (name, index): (Name, &IndexRecord),
    wanted: Option<&Platform>,
) -> Result<Found, Failure> {
    let offers = index.images.iter().map(|it| Platform::from(&it.platform));
    let offers: Vec<Option<Platform>> = offers.map(Some).collect();
    let ours = Platform::default();
    let Some(chosen) = wanted.unwrap_or(&ours).choose(&offers) else {
        let failure = for_others(name.as_str(), wanted, offers.iter().flatten());
        return Err(
            failure.with_hint("`rbuild images` shows the ids of its images, which name them")
        );
    };
    let id = index.images[chosen].image;
    let record = store.image(&id)?.ok_or_else(|| {
        Failure::message(format!(
            "image {id} of the list `{name}` is not in the store any more"
        ))
    })?;
    let name = Some(name);
    Ok(Found { id, record, name })
}

/// What `text` names is for the platforms `its`, not for `wanted`.
fn for_others<'a>(
    text: &str,
    wanted: Option<&Platform>,
    its: impl Iterator<Item = &'a Platform>,
) -> Failure {
    let ours = Platform::default();
    let wanted = wanted.unwrap_or(&ours);
    let its: Vec<String> = its.map(Platform::to_string).collect();
    let its = its.join(", ");
    Failure::message(format!(
        "`{text}` has no image for `{wanted}`: it is for {its}"
    ))
    .with_status(125)
}

/// The image in the repository of `reference` whose manifest has its digest.
fn pinned(store: &Store, reference: &Reference) -> Result<Option<Found>, Failure> {
    let Some(digest) = reference.digest else {
        return Ok(None);
    };
    let meant = reference.local_names();
    for (name, id) in store.names()? {
        if meant
            .iter()
            .any(|meant| meant.repository() == name.repository())
            && let Some(record) = store.image(&id)?
            && local_digest(&record).0 == digest
        {
            let name = Some(name);
            return Ok(Some(Found { id, record, name }));
        }
    }
    Ok(None)
}

/// Finds a list of images by its name, or by its id or the start of that.
///
/// # Errors
/// If there is none, or the start of an id fits several.
pub fn find_index(store: &Store, text: &str) -> Result<(Name, IndexRecord), Failure> {
    look_up_index(store, text)?.ok_or_else(|| {
        Failure::message(format!("no list of images `{text}` in the store"))
            .with_hint("`rbuild manifest create` makes one")
            .with_status(125)
    })
}

/// The same; `None` if there is none.
///
/// # Errors
/// If the store cannot be read.
pub fn look_up_index(store: &Store, text: &str) -> Result<Option<(Name, IndexRecord)>, Failure> {
    let reference = text.parse::<Reference>().ok();
    for name in reference.iter().flat_map(Reference::local_names) {
        if let Some(index) = store.index(&name)? {
            return Ok(Some((name, index)));
        }
    }
    let Some(digits) = digits_of_id(text) else {
        return Ok(None);
    };
    let mut fitting = store.indexes()?;
    // A list that lacks an image has no id.
    fitting.retain(|(_, index)| {
        let id = index_id(store, index);
        id.is_ok_and(|id| id.hex().starts_with(digits))
    });
    let same = |(_, index): &(Name, IndexRecord)| *index == fitting[0].1;
    match fitting.iter().all(same) {
        true => Ok(fitting.into_iter().next()),
        false => {
            let message = format!("`{text}` is the start of {} ids", fitting.len());
            Err(Failure::message(message))
        }
    }
}

/// The id of a list: the digest of what it is in the store.
///
/// # Errors
/// If it has an image that the store has not.
pub fn index_id(store: &Store, index: &IndexRecord) -> Result<Digest, Failure> {
    Ok(Digest::of(local_index(store, index)?.as_bytes()))
}

/// The digits of what may be an id, or the start of one.
fn digits_of_id(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let is_id = digits.len() >= SHORTEST_ID && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then_some(digits)
}

/// The name that a new image gets: `localhost/…` where no registry is written.
///
/// # Errors
/// If `text` is not a name, or has a digest.
pub fn new_name(text: &str) -> Result<Name, Failure> {
    let reference: Reference = text.parse()?;
    if reference.digest.is_some() {
        return Err(Failure::message(format!(
            "`{text}` has a digest, which a new name cannot have"
        )));
    }
    Ok(reference.local_name())
}
