//! From a reference to the one manifest that is meant.
//!
//! What a manifest says is understood in [`rbuild_oci`]; here it is fetched, and its bytes
//! are held against their digests. OCI distribution-spec, "Pulling manifests".

use rbuild_http::{Method, Request};
use rbuild_oci::{
    BlobDigest, Digest, Document, Manifest, ManifestError, Platform, Reference, media_type,
};

use crate::{Error, Repository, Result};

const MANIFEST_LIMIT: u64 = 4 << 20;
const CONFIG_LIMIT: u64 = 8 << 20;
/// How deep indexes may be nested.
const INDEX_DEPTH: u32 = 3;
/// What we understand.
const ACCEPT: [&str; 4] = [
    media_type::OCI_MANIFEST,
    media_type::DOCKER_MANIFEST,
    media_type::OCI_INDEX,
    media_type::DOCKER_INDEX,
];

/// The manifest that was meant, and how it was found.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The manifest.
    pub manifest: Manifest,
    /// Its digest, then those of the indexes that led to it.
    pub digests: Vec<BlobDigest>,
}

/// A manifest or index as it came.
pub(crate) struct Served {
    /// What the registry says that it is, in lower case; empty if it does not say.
    content_type: String,
    /// What it hashes to.
    digest: BlobDigest,
    /// Its bytes.
    pub text: Vec<u8>,
}

impl Repository {
    /// The manifest that `reference`, a tag or digest in this repository, means on `platform`.
    ///
    /// # Errors
    /// [`Error::Digest`] if the bytes are not what their digest says, [`Error::Manifest`] if
    /// there is none for `platform`, it is ambiguous (CVE-2021-41190) or has layers that may
    /// not be fetched; else as any request.
    pub fn resolve(&self, reference: &Reference, platform: &Platform) -> Result<Resolved> {
        let mut wanted = reference.digest.map(BlobDigest);
        let tag = reference.tag_or_latest().unwrap_or("latest").to_owned();
        let mut digests = Vec::new();
        for _ in 0..INDEX_DEPTH {
            let (digest, document) = self.document(&tag, wanted)?;
            digests.insert(0, digest);
            match document {
                Document::Manifest(manifest) => {
                    let manifest = *manifest;
                    return Ok(Resolved { manifest, digests });
                }
                Document::Index(index) => {
                    let chosen = index.choose(platform);
                    wanted = Some(chosen.map_err(|why| self.unusable(&tag, why))?.digest);
                }
            }
        }
        let why = "it is an index of indexes of indexes".to_owned();
        Err(self.unusable(&tag, ManifestError::Malformed(why)))
    }

    /// All images that `reference` means: those of an index, or the only one.
    ///
    /// # Errors
    /// As [`Repository::resolve`].
    pub fn resolve_all(&self, reference: &Reference) -> Result<Vec<Resolved>> {
        let tag = reference.tag_or_latest().unwrap_or("latest").to_owned();
        let (top, index) = match self.document(&tag, reference.digest.map(BlobDigest))? {
            (digest, Document::Manifest(manifest)) => {
                return Ok(vec![Resolved {
                    manifest: *manifest,
                    digests: vec![digest],
                }]);
            }
            (digest, Document::Index(index)) => (digest, index),
        };
        let listed = index.images().map_err(|why| self.unusable(&tag, why))?;
        let mut images = Vec::with_capacity(listed.len());
        for entry in listed {
            match self.document(&tag, Some(entry.digest))? {
                (digest, Document::Manifest(manifest)) => images.push(Resolved {
                    manifest: *manifest,
                    digests: vec![digest, top],
                }),
                (_, Document::Index(_)) => {
                    let why = "it is an index of indexes".to_owned();
                    return Err(self.unusable(&tag, ManifestError::Malformed(why)));
                }
            }
        }
        Ok(images)
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

    /// The manifest or index that `reference` means, byte for byte.
    ///
    /// # Errors
    /// As [`Repository::resolve`].
    pub fn document_text(&self, reference: &Reference) -> Result<String> {
        let tag = reference.tag_or_latest().unwrap_or("latest");
        let (_, text) = self.text(tag, reference.digest.map(BlobDigest))?;
        Ok(text)
    }

    fn document(&self, tag: &str, wanted: Option<BlobDigest>) -> Result<(BlobDigest, Document)> {
        let (served, text) = self.text(tag, wanted)?;
        let document = Document::parse(text, &served.content_type)
            .map_err(|why| self.unusable(&called(tag, wanted), why))?;
        Ok((served.digest, document))
    }

    /// What the registry serves as the tag, or as the digest `wanted`.
    fn text(&self, tag: &str, wanted: Option<BlobDigest>) -> Result<(Served, String)> {
        let name = called(tag, wanted);
        let mut served = self.manifest_text(&name, wanted)?;
        let text = String::from_utf8(std::mem::take(&mut served.text)).map_err(|_| {
            self.unusable(
                &name,
                ManifestError::Malformed("it is not UTF-8".to_owned()),
            )
        })?;
        Ok((served, text))
    }

    /// The manifest or index `name`, a tag or the digest `wanted`.
    ///
    /// # Errors
    /// [`Error::Digest`] if its bytes are not what `wanted` or the registry itself says.
    pub(crate) fn manifest_text(&self, name: &str, wanted: Option<BlobDigest>) -> Result<Served> {
        let object = format!("manifest `{name}`");
        let url = self.url(&format!("manifests/{name}"))?;
        let accept = ACCEPT.join(", ");
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
        let text = self.read(response, &object, MANIFEST_LIMIT)?;
        let digest = BlobDigest(Digest::of(&text));
        let expected = wanted.or(announced.map(BlobDigest)).unwrap_or(digest);
        if digest != expected {
            return Err(Error::Digest {
                what: self.what(&object),
                expected,
                found: digest,
            });
        }
        Ok(Served {
            content_type,
            digest,
            text,
        })
    }

    fn unusable(&self, name: &str, source: ManifestError) -> Error {
        Error::Manifest {
            what: self.what(&format!("manifest `{name}`")),
            source,
        }
    }
}

/// What a registry calls the digest `wanted`, else `tag`.
fn called(tag: &str, wanted: Option<BlobDigest>) -> String {
    wanted.map_or_else(|| tag.to_owned(), |digest| digest.to_string())
}
