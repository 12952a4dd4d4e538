//! Signatures of images as `cosign` makes them: kept beside the image, under a tag of its digest.
//!
//! Knows: where they are, and whether one is right. Does not know: which images need one
//! ([`crate::signature_policy`]).
//!
//! Invariant: a payload says nothing before a key has verified it; from a registry at most
//! [`SIGNATURES_LIMIT`] signatures are looked at.
//!
//! cosign's specs/SIGNATURE_SPEC.md; containers-signature(5) for the payload.

use std::{fs, io::Read};

use base64::{Engine, engine::general_purpose::STANDARD};
use rbuild_oci::{BlobDigest, Descriptor, Digest, Reference};
use rustls::pki_types::{SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer, pem::PemObject};
use serde::Deserialize;
use webpki::{RawPublicKeyEntity, ring};

use crate::{
    Error, Repository, Result,
    signature_policy::{Key, Signed},
};

/// The type of a layer that is a payload.
const PAYLOAD_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation of such a layer that has its signature.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// What a payload says that it is.
const CRITICAL_TYPE: &str = "cosign container image signature";
/// The longest payload, in bytes.
const PAYLOAD_LIMIT: u64 = 1 << 20;
/// The most signatures of one image that are tried.
const SIGNATURES_LIMIT: usize = 100;

/// A manifest whose layers are signatures.
#[derive(Deserialize)]
struct Signatures {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Default, Deserialize)]
struct Annotations {
    #[serde(default, rename = "dev.cosignproject.cosign/signature")]
    signature: Option<String>,
}

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    #[serde(rename = "type")]
    kind: String,
    image: Image,
    identity: Named,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: Digest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(rename = "docker-reference")]
    reference: String,
}

impl Repository {
    /// Makes sure that one of `digests`, those of an image and of the indexes that led to it, is
    /// signed as `signed` wants, for `image`, which is a full name.
    ///
    /// # Errors
    /// [`Error::Rejected`] if there is no such signature; [`Error::Configuration`] if a key cannot
    /// be read; else as any request.
    pub fn verify(&self, signed: &Signed, image: &Reference, digests: &[BlobDigest]) -> Result<()> {
        let keys: Vec<_> = signed.keys.iter().map(read_key).collect::<Result<_>>()?;
        let mut refusals = Vec::new();
        for digest in digests {
            for layer in self.signatures(digest)? {
                let payload = self.payload(&layer)?;
                let checked = check(&keys, &payload, layer.annotations.signature.as_deref())
                    .and_then(|critical| accept(&critical, digest, (signed, image)));
                match checked {
                    Ok(()) => return Ok(()),
                    Err(why) => refusals.push(why),
                }
            }
        }
        refusals.sort();
        refusals.dedup();
        Err(Error::Rejected {
            image: image.to_string(),
            why: match refusals.is_empty() {
                true => "it has no signature".to_owned(),
                false => format!("no signature is right: {}", refusals.join("; ")),
            },
        })
    }

    /// The signatures of the manifest `digest`; none, if the registry has none.
    fn signatures(&self, digest: &BlobDigest) -> Result<Vec<Layer>> {
        let tag = format!("sha256-{}.sig", digest.0.hex());
        let text = match self.manifest_text(&tag, None) {
            Ok(served) => served.text,
            Err(error) if error.is_absent() => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let parsed: Signatures =
            serde_json::from_slice(&text).map_err(|error| Error::Malformed {
                what: self.what(&format!("manifest `{tag}`")),
                why: error.to_string(),
            })?;
        let is_payload = |layer: &Layer| layer.media_type == PAYLOAD_TYPE;
        let layers = parsed.layers.into_iter().filter(is_payload);
        Ok(layers.take(SIGNATURES_LIMIT).collect())
    }

    fn payload(&self, layer: &Layer) -> Result<Vec<u8>> {
        let object = format!("signature {}", layer.digest);
        if layer.size > PAYLOAD_LIMIT {
            return Err(Error::TooLarge {
                what: self.what(&object),
                limit: PAYLOAD_LIMIT,
            });
        }
        let mut bytes = Vec::new();
        let digest = BlobDigest(layer.digest);
        let payload = Descriptor::new(&layer.media_type, digest, layer.size);
        let mut reader = self.blob(&payload)?;
        reader
            .read_to_end(&mut bytes)
            .map_err(|source| Error::Lost {
                what: self.what(&object),
                source,
            })?;
        Ok(bytes)
    }
}

fn read_key(key: &Key) -> Result<SubjectPublicKeyInfoDer<'static>> {
    let (name, pem) = match key {
        Key::File(path) => (
            path.clone(),
            fs::read(path).map_err(|error| error.to_string()),
        ),
        Key::Text(pem) => ("keyData".into(), Ok(pem.clone())),
    };
    let parsed = pem.and_then(|pem| {
        SubjectPublicKeyInfoDer::from_pem_slice(&pem)
            .map_err(|_| "it is not a public key in PEM".to_owned())
    });
    parsed.map_err(|why| Error::Configuration { path: name, why })
}

/// What `payload` says, if one of `keys` has made its signature.
///
/// # Errors
/// Says what is wrong.
fn check(
    keys: &[SubjectPublicKeyInfoDer<'_>],
    payload: &[u8],
    signature: Option<&str>,
) -> std::result::Result<Critical, String> {
    let signature = signature
        .and_then(|text| STANDARD.decode(text).ok())
        .ok_or_else(|| format!("its annotation `{SIGNATURE}` is not base64"))?;
    if !keys.iter().any(|key| verifies(key, payload, &signature)) {
        return Err("it is by another key".to_owned());
    }
    let payload: Payload = serde_json::from_slice(payload)
        .map_err(|error| format!("its payload is malformed: {error}"))?;
    Ok(payload.critical)
}

/// Whether `critical`, which is verified, is about the manifest `digest` of the image.
///
/// # Errors
/// Says what is wrong.
fn accept(
    critical: &Critical,
    digest: &BlobDigest,
    (signed, image): (&Signed, &Reference),
) -> std::result::Result<(), String> {
    if critical.kind != CRITICAL_TYPE {
        return Err(format!("it is a `{}`", critical.kind));
    }
    if critical.image.digest != digest.0 {
        return Err(format!("it is for {}", critical.image.digest));
    }
    match signed.identity.accepts(image, &critical.identity.reference) {
        true => Ok(()),
        false => Err(format!("it is for `{}`", critical.identity.reference)),
    }
}

fn verifies(key: &SubjectPublicKeyInfoDer<'_>, message: &[u8], signature: &[u8]) -> bool {
    let algorithms: [&dyn SignatureVerificationAlgorithm; 4] = [
        ring::ECDSA_P256_SHA256,
        ring::ECDSA_P384_SHA256,
        ring::ED25519,
        ring::RSA_PKCS1_2048_8192_SHA256,
    ];
    let Ok(key) = RawPublicKeyEntity::try_from(key) else {
        return false;
    };
    let verified = |it: &&dyn SignatureVerificationAlgorithm| {
        key.verify_signature(*it, message, signature).is_ok()
    };
    algorithms.iter().any(verified)
}

#[cfg(test)]
mod tests;
