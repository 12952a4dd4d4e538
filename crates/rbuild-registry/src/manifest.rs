//! From a reference to the one manifest that is meant.
//!
//! OCI image-spec, manifest.md and image-index.md; Docker's schema 2 forms of both.

use rbuild_http::{Method, Request};
use rbuild_oci::{BlobDigest, Descriptor, Digest, Platform, Reference, media_type, spec};
use serde_json::Value;

use crate::{Error, Repository, Result};

const MANIFEST_LIMIT: u64 = 4 << 20;
const CONFIG_LIMIT: u64 = 8 << 20;
/// How deep indexes may be nested.
const INDEX_DEPTH: u32 = 3;
const MANIFESTS: [&str; 2] = [media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST];
const INDEXES: [&str; 2] = [media_type::OCI_INDEX, media_type::DOCKER_INDEX];

/// An image's manifest, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What it is, and its digest.
    pub descriptor: Descriptor,
    /// Byte for byte as it was served.
    pub text: String,
    /// The image configuration.
    pub config: Descriptor,
    /// Bottom first.
    pub layers: Vec<Descriptor>,
}

enum Kind {
    Manifest(Box<spec::ImageManifest>),
    Index(Box<spec::ImageIndex>),
}

/// A verified answer to a question for a manifest.
struct Document {
    descriptor: Descriptor,
    text: String,
    kind: Kind,
}

impl Repository {
    /// The manifest that `reference`, a tag or digest in this repository, means on `platform`.
    ///
    /// # Errors
    /// [`Error::Digest`] if the bytes are not what their digest says, [`Error::Platform`] if
    /// there is none for `platform`, [`Error::Malformed`] if it is ambiguous
    /// (CVE-2021-41190) or has layers that may not be fetched; else as any request.
    pub fn resolve(&self, reference: &Reference, platform: &Platform) -> Result<Manifest> {
        let mut digest = reference.digest.map(BlobDigest);
        let tag = reference.tag_or_latest().unwrap_or("latest").to_owned();
        for _ in 0..INDEX_DEPTH {
            let document = self.document(&tag, digest)?;
            match document.kind {
                Kind::Manifest(manifest) => {
                    return self.manifest(document.descriptor, document.text, &manifest);
                }
                Kind::Index(index) => digest = Some(self.choose(&tag, &index, platform)?),
            }
        }
        Err(self.malformed(&tag, "indexes of indexes of indexes"))
    }

    /// The image configuration of `manifest`, byte for byte.
    ///
    /// # Errors
    /// As [`Repository::blob`]; [`Error::TooLarge`] above 8 MiB.
    pub fn config(&self, manifest: &Manifest) -> Result<String> {
        let object = format!("config {}", manifest.config.digest);
        if manifest.config.size > CONFIG_LIMIT {
            return Err(Error::TooLarge {
                what: self.what(&object),
                limit: CONFIG_LIMIT,
            });
        }
        let mut text = String::new();
        let mut reader = self.blob(&manifest.config)?;
        std::io::Read::read_to_string(&mut reader, &mut text).map_err(|source| Error::Lost {
            what: self.what(&object),
            source,
        })?;
        Ok(text)
    }

    fn document(&self, tag: &str, wanted: Option<BlobDigest>) -> Result<Document> {
        let name = wanted.map_or_else(|| tag.to_owned(), |digest| digest.to_string());
        let object = format!("manifest `{name}`");
        let url = self.url(&format!("manifests/{name}"))?;
        let accept = [MANIFESTS, INDEXES].concat().join(", ");
        let response = self.send(&object, &mut || {
            let mut request = Request::new(Method::Get, url.clone(), self.security());
            request.headers.push(("accept", accept.clone()));
            request
        })?;
        let response = self.expect(&object, response, &[200])?;
        let content_type = response.header("content-type").unwrap_or_default();
        let content_type = content_type.split(';').next().unwrap_or_default().trim();
        let content_type = content_type.to_ascii_lowercase();
        let announced: Option<Digest> = response
            .header("docker-content-digest")
            .and_then(|digest| digest.parse().ok());
        let bytes = self.read(response, &object, MANIFEST_LIMIT)?;
        let found = BlobDigest(Digest::of(&bytes));
        let expected = wanted.or(announced.map(BlobDigest)).unwrap_or(found);
        if found != expected {
            return Err(Error::Digest {
                what: self.what(&object),
                expected,
                found,
            });
        }
        let text = String::from_utf8(bytes).map_err(|_| self.malformed(&name, "not UTF-8"))?;
        let (media_type, kind) =
            kind_of(&text, &content_type).map_err(|why| self.malformed(&name, &why))?;
        Ok(Document {
            descriptor: Descriptor {
                media_type,
                digest: found,
                size: text.len() as u64,
            },
            text,
            kind,
        })
    }

