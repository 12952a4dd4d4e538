//! Manifests and indexes: what is what, and which manifest a platform means.
//!
//! OCI image-spec, manifest.md and image-index.md; Docker's schema 2 forms of both.
//!
//! Invariant: whatever a document says about its kind agrees (CVE-2021-41190), and all that a
//! [`Manifest`] names may be fetched.

use serde_json::Value;

use crate::{BlobDigest, Descriptor, Digest, Platform, media_type, spec};

const MANIFESTS: [&str; 2] = [media_type::OCI_MANIFEST, media_type::DOCKER_MANIFEST];
const INDEXES: [&str; 2] = [media_type::OCI_INDEX, media_type::DOCKER_INDEX];
/// No index lists more (sandbox.md, Limits).
const ENTRY_LIMIT: usize = 1_024;
/// Annotation that carries a tag in the index of a layout. OCI image-spec, annotations.md.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Annotation of containerd and docker with the whole name.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// Annotation of an index's entry, of podman (`--add-compression`): `true` if it is an image in
/// zstd, which may be listed in gzip too.
pub const IN_ZSTD: &str = "io.github.containers.compression.zstd";

/// An image's manifest.
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

/// A list of manifests.
#[derive(Clone, Debug)]
pub struct Index(spec::ImageIndex);

/// Either of them.
#[derive(Clone, Debug)]
pub enum Document {
    /// Of one image.
    Manifest(Box<Manifest>),
    /// Of several.
    Index(Box<Index>),
}

/// Why a document is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// There is no image for that platform.
    #[error("there is no image for {platform}, only for {available}")]
    Platform {
        /// The wanted one.
        platform: Platform,
        /// Those that there are.
        available: String,
    },
    /// No image has that tag.
    #[error("no image has the tag `{0}`")]
    Tag(String),
    /// No image has that digest.
    #[error("no image has the digest `{0}`")]
    Digest(BlobDigest),
    /// There are several, and no tag tells which.
    #[error("there are {0} images: a tag must say which")]
    Ambiguous(usize),
}

impl Document {
    /// Understands `text`, which came as `served_as` (empty: nobody said).
    ///
    /// # Errors
    /// [`ManifestError::Malformed`].
    pub fn parse(text: String, served_as: &str) -> Result<Self, ManifestError> {
        let malformed = |why: String| ManifestError::Malformed(why);
        let invalid = |error: serde_json::Error| malformed(error.to_string());
        let value: Value = serde_json::from_str(&text).map_err(invalid)?;
        let is_index = is_index(&value).map_err(|why| malformed(why.to_owned()))?;
        let media_type = media_type_of(&value, is_index, served_as).map_err(malformed)?;
        if is_index {
            return serde_json::from_str(&text)
                .map(|index| Self::Index(Box::new(Index(index))))
                .map_err(invalid);
        }
        let parsed: spec::ImageManifest = serde_json::from_str(&text).map_err(invalid)?;
        let layers = parsed
            .layers()
            .iter()
            .map(described)
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(layer) = layers
            .iter()
            .find(|layer| media_type::layer_compression(&layer.media_type).is_none())
        {
            let artifact = artifact_type(&parsed).map_or_else(
                || format!("layer type `{}` is not fetched", layer.media_type),
                |kind| format!("it is an artifact of type `{kind}`, not an image"),
            );
            return Err(malformed(artifact));
        }
        let digest = BlobDigest(Digest::of(text.as_bytes()));
        let descriptor = Descriptor::new(&media_type, digest, text.len() as u64);
        Ok(Self::Manifest(Box::new(Manifest {
            descriptor,
            config: trusted(parsed.config())?,
            layers,
            text,
        })))
    }
}

impl Index {
    /// What an image for `platform` is called here: the exact one, else one that fits, else one that
    /// nothing is said of. Of one that is listed in gzip and in zstd, the latter is meant.
    ///
    /// # Errors
    /// [`ManifestError::Platform`] if there is none.
    pub fn choose(&self, platform: &Platform) -> Result<Descriptor, ManifestError> {
        let entries: Vec<&spec::Descriptor> = self.listed().collect();
        let offers: Vec<Option<Platform>> = entries.iter().map(|it| offered(it)).collect();
        if let Some(chosen) = platform.choose(&offers) {
            let is_better = |&it: &usize| offers[it] == offers[chosen] && is_in_zstd(entries[it]);
            let chosen = (0..entries.len()).find(is_better).unwrap_or(chosen);
            return trusted(entries[chosen]);
        }
        let said = offers.iter().flatten();
        let mut names: Vec<String> = said.map(Platform::to_string).collect();
        names.sort();
        names.dedup();
        Err(ManifestError::Platform {
            platform: platform.clone(),
            available: names.join(", "),
        })
    }

