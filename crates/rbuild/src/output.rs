//! `-o type=…`: where a build's result goes besides the store.
//!
//! Spec: cli.md 2.7; the spellings are buildx's.

mod together;

use std::{
    path::{Path, PathBuf},
    slice,
};

use rbuild_export::{
    Looks, Named, Place, Tagged, export, write_archive, write_docker_archive, write_tree,
    write_tree_tar,
};
use rbuild_oci::{Descriptor, Format, ImageId, LocalPlace, Location, Name, Platform};
use rbuild_store::{ImageRecord, Session, Store};
use rbuild_sys::Dir;

use crate::{
    attest::Saying,
    attributes::{compress, flag},
    destination::{Parcel, in_a_layout, send},
    failure::Failure,
    registry::Registry,
    target::Target,
};

use together::Said;

/// One `--output`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    kind: Kind,
    /// What others shall see.
    pub looks: Looks,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Only names in the store.
    Names(Vec<Name>),
    /// Registries, by the names that lead there; none: the names of the build.
    Registries(Vec<Location>),
    /// An OCI archive.
    OciArchive(Target, Option<String>),
    /// An OCI layout.
    Layout(LocalPlace),
    /// An archive for `docker load`.
    DockerArchive(Target, Option<Name>),
    /// A manifest and its blobs, side by side.
    Directory(String),
    /// The image's files in a tar.
    Tar(Target),
    /// The image's files.
    Local(PathBuf),
}

/// The attributes of a `--output`, as written.
#[derive(Default)]
struct Attributes<'a> {
    kind: Option<&'a str>,
    destination: Option<&'a str>,
    names: Vec<&'a str>,
    push: bool,
    is_tar: Option<bool>,
    looks: Looks,
}

impl<'a> Attributes<'a> {
    /// Adds `part`; one without a key continues a list of names.
    fn add(&mut self, part: &'a str) -> Result<(), String> {
        let Some((key, value)) = part.split_once('=') else {
            if self.names.is_empty() {
                return Err(format!("`{part}` has no `=`"));
            }
            self.names.push(part);
            return Ok(());
        };
        match key {
            "type" => self.kind = Some(value),
            "dest" => self.destination = Some(value),
            "name" => self.names.extend(value.split(',')),
            "push" => self.push = flag(key, value)?,
            "tar" => self.is_tar = Some(flag(key, value)?),
            "oci-mediatypes" => {
                self.looks.format = Some(match flag(key, value)? {
                    true => Format::Oci,
                    false => Format::Docker,
                });
            }
            _ if compress(&mut self.looks.compress, key, value)? => {}
            _ => return Err(format!("`{key}` is not supported")),
        }
        Ok(())
    }

    fn kind(&self) -> Result<Kind, String> {
        let kind = self.kind.ok_or("type= is missing")?;
        let target = || match self.destination {
            Some("") | None => Err("dest= must name a file, or `-` for standard output"),
            Some(path) => Ok(Target::of(Some(Path::new(path)))),
        };
        let directory = || match self.destination {
            Some("" | "-") | None => Err("dest= must name a directory"),
            Some(path) => Ok(path.to_owned()),
        };
        let tag = self.names.first().map(|name| (*name).to_owned());
        let in_directory = self.is_tar == Some(false);
        Ok(match kind {
            "image" | "registry" if self.push || kind == "registry" => {
                let place = |name: &&str| name.parse::<Location>();
                let places = self.names.iter().map(place).collect::<Result<_, _>>();
                Kind::Registries(places.map_err(|error| error.to_string())?)
            }
            "image" => Kind::Names(self.new_names()?),
            "oci" if in_directory => Kind::Layout(LocalPlace {
                path: directory()?,
                tag,
                digest: None,
            }),
            "oci" => Kind::OciArchive(target()?, tag),
            "docker" if in_directory => Kind::Directory(directory()?),
            "docker" => Kind::DockerArchive(target()?, self.new_names()?.into_iter().next()),
            "tar" => Kind::Tar(target()?),
            "local" => Kind::Local(directory()?.into()),
            other => {
                return Err(format!(
                    "there is no type `{other}`: image, registry, oci, docker, tar and local are"
                ));
            }
        })
    }

    fn new_names(&self) -> Result<Vec<Name>, String> {
        let named = self.names.iter().map(|name| {
            let reference: Result<rbuild_oci::Reference, _> = name.parse();
            reference.map(|reference| reference.local_name())
        });
        named
            .collect::<Result<_, _>>()
            .map_err(|error| error.to_string())
    }
}

impl Output {
    /// Understands each of `specs`.
    ///
    /// # Errors
    /// What is wrong with the first that is.
    pub fn parse_all(specs: &[String]) -> Result<Vec<Self>, Failure> {
        specs.iter().map(|spec| Self::parse(spec)).collect()
    }

    /// What `--push` asks for.
    pub fn to_own_registries() -> Self {
        Self {
            kind: Kind::Registries(Vec::new()),
            looks: Looks::default(),
        }
    }

