//! Annotations: what an image's manifest says about the image.
//!
//! Knows: which there are by default, and what a base image had. Pure.
//! Does not know: how a manifest is written; Docker's format has no place for annotations.
//!
//! OCI image-spec, annotations.md; cli.md 2.1, dockerfile.md G4.

use std::collections::BTreeMap;

use rbuild_oci::Name;
use rbuild_plan::Inheritance;
use rbuild_store::{Draft, ImageRecord};
use serde::Deserialize;

use crate::manifest::{format_of, local_digest};

const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
const CREATED: &str = "org.opencontainers.image.created";

/// What the user wants to be said.
#[derive(Clone, Copy, Debug)]
pub struct Annotations<'a> {
    /// `--annotation KEY=VALUE`: they win over all others.
    pub set: &'a BTreeMap<String, String>,
    /// `--unsetannotation KEY`: left out, whoever says it.
    pub unset: &'a [String],
    /// What becomes of those of the base image.
    pub of_base: Inheritance,
    /// Whether the time of the configuration is said too.
    pub created: Stamp,
}

/// Whether an image has the annotation `org.opencontainers.image.created`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// It does.
    Written,
    /// It does not.
    Omitted,
}

/// What an image is based on.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The image.
    pub image: &'a ImageRecord,
    /// Its full name, if it has one.
    pub name: Option<&'a Name>,
}

impl Annotations<'_> {
    /// The annotations of an image that was created at that time, with the digest and, if it has
    /// one, the name of its base.
    pub(crate) fn of(&self, base: Option<Origin<'_>>, created: &str) -> BTreeMap<String, String> {
        let mut all = match (base, self.of_base) {
            (Some(base), Inheritance::Kept) => annotations(base.image),
            _ => BTreeMap::new(),
        };
        // Those of the base's base are not ours.
        all.remove(BASE_NAME);
        all.remove(BASE_DIGEST);
        if let Some(base) = base {
            let digest = local_digest(base.image).to_string();
            all.insert(BASE_DIGEST.to_owned(), digest);
            if let Some(name) = base.name {
                all.insert(BASE_NAME.to_owned(), name.as_str().to_owned());
            }
        }
        match self.created {
            Stamp::Written => drop(all.insert(CREATED.to_owned(), created.to_owned())),
            Stamp::Omitted => drop(all.remove(CREATED)),
        }
        all.extend(self.set.clone());
        all.retain(|key, _| !self.unset.contains(key));
        all
    }
}

/// The annotations of `image`.
pub fn annotations(image: &ImageRecord) -> BTreeMap<String, String> {
    #[derive(Deserialize)]
    struct Said {
        annotations: Option<BTreeMap<String, String>>,
    }
    let Some(manifest) = &image.manifest else {
        return image.draft.annotations.clone();
    };
    let said = serde_json::from_str::<Said>(manifest).ok();
    said.and_then(|said| said.annotations).unwrap_or_default()
}

/// `image` with `more` annotations, which win; its manifest is written anew for them.
#[must_use]
pub fn annotated(image: ImageRecord, more: BTreeMap<String, String>) -> ImageRecord {
    if more.is_empty() {
        return image;
    }
    let (format, mut all) = (format_of(&image), annotations(&image));
    all.extend(more);
    ImageRecord {
        manifest: None,
        draft: Draft {
            format,
            annotations: all,
        },
        ..image
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::LazyLock};

    use rbuild_oci::Name;
    use rbuild_plan::Inheritance;
    use rbuild_store::{Draft, ImageRecord};

    use super::{Annotations, Origin, Stamp};

    const MANIFEST: &str = r#"{"annotations":{"a":"base","b":"base",
        "org.opencontainers.image.base.name":"older",
        "org.opencontainers.image.created":"older"}}"#;

    /// Keys and values, without the domain of the known ones, and without digests.
    #[track_caller]
    fn check(manifest: Option<&str>, change: impl Fn(&mut Annotations<'_>), expected: &str) {
        let image = ImageRecord {
            config: String::new(),
            manifest: manifest.map(str::to_owned),
            draft: Draft::default(),
            layers: Vec::new(),
        };
        let name = Name::parse("docker.io/library/a:1").unwrap();
        let base = Origin {
            image: &image,
            name: Some(&name),
        };
        let set = BTreeMap::from([("a".to_owned(), "ours".to_owned())]);
        let mut annotations = Annotations {
            set: &set,
            unset: &[],
            of_base: Inheritance::Kept,
            created: Stamp::Written,
        };
        change(&mut annotations);
        let all = annotations.of(manifest.map(|_| base), "now");
        let shown = all.iter().map(|(key, value)| {
            let key = key.trim_start_matches("org.opencontainers.image.");
            let value = value.split(':').next().unwrap_or_default();
            format!("{key}={value}")
        });
        assert_eq!(shown.collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn g4_an_image_says_what_it_is_based_on() {
        check(
            Some(MANIFEST),
            |_| (),
            "a=ours b=base base.digest=sha256 base.name=docker.io/library/a created=now",
        );
        check(None, |_| (), "a=ours created=now");
    }

    #[test]
    fn what_the_base_says_can_be_left_out() {
        check(
            Some(MANIFEST),
            |it| it.of_base = Inheritance::Dropped,
            "a=ours base.digest=sha256 base.name=docker.io/library/a created=now",
        );
    }

    #[test]
    fn an_annotation_can_be_unset_whoever_set_it() {
        static UNSET: LazyLock<[String; 2]> =
            LazyLock::new(|| ["a", "org.opencontainers.image.base.digest"].map(str::to_owned));
        check(
            Some(MANIFEST),
            |it| it.unset = &*UNSET,
            "b=base base.name=docker.io/library/a created=now",
        );
    }

    #[test]
    fn the_time_of_the_base_is_never_ours() {
        check(
            Some(MANIFEST),
            |it| it.created = Stamp::Omitted,
            "a=ours b=base base.digest=sha256 base.name=docker.io/library/a",
        );
    }
}