    /// All images that are listed, each with what it is called: the whole name where containerd
    /// wrote one, else the tag.
    ///
    /// # Errors
    /// [`ManifestError::Malformed`] if a digest is not sha256.
    pub fn entries(&self) -> Result<Vec<(Descriptor, Option<String>)>, ManifestError> {
        let entry = |entry: &spec::Descriptor| {
            let name = annotation(entry, IMAGE_NAME).or_else(|| annotation(entry, REF_NAME));
            Ok((trusted(entry)?, name.map(str::to_owned)))
        };
        self.listed().map(entry).collect()
    }

    /// The images that are listed, one for each platform: of one that is listed in gzip and in
    /// zstd, what every reader knows.
    ///
    /// # Errors
    /// [`ManifestError::Malformed`] if a digest is not sha256, or there are more than 1,024.
    pub fn images(&self) -> Result<Vec<Descriptor>, ManifestError> {
        let entries = self.0.manifests();
        if entries.len() > ENTRY_LIMIT {
            let why = format!("it lists {} images", entries.len());
            return Err(ManifestError::Malformed(why));
        }
        let others: Vec<_> = self
            .listed()
            .filter(|it| !is_in_zstd(it))
            .map(offered)
            .collect();
        let is_another = |it: &&spec::Descriptor| is_in_zstd(it) && others.contains(&offered(it));
        let images = self.listed().filter(|it| !is_another(it));
        images.map(trusted).collect()
    }

    /// The entries of images: not those of artifacts, nor of what is attached to images
    /// (attestations are for the platform `unknown/unknown`).
    fn listed(&self) -> impl Iterator<Item = &spec::Descriptor> {
        let is_image = |entry: &&spec::Descriptor| {
            let kind = entry.artifact_type().as_ref();
            kind.is_none_or(|kind| media_type::is_image_config(kind.as_ref()))
                && offered(entry).is_none_or(|platform| platform.os != "unknown")
        };
        self.0.manifests().iter().filter(is_image)
    }

    /// What is listed with that digest.
    ///
    /// # Errors
    /// [`ManifestError::Digest`] if nothing is.
    pub fn pinned(&self, digest: &BlobDigest) -> Result<Descriptor, ManifestError> {
        let entries = self.0.manifests().iter().map(trusted);
        let entries: Vec<Descriptor> = entries.collect::<Result<_, _>>()?;
        let found = entries.into_iter().find(|it| it.digest == *digest);
        found.ok_or(ManifestError::Digest(*digest))
    }

    /// What the image with `tag` is called here; without a tag the only image there is,
    /// whatever it is called.
    ///
    /// # Errors
    /// [`ManifestError::Tag`], [`ManifestError::Ambiguous`].
    pub fn tagged(&self, tag: Option<&str>) -> Result<Descriptor, ManifestError> {
        let is_called = |entry: &&spec::Descriptor, tag: &str| {
            [REF_NAME, IMAGE_NAME]
                .iter()
                .any(|key| annotation(entry, key) == Some(tag))
        };
        let entry = match tag {
            Some(tag) => (self.0.manifests().iter())
                .find(|entry| is_called(entry, tag))
                .ok_or_else(|| ManifestError::Tag(tag.to_owned()))?,
            None => {
                // One that has several names is listed under each.
                let mut images: Vec<&spec::Descriptor> = self.listed().collect();
                images.dedup_by_key(|it| it.digest().to_string());
                match images[..] {
                    [only] => only,
                    _ => return Err(ManifestError::Ambiguous(images.len())),
                }
            }
        };
        trusted(entry)
    }
}

/// What `manifest` is, if it is not an image's.
fn artifact_type(manifest: &spec::ImageManifest) -> Option<&str> {
    let config = manifest.config().media_type();
    let said = manifest.artifact_type().as_ref().unwrap_or(config).as_ref();
    (!media_type::is_image_config(said)).then_some(said)
}

/// The platform that an entry is for, if it says so.
fn offered(entry: &spec::Descriptor) -> Option<Platform> {
    entry.platform().as_ref().map(platform_of)
}

fn is_in_zstd(entry: &spec::Descriptor) -> bool {
    annotation(entry, IN_ZSTD) == Some("true")
}

fn annotation<'a>(entry: &'a spec::Descriptor, key: &str) -> Option<&'a str> {
    let all = entry.annotations().as_ref()?;
    all.get(key).map(String::as_str)
}

fn trusted(foreign: &spec::Descriptor) -> Result<Descriptor, ManifestError> {
    Descriptor::try_from(foreign).map_err(|error| ManifestError::Malformed(error.to_string()))
}

