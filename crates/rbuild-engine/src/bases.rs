//! From the name of an image to an image in the store.
//!
//! Order: an OCI layout that is named as such; the local store; the places that registries.conf
//! leads to (Docker Hub where there is none).

use std::path::Path;

use rbuild_http::{Client, Security};
use rbuild_oci::{ChainId, ImageConfig, ImageId, Name, Platform, Reference};
use rbuild_plan::BaseImage;
use rbuild_registry::{Access, CredentialSources, Endpoint, Registries, Repository, Scope};
use rbuild_store::{ImageRecord, LayerId, Session, Store};

use crate::{
    Error,
    layout::{Layout, LayoutError, split_layout},
    pull::{Origin, PullError, pull},
};

/// Finds images.
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
    /// Chooses from an index.
    pub platform: Platform,
}

/// A base image's file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseTree {
    /// Identifies it in cache keys.
    pub tree_key: String,
    /// Bottom first.
    pub layers: Vec<LayerId>,
}

/// An image that was found.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// As a plan wants to know it.
    pub image: BaseImage,
    /// As a build wants to know it.
    pub tree: BaseTree,
    /// As the store has it.
    pub record: ImageRecord,
    /// Its full name; `None` for one from a layout.
    pub name: Option<Name>,
}

impl Bases<'_> {
    /// Finds the image `name` in the store, else fetches it; tells `fetching` before that.
    ///
    /// # Errors
    /// [`Error::Pull`] if it is nowhere, [`Error::Layout`], [`Error::Reference`].
    pub fn resolve(&self, name: &str, fetching: &mut dyn FnMut(&str)) -> Result<Resolved, Error> {
        if let Some(found) = self.find(name)? {
            return Ok(found);
        }
        let (full_name, record) = self.fetch(name, fetching)?;
        resolved(name, full_name, record)
    }

    /// Finds the image `name` in the store; `None` if it would have to be fetched.
    ///
    /// # Errors
    /// [`Error::Reference`], [`Error::Config`].
    pub fn find(&self, name: &str) -> Result<Option<Resolved>, Error> {
        let found = self.in_store(name)?;
        found
            .map(|(full_name, record)| resolved(name, Some(full_name), record))
            .transpose()
    }

    /// Fetches the image `name` whether the store has one or not, and returns its id; tells
    /// `fetching` each place before it is asked.
    ///
    /// # Errors
    /// As [`Bases::resolve`].
    pub fn pull(&self, name: &str, fetching: &mut dyn FnMut(&str)) -> Result<ImageId, Error> {
        self.fetch(name, fetching).map(|(_, record)| record.id())
    }

    /// The image in the store, if all its layers are there; it is kept from deletion.
    fn in_store(&self, name: &str) -> Result<Option<(Name, ImageRecord)>, Error> {
        if name.starts_with("oci:") {
            return Ok(None);
        }
        let reference: Reference = plain(name).parse()?;
        let meant = self.registries.names(&reference).into_iter();
        let meant = meant.map(|full| full.local_name());
        let local = reference.local_names();
        for name in local[..1].iter().cloned().chain(meant) {
            let Some(id) = self.store.name(&name)? else {
                continue;
            };
            let Some(record) = self.store.image(&id)? else {
                continue;
            };
            if self.is_complete(&record)? {
                return Ok(Some((name, record)));
            }
        }
        Ok(None)
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
        if let Some(path) = name.strip_prefix("oci:") {
            fetching(name);
            return self.fetch_from_layout(path).map(|record| (None, record));
        }
        let reference: Reference = plain(name).parse()?;
        let fail = |tried: &[String], source: PullError| Error::Pull {
            name: name.to_owned(),
            tried: match tried.len() {
                0 | 1 => String::new(),
                _ => format!(" from {}", tried.join(", ")),
            },
            source: Box::new(source),
        };
        let targets = self
            .registries
            .pull_targets(&reference)
            .map_err(|source| fail(&[], source.into()))?;
        let is_only = targets.len() == 1;
        let (mut tried, mut last) = (Vec::new(), None);
        for target in &targets {
            for endpoint in &target.endpoints {
                let place = endpoint.reference.to_string();
                let is_plain = is_only && !endpoint.is_mirror && endpoint.reference == target.name;
                fetching(&match is_plain {
                    true => name.to_owned(),
                    false => format!("{name} from {place}"),
                });
                match self.fetch_from_registry(endpoint, is_only) {
                    Ok(record) => {
                        let name = target.name.local_name();
                        self.session.set_name(&name, &record.id())?;
                        return Ok((Some(name), record));
                    }
                    Err(error) => last = Some(error),
                }
                tried.push(place);
            }
        }
        let last = last.expect("`pull_targets` returns at least one, with its registry");
        Err(fail(&tried, last))
    }

    /// A login given for this command is for the registry that was named: neither for mirrors nor
    /// for the candidates of a short name.
    fn fetch_from_registry(
        &self,
        endpoint: &Endpoint,
        is_only: bool,
    ) -> Result<ImageRecord, PullError> {
        let by_rule = match endpoint.insecure {
            true => Security::Insecure,
            false => Security::Verified,
        };
        let access = Access {
            scope: Scope::Pull,
            security: self.security.unwrap_or(by_rule),
            credentials: match is_only && !endpoint.is_mirror {
                true => self.credentials.clone(),
                false => self.credentials.without_given(),
            },
        };
        let repository = Repository::new(self.http, &endpoint.reference, access);
        let manifest = repository.resolve(&endpoint.reference, &self.platform)?;
        pull(
            &Origin::Registry(Box::new(repository)),
            manifest,
            self.session,
        )
    }

    /// An image from a layout gets no name: it would stand for another one tomorrow.
    fn fetch_from_layout(&self, path: &str) -> Result<ImageRecord, Error> {
        let (directory, tag) = split_layout(path);
        let open = || -> Result<_, LayoutError> {
            let layout = Layout::open(Path::new(directory))?;
            let manifest = layout.resolve(tag, &self.platform)?;
            Ok((layout, manifest))
        };
        let fetched = open()
            .map_err(PullError::from)
            .and_then(|(layout, manifest)| pull(&Origin::Layout(layout), manifest, self.session));
        fetched.map_err(|source| Error::Layout {
            path: directory.into(),
            image: tag.map_or_else(|| "the image".to_owned(), |tag| format!("`{tag}`")),
            source: Box::new(source),
        })
    }
}

/// The image of `record`, which is what `name` means.
fn resolved(name: &str, full_name: Option<Name>, record: ImageRecord) -> Result<Resolved, Error> {
    let config: ImageConfig =
        serde_json::from_str(&record.config).map_err(|source| Error::Config {
            name: name.to_owned(),
            source,
        })?;
    let tree_key =
        ChainId::of(&config.rootfs.diff_ids).map_or_else(String::new, |chain| chain.to_string());
    let layers = record.layers.iter().map(|layer| layer.layer).collect();
    let tree = BaseTree {
        tree_key: tree_key.clone(),
        layers,
    };
    Ok(Resolved {
        image: BaseImage { tree_key, config },
        tree,
        record,
        name: full_name,
    })
}

/// `docker://` says what is meant anyway.
fn plain(name: &str) -> &str {
    name.strip_prefix("docker://").unwrap_or(name)
}
