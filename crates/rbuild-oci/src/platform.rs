//! Platforms: `os/arch[/variant]`, with the spellings of other worlds normalised.
//!
//! OCI image-spec, image-index.md, "platform"; containerd's normalisation table.

use std::{fmt, str::FromStr};

use crate::Error;

/// What an image runs on, in Go's names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    /// `GOOS`.
    pub os: String,
    /// `GOARCH`.
    pub architecture: String,
    /// E.g. `v7`; `None` for the architecture's default.
    pub variant: Option<String>,
}

impl Default for Platform {
    /// The platform this program was compiled for.
    fn default() -> Self {
        Self::new(std::env::consts::OS, std::env::consts::ARCH, None)
    }
}

impl Platform {
    /// Normalises `os`, `architecture` and `variant` (`x86_64` → `amd64`, `arm64/v8` → `arm64`…).
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let os = os.to_ascii_lowercase();
        let architecture = architecture.to_ascii_lowercase();
        let variant = variant
            .map(str::to_ascii_lowercase)
            .filter(|v| !v.is_empty());
        let (architecture, variant) = match (architecture.as_str(), variant.as_deref()) {
            ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64", None),
            ("x86_64" | "x86-64" | "amd64", v) => ("amd64", v),
            ("aarch64" | "arm64", None | Some("8" | "v8")) => ("arm64", None),
            ("aarch64" | "arm64", v) => ("arm64", v),
            ("i386" | "i486" | "i586" | "i686" | "x86" | "386", v) => ("386", v),
            ("armhf", _) | ("arm", None | Some("7" | "v7")) => ("arm", Some("v7")),
            ("armel", _) | ("arm", Some("6" | "v6")) => ("arm", Some("v6")),
            ("powerpc64le", v) => ("ppc64le", v),
            (other, v) => (other, v),
        };
        Self {
            os,
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// Whether an image for `self` is what a request for `wanted` means.
    pub fn matches(&self, wanted: &Self) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (self.variant == wanted.variant || wanted.variant.is_none())
    }

    /// Which of `offers` a request for `self` means: what is exactly that, else the first that fits,
    /// else the first that does not say what it is for (`None`).
    pub fn choose(&self, offers: &[Option<Self>]) -> Option<usize> {
        let said = |fits: &dyn Fn(&Self) -> bool| {
            let mut offers = offers.iter();
            offers.position(|offer| offer.as_ref().is_some_and(fits))
        };
        said(&|offer| offer == self)
            .or_else(|| said(&|offer| offer.matches(self)))
            .or_else(|| offers.iter().position(Option::is_none))
    }
}

impl FromStr for Platform {
    type Err = Error;

    /// `os/arch[/variant]`, or a lone architecture of Linux (T59).
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::Platform(text.to_owned());
        let fine = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(fine) {
            return Err(bad());
        }
        match parts.as_slice() {
            ["linux"] => Ok(Self::new("linux", std::env::consts::ARCH, None)),
            [arch] => Ok(Self::new("linux", arch, None)),
            [os, arch] => Ok(Self::new(os, arch, None)),
            [os, arch, variant] => Ok(Self::new(os, arch, Some(variant))),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .as_ref()
            .map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Platform;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(text.parse::<Platform>().unwrap().to_string(), expected);
    }

    #[test]
    fn spellings_are_normalised_t59() {
        check("linux/x86_64", "linux/amd64");
        check("Linux/AMD64", "linux/amd64");
        check("arm64", "linux/arm64");
        check("linux/arm64/v8", "linux/arm64");
        check("linux/arm", "linux/arm/v7");
        check("linux/arm/v6", "linux/arm/v6");
    }

    #[test]
    fn the_exact_platform_is_chosen_else_the_first_that_fits() {
        let chosen = |wanted: &str, offers: &[&str]| {
            let offer = |text: &&str| text.parse::<Platform>().ok();
            let offers: Vec<Option<Platform>> = offers.iter().map(offer).collect();
            wanted.parse::<Platform>().unwrap().choose(&offers)
        };
        let both = ["linux/amd64/v3", "linux/amd64", "linux/arm64"];
        assert_eq!(chosen("linux/amd64", &both), Some(1));
        assert_eq!(chosen("linux/amd64", &both[..1]), Some(0));
        assert_eq!(chosen("linux/amd64/v2", &both), None);
        assert_eq!(chosen("linux/s390x", &both), None);
        assert_eq!(chosen("linux/s390x", &[""]), Some(0));
        assert_eq!(chosen("linux/s390x", &["linux/amd64", "", ""]), Some(1));
        assert_eq!(chosen("linux/s390x", &["", "linux/s390x"]), Some(1));
        assert_eq!(chosen("linux/s390x", &[]), None);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", "/", "linux/", "a/b/c/d", "li nux/amd64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
