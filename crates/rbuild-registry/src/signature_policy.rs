//! Which images may be used: containers-policy.json(5).
//!
//! Pure but for one thing: the paths of images are resolved before they are compared, as the
//! scopes of the file are.
//!
//! Knows: what the file says, and which part of it an image falls under. Does not know: where the
//! file is, how a signature is verified ([`crate::sigstore`]).
//!
//! Invariant: what is not understood refuses; the first scope that fits, from the closest on,
//! counts alone.

mod identity;
mod text;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use rbuild_oci::{LocalPlace, Location, Reference};

use crate::{Error, Result};

pub(crate) use identity::Identity;

/// The transport that is podman's store.
const STORAGE: &str = "containers-storage";

/// What a policy says; without any, everything is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignaturePolicy {
    /// Where it was read, for messages.
    file: PathBuf,
    default: Vec<Requirement>,
    /// By transport, then by scope; the scope `` is all of the transport.
    transports: BTreeMap<String, BTreeMap<String, Vec<Requirement>>>,
}

/// One of the things that must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    /// `insecureAcceptAnything`.
    AcceptAnything,
    /// `reject`.
    Reject,
    /// `sigstoreSigned` with keys.
    Sigstore(Signed),
    /// Something that others verify; says what.
    Unsupported(String),
}

/// An image must have a signature of sigstore's kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// One of these must have made it.
    pub(crate) keys: Vec<Key>,
    /// Whom the signature must be for.
    pub(crate) identity: Identity,
}

/// A public key, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    File(PathBuf),
    Text(Vec<u8>),
}

impl Default for SignaturePolicy {
    fn default() -> Self {
        Self {
            file: PathBuf::new(),
            default: vec![Requirement::AcceptAnything],
            transports: BTreeMap::new(),
        }
    }
}

impl SignaturePolicy {
    /// Understands the text of `file`.
    ///
    /// # Errors
    /// [`Error::Configuration`] if anything in it is unknown, given twice or without meaning: the
    /// specification wants that.
    pub fn parse(text: &str, file: &Path) -> Result<Self> {
        let (default, transports) = text::parse(text).map_err(|why| Error::Configuration {
            path: file.to_owned(),
            why,
        })?;
        Ok(Self {
            file: file.to_owned(),
            default,
            transports,
        })
    }

    /// What the image at `place` must prove before it is used; a name must be a full one.
    ///
    /// # Errors
    /// [`Error::Rejected`] if nothing would do, or it cannot be verified here.
    pub fn demands(&self, place: &Location) -> Result<Vec<&Signed>> {
        let (found, requirements) = self.requirements(place);
        let refuse = |why: &str| Error::Rejected {
            image: place.to_string(),
            why: format!("{found} in `{}` {why}", self.file.display()),
        };
        let mut demands = Vec::new();
        for requirement in requirements {
            match requirement {
                Requirement::AcceptAnything => {}
                Requirement::Reject => return Err(refuse("rejects it")),
                Requirement::Unsupported(what) => {
                    return Err(refuse(&format!(
                        "wants {what}, which rbuild does not verify"
                    )));
                }
                Requirement::Sigstore(_) if place.reference().is_none() => {
                    return Err(refuse("wants a signature, and images in files have none"));
                }
                Requirement::Sigstore(signed) => demands.push(signed),
            }
        }
        Ok(demands)
    }

    /// Whether the image `name` of podman's store may be used.
    ///
    /// Scopes there begin with `[DRIVER@ROOT]`, which only podman knows of its store: where the file
    /// has any, no image is taken.
    ///
    /// # Errors
    /// [`Error::Rejected`].
    pub fn allows_from_storage(&self, name: &str) -> Result<()> {
        let refuse = |why: &str| Error::Rejected {
            image: format!("{STORAGE}:{name}"),
            why: format!("`{}` {why}", self.file.display()),
        };
        let known = self.transports.get(STORAGE);
        if known.is_some_and(|known| known.keys().any(|scope| !scope.is_empty())) {
            return Err(refuse(
                "has scopes of `containers-storage`, which rbuild cannot tell apart",
            ));
        }
        let own = known.and_then(|known| known.get(""));
        let requirements = own.unwrap_or(&self.default);
        match requirements
            .iter()
            .all(|it| matches!(it, Requirement::AcceptAnything))
        {
            true => Ok(()),
            false => Err(refuse("does not accept any image of `containers-storage`")),
        }
    }

    /// The requirements that count for `place`, and what they are called.
    fn requirements(&self, place: &Location) -> (String, &[Requirement]) {
        let (transport, scopes) = scopes(place);
        if let Some(known) = self.transports.get(transport) {
            for scope in &scopes {
                if let Some(requirements) = known.get(scope) {
                    return (format!("scope `{scope}` of `{transport}`"), requirements);
                }
            }
            if let Some(requirements) = known.get("") {
                return (format!("the default of `{transport}`"), requirements);
            }
        }
        ("the default".to_owned(), &self.default)
    }
}

/// The transport of `place` and the scopes that it is in, closest first.
fn scopes(place: &Location) -> (&'static str, Vec<String>) {
    match place {
        Location::Name(reference) | Location::Registry(reference) => {
            ("docker", scopes_of_name(reference))
        }
        Location::Layout(place) => ("oci", scopes_of_place(place)),
        Location::OciArchive(place) => ("oci-archive", scopes_of_place(place)),
        Location::DockerArchive(_) => ("docker-archive", Vec::new()),
        Location::Directory(path) => ("dir", scopes_of_path(path)),
    }
}

/// `HOST/NAME:TAG`, `HOST/NAME`, each shorter prefix to `HOST`, then `*.DOMAIN`.
fn scopes_of_name(reference: &Reference) -> Vec<String> {
    let host = reference.registry.as_deref().unwrap_or_default();
    let name = format!("{host}/{}", reference.repository);
    let mut scopes = Vec::new();
    scopes.extend(reference.digest.map(|digest| format!("{name}@{digest}")));
    let tag = reference.tag_or_latest();
    scopes.extend(tag.map(|tag| format!("{name}:{tag}")));
    let ends = name.char_indices().rev().filter(|(_, char)| *char == '/');
    let prefixes = ends.map(|(end, _)| name[..end].to_owned());
    scopes.push(name.clone());
    scopes.extend(prefixes);
    let bare = host.split(':').next().unwrap_or_default();
    let dots = bare.char_indices().filter(|(_, char)| *char == '.');
    scopes.extend(dots.map(|(dot, _)| format!("*{}", &bare[dot..])));
    scopes
}

/// `PATH:TAG`, then as for a path.
fn scopes_of_place(place: &LocalPlace) -> Vec<String> {
    let paths = scopes_of_path(&place.path);
    let tagged = place.tag.as_ref().zip(paths.first());
    let tagged = tagged.map(|(tag, path)| format!("{path}:{tag}"));
    tagged.into_iter().chain(paths).collect()
}

/// The path without links, then each directory above it but `/`.
fn scopes_of_path(path: &str) -> Vec<String> {
    let resolved = fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
    let above = resolved.ancestors().filter(|path| path.parent().is_some());
    above.map(|path| path.display().to_string()).collect()
}

#[cfg(test)]
mod tests;
