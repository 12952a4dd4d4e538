//! From the name of an image to an image in the store.
//!
//! Order: files that are named as such (`oci:`, `docker-archive:`…); the local store; the places that
//! registries.conf leads to (Docker Hub where there is none).
//!
//! Knows: when an image of the store will do. Does not know: how a place is asked.

mod caches;
mod calling;
mod files;
mod newer;
mod places;

use std::sync::Arc;

use rbuild_http::{Client, Security};
use rbuild_oci::{
    BlobDigest, ChainId, Digest, ImageConfig, ImageId, Location, Manifest, Name, Platform,
    Reference,
};
use rbuild_plan::BaseImage;
use rbuild_registry::{CredentialSources, Registries, Repository, SignaturePolicy, Target};
use rbuild_store::{ImageRecord, LayerId, Session, Store};

use crate::{
    Error, Supplies,
    pull::{Tally, layer_ids},
};
use places::Asked;

/// Finds images.
#[derive(Clone)]
pub struct Bases<'a> {
    /// Has images, and receives others.
    pub store: &'a Store,
    /// Writes them.
    pub session: &'a Session,
    /// Fetches.
    pub http: &'a Client,
    /// What names mean, and where images may come from.
    pub registries: &'a Registries,
    /// How far registries are trusted; `None`: as `registries` says.
    pub security: Option<Security>,
    /// Who we are.
    pub credentials: &'a CredentialSources,
    /// Which images may be used; asked before one is fetched, not for those in the store.
    pub signatures: &'a SignaturePolicy,
    /// Chooses from an index.
    pub platform: Platform,
    /// Chooses from what a short name may mean.
    pub choose: Chooser<'a>,
    /// What was fetched of layers.
    pub tally: Arc<Tally>,
}

/// Asks the user which of several images is meant; `None` where nobody can be asked.
pub type Chooser<'a> = &'a (dyn Fn(&[Target]) -> Option<usize> + Sync);

/// When an image is asked for at the place that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Each time.
    Always,
    /// If the store has none.
    Missing,
    /// Each time, but the store's will do if it is the same, or another one cannot be had in full.
    Newer,
    /// Not at all.
    Never,
}

/// What a user is told of while an image is looked for.
#[derive(Clone, Copy, Debug)]
pub enum Notice<'a> {
    /// It is fetched from this place.
    Fetching(&'a str),
    /// Layers have come, of which the store had parts in others.
    Fetched(&'a Tally),
    /// The store's image is used: whether there is another one could not be found out, or that one
    /// did not come.
    Kept {
        /// As written.
        name: &'a str,
        /// Why.
        why: &'a Error,
    },
}

/// How much of an index is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The image for the platform.
    Platform,
    /// All images that it lists.
    Index,
}

/// An image as a registry has described it.
struct Announced {
    repository: Repository,
    manifest: Manifest,
    config: String,
    /// What a user is told of where it comes from.
    told: String,
    is_only: bool,
    is_mirror: bool,
}

/// A base image's file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseTree {
    /// Identifies it in cache keys.
    pub tree_key: String,
    /// Bottom first.
    pub layers: Vec<LayerId>,
    /// The image. The store has it now, or when [`Supplies::bring_image`] was called.
    pub image: ImageId,
    /// Digest of its manifest at the registry; `None` if nobody asked there.
    pub announced: Option<BlobDigest>,
}

/// An image that was found.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// As a plan wants to know it.
    pub image: BaseImage,
    /// As a build wants to know it.
    pub tree: BaseTree,
    /// Its full name; `None` for one from a layout.
    pub name: Option<Name>,
}

impl<'a> Bases<'a> {
    /// The same, for another platform.
    pub fn for_platform(&self, platform: &Platform) -> Self {
        Self {
            platform: platform.clone(),
            ..self.clone()
        }
    }

