//! Where an image is: a transport and what it needs, as `skopeo` and `podman` spell it.
//!
//! Knows: the spelling. Does not know: whether there is anything at that place, or what a plain
//! name means. containers-transports(5); cli.md 2.4, "any transport name".

use std::{fmt, str::FromStr};

use crate::{BlobDigest, Error, Reference};

/// A place that an image can come from or go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `NAME`: the store's, else what registries.conf makes of it.
    Name(Reference),
    /// `docker://NAME`: a registry's.
    Registry(Reference),
    /// `oci:DIR`: an OCI layout.
    Layout(LocalPlace),
    /// `oci-archive:FILE`: a tar of one.
    OciArchive(LocalPlace),
    /// `docker-archive:FILE`: what `docker save` writes.
    DockerArchive(LocalPlace),
    /// `dir:DIR`: a manifest and its blobs, side by side. It has one image.
    Directory(String),
}

/// A file or directory, and which of its images is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPlace {
    /// Host path, as written.
    pub path: String,
    /// The image's tag or name there; `None` for the only one.
    pub tag: Option<String>,
    /// What its manifest (or an index that leads to it) must hash to.
    pub digest: Option<BlobDigest>,
}

impl Location {
    /// Whether `text` names a transport that is a file or directory of this machine.
    pub fn is_local(text: &str) -> bool {
        LOCAL
            .iter()
            .any(|transport| strip(text, transport).is_some())
    }

    /// The registry's reference, or the plain name; `None` for files.
    pub fn reference(&self) -> Option<&Reference> {
        match self {
            Self::Name(reference) | Self::Registry(reference) => Some(reference),
            _ => None,
        }
    }
}

/// Transports that are files or directories.
const LOCAL: [&str; 4] = ["oci", "oci-archive", "docker-archive", "dir"];

/// What others have and we do not, with what to do instead. The first is a place for the commands
/// that the hint names, which ask podman, and for nothing else.
const ELSEWHERE: [(&str, &str); 5] = [
    (
        "containers-storage",
        "podman's store is podman's: `rbuild push NAME containers-storage:` hands an image over, `rbuild pull containers-storage:NAME` takes one",
    ),
    (
        "docker-daemon",
        "`rbuild save NAME | docker load` hands an image over, `docker save NAME | rbuild load` takes one",
    ),
    ("sif", "convert it to an OCI archive first"),
    ("ostree", "convert it to an OCI archive first"),
    ("atomic", "use docker:// with the registry's address"),
];

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        for (transport, hint) in ELSEWHERE {
            if strip(text, transport).is_some() {
                return Err(Error::Transport { transport, hint });
            }
        }
        if let Some(name) = text.strip_prefix("docker://") {
            return name.parse().map(Self::Registry);
        }
        let place = |transport| strip(text, transport).map(|rest| LocalPlace::parse(rest, text));
        if let Some(place) = place("oci") {
            return place.map(Self::Layout);
        }
        if let Some(place) = place("oci-archive") {
            return place.map(Self::OciArchive);
        }
        if let Some(place) = place("docker-archive") {
            return place.map(Self::DockerArchive);
        }
        match strip(text, "dir") {
            Some("") => Err(no_path(text)),
            Some(path) => Ok(Self::Directory(path.to_owned())),
            None => text.parse().map(Self::Name),
        }
    }
}

/// What follows `transport:`; `docker://…` and names with a port have no such prefix.
fn strip<'a>(text: &'a str, transport: &str) -> Option<&'a str> {
    text.strip_prefix(transport)?.strip_prefix(':')
}

fn no_path(text: &str) -> Error {
    Error::Location {
        location: text.to_owned(),
        why: "it has no path",
    }
}