    /// Understands `type=TYPE,KEY=VALUE…`, or just `DIR` or `-` (a tar of the files).
    ///
    /// # Errors
    /// What is wrong with it.
    fn parse(spec: &str) -> Result<Self, Failure> {
        let short = match spec {
            "-" => Some(Kind::Tar(Target::Stdout)),
            _ if !spec.contains('=') && !spec.is_empty() => Some(Kind::Local(spec.into())),
            _ => None,
        };
        if let Some(kind) = short {
            let looks = Looks::default();
            return Ok(Self { kind, looks });
        }
        let mut attributes = Attributes::default();
        let parsed = spec
            .split(',')
            .try_for_each(|part| attributes.add(part))
            .and_then(|()| attributes.kind());
        let kind = parsed.map_err(|why| {
            Failure::message(format!("cannot understand --output `{spec}`: {why}"))
        })?;
        let target = Self {
            kind,
            looks: attributes.looks,
        };
        if target.is_stdout() {
            Target::Stdout.refuse_terminal("use dest=FILE, or a pipe")?;
        }
        Ok(target)
    }

    /// Whether a registry gets the result.
    pub fn is_push(&self) -> bool {
        matches!(self.kind, Kind::Registries(_))
    }

    /// The places by which registries get an image called `names`; none for other kinds of
    /// output.
    ///
    /// # Errors
    /// If neither flags nor names say which registry.
    pub fn registries(&self, names: &[Name]) -> Result<Vec<Location>, Failure> {
        match &self.kind {
            Kind::Registries(places) => destinations(places, names),
            _ => Ok(Vec::new()),
        }
    }

    /// Whether what is written has a manifest with a digest of its own.
    pub fn has_manifest(&self) -> bool {
        matches!(
            self.kind,
            Kind::Registries(_) | Kind::OciArchive(..) | Kind::Layout(_) | Kind::Directory(_)
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
        match self.kind {
            Kind::DockerArchive(..) | Kind::Directory(_) => Err(Failure::message(
                "--output type=docker is for one platform, and several are asked for",
            )
            .with_hint("type=oci can have several")),
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
        let (store, session) = (built.ends.store, built.ends.session);
        let image = &one.record;
        match &self.kind {
            Kind::Names(names) => {
                for name in names {
                    session.set_name(name, &one.made.id)?;
                }
            }
            Kind::Registries(places) => {
                let mut sent = None;
                for place in destinations(places, built.names)? {
                    sent = Some(send(
                        self.parcel(image, built),
                        &place,
                        built.ends.registry,
                    )?);
                }
                return Ok(sent);
            }
            Kind::Local(path) => write_tree(store, image, built.ends.empty, path)?,
            Kind::Tar(target) => {
                target
                    .write(&mut |out| Ok(write_tree_tar(store, image, built.ends.empty, out)?))?;
            }
            Kind::OciArchive(target, tag) => {
                let exported = export(built.ends.place(), image, in_a_layout(self.looks)?)?;
                let tagged = [Tagged {
                    image: &exported,
                    tag: tag.as_deref(),
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
            Kind::Layout(place) => {
                let to = Location::Layout(place.clone());
                return send(self.parcel(image, built), &to, built.ends.registry).map(Some);
            }
            Kind::Directory(path) => {
                let mut parcel = self.parcel(image, built);
                parcel.looks.format = Some(Format::Docker);
                let to = Location::Directory(path.clone());
                return send(parcel, &to, built.ends.registry).map(Some);
            }
        }
        Ok(None)
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

#[cfg(test)]
mod tests {
    use super::{Kind, Output};
    use crate::target::Target;

    #[track_caller]
    fn check(spec: &str, expected: &Kind) {
        assert_eq!(&Output::parse(spec).ok().unwrap().kind, expected, "{spec}");
    }

    fn file(path: &str) -> Target {
        Target::File(path.into())
    }

    #[test]
    fn a_type_says_what_is_written() {
        check(
            "type=oci,dest=a.tar",
            &Kind::OciArchive(file("a.tar"), None),
        );
        check(
            "type=oci,dest=-,name=x:1",
            &Kind::OciArchive(Target::Stdout, Some("x:1".to_owned())),
        );
        check("dest=d,type=local", &Kind::Local("d".into()));
        check("type=tar,dest=f", &Kind::Tar(file("f")));
        check("type=docker,dest=f", &Kind::DockerArchive(file("f"), None));
        check("type=docker,dest=d,tar=false", &Kind::Directory("d".into()));
        check("type=registry", &Kind::Registries(Vec::new()));
        let place = |name: &str| name.parse().unwrap();
        check(
            "type=image,name=quay.io/a:1,quay.io/b,push=true",
            &Kind::Registries(vec![place("quay.io/a:1"), place("quay.io/b")]),
        );
    }

    #[test]
    fn a_path_alone_is_a_directory_and_a_dash_a_tar() {
        check("out", &Kind::Local("out".into()));
        check("-", &Kind::Tar(Target::Stdout));
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        for spec in [
            "",
            "type=oci",
            "type=local,dest=-",
            "type=oci,dest=d,tar=maybe",
            "type=oci,dest=x,compression=estargz",
            "type=oci,dest=x,colour=blue",
            "type=cacheonly",
            "dest=x",
        ] {
            assert!(Output::parse(spec).is_err(), "{spec}");
        }
    }
}