/// The same with its annotations.
fn described(foreign: &spec::Descriptor) -> Result<Descriptor, ManifestError> {
    let annotations = foreign.annotations().iter().flatten();
    Ok(Descriptor {
        annotations: annotations
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        ..trusted(foreign)?
    })
}

/// A document that has the fields of both kinds is neither.
fn is_index(value: &Value) -> Result<bool, &'static str> {
    let has = |field: &str| value.get(field).is_some();
    match (has("layers") || has("config"), has("manifests")) {
        (true, true) => Err("it is both a manifest and an index"),
        (true, false) => Ok(false),
        (false, true) => Ok(true),
        (false, false) if has("fsLayers") => Err("schema 1 is not supported"),
        (false, false) => Err("it is neither a manifest nor an index"),
    }
}

/// The media type, if all that is said of it agrees with the fields.
fn media_type_of(value: &Value, is_index: bool, served_as: &str) -> Result<String, String> {
    let (fitting, opposite) = if is_index {
        (INDEXES, MANIFESTS)
    } else {
        (MANIFESTS, INDEXES)
    };
    let own = value.get("mediaType").and_then(Value::as_str);
    if let Some(said) = own
        .into_iter()
        .chain([served_as])
        .find(|said| opposite.contains(said))
    {
        return Err(format!("it is not the `{said}` that it claims to be"));
    }
    let known = own
        .into_iter()
        .chain([served_as])
        .find(|said| fitting.contains(said));
    Ok(known.unwrap_or(fitting[0]).to_owned())
}

fn platform_of(platform: &spec::Platform) -> Platform {
    let (os, architecture) = (
        platform.os().to_string(),
        platform.architecture().to_string(),
    );
    Platform::new(&os, &architecture, platform.variant().as_deref())
}

#[cfg(test)]
mod tests {
    use super::{Document, ManifestError};
    use crate::Platform;

