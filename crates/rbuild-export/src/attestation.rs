//! Attestations: what is said of an image, in documents beside it.
//!
//! Knows: in-toto's statements, and how BuildKit attaches them: an index lists the image and, for
//! no platform, a manifest whose layers are statements. That manifest has the image as its subject
//! too, so that the referrers API of registries finds it.
//! Does not know: what is said.
//!
//! in-toto attestation framework, "Statement layer"; BuildKit's docs/attestations/attestation-storage.md;
//! OCI image-spec, manifest.md "Guidelines for Artifact Usage".

use std::{collections::BTreeMap, io::Write};

use rbuild_oci::{
    BlobDigest, Descriptor, Digest, ImageConfig, ListedPlatform, Name, Platform, media_type,
};
use serde_json::{Value, json};

use crate::{Error, Exported, ExportedIndex, Place, manifest::describe, purl};

/// What BuildKit calls such a manifest among artifacts.
pub const ARTIFACT_TYPE: &str = "application/vnd.docker.attestation.manifest.v1+json";
const STATEMENT: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "in-toto.io/predicate-type";
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// What an attestation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// How the image was made: SLSA provenance.
    Provenance,
    /// What is in it: SPDX.
    Sbom,
}

impl Claim {
    const fn predicate_type(self) -> &'static str {
        match self {
            Self::Provenance => "https://slsa.dev/provenance/v1",
            Self::Sbom => "https://spdx.dev/Document",
        }
    }

    /// The name of the file that has it, where files are all there is.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Provenance => "provenance.json",
            Self::Sbom => "sbom.spdx.json",
        }
    }
}

/// Something that is said.
#[derive(Clone, Debug)]
pub struct Attestation {
    /// What it is about.
    pub claim: Claim,
    /// What is said, in the words of the claim's specification.
    pub predicate: Value,
}

/// What something is said of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// A package URL, or a path.
    pub name: String,
    /// Of its bytes.
    pub digest: Digest,
}

impl Attestation {
    /// What is said, and of what: an in-toto statement.
    pub fn statement(&self, subjects: &[Subject]) -> String {
        let subjects = subjects.iter();
        let subjects: Vec<Value> = subjects
            .map(|it| json!({ "name": it.name, "digest": { "sha256": it.digest.hex() } }))
            .collect();
        json!({
            "_type": STATEMENT_TYPE,
            "predicateType": self.claim.predicate_type(),
            "subject": subjects,
            "predicate": self.predicate,
        })
        .to_string()
    }
}

/// Images for different platforms, all called `names`, each with what is said of it: an index that
/// lists the images, then for each the manifest of its statements, which are in the store. Images
/// come first: who takes the first entry takes one.
///
/// # Errors
/// [`Error::Config`] if the image's configuration is none; [`Error::Store`].
pub fn attested(
    place: Place<'_>,
    said: Vec<(Exported, Vec<Attestation>)>,
    names: &[Name],
) -> Result<ExportedIndex, Error> {
    let (mut images, mut attached) = (Vec::new(), Vec::new());
    let (mut entries, mut beside) = (Vec::new(), Vec::new());
    for (image, attestations) in said {
        let config = configuration(&image)?;
        let statements = statements(place, (&image, &config), names, &attestations)?;
        entries.push(entry(&image.descriptor, &ListedPlatform::from(&config)));
        beside.push(entry_beside(&image.descriptor, &statements.descriptor));
        images.push(image);
        attached.push(statements);
    }
    entries.append(&mut beside);
    images.append(&mut attached);
    let text = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_INDEX,
        "manifests": entries,
    })
    .to_string();
    Ok(ExportedIndex {
        descriptor: describe(media_type::OCI_INDEX, &text),
        text,
        images,
    })
}

fn configuration(image: &Exported) -> Result<ImageConfig, Error> {
    let config = image.config_descriptor.digest.to_string();
    serde_json::from_str(&image.config).map_err(|source| Error::Config {
        image: config,
        source,
    })
}

/// What is said of `image`, as a manifest.
fn statements(
    place: Place<'_>,
    (image, config): (&Exported, &ImageConfig),
    names: &[Name],
    attestations: &[Attestation],
) -> Result<Exported, Error> {
    let subjects = subjects(config, names, image.descriptor.digest);
    let mut layers = Vec::with_capacity(attestations.len());
    for attestation in attestations {
        layers.push(stored(place, attestation, &subjects)?);
    }
    Ok(attached(&image.descriptor, layers))
}

/// The image by each of its names.
fn subjects(config: &ImageConfig, names: &[Name], digest: BlobDigest) -> Vec<Subject> {
    let variant = config.variant.as_deref();
    let platform = Platform::new(&config.os, &config.architecture, variant);
    let mut called: Vec<String> = names
        .iter()
        .map(|name| purl::of_image(name, &platform))
        .collect();
    if called.is_empty() {
        called.push("_".to_owned());
    }
    let subject = |name| Subject {
        name,
        digest: digest.0,
    };
    called.into_iter().map(subject).collect()
}

/// A statement in the store, as a layer.
fn stored(
    place: Place<'_>,
    attestation: &Attestation,
    subjects: &[Subject],
) -> Result<Descriptor, Error> {
    let text = attestation.statement(subjects);
    let mut blob = place.session.blob()?;
    blob.write_all(text.as_bytes())
        .map_err(Error::file("write", attestation.claim.file_name()))?;
    blob.commit(None)?;
    let kind = attestation.claim.predicate_type().to_owned();
    Ok(Descriptor {
        annotations: BTreeMap::from([(PREDICATE_TYPE.to_owned(), kind)]),
        ..describe(STATEMENT, &text)
    })
}

/// The manifest of statements that are `layers`. Its configuration is that of an image for nobody,
/// so that programs that know no artifacts can handle it.
fn attached(image: &Descriptor, layers: Vec<Descriptor>) -> Exported {
    let diff_ids: Vec<BlobDigest> = layers.iter().map(|layer| layer.digest).collect();
    let config = json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    })
    .to_string();
    let config_descriptor = describe(media_type::OCI_CONFIG, &config);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "artifactType": ARTIFACT_TYPE,
        "config": config_descriptor,
        "layers": layers,
        "subject": image,
    })
    .to_string();
    Exported {
        descriptor: describe(media_type::OCI_MANIFEST, &manifest),
        manifest,
        config,
        config_descriptor,
        layers,
    }
}

fn entry(image: &Descriptor, platform: &ListedPlatform) -> Value {
    let mut entry = json!(image);
    entry["platform"] = json!(platform);
    entry
}

/// The entry of statements that are `attached` to `image`.
fn entry_beside(image: &Descriptor, attached: &Descriptor) -> Value {
    let mut said = json!(attached);
    said["annotations"] = json!({
        REFERENCE_DIGEST: image.digest.to_string(),
        REFERENCE_TYPE: "attestation-manifest",
    });
    said["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
    said
}