impl LocalPlace {
    /// `PATH[:TAG][@DIGEST]`. As for skopeo the path ends at the first colon: tags are names
    /// with colons of their own.
    fn parse(rest: &str, text: &str) -> Result<Self, Error> {
        let (rest, digest) = match rest.rsplit_once("@sha256:") {
            Some((rest, hex)) => (rest, Some(BlobDigest(format!("sha256:{hex}").parse()?))),
            None => (rest, None),
        };
        let (path, tag) = rest.split_once(':').unwrap_or((rest, ""));
        if path.is_empty() {
            return Err(no_path(text));
        }
        Ok(Self {
            path: path.to_owned(),
            tag: (!tag.is_empty()).then(|| tag.to_owned()),
            digest,
        })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(reference) => write!(f, "{reference}"),
            Self::Registry(reference) => write!(f, "docker://{reference}"),
            Self::Layout(place) => write!(f, "oci:{place}"),
            Self::OciArchive(place) => write!(f, "oci-archive:{place}"),
            Self::DockerArchive(place) => write!(f, "docker-archive:{place}"),
            Self::Directory(path) => write!(f, "dir:{path}"),
        }
    }
}

impl fmt::Display for LocalPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Location;

    /// Shows what `text` is: kind, path or name, tag.
    fn show(text: &str) -> String {
        match text.parse::<Location>() {
            Ok(location) => {
                let kind = match &location {
                    Location::Name(_) => "name",
                    Location::Registry(_) => "registry",
                    Location::Layout(_) => "layout",
                    Location::OciArchive(_) => "oci archive",
                    Location::DockerArchive(_) => "docker archive",
                    Location::Directory(_) => "directory",
                };
                assert_eq!(location.to_string(), text.trim_end_matches(':'));
                match &location {
                    Location::Layout(place)
                    | Location::OciArchive(place)
                    | Location::DockerArchive(place) => {
                        let tag = place.tag.as_deref().unwrap_or("-");
                        let pinned = if place.digest.is_some() {
                            " pinned"
                        } else {
                            ""
                        };
                        format!("{kind} {} {tag}{pinned}", place.path)
                    }
                    Location::Directory(path) => format!("{kind} {path}"),
                    Location::Name(reference) | Location::Registry(reference) => {
                        format!("{kind} {reference}")
                    }
                }
            }
            Err(error) => format!("error: {error}"),
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(show(text), expected, "{text}");
    }

    #[test]
    fn a_transport_says_what_kind_of_place_it_is() {
        check("alpine", "name alpine");
        check("localhost:5000/a:b", "name localhost:5000/a:b");
        check("docker://127.0.0.1:5000/a:b", "registry 127.0.0.1:5000/a:b");
        check("oci:/tmp/d", "layout /tmp/d -");
        check("oci:d:1.0", "layout d 1.0");
        check("oci:d:", "layout d -");
        check("dir:/tmp/x:y", "directory /tmp/x:y");
    }

    #[test]
    fn the_path_ends_at_the_first_colon_for_tags_have_colons_too() {
        check(
            "oci-archive:a.tar:localhost/a:1",
            "oci archive a.tar localhost/a:1",
        );
        check(
            "docker-archive:a.tar:quay.io:80/a:1",
            "docker archive a.tar quay.io:80/a:1",
        );
    }

    #[test]
    fn a_digest_pins_the_manifest() {
        let digest = format!("@sha256:{}", "0".repeat(64));
        check(&format!("oci:d:1{digest}"), "layout d 1 pinned");
        check(&format!("oci:d{digest}"), "layout d - pinned");
        check(
            "oci:d@sha256:12",
            "error: `sha256:12` is not a sha256 digest",
        );
    }

    #[test]
    fn what_is_not_supported_is_said() {
        check(
            "containers-storage:localhost/a",
            "error: `containers-storage:` is not supported",
        );
        check(
            "docker-daemon:a:1",
            "error: `docker-daemon:` is not supported",
        );
        check(
            "oci:",
            "error: `oci:` is not an image's place: it has no path",
        );
        check(
            "dir:",
            "error: `dir:` is not an image's place: it has no path",
        );
    }
}