    fn descriptor(kind: &str, more: &str) -> String {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"sha256:{}","size":1{more}}}"#,
            "0".repeat(64)
        )
    }

    fn manifest(layer: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#,
            descriptor("config.v1+json", ""),
            descriptor(layer, "")
        )
    }

    fn index(entries: &[&str]) -> String {
        let entries: Vec<String> = entries
            .iter()
            .map(|more| descriptor("manifest.v1+json", more))
            .collect();
        format!(
            r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
            entries.join(",")
        )
    }

    #[track_caller]
    fn check(text: &str, served_as: &str, error: Option<&str>) {
        let parsed = Document::parse(text.to_owned(), served_as);
        assert_eq!(
            parsed.err().map(|error| error.to_string()).as_deref(),
            error
        );
    }

    #[test]
    fn a_document_is_what_it_says() {
        let oci = "application/vnd.oci.image.";
        check(&manifest("layer.v1.tar+gzip"), "", None);
        check(&index(&[]), "", None);
        check(
            &index(&[]),
            &format!("{oci}manifest.v1+json"),
            Some("it is not the `application/vnd.oci.image.manifest.v1+json` that it claims to be"),
        );
        let both = manifest("layer.v1.tar").replace("\"layers\"", "\"manifests\":[],\"layers\"");
        check(&both, "", Some("it is both a manifest and an index"));
        check("{}", "", Some("it is neither a manifest nor an index"));
        check(r#"{"fsLayers":[]}"#, "", Some("schema 1 is not supported"));
    }

    #[test]
    fn foreign_layers_are_refused() {
        let foreign = "layer.nondistributable.v1.tar+gzip";
        check(
            &manifest(foreign),
            "",
            Some(
                "layer type `application/vnd.oci.image.layer.nondistributable.v1.tar+gzip` is not fetched",
            ),
        );
    }

    #[track_caller]
    fn check_choice(entries: &[&str], platform: &str, found: bool) {
        let Ok(Document::Index(index)) = Document::parse(index(entries), "") else {
            unreachable!("it is one")
        };
        let platform: Platform = platform.parse().unwrap();
        assert_eq!(index.choose(&platform).is_ok(), found);
    }

    #[test]
    fn the_platform_chooses() {
        let arm = r#","platform":{"os":"linux","architecture":"arm64","variant":"v8"}"#;
        let amd = r#","platform":{"os":"linux","architecture":"amd64"}"#;
        check_choice(&[arm, amd], "linux/amd64", true);
        check_choice(&[arm, amd], "linux/arm64", true);
        check_choice(&[arm, amd], "linux/s390x", false);
        check_choice(&[""], "linux/amd64", true);
        check_choice(&[arm, "", ""], "linux/amd64", true);
    }

    #[test]
    fn attestations_are_no_images() {
        let arm = r#","platform":{"os":"linux","architecture":"arm64"}"#;
        let attached = r#","platform":{"os":"unknown","architecture":"unknown"}"#;
        let Ok(Document::Index(listed)) = Document::parse(index(&[arm, attached, ""]), "") else {
            unreachable!("it is one")
        };
        assert_eq!(listed.images().unwrap().len(), 2);
        let Ok(Document::Index(endless)) = Document::parse(index(&[""; 1_025]), "") else {
            unreachable!("it is one")
        };
        assert!(endless.images().is_err());
    }

    fn parsed(entries: &[&str]) -> super::Index {
        match Document::parse(index(entries), "") {
            Ok(Document::Index(index)) => *index,
            other => unreachable!("it is an index: {other:?}"),
        }
    }

    /// What `podman manifest add --artifact` lists, whose manifest has no platform.
    const ARTIFACT: &str = r#","artifactType":"application/vnd.test.thing""#;

    #[test]
    fn artifacts_are_no_images() {
        let amd = r#","platform":{"os":"linux","architecture":"amd64"}"#;
        let of_amd = format!("{ARTIFACT}{amd}");
        let listed = parsed(&[ARTIFACT, &of_amd, amd]);
        assert_eq!(listed.images().unwrap().len(), 1);
        assert_eq!(listed.entries().unwrap().len(), 1);
        check_choice(&[ARTIFACT, ""], "linux/amd64", true);
        check_choice(&[&of_amd], "linux/amd64", false);
        // The type of an image is that of its configuration.
        let image = r#","artifactType":"application/vnd.oci.image.config.v1+json""#;
        check_choice(&[image], "linux/amd64", true);
        assert!(parsed(&[ARTIFACT, ""]).tagged(None).is_ok());
    }

    #[test]
    fn an_artifact_in_place_of_an_image_says_what_it_is() {
        let empty = manifest("x").replace("image.config.v1", "empty.v1");
        check(
            &empty,
            "",
            Some("it is an artifact of type `application/vnd.oci.empty.v1+json`, not an image"),
        );
        let typed = empty.replace(r#""config""#, r#""artifactType":"a/b","config""#);
        check(
            &typed,
            "",
            Some("it is an artifact of type `a/b`, not an image"),
        );
    }

    /// What `podman manifest push --add-compression zstd` lists.
    #[test]
    fn an_image_in_gzip_and_zstd_is_fetched_in_zstd_and_listed_in_gzip() {
        let entry = |os: &str, size: u64, annotations: &str| {
            let digest = "0".repeat(64);
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:{digest}",
                "size":{size},"platform":{{"os":"{os}","architecture":"amd64"}}{annotations}}}"#
            )
        };
        let zstd = r#","annotations":{"io.github.containers.compression.zstd":"true"}"#;
        let check = |entries: &[String], chosen: Option<u64>, listed: &[u64]| {
            let text = format!(
                r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
                entries.join(",")
            );
            let Ok(Document::Index(index)) = Document::parse(text, "") else {
                unreachable!("it is one")
            };
            let platform = "linux/amd64".parse().unwrap();
            assert_eq!(index.choose(&platform).ok().map(|it| it.size), chosen);
            let images = index.images().unwrap();
            assert_eq!(images.iter().map(|it| it.size).collect::<Vec<_>>(), listed);
        };
        let both = [entry("linux", 1, ""), entry("linux", 2, zstd)];
        check(&both, Some(2), &[1]);
        let other = [
            entry("windows", 1, ""),
            entry("linux", 2, ""),
            entry("windows", 3, zstd),
        ];
        check(&other, Some(2), &[1, 2]);
        check(&[entry("linux", 1, zstd)], Some(1), &[1]);
    }

    #[test]
    fn a_tag_chooses() {
        let tag = |name: &str| {
            format!(r#","annotations":{{"org.opencontainers.image.ref.name":"{name}"}}"#)
        };
        let Ok(Document::Index(index)) = Document::parse(index(&[&tag("a"), &tag("b")]), "") else {
            unreachable!("it is one")
        };
        assert!(index.tagged(Some("b")).is_ok());
        assert_eq!(index.tagged(Some("c")), Err(ManifestError::Tag("c".into())));
        assert!(index.tagged(None).is_ok(), "two names of one image");
        let other = descriptor("manifest.v1+json", "").replace("0000", "1111");
        let text = format!(
            r#"{{"manifests":[{},{other}]}}"#,
            descriptor("manifest.v1+json", &tag("a"))
        );
        let text = text.replacen('{', r#"{"schemaVersion":2,"#, 1);
        let Ok(Document::Index(index)) = Document::parse(text, "") else {
            unreachable!("it is one")
        };
        assert_eq!(index.tagged(None), Err(ManifestError::Ambiguous(2)));
    }
}
