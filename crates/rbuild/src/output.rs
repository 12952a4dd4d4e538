//! `-o type=…`: where a build's result goes besides the store.
//!
//! Spec: cli.md 2.7; the spellings are buildx's.

mod files;
mod guard;
mod listing;
mod remarks;
mod spec;
mod together;

use std::{
    path::{Path, PathBuf},
    slice,
};

use rbuild_export::{
    Exported, Looks, Named, Others, Place, Replica, Tagged, annotated, export, write_archive,
    write_docker_archive,
};
use rbuild_http::Security;
use rbuild_oci::{
    BlobDigest, Descriptor, Format, ImageId, LocalPlace, Location, Name, Platform, Reference,
};
use rbuild_store::{ImageRecord, Session, Store};
use rbuild_sys::Dir;

use crate::{
    attest::Saying,
    destination::{Parcel, in_a_layout, send, send_exported},
    failure::Failure,
    find::new_name,
    registry::{Line, Registry},
    target::Target,
};

pub use files::Files;
pub use guard::Guard;
pub use listing::Listing;
pub use remarks::{Part, Remarks};
use together::Said;

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
        let is_for_one =
            |place: &Location| matches!(place, Location::DockerArchive(_) | Location::Directory(_));
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
                "dir: is for one platform, and several are asked for",
            )
            .with_hint("oci: can have several")),
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

/// What every output needs.
#[derive(Clone, Copy)]
pub struct Ends<'a> {
    /// Has the parts of images.
    pub store: &'a Store,
    /// Writes those that are missing.
    pub session: &'a Session,
    /// A directory with nothing in it.
    pub empty: &'a Dir,
    /// How registries are talked to.
    pub registry: &'a Registry,
    /// What no output may remove.
    pub guard: &'a Guard,
}

impl<'a> Ends<'a> {
    /// The store, for what leaves it.
    pub fn place(&self) -> Place<'a> {
        Place {
            store: self.store,
            session: self.session,
        }
    }
}

impl Ends<'_> {
    /// The directory `path` for files, made if it is missing, which may lose `others`.
    ///
    /// # Errors
    /// If it may not, or cannot be made.
    fn replica(&self, path: &Path, others: Others) -> Result<Replica, Failure> {
        let replica = Replica::open(path, others)?;
        if others == Others::Removed {
            self.guard.check_real(&replica.host_path()?)?;
        }
        Ok(replica)
    }
}

/// An image that was built.
#[derive(Clone)]
pub struct Made<'a> {
    /// Its id.
    pub id: ImageId,
    /// What it is for.
    pub platform: Platform,
    /// What is said of it.
    pub saying: &'a Saying,
}

impl Made<'_> {
    /// What `store` has of it.
    ///
    /// # Errors
    /// If that is gone.
    pub fn record(&self, store: &Store) -> Result<ImageRecord, Failure> {
        let id = &self.id;
        let gone = || Failure::message(format!("image {id} is not in the store any more"));
        store.image(id)?.ok_or_else(gone)
    }
}

/// What was built of a target.
#[derive(Clone, Copy)]
pub struct Built<'a> {
    /// From where to where.
    pub ends: Ends<'a>,
    /// At least one: for each platform.
    pub images: &'a [Made<'a>],
    /// What they were named, one or all together.
    pub names: &'a [Name],
}

/// What others have got.
#[derive(Clone, Debug)]
pub struct Written {
    /// Of the manifest or the index, as it is there.
    pub descriptor: Descriptor,
    /// What it is called there.
    pub names: Vec<Name>,
}

/// Writes what was built to each of `outputs`, and only what they ask for. Returns what the first
/// registry has got, else what the first layout or archive has, if that has a manifest.
///
/// # Errors
/// If one cannot be written; an archive that is not complete is removed.
pub fn write(outputs: &[Output], built: Built<'_>) -> Result<Option<Written>, Failure> {
    if outputs.is_empty() {
        return Ok(None);
    }
    let mut all = Vec::with_capacity(built.images.len());
    for made in built.images {
        let record = made.record(built.ends.store)?;
        all.push(Said {
            made,
            said: made.saying.of_image(&record, built.names, built.ends)?,
            record,
        });
    }
    let mut written = Vec::new();
    for output in outputs {
        let descriptor = match &all[..] {
            [one] if one.said.is_empty() || !output.carries_attestations() => {
                output.write(one, built)?
            }
            all => output.write_together(all, built)?,
        };
        written.extend(descriptor.map(|descriptor| (output, descriptor)));
    }
    // Of several of a kind it is the first.
    let told = written
        .into_iter()
        .min_by_key(|(output, _)| !output.is_push());
    let told = told.map(|(output, descriptor)| {
        let names = output.names_there(built.names)?;
        Ok(Written { descriptor, names })
    });
    told.transpose()
}

impl Output {
    /// What an image called `names` is called where it goes.
    fn names_there(&self, names: &[Name]) -> Result<Vec<Name>, Failure> {
        if !self.is_push() {
            return Ok(names.to_vec());
        }
        let places = self.registries(names)?;
        let references = places.iter().filter_map(Location::reference);
        let full = references.map(|it| it.on_docker_hub().local_name());
        Ok(full.collect())
    }

