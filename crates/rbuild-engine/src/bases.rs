//! From the name of an image to an image in the store.
//!
//! Order: files that are named as such (`oci:`, `docker-archive:`…); the local store; the places that
//! registries.conf leads to (Docker Hub where there is none).
//!
//! Knows: when an image of the store will do. Does not know: how a place is asked.

mod files;
mod places;

use rbuild_http::{Client, Security};
use rbuild_oci::{
    BlobDigest, CacheImage, ChainId, Digest, ImageConfig, ImageId, Location, Manifest, Name,
    Platform, Reference,
};
use rbuild_plan::BaseImage;
use rbuild_registry::{CredentialSources, Registries, Repository, SignaturePolicy, Target};
use rbuild_store::{ImageRecord, LayerId, Session, Store};

use crate::{
    Error, Import, Supplies,
    imports::Place,
    layout::Layout,
    pull::{Origin, PullError, layer_ids, pull},
    shelf::Shelf,
};
use files::which;
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
    /// Each time, but if nobody answers the store's will do.
    Newer,
    /// Not at all.
    Never,
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
    /// registry's layers stay there until they are needed: `supplies` has them then. Tells
    /// `fetching` the place before they come.
    ///
    /// # Errors
    /// [`Error::Pull`] if it is nowhere, [`Error::Files`], [`Error::Reference`];
    /// [`Error::NotInStore`] if it may not be fetched.
    pub fn resolve(
        &self,
        (name, policy): (&str, Policy),
        supplies: &mut Supplies<'a>,
        fetching: &'a (dyn Fn(&str) + Sync),
    ) -> Result<Resolved, Error> {
        let here = match policy {
            Policy::Always => None,
            Policy::Missing | Policy::Newer | Policy::Never => self.find(name)?,
        };
        let mut announce = || self.announced(name, supplies, fetching);
        match (policy, here) {
            (Policy::Missing | Policy::Never, Some(here)) => Ok(here),
            (Policy::Newer, Some(here)) => Ok(announce().unwrap_or(here)),
            (Policy::Never, None) => Err(self.not_in_store(name)),
            (Policy::Always | Policy::Missing | Policy::Newer, _) => announce(),
        }
    }

    /// The image `name` as a registry describes it, or files have it.
    fn announced(
        &self,
        name: &str,
        supplies: &mut Supplies<'a>,
        fetching: &'a (dyn Fn(&str) + Sync),
    ) -> Result<Resolved, Error> {
        let location: Location = name.parse()?;
        let Some(reference) = location.reference() else {
            fetching(name);
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
        let (bases, name) = (self.clone(), name.to_owned());
        let bring = move || {
            fetching(&remote.told);
            let record = bases.fetch_announced(&name, &full, &remote)?;
            bases.call(&full.local_name(), &record.id())
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
        let origin = Origin::Registry(&remote.repository);
        let source = match pull(&origin, remote.manifest.clone(), self.session) {
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

    /// What `location`, an OCI layout or a registry, has as a cache.
    ///
    /// # Errors
    /// [`Error::Pull`], [`Error::Files`]; [`Error::CacheImage`] if it is no cache.
    pub fn cache_image(&self, location: &Location) -> Result<Import, Error> {
        let of_files = |source: PullError| Error::Files {
            location: location.to_string(),
            source: Box::new(source),
        };
        let (place, manifest) = match location {
            Location::Layout(place) => {
                let open = || -> Result<_, PullError> {
                    self.signatures.demands(location)?;
                    let shelf = Shelf::directory(place.path.as_ref())?;
                    let manifest = Layout(&shelf).resolve(which(place), &self.platform)?;
                    Ok((Place::Layout(shelf), manifest))
                };
                open().map_err(of_files)?
            }
            Location::Name(reference) | Location::Registry(reference) => {
                let name = reference.to_string();
                let (_, found) = self.first((&name, reference), &mut |asked| {
                    let (repository, manifest) = self.manifest(asked)?;
                    Ok((Place::Registry(Box::new(repository)), manifest))
                })?;
                found
            }
            Location::OciArchive(_) | Location::DockerArchive(_) | Location::Directory(_) => {
                unreachable!("caches are in registries and layouts")
            }
        };
        let config = place.origin().config(&manifest).map_err(of_files)?;
        let image = CacheImage::parse(&manifest, &config).map_err(|source| Error::CacheImage {
            location: location.to_string(),
            source,
        })?;
        Ok(Import { image, place })
    }

    /// Gives a base image its name. The name of an image for this machine is not taken away by one
    /// for another platform.
    fn call(&self, name: &Name, id: &ImageId) -> Result<(), Error> {
        let is_taken = || -> Result<bool, Error> {
            let ours = self.for_platform(&Platform::default());
            let old = self.store.name(name)?;
            let old = old.map(|id| self.store.image(&id)).transpose()?.flatten();
            Ok(old.is_some_and(|old| ours.is_for_platform(&old)))
        };
        match self.platform != Platform::default() && is_taken()? {
            true => Ok(()),
            false => Ok(self.session.set_name(name, id)?),
        }
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
    /// returns its id; tells `fetching` each place before it is asked.
    ///
    /// # Errors
    /// As [`Bases::resolve`]; [`Error::NotInStore`] if it may not be fetched.
    pub fn pull(
        &self,
        name: &str,
        policy: Policy,
        fetching: &mut dyn FnMut(&str),
    ) -> Result<ImageId, Error> {
        let here = match policy {
            Policy::Always => None,
            Policy::Missing | Policy::Newer | Policy::Never => self.in_store(name)?,
        };
        let mut fetch = || self.fetch(name, fetching).map(|(_, record)| record);
        let record = match (policy, here) {
            (Policy::Missing | Policy::Never, Some((_, record))) => record,
            (Policy::Newer, Some((_, record))) => fetch().unwrap_or(record),
            (Policy::Never, None) => {
                return Err(self.not_in_store(name));
            }
            (Policy::Always | Policy::Missing | Policy::Newer, _) => fetch()?,
        };
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

    fn fetch(
        &self,
        name: &str,
        fetching: &mut dyn FnMut(&str),
    ) -> Result<(Option<Name>, ImageRecord), Error> {
        let location: Location = name.parse()?;
        let Some(reference) = location.reference() else {
            fetching(name);
            let record = self.fetch_from_files(&location)?;
            return Ok((None, record));
        };
        let (full, record) = self.first((name, reference), &mut |asked| {
            fetching(&asked.told(name));
            self.fetch_from_registry(asked)
        })?;
        let full = full.local_name();
        self.session.set_name(&full, &record.id())?;
        Ok((Some(full), record))
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