    /// Finds the image `name`, as `policy` says, in the store or at the place that it comes from. A
    /// registry's layers stay there until they are needed: `supplies` has them then. But those of an
    /// image that is to replace the store's come at once ([`Policy::Newer`]). Tells `tell` the place
    /// before they come.
    ///
    /// # Errors
    /// [`Error::Pull`] if it is nowhere, [`Error::Files`], [`Error::Reference`];
    /// [`Error::NotInStore`] if it may not be fetched.
    pub fn resolve(
        &self,
        (name, policy): (&str, Policy),
        supplies: &mut Supplies<'a>,
        tell: &'a (dyn Fn(Notice<'_>) + Sync),
    ) -> Result<Resolved, Error> {
        let found = match (policy, self.usable(name, policy)?) {
            (Policy::Never, None) => return Err(self.not_in_store(name)),
            (_, None) => return self.announced(name, supplies, tell),
            (Policy::Newer, Some((full, old))) => {
                let bases = self.counting();
                match bases.newer(name, (&full, &old), &mut |notice| tell(notice)) {
                    Some((full, record)) => {
                        bases.tell_kept(&mut |notice| tell(notice));
                        self.call_base(&full, &record.id())?;
                        (full, record)
                    }
                    None => (full, old),
                }
            }
            (_, Some(here)) => here,
        };
        let (full, record) = found;
        resolved(name, Some(full), (&record.config, Some(&record)))
    }

    /// The same, which has fetched nothing yet.
    fn counting(&self) -> Self {
        Self {
            tally: Arc::default(),
            ..self.clone()
        }
    }

    /// Tells `tell` how much was not fetched, if that is so.
    fn tell_kept(&self, tell: &mut dyn FnMut(Notice<'_>)) {
        if self.tally.kept() > 0 {
            tell(Notice::Fetched(&self.tally));
        }
    }

    /// The image of the store, if `policy` has a use for it.
    fn usable(&self, name: &str, policy: Policy) -> Result<Option<(Name, ImageRecord)>, Error> {
        match policy {
            Policy::Always => Ok(None),
            Policy::Missing | Policy::Newer | Policy::Never => self.in_store(name),
        }
    }

    /// The image `name` as a registry describes it, or files have it.
    fn announced(
        &self,
        name: &str,
        supplies: &mut Supplies<'a>,
        tell: &'a (dyn Fn(Notice<'_>) + Sync),
    ) -> Result<Resolved, Error> {
        let location: Location = name.parse()?;
        let Some(reference) = location.reference() else {
            tell(Notice::Fetching(name));
            let record = self.fetch_from_files(&location)?;
            return resolved(name, None, (&record.config, Some(&record)));
        };
        let (full, remote) = self.first((name, reference), &mut |asked| {
            let (repository, manifest) = self.manifest(asked)?;
            let config = repository.config(&manifest)?;
            Ok(Announced {
                repository,
                manifest,
                config,
                told: asked.told(name),
                is_only: asked.is_only,
                is_mirror: asked.endpoint.is_mirror,
            })
        })?;
        let mut found = resolved(name, Some(full.local_name()), (&remote.config, None))?;
        found.tree.announced = Some(remote.manifest.descriptor.digest);
        let (bases, name) = (self.counting(), name.to_owned());
        let bring = move || {
            tell(Notice::Fetching(&remote.told));
            let record = bases.fetch_announced(&name, &full, &remote)?;
            bases.tell_kept(&mut |notice| tell(notice));
            bases.call_base(&full.local_name(), &record.id())
        };
        supplies.add_image(found.tree.image, &found.tree.layers, Box::new(bring));
        Ok(found)
    }

    /// Fetches what was announced; from another place if the mirror that did it cannot.
    fn fetch_announced(
        &self,
        name: &str,
        full: &Reference,
        remote: &Announced,
    ) -> Result<ImageRecord, Error> {
        let source = match self.pull_from(&remote.repository, remote.manifest.clone()) {
            Ok(record) => return Ok(record),
            Err(source) => source,
        };
        if !remote.is_mirror {
            return Err(Error::Pull {
                name: name.to_owned(),
                tried: String::new(),
                source: Box::new(source),
            });
        }
        // Whatever the tag means by now.
        let digest = Some(remote.manifest.descriptor.digest.0);
        let pinned = Reference {
            digest,
            ..full.clone()
        };
        let (_, record) = self.first((name, &pinned), &mut |asked| {
            let is_only = remote.is_only && asked.is_only;
            self.fetch_verified(Asked { is_only, ..asked })
        })?;
        Ok(record)
    }

    /// Finds the image `name` for the platform in the store; `None` if it would have to be fetched.
    ///
    /// # Errors
    /// [`Error::Reference`], [`Error::Config`].
    pub fn find(&self, name: &str) -> Result<Option<Resolved>, Error> {
        let found = self.in_store(name)?;
        found
            .map(|(full_name, record)| {
                resolved(name, Some(full_name), (&record.config, Some(&record)))
            })
            .transpose()
    }

    /// Makes sure, as `policy` says, that the store has the image `name` for the platform, and
    /// returns its id; tells `tell` each place before it is asked.
    ///
    /// # Errors
    /// As [`Bases::resolve`]; [`Error::NotInStore`] if it may not be fetched.
    pub fn pull(
        &self,
        name: &str,
        policy: Policy,
        tell: &mut dyn FnMut(Notice<'_>),
    ) -> Result<ImageId, Error> {
        let bases = self.counting();
        let record = match (policy, self.usable(name, policy)?) {
            (Policy::Never, None) => return Err(self.not_in_store(name)),
            (_, None) => bases.fetch(name, &mut |place| tell(Notice::Fetching(place)))?,
            (Policy::Newer, Some((full, old))) => match bases.newer(name, (&full, &old), tell) {
                Some((full, record)) => {
                    self.call(&full, &record.id())?;
                    record
                }
                None => old,
            },
            (_, Some((_, here))) => here,
        };
        bases.tell_kept(tell);
        Ok(record.id())
    }

    fn not_in_store(&self, name: &str) -> Error {
        Error::NotInStore {
            name: name.to_owned(),
            platform: self.platform.clone(),
        }
    }

    /// The image for the platform in the store, if all its layers are there; it is kept from
    /// deletion. A name may stand for an image, and for a list of them.
    fn in_store(&self, name: &str) -> Result<Option<(Name, ImageRecord)>, Error> {
        let location: Location = name.parse()?;
        let Some(reference) = location.reference() else {
            return Ok(None);
        };
        let meant = self.registries.names(reference).into_iter();
        let meant = meant.map(|full| full.local_name());
        let local = reference.local_names();
        for name in local[..1].iter().cloned().chain(meant) {
            let listed = self.store.index(&name)?;
            let listed = listed.iter().flat_map(|index| &index.images);
            let listed = listed.map(|listed| listed.image);
            for id in self.store.name(&name)?.into_iter().chain(listed) {
                if let Some(record) = self.store.image(&id)?
                    && self.is_for_platform(&record)
                    && self.is_complete(&record)?
                {
                    return Ok(Some((name, record)));
                }
            }
        }
        Ok(None)
    }

    /// Whether the image is for the wanted platform; one that does not say fits each.
    fn is_for_platform(&self, record: &ImageRecord) -> bool {
        let Ok(config) = serde_json::from_str::<ImageConfig>(&record.config) else {
            return false;
        };
        let own = config.platform();
        own.is_none_or(|own| own.matches(&self.platform))
    }

    fn is_complete(&self, record: &ImageRecord) -> Result<bool, Error> {
        for layer in &record.layers {
            if self.session.layer(&layer.layer)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Fetches the image, and gives it its name, unless it comes from files.
    fn fetch(&self, name: &str, fetching: &mut dyn FnMut(&str)) -> Result<ImageRecord, Error> {
        let location: Location = name.parse()?;
        let Some(reference) = location.reference() else {
            fetching(name);
            return self.fetch_from_files(&location);
        };
        let (full, record) = self.first((name, reference), &mut |asked| {
            fetching(&asked.told(name));
            self.fetch_from_registry(asked)
        })?;
        self.call(&full.local_name(), &record.id())?;
        Ok(record)
    }

    /// Fetches the image `name`, or all that an index of that name lists, and gives it no name; tells
    /// `fetching` each place before it is asked.
    ///
    /// # Errors
    /// As [`Bases::resolve`]; [`Error::NoIndex`] for all of what is in files.
    pub fn fetch_unnamed(
        &self,
        name: &str,
        extent: Extent,
        fetching: &mut dyn FnMut(&str),
    ) -> Result<Vec<ImageRecord>, Error> {
        let location: Location = name.parse()?;
        let Some(reference) = location.reference() else {
            fetching(name);
            return match extent {
                Extent::Platform => Ok(vec![self.fetch_from_files(&location)?]),
                Extent::Index => Err(Error::NoIndex(name.to_owned())),
            };
        };
        let fetched = self.first((name, reference), &mut |asked| {
            fetching(&asked.told(name));
            match extent {
                Extent::Platform => Ok(vec![self.fetch_from_registry(asked)?]),
                Extent::Index => self.fetch_index(asked),
            }
        });
        fetched.map(|(_, records)| records)
    }
}

/// The image with the configuration `text`, which is what `name` means; `record` if the store has it.
fn resolved(
    name: &str,
    full_name: Option<Name>,
    (text, record): (&str, Option<&ImageRecord>),
) -> Result<Resolved, Error> {
    let config: ImageConfig = serde_json::from_str(text).map_err(|source| Error::Config {
        name: name.to_owned(),
        source,
    })?;
    let tree_key =
        ChainId::of(&config.rootfs.diff_ids).map_or_else(String::new, |chain| chain.to_string());
    let tree = BaseTree {
        tree_key: tree_key.clone(),
        layers: record.map_or_else(
            || layer_ids(&config.rootfs.diff_ids),
            ImageRecord::layer_ids,
        ),
        image: ImageId(Digest::of(text.as_bytes())),
        announced: None,
    };
    Ok(Resolved {
        image: BaseImage { tree_key, config },
        tree,
        name: full_name,
    })
}
