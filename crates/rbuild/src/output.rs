//! `-o type=…`: where a build's result goes besides the store.
//!
//! Spec: cli.md 2.7; the spellings are buildx's.

mod files;
mod guard;
mod listing;
mod remarks;
mod spec;
mod together;
mod write;

use std::path::PathBuf;

use rbuild_export::{Looks, Others};
use rbuild_http::Security;
use rbuild_oci::{LocalPlace, Location, Name};

use crate::{failure::Failure, find::new_name, registry::Line, target::Target};

pub use files::Files;
pub use guard::Guard;
pub use listing::Listing;
pub use remarks::{Part, Remarks};
use write::destinations;
pub use write::{Built, Ends, Made, Written, write};

/// One `--output`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    kind: Kind,
    tags: Tags,
    /// What others shall see.
    pub looks: Looks,
    /// How far registries are trusted; `None`: as far as others.
    pub security: Option<Security>,
    /// What is said of the images there.
    remarks: Remarks,
    /// Whether files are to get new times; `None` if it does not say.
    pub rewrite: Option<bool>,
    /// Whether the files for a platform have a directory of their own; `None`: if there are several.
    split: Option<bool>,
}

/// Whether a registry gets a tag for the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Tags {
    #[default]
    Written,
    /// It is found by its digest alone.
    Omitted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Only names in the store.
    Names(Vec<Name>),
    /// Places, mostly registries; none: where the names of the build lead.
    Places(Vec<Location>),
    /// An OCI archive; without a tag its image has the first name of the build there.
    OciArchive(Target, Option<String>),
    /// An OCI layout.
    Layout(LocalPlace),
    /// An archive for `docker load`.
    DockerArchive(Target, Option<Name>),
    /// A manifest and its blobs, side by side.
    Directory(String),
    /// The image's files in a tar.
    Tar(Target),
    /// The image's files, and what becomes of others that are there.
    Local(PathBuf, Others),
}

impl Output {
    /// Understands each of `specs`.
    ///
    /// # Errors
    /// What is wrong with the first that is.
    pub fn parse_all(specs: &[String]) -> Result<Vec<Self>, Failure> {
        specs.iter().map(|spec| Self::parse(spec)).collect()
    }

    /// What `--tag` asks for with the name of a place, such as `oci:DIR`; `None` if `text` is a plain
    /// name.
    ///
    /// # Errors
    /// If it is neither.
    pub fn of_tag(text: &str) -> Result<Option<Self>, Failure> {
        let file = |path: String| Target::File(path.into());
        let kind = match text.parse::<Location>()? {
            Location::Name(_) => return Ok(None),
            Location::Layout(place) => Kind::Layout(place),
            Location::OciArchive(place) => Kind::OciArchive(file(place.path), place.tag),
            Location::DockerArchive(place) => {
                let name = place.tag.as_deref().map(new_name).transpose()?;
                Kind::DockerArchive(file(place.path), name)
            }
            place => Kind::Places(vec![place]),
        };
        Ok(Some(Self {
            kind,
            ..Self::to_own_registries()
        }))
    }

    /// What `--push` asks for.
    pub fn to_own_registries() -> Self {
        Self {
            kind: Kind::Places(Vec::new()),
            tags: Tags::Written,
            looks: Looks::default(),
            security: None,
            remarks: Remarks::default(),
            rewrite: None,
            split: None,
        }
    }

    /// Understands `type=TYPE,KEY=VALUE…`, or just `DIR` or `-` (a tar of the files).
    ///
    /// # Errors
    /// What is wrong with it.
    fn parse(spec: &str) -> Result<Self, Failure> {
        let output = spec::parse(spec).map_err(|why| {
            Failure::message(format!("cannot understand --output `{spec}`: {why}"))
        })?;
        if output.is_stdout() {
            Target::Stdout.refuse_terminal("use dest=FILE, or a pipe")?;
        }
        Ok(output)
    }

    /// Whether a registry gets the result.
    pub fn is_push(&self) -> bool {
        let is_one = |place: &Location| matches!(place, Location::Name(_) | Location::Registry(_));
        match &self.kind {
            Kind::Places(places) => places.is_empty() || places.iter().any(is_one),
            _ => false,
        }
    }

    /// The places by which registries get an image called `names`; none for other kinds of
    /// output.
    ///
    /// # Errors
    /// If neither flags nor names say which registry.
    pub fn registries(&self, names: &[Name]) -> Result<Vec<Location>, Failure> {
        match &self.kind {
            Kind::Places(places) => destinations(places, names),
            _ => Ok(Vec::new()),
        }
    }

    /// How this output talks to registries, with what `ends` has.
    pub fn line<'a>(&self, ends: Ends<'a>) -> Line<'a> {
        ends.registry.line().trusting(self.security)
    }

    /// Whether what is written has a manifest with a digest of its own.
    pub fn has_manifest(&self) -> bool {
        matches!(
            self.kind,
            Kind::Places(_) | Kind::OciArchive(..) | Kind::Layout(_) | Kind::Directory(_)
        )
    }

    /// Whether attestations can go there: the store, archives of docker and plain directories of a
    /// manifest have no place for them.
    pub fn carries_attestations(&self) -> bool {
        !matches!(
            self.kind,
            Kind::Names(_) | Kind::DockerArchive(..) | Kind::Directory(_)
        )
    }

    /// Refuses several images for different platforms where there is no place for them.
    ///
    /// # Errors
    /// If this is such an output.
    pub fn refuse_several(&self) -> Result<(), Failure> {
        let is_for_one = |place: &Location| matches!(place, Location::DockerArchive(_));
        match &self.kind {
            Kind::DockerArchive(..) | Kind::Directory(_) => Err(Failure::message(
                "--output type=docker is for one platform, and several are asked for",
            )
            .with_hint("type=oci can have several")),
            Kind::Local(_, Others::Removed) if self.split == Some(false) => Err(Failure::message(
                "--output mode=delete keeps the files of one platform: leave platform-split=false out",
            )),
            Kind::Tar(_) if self.split == Some(false) => Err(Failure::message(
                "--output type=tar has a directory for each platform: leave platform-split=false out",
            )),
            Kind::Places(places) if places.iter().any(is_for_one) => Err(Failure::message(
                "docker-archive: is for one platform, and several are asked for",
            )
            .with_hint("oci-archive: and dir: can have several")),
            _ => Ok(()),
        }
    }

    /// Refuses a directory that would lose what `guard` keeps, as far as it can be told before there
    /// is a result.
    ///
    /// # Errors
    /// If this is such an output.
    pub fn refuse_loss(&self, guard: &Guard) -> Result<(), Failure> {
        match &self.kind {
            Kind::Local(path, Others::Removed) => guard.check(path),
            _ => Ok(()),
        }
    }

    /// Whether standard output has the result, and nothing else may be printed there.
    pub fn is_stdout(&self) -> bool {
        matches!(
            self.kind,
            Kind::OciArchive(Target::Stdout, _)
                | Kind::DockerArchive(Target::Stdout, _)
                | Kind::Tar(Target::Stdout)
        )
    }
}
