//! From what was typed to an entry of a list.

use rbuild_engine::Extent;
use rbuild_export::local_digest;
use rbuild_oci::{Location, Platform};
use rbuild_registry::SignaturePolicy;
use rbuild_store::{ImageRecord, IndexRecord, ListedImage, Session, Store};

use crate::{
    cli::EntryArgs,
    failure::Failure,
    find::{find, look_up, look_up_index},
    image_list,
    registry::Registry,
    report, settings,
};

/// Where the images of a list come from, and what it says of them.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub store: &'a Store,
    pub session: &'a Session,
    pub registry: &'a Registry,
    pub signatures: &'a SignaturePolicy,
    pub entry: &'a EntryArgs,
}

/// What `--all` says.
pub fn extent(all: bool) -> Extent {
    match all {
        true => Extent::Index,
        false => Extent::Platform,
    }
}

impl Source<'_> {
    /// Adds `images` to `index`; one that is there already gets a new entry.
    ///
    /// # Errors
    /// If one cannot be found, or not be fetched.
    pub fn add(
        &self,
        index: &mut IndexRecord,
        images: &[String],
        extent: Extent,
    ) -> Result<(), Failure> {
        for text in images {
            for listed in self.entries(text, extent)? {
                index.images.retain(|old| old.image != listed.image);
                index.images.push(listed);
            }
        }
        Ok(())
    }

    fn entries(&self, text: &str, extent: Extent) -> Result<Vec<ListedImage>, Failure> {
        if extent == Extent::Index
            && let Some((_, index)) = look_up_index(self.store, text)?
        {
            let mut entries = index.images;
            entries.iter_mut().for_each(|it| describe(it, self.entry));
            return Ok(entries);
        }
        let records = self.records(text, extent)?;
        records.iter().map(|record| self.entry(record)).collect()
    }

    /// Names without a place are looked for in the store first.
    fn records(&self, text: &str, extent: Extent) -> Result<Vec<ImageRecord>, Failure> {
        let location: Result<Location, _> = text.parse();
        let may_be_here =
            extent == Extent::Platform && matches!(location, Ok(Location::Name(_)) | Err(_));
        if may_be_here && let Some(found) = look_up(self.store, text)? {
            return Ok(vec![found.record]);
        }
        let place = (self.store, self.session);
        let signatures = self.signatures;
        let bases = self.registry.bases(place, signatures, self.platform());
        let mut fetching = |place: &str| report::note(&format!("pulling {place}"));
        Ok(bases.fetch_unnamed(text, extent, &mut fetching)?)
    }

    /// What is chosen from an index.
    fn platform(&self) -> Platform {
        let own = Platform::default();
        let EntryArgs {
            os, arch, variant, ..
        } = self.entry;
        Platform::new(
            os.as_deref().unwrap_or(&own.os),
            arch.as_deref().unwrap_or(&own.architecture),
            variant.as_deref(),
        )
    }

    fn entry(&self, record: &ImageRecord) -> Result<ListedImage, Failure> {
        let mut listed = ListedImage {
            // Written again, it is there and stays there.
            image: self.session.put_image(record)?,
            platform: image_list::platform(record)?,
            annotations: Default::default(),
        };
        describe(&mut listed, self.entry);
        Ok(listed)
    }
}

/// Changes `listed` where `args` say something.
pub fn describe(listed: &mut ListedImage, args: &EntryArgs) {
    let platform = &mut listed.platform;
    let said = |field: &mut String, value: &Option<String>| {
        if let Some(value) = value {
            field.clone_from(value);
        }
    };
    said(&mut platform.architecture, &args.arch);
    said(&mut platform.os, &args.os);
    for (field, value) in [
        (&mut platform.variant, &args.variant),
        (&mut platform.os_version, &args.os_version),
    ] {
        if value.is_some() {
            field.clone_from(value);
        }
    }
    if !args.os_features.is_empty() {
        platform.os_features.clone_from(&args.os_features);
    }
    listed.annotations.extend(settings::pairs(&args.annotation));
}

/// Which image of `index` is meant by `text`: the digest of its manifest, its name or its id.
///
/// # Errors
/// If it is none of them.
pub fn position(store: &Store, index: &IndexRecord, text: &str) -> Result<usize, Failure> {
    for (position, listed) in index.images.iter().enumerate() {
        let record = store.image(&listed.image)?;
        if record.is_some_and(|record| local_digest(&record).to_string() == text) {
            return Ok(position);
        }
    }
    let image = find(store, text)?;
    let found = index.images.iter().position(|it| it.image == image.id);
    found.ok_or_else(|| {
        Failure::message(format!("the list has no image `{text}`"))
            .with_hint("`rbuild manifest inspect` shows their digests")
    })
}