    fn choose(
        &self,
        tag: &str,
        index: &spec::ImageIndex,
        platform: &Platform,
    ) -> Result<BlobDigest> {
        let entries = index.manifests();
        let offers: Vec<(Option<Platform>, &spec::Descriptor)> = entries
            .iter()
            .map(|entry| (entry.platform().as_ref().map(platform_of), entry))
            .collect();
        let exact = offers
            .iter()
            .find(|(offer, _)| offer.as_ref() == Some(platform));
        let found = exact.or_else(|| {
            offers.iter().find(|(offer, _)| match offer {
                Some(offer) => offer.matches(platform),
                None => entries.len() == 1,
            })
        });
        let Some((_, entry)) = found else {
            let mut names: Vec<String> = offers
                .iter()
                .filter_map(|(offer, _)| offer.as_ref().map(Platform::to_string))
                .filter(|name| name != "unknown/unknown")
                .collect();
            names.sort();
            names.dedup();
            return Err(Error::Platform {
                what: self.what(&format!("`{tag}`")),
                platform: platform.clone(),
                available: names.join(", "),
            });
        };
        Descriptor::try_from(*entry)
            .map(|descriptor| descriptor.digest)
            .map_err(|error| self.malformed(tag, &error.to_string()))
    }

    fn manifest(
        &self,
        descriptor: Descriptor,
        text: String,
        manifest: &spec::ImageManifest,
    ) -> Result<Manifest> {
        let trusted = |foreign: &spec::Descriptor| {
            Descriptor::try_from(foreign)
                .map_err(|error| self.malformed(&descriptor.digest.to_string(), &error.to_string()))
        };
        let config = trusted(manifest.config())?;
        let layers = manifest
            .layers()
            .iter()
            .map(trusted)
            .collect::<Result<Vec<_>>>()?;
        let strange = layers
            .iter()
            .find(|layer| media_type::layer_compression(&layer.media_type).is_none());
        if let Some(layer) = strange {
            let why = format!("layer type `{}` is not fetched", layer.media_type);
            return Err(self.malformed(&descriptor.digest.to_string(), &why));
        }
        Ok(Manifest {
            descriptor,
            text,
            config,
            layers,
        })
    }

    fn malformed(&self, name: &str, why: &str) -> Error {
        Error::Malformed {
            what: self.what(&format!("manifest `{name}`")),
            why: why.to_owned(),
        }
    }
}

/// What `text`, served as `content_type`, is; all that it says about itself must agree.
fn kind_of(text: &str, content_type: &str) -> std::result::Result<(String, Kind), String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let has = |field: &str| value.get(field).is_some();
    let is_index = match (has("layers") || has("config"), has("manifests")) {
        (true, true) => return Err("it is both a manifest and an index".to_owned()),
        (true, false) => false,
        (false, true) => true,
        (false, false) if has("fsLayers") => {
            return Err("schema 1 is not supported".to_owned());
        }
        (false, false) => return Err("it is neither a manifest nor an index".to_owned()),
    };
    let (fitting, opposite) = if is_index {
        (INDEXES, MANIFESTS)
    } else {
        (MANIFESTS, INDEXES)
    };
    let own_type = value.get("mediaType").and_then(Value::as_str);
    for said in own_type.into_iter().chain([content_type]) {
        if opposite.contains(&said) {
            return Err(format!("it is not the `{said}` that it claims to be"));
        }
    }
    let media_type = own_type
        .filter(|said| fitting.contains(said))
        .or_else(|| fitting.into_iter().find(|known| *known == content_type))
        .unwrap_or(fitting[0]);
    let kind = if is_index {
        serde_json::from_str(text).map(Kind::Index)
    } else {
        serde_json::from_str(text).map(Kind::Manifest)
    };
    let kind = kind.map_err(|error| error.to_string())?;
    Ok((media_type.to_owned(), kind))
}

fn platform_of(platform: &spec::Platform) -> Platform {
    let (os, architecture) = (
        platform.os().to_string(),
        platform.architecture().to_string(),
    );
    Platform::new(&os, &architecture, platform.variant().as_deref())
}
