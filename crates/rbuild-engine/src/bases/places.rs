//! The places that a name leads to, one after the other, until one has an answer.
//!
//! Knows: what each may be asked for, with whose login, and what has to be signed.
//! Does not know: which places there are (`rbuild_registry::Registries`), nor what the answer is for.
//!
//! Invariant: nothing is fetched from a registry that the policy of signatures does not allow; a
//! login given for the command goes only to the registry that was named.

use rbuild_http::Security;
use rbuild_oci::{Location, Manifest, Reference};
use rbuild_registry::{Access, Endpoint, Repository, Resolved as Remote, Scope};
use rbuild_store::ImageRecord;

use crate::{
    Error,
    bases::Bases,
    pull::{Origin, PullError, pull},
};

/// A place that is asked for an image.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The image's full name.
    pub full: &'a Reference,
    /// The place.
    pub endpoint: &'a Endpoint,
    /// Whether the name can only mean that one.
    pub is_only: bool,
}

impl Asked<'_> {
    /// What a user who has typed `name` is told.
    pub fn told(&self, name: &str) -> String {
        let place = &self.endpoint.reference;
        match self.is_only && !self.endpoint.is_mirror && place == self.full {
            true => name.to_owned(),
            false => format!("{name} from {place}"),
        }
    }
}

impl Bases<'_> {
    /// What `ask` gets from the first place for `reference` that has an answer, and the full name of
    /// that.
    pub(super) fn first<T>(
        &self,
        (name, reference): (&str, &Reference),
        ask: &mut dyn FnMut(Asked<'_>) -> Result<T, PullError>,
    ) -> Result<(Reference, T), Error> {
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
            .pull_targets(reference)
            .and_then(|targets| self.registries.chosen(reference, targets, self.choose))
            .map_err(|source| fail(&[], source.into()))?;
        let is_only = targets.len() == 1;
        let (mut tried, mut last) = (Vec::new(), None);
        for target in &targets {
            for endpoint in &target.endpoints {
                let full = &target.name;
                let asked = Asked {
                    full,
                    endpoint,
                    is_only,
                };
                match ask(asked) {
                    Ok(answer) => return Ok((full.clone(), answer)),
                    Err(error) => last = Some(error),
                }
                tried.push(endpoint.reference.to_string());
            }
        }
        let last = last.expect("`pull_targets` returns at least one, with its registry");
        Err(fail(&tried, last))
    }

    pub(super) fn fetch_from_registry(&self, asked: Asked<'_>) -> Result<ImageRecord, PullError> {
        let (repository, manifest) = self.manifest(asked)?;
        self.pull_from(&repository, manifest)
    }

    /// The image that `manifest` describes.
    pub(super) fn pull_from(
        &self,
        repository: &Repository,
        manifest: Manifest,
    ) -> Result<ImageRecord, PullError> {
        let origin = Origin::Registry(repository);
        pull(&origin, manifest, (self.session, &self.tally))
    }

    /// The image with a digest that was verified before.
    pub(super) fn fetch_verified(&self, asked: Asked<'_>) -> Result<ImageRecord, PullError> {
        let repository = self.repository(asked);
        let found = repository.resolve(&asked.endpoint.reference, &self.platform)?;
        self.pull_from(&repository, found.manifest)
    }

    /// The manifest of what is asked for, if the policy allows it, and who has its blobs.
    pub(super) fn manifest(&self, asked: Asked<'_>) -> Result<(Repository, Manifest), PullError> {
        self.allow(asked)?;
        let repository = self.repository(asked);
        let remote = repository.resolve(&asked.endpoint.reference, &self.platform)?;
        self.verify(asked, &repository, &remote)?;
        Ok((repository, remote.manifest))
    }

    /// All images of an index, or the only one.
    pub(super) fn fetch_index(&self, asked: Asked<'_>) -> Result<Vec<ImageRecord>, PullError> {
        self.allow(asked)?;
        let repository = self.repository(asked);
        let images = repository.resolve_all(&asked.endpoint.reference)?;
        for remote in &images {
            self.verify(asked, &repository, remote)?;
        }
        let manifests = images.into_iter().map(|remote| remote.manifest);
        manifests
            .map(|manifest| self.pull_from(&repository, manifest))
            .collect()
    }

    /// Refuses what the policy rejects whatever it is, before anybody is asked.
    fn allow(&self, asked: Asked<'_>) -> Result<(), PullError> {
        let place = Location::Registry(asked.full.clone());
        Ok(self.signatures.demands(&place).map(drop)?)
    }

    /// Refuses an image that lacks a signature which the policy wants. The policy is about names:
    /// a mirror has to have the signatures of what it repeats.
    fn verify(
        &self,
        asked: Asked<'_>,
        repository: &Repository,
        remote: &Remote,
    ) -> Result<(), PullError> {
        let place = Location::Registry(asked.full.clone());
        for signed in self.signatures.demands(&place)? {
            repository.verify(signed, asked.full, &remote.digests)?;
        }
        Ok(())
    }

    /// A login given for this command is for the registry that was named: neither for mirrors nor
    /// for the candidates of a short name.
    fn repository(&self, asked: Asked<'_>) -> Repository {
        let Asked {
            endpoint, is_only, ..
        } = asked;
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
        Repository::new(self.http, &endpoint.reference, access)
    }

    /// What the first place for `reference` that answers says it is: a manifest or an index, as it
    /// came. It is only to be looked at, so no policy is asked.
    ///
    /// # Errors
    /// [`Error::Pull`] if none does.
    pub fn document(&self, reference: &Reference) -> Result<String, Error> {
        let (_, text) = self.first((&reference.to_string(), reference), &mut |asked| {
            let repository = self.repository(asked);
            Ok(repository.document_text(&asked.endpoint.reference)?)
        })?;
        Ok(text)
    }

    /// The full names of all tags that the repository of `reference` has: at the first place that
    /// answers.
    ///
    /// # Errors
    /// [`Error::Pull`] if none does.
    pub fn tags(&self, reference: &Reference) -> Result<Vec<Reference>, Error> {
        let (full, tags) = self.first((&reference.to_string(), reference), &mut |asked| {
            Ok(self.repository(asked).tags()?)
        })?;
        let tagged = |tag| Reference {
            tag: Some(tag),
            digest: None,
            ..full.clone()
        };
        Ok(tags.into_iter().map(tagged).collect())
    }
}