    /// Returns the descriptor of the manifest, where there is one.
    fn write(&self, one: &Said<'_>, built: Built<'_>) -> Result<Option<Descriptor>, Failure> {
        let session = built.ends.session;
        let image = &self.remarked(one);
        match &self.kind {
            Kind::Names(names) => {
                session.put_image(image)?;
                for name in names {
                    session.set_name(name, &one.made.id)?;
                }
            }
            Kind::Places(places) => {
                let (line, mut sent) = (self.line(built.ends), None);
                for to in destinations(places, built.names)? {
                    sent = Some(match self.tags {
                        Tags::Written => send(self.parcel(image, built), &to, line)?,
                        Tags::Omitted => self.send_untagged(image, to, built)?,
                    });
                }
                return Ok(sent);
            }
            Kind::Local(..) | Kind::Tar(_) => {
                let files = Files {
                    platform: one.made.platform.clone(),
                    layers: image.layer_ids(),
                };
                self.write_files(&[files], built.ends)?;
            }
            Kind::OciArchive(target, tag) => {
                let exported = self.listed(one, built)?;
                let tagged = [Tagged {
                    image: &exported,
                    tag: called(tag.as_deref(), built.names),
                }];
                target.write(&mut |out| Ok(write_archive(built.ends.place(), &tagged, out)?))?;
                return Ok(Some(exported.descriptor));
            }
            Kind::DockerArchive(target, name) => {
                let names = name.as_ref().map_or(built.names, slice::from_ref);
                let named = [Named { image, names }];
                target
                    .write(&mut |out| Ok(write_docker_archive(built.ends.place(), &named, out)?))?;
            }
            Kind::Layout(to) => {
                let (exported, place) = (self.listed(one, built)?, built.ends.place());
                let to = Location::Layout(to.clone());
                send_exported((place, &exported), &to, self.line(built.ends))?;
                return Ok(Some(exported.descriptor));
            }
            Kind::Directory(path) => {
                let mut parcel = self.parcel(image, built);
                parcel.looks.format = Some(Format::Docker);
                let to = Location::Directory(path.clone());
                return send(parcel, &to, self.line(built.ends)).map(Some);
            }
        }
        Ok(None)
    }

    /// What others shall have of `one`.
    fn remarked(&self, one: &Said<'_>) -> ImageRecord {
        let more = self.remarks.of(Part::Manifest, &one.made.platform);
        annotated(one.record.clone(), more)
    }

    /// `one` ready for a layout, which lists it.
    fn listed(&self, one: &Said<'_>, built: Built<'_>) -> Result<Exported, Failure> {
        let looks = in_a_layout(self.looks)?;
        let mut exported = export(built.ends.place(), &self.remarked(one), looks)?;
        let said = self.remarks.of(Part::Entry, &one.made.platform);
        exported.descriptor.annotations.extend(said);
        Ok(exported)
    }

    /// Sends `image` to `to`, where it is found by its digest alone; returns its descriptor there.
    fn send_untagged(
        &self,
        image: &ImageRecord,
        to: Location,
        built: Built<'_>,
    ) -> Result<Descriptor, Failure> {
        let place = built.ends.place();
        let exported = export(place, image, self.looks)?;
        let to = self.tagged(to, exported.descriptor.digest);
        send_exported((place, &exported), &to, self.line(built.ends))?;
        Ok(exported.descriptor)
    }

    /// Where what has `digest` goes, under the tag of `to` or under none.
    fn tagged(&self, to: Location, digest: BlobDigest) -> Location {
        match to {
            Location::Name(to) | Location::Registry(to) if self.tags == Tags::Omitted => {
                Location::Registry(Reference {
                    tag: None,
                    digest: Some(digest.0),
                    ..to
                })
            }
            to => to,
        }
    }

    fn parcel<'a>(&self, image: &'a ImageRecord, built: Built<'a>) -> Parcel<'a> {
        Parcel {
            place: built.ends.place(),
            image,
            looks: self.looks,
            name: built.names.first(),
        }
    }
}

/// What an image is called in an OCI archive: `tag` if it was asked for, else the first of the
/// build's `names`. `podman load` refuses what is listed twice.
fn called<'a>(tag: Option<&'a str>, names: &'a [Name]) -> Option<&'a str> {
    tag.or_else(|| names.first().map(Name::as_str))
}

/// `places`, or where the image's own names lead.
///
/// # Errors
/// If there are neither.
fn destinations(places: &[Location], names: &[Name]) -> Result<Vec<Location>, Failure> {
    if !places.is_empty() {
        return Ok(places.to_vec());
    }
    let own = names.iter();
    let own = own.filter(|name| !name.as_str().starts_with("localhost/"));
    let own: Vec<Location> = own
        .map(|name| name.as_str().parse())
        .collect::<Result<_, _>>()?;
    if own.is_empty() {
        return Err(
            Failure::message("nothing says which registry the image goes to")
                .with_hint("-t HOST/NAME[:TAG], or -o type=registry,name=HOST/NAME[:TAG]"),
        );
    }
    Ok(own)
}
