//! Image references: `[registry/]repository[:tag][@digest]`.
//!
//! Grammar of distribution/reference; short names stay short here: which
//! registry a short name means is for the caller to decide.

use std::{fmt, str::FromStr};

use crate::{Digest, Error};

/// A reference as the user wrote it, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// `host[:port]`; `None` for a short name.
    pub registry: Option<String>,
    /// Slash-separated lower-case path.
    pub repository: String,
    /// What follows `:`.
    pub tag: Option<String>,
    /// What follows `@`.
    pub digest: Option<Digest>,
}

/// A full name in the local store: `registry/repository:tag` (or `@digest`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Reference {
    /// Tag to ask for: the written one, or `latest` if there is neither tag nor digest (F6).
    pub fn tag_or_latest(&self) -> Option<&str> {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag),
            (None, None) => Some("latest"),
            (None, Some(_)) => None,
        }
    }

    /// The names under which the local store may hold this image, best first.
    ///
    /// A short name is first `localhost/…` (what local builds are called, as in podman),
    /// then Docker Hub's.
    pub fn local_names(&self) -> Vec<Name> {
        let full = self.on_docker_hub().name_in(None);
        if self.registry.is_some() {
            return vec![full];
        }
        vec![self.name_in(Some("localhost")), full]
    }

    /// The name that a local build gives its result: short names become `localhost/…`, and
    /// `docker.io/x` is `docker.io/library/x`, as everywhere.
    pub fn local_name(&self) -> Name {
        match self.registry {
            None => self.name_in(Some("localhost")),
            Some(_) => self.on_docker_hub().name_in(None),
        }
    }

    /// This reference with Docker Hub's registry and `library/` filled in where it is short.
    #[must_use]
    pub fn on_docker_hub(&self) -> Self {
        let mut full = self.clone();
        if full.registry.is_none() {
            full.registry = Some("docker.io".to_owned());
        }
        if full.registry.as_deref() == Some("docker.io") && !full.repository.contains('/') {
            full.repository = format!("library/{}", full.repository);
        }
        full
    }

    fn name_in(&self, registry: Option<&str>) -> Name {
        let registry = registry.or(self.registry.as_deref()).unwrap_or("localhost");
        let mut text = format!("{registry}/{}", self.repository);
        if let Some(digest) = &self.digest {
            text.push_str(&format!("@{digest}"));
        } else {
            text.push_str(&format!(":{}", self.tag.as_deref().unwrap_or("latest")));
        }
        Name(text)
    }
}

/// Longest path of a repository, in bytes, as registries have it.
const MAX_REPOSITORY: usize = 255;

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |why| Error::Reference {
            reference: text.to_owned(),
            why,
        };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (
                rest,
                Some(
                    digest
                        .parse()
                        .map_err(|_| bad("the digest is not sha256:<64 hex digits>"))?,
                ),
            ),
            None => (text, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(bad(
                "a tag has at most 128 letters, digits, `_`, `.`, `-`, and starts with none of the last two",
            ));
        }
        let (registry, repository) = match path.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
                (Some(host), rest)
            }
            _ => (None, path),
        };
        if registry.is_some_and(|host| !is_host(host)) {
            return Err(bad("the registry is not host[:port]"));
        }
        if repository.is_empty() {
            return Err(bad("the name is empty"));
        }
        if !repository.split('/').all(is_path_component) {
            return Err(bad(
                "a name is lower-case letters and digits, separated by `.`, `_`, `-` or `/`",
            ));
        }
        let reference = Self {
            registry: registry.map(str::to_owned),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        };
        // The full name counts: it is that under which an image is kept.
        if reference.on_docker_hub().repository.len() > MAX_REPOSITORY {
            return Err(bad(
                "a name has at most 255 characters, with its `library/`",
            ));
        }
        Ok(reference)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest
            .as_ref()
            .map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

impl Name {
    /// A name read back from the store; `None` if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let reference: Reference = text.parse().ok()?;
        (reference.registry.is_some() && (reference.tag.is_some() || reference.digest.is_some()))
            .then(|| Self(text.to_owned()))
    }

    /// `registry/repository`.
    pub fn repository(&self) -> &str {
        self.split().0
    }

    /// What follows `:`; `None` for a name by digest.
    pub fn tag(&self) -> Option<&str> {
        self.split().1
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn split(&self) -> (&str, Option<&str>) {
        if let Some((repository, _)) = self.0.split_once('@') {
            return (repository, None);
        }
        self.0
            .rsplit_once(':')
            .map_or((&self.0, None), |(repository, tag)| (repository, Some(tag)))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_tag(tag: &str) -> bool {
    tag.len() <= 128
        && tag
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && tag
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn is_host(host: &str) -> bool {
    let (name, port) = host
        .rsplit_once(':')
        .map_or((host, None), |(name, port)| (name, Some(port)));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn is_path_component(part: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    edge(part.bytes().next())
        && edge(part.bytes().next_back())
        && part
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        && !part.contains("..")
}

#[cfg(test)]
mod tests {
    use super::Reference;

    #[track_caller]
    fn check(text: &str, parts: (Option<&str>, &str, Option<&str>)) {
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.to_string(), text);
        let Reference {
            registry,
            repository,
            tag,
            ..
        } = &reference;
        assert_eq!(
            (registry.as_deref(), repository.as_str(), tag.as_deref()),
            parts
        );
    }

    #[test]
    fn references_are_taken_apart() {
        check("alpine", (None, "alpine", None));
        check("golang:1.22-alpine", (None, "golang", Some("1.22-alpine")));
        check(
            "127.0.0.1:5000/a/b:c",
            (Some("127.0.0.1:5000"), "a/b", Some("c")),
        );
        check(
            "localhost/mygoapp:multi",
            (Some("localhost"), "mygoapp", Some("multi")),
        );
        check("quay.io/x", (Some("quay.io"), "x", None));
        check("library/x", (None, "library/x", None));
        check(&format!("a@sha256:{}", "0".repeat(64)), (None, "a", None));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            "A",
            "a:",
            "a:b:c",
            "-a",
            "a//b",
            "a@sha256:12",
            "a..b",
            "x/../y",
            "localhost:99999/a",
            "a b",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_as_long_as_its_full_form() {
        let parse = |length: usize, prefix: &str| {
            let text = format!("{prefix}{}", "a".repeat(length));
            text.parse::<Reference>().is_ok()
        };
        assert!(parse(247, "") && !parse(248, ""), "library/ is 8");
        assert!(parse(255, "quay.io/") && !parse(256, "quay.io/"));
    }

    #[track_caller]
    fn check_names(text: &str, names: &[&str]) {
        let reference: Reference = text.parse().unwrap();
        let found: Vec<String> = reference
            .local_names()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, names);
        assert_eq!(reference.local_name().as_str(), names[0]);
    }

    #[test]
    fn short_names_are_local_first_then_docker_hub_and_latest_f6() {
        check_names(
            "alpine",
            &["localhost/alpine:latest", "docker.io/library/alpine:latest"],
        );
        check_names("a/b:1", &["localhost/a/b:1", "docker.io/a/b:1"]);
    }

    #[test]
    fn names_on_docker_hub_are_one_with_and_without_library() {
        check_names("docker.io/alpine", &["docker.io/library/alpine:latest"]);
        check_names("docker.io/library/a:1", &["docker.io/library/a:1"]);
        check_names("quay.io/a:1", &["quay.io/a:1"]);
    }
}
