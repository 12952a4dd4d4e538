//! `annotation….KEY=VALUE` of an output, `--annotation` of a list: what is said of images, beside
//! what they say themselves.
//!
//! Knows: of which part of what is written each is, and for which platforms.
//! Does not know: how documents are written.
//!
//! Spec: cli.md 2.7; `annotation[-manifest|-manifest-descriptor|-index|-index-descriptor][[PLATFORM]].KEY=VALUE`.

use std::collections::BTreeMap;

use rbuild_oci::Platform;

/// What an output says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks(Vec<Remark>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Remark {
    part: Part,
    /// `None`: all.
    platform: Option<Platform>,
    key: String,
    value: String,
}

/// What something is said of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// An image, in its manifest.
    Manifest,
    /// An image, where an index lists it.
    Entry,
    /// The index.
    Index,
    /// The index, where a layout lists it.
    IndexEntry,
}

impl Part {
    /// What BuildKit's users call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Manifest => "manifest",
            Self::Entry => "manifest-descriptor",
            Self::Index => "index",
            Self::IndexEntry => "index-descriptor",
        }
    }
}

impl Remarks {
    /// Adds what `attribute` says; `false` if it is no annotation.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn add(&mut self, attribute: &str, value: &str) -> Result<bool, String> {
        let Some(rest) = attribute.strip_prefix("annotation") else {
            return Ok(false);
        };
        let (place, key) = rest
            .split_once('.')
            .filter(|(_, key)| !key.is_empty())
            .ok_or_else(|| format!("`{attribute}` has no key"))?;
        let (part, platform) = match place.strip_suffix(']').and_then(|it| it.split_once('[')) {
            Some((part, platform)) => (part, Some(platform)),
            None => (place, None),
        };
        let platform = platform.map(str::parse).transpose();
        let platform = platform.map_err(|error: rbuild_oci::Error| error.to_string())?;
        let part = match part {
            "" | "-manifest" => Part::Manifest,
            "-manifest-descriptor" => Part::Entry,
            "-index" | "-index-descriptor" if platform.is_some() => {
                return Err("an index is for all platforms".to_owned());
            }
            "-index" => Part::Index,
            "-index-descriptor" => Part::IndexEntry,
            _ => return Err(format!("`{attribute}` is not supported")),
        };
        self.0.push(Remark {
            part,
            platform,
            key: key.to_owned(),
            value: value.to_owned(),
        });
        Ok(true)
    }

    /// Adds all of `more`; what is here wins.
    pub fn extend(&mut self, more: &Self) {
        self.0.splice(..0, more.0.iter().cloned());
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those of them that are of parts which `wanted` wants.
    pub fn only(&self, wanted: impl Fn(Part) -> bool) -> Self {
        let all = self.0.iter().filter(|it| wanted(it.part));
        Self(all.cloned().collect())
    }

    /// What something is said of.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        self.0.iter().map(|it| it.part)
    }

    /// A platform that something is said for and that is none of `platforms`.
    pub fn stranger(&self, platforms: &[Platform]) -> Option<&Platform> {
        let mut wanted = self.0.iter().filter_map(|it| it.platform.as_ref());
        wanted.find(|wanted| !platforms.iter().any(|it| it.matches(wanted)))
    }

    /// What is said of `part` of what is for `platform`; later ones win.
    pub fn of(&self, part: Part, platform: &Platform) -> BTreeMap<String, String> {
        let fits = |it: &&Remark| {
            let platforms = it.platform.as_ref();
            it.part == part && platforms.is_none_or(|wanted| platform.matches(wanted))
        };
        let said = self.0.iter().filter(fits);
        said.map(|it| (it.key.clone(), it.value.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use rbuild_oci::Platform;

    use super::{Part, Remarks};

    /// What `attributes`, all with the value `v`, say of the parts of an image for amd64.
    fn said(attributes: &[&str]) -> Result<String, String> {
        let mut remarks = Remarks::default();
        for attribute in attributes {
            assert!(remarks.add(attribute, "v")?, "{attribute}");
        }
        let platform = "linux/amd64".parse().unwrap();
        let parts = [Part::Manifest, Part::Entry, Part::Index, Part::IndexEntry].map(|part| {
            let keys: Vec<String> = remarks.of(part, &platform).into_keys().collect();
            keys.join(",")
        });
        Ok(parts.join("|"))
    }

    #[test]
    fn each_part_has_its_own_and_platforms_only_theirs() {
        let attributes = [
            "annotation.a.b",
            "annotation-manifest.c",
            "annotation[linux/amd64].d",
            "annotation-manifest[linux/arm64].e",
            "annotation-manifest-descriptor.f",
            "annotation-manifest-descriptor[linux/arm64].g",
            "annotation-index.h",
            "annotation-index-descriptor.i",
        ];
        assert_eq!(said(&attributes).as_deref(), Ok("a.b,c,d|f|h|i"));
    }

    #[test]
    fn what_is_for_no_platform_of_the_build_is_found() {
        let platforms: [Platform; 2] =
            ["linux/amd64", "linux/arm/v7"].map(|it| it.parse().unwrap());
        let stranger = |attribute: &str| {
            let mut remarks = Remarks::default();
            remarks.add(attribute, "v").unwrap();
            remarks.stranger(&platforms).map(ToString::to_string)
        };
        assert_eq!(stranger("annotation.a"), None);
        assert_eq!(stranger("annotation[linux/arm/v7].a"), None);
        let found = stranger("annotation-manifest-descriptor[linux/s390x].a");
        assert_eq!(found.as_deref(), Some("linux/s390x"));
    }

    #[test]
    fn what_is_none_is_told() {
        assert_eq!(Remarks::default().add("name", "x"), Ok(false));
        for bad in [
            "annotation",
            "annotation.",
            "annotation-layer.a",
            "annotation-index[linux/amd64].a",
            "annotation-index-descriptor[linux/amd64].a",
            "annotation[].a",
        ] {
            assert!(said(&[bad]).is_err(), "{bad}");
        }
    }
}
