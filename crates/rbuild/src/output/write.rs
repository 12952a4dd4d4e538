//! Writing the outputs of a build, each from what the store has.
//!
//! Knows: what was built, and what each kind of output needs. Does not know: how outputs are spelled.

use std::{path::Path, slice};

use rbuild_export::{
    Exported, Named, Others, Place, Replica, Tagged, annotated, export, write_archive,
    write_docker_archive,
};
use rbuild_oci::{BlobDigest, Descriptor, Format, ImageId, Location, Name, Platform, Reference};
use rbuild_store::{ImageRecord, Session, Store};
use rbuild_sys::Dir;

use super::{Files, Guard, Kind, Output, Part, Tags, together::Said};
use crate::{
    attest::Saying,
    destination::{Parcel, in_a_layout, send, send_exported},
    failure::Failure,
    registry::Registry,
};

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
    pub(super) fn replica(&self, path: &Path, others: Others) -> Result<Replica, Failure> {
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
                    what: (&exported).into(),
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
    pub(super) fn remarked(&self, one: &Said<'_>) -> ImageRecord {
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
    pub(super) fn tagged(&self, to: Location, digest: BlobDigest) -> Location {
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
pub(super) fn called<'a>(tag: Option<&'a str>, names: &'a [Name]) -> Option<&'a str> {
    tag.or_else(|| names.first().map(Name::as_str))
}

/// `places`, or where the image's own names lead.
///
/// # Errors
/// If there are neither.
pub(super) fn destinations(places: &[Location], names: &[Name]) -> Result<Vec<Location>, Failure> {
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
