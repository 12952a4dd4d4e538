//! An image on its way to a place outside of the store: one arm for each kind of place.

use std::{collections::BTreeMap, path::Path, slice};

use rbuild_export::{
    ARTIFACT_TYPE, ExportedIndex, Images, Looks, Named, Outgoing, Place, Tagged, export,
    local_descriptor, push, push_index, write_archive, write_directory, write_docker_archive,
    write_layout,
};
use rbuild_oci::{BlobDigest, Descriptor, Format, Location, Name, Reference};
use rbuild_registry::{Referrer, Repository, Scope};
use rbuild_store::{ImageRecord, Store};

use crate::{failure::Failure, find::new_name, registry::Line, target::Target};

/// What is sent.
#[derive(Clone, Copy)]
pub struct Parcel<'a> {
    /// Where its parts are.
    pub place: Place<'a>,
    /// The image as the store has it.
    pub image: &'a ImageRecord,
    /// What others shall see.
    pub looks: Looks,
    /// What it is called here.
    pub name: Option<&'a Name>,
}

/// Sends `parcel` to `destination`; returns the descriptor of its manifest there (here, for
/// archives of docker, which have none).
///
/// # Errors
/// If that refuses; a registry may have some of its blobs then.
pub fn send(
    parcel: Parcel<'_>,
    destination: &Location,
    line: Line<'_>,
) -> Result<Descriptor, Failure> {
    let Parcel {
        place, image, name, ..
    } = parcel;
    if let Location::DockerArchive(to) = destination {
        let given = to.tag.as_deref().map(new_name).transpose()?;
        let names = given.as_ref().or(name).map_or(&[][..], slice::from_ref);
        let named = [Named { image, names }];
        file(&to.path).write(&mut |out| Ok(write_docker_archive(place, &named, out)?))?;
        return Ok(local_descriptor(image));
    }
    let looks = match destination {
        Location::Layout(_) | Location::OciArchive(_) => in_a_layout(parcel.looks)?,
        _ => parcel.looks,
    };
    let exported = export(place, image, looks)?;
    let sent = send_exported((place, &exported), destination, line);
    let called = || name.map_or_else(|| short(image), ToString::to_string);
    sent.map_err(|failure| told(failure, &format!("`{}`", called()), destination))?;
    Ok(exported.descriptor)
}

/// The id of `image`, as `rbuild images` shows it.
fn short(image: &ImageRecord) -> String {
    image.id().0.hex()[..12].to_owned()
}

/// `failure` with what did not get to which registry; of files it says so itself.
fn told(failure: Failure, what: &str, destination: &Location) -> Failure {
    match destination.reference() {
        Some(to) => {
            let to = to.on_docker_hub();
            failure.within(format!("cannot push {what} to `docker://{to}`"))
        }
        None => failure,
    }
}

/// Sends what is ready to leave to `destination`.
///
/// # Errors
/// As [`send`]; an archive of docker's is none of the places.
pub fn send_exported<'a>(
    (place, what): (Place<'_>, impl Into<Outgoing<'a>>),
    destination: &Location,
    line: Line<'_>,
) -> Result<(), Failure> {
    let what = what.into();
    match destination {
        Location::Layout(to) => {
            write_layout(place, what, Path::new(&to.path), to.tag.as_deref())?;
        }
        Location::OciArchive(to) => {
            let tag = to.tag.as_deref();
            let tagged = [Tagged { what, tag }];
            file(&to.path).write(&mut |out| Ok(write_archive(place, &tagged, out)?))?;
        }
        Location::Directory(path) => write_directory(place, what, Path::new(path))?,
        Location::Name(reference) | Location::Registry(reference) => {
            let (repository, to) = repository((place, line), &reference.on_docker_hub())?;
            match what {
                Outgoing::Image(image) => push(place, &repository, image, &to)?,
                Outgoing::Index(index) => {
                    push_index(place, (&repository, &to), index, Images::Included)?;
                }
            }
        }
        Location::DockerArchive(_) => {
            return Err(Failure::message(format!("{destination} has no manifests")));
        }
    }
    Ok(())
}

/// `looks` in a layout, whose readers know no format but OCI's.
///
/// # Errors
/// If another one is asked for.
pub fn in_a_layout(looks: Looks) -> Result<Looks, Failure> {
    match looks.format {
        Some(Format::Docker) => Err(Failure::message(
            "an OCI layout has images in OCI's format only",
        )
        .with_hint("docker-archive: and dir: have them in docker's")),
        Some(Format::Oci) | None => Ok(Looks {
            format: Some(Format::Oci),
            ..looks
        }),
    }
}

/// What the images of a list look like at `destination`, if it can have a list, and `images` of it.
///
/// # Errors
/// If it cannot, or they cannot look as is wished there.
pub fn looks_of_list(
    wished: Looks,
    images: Images,
    destination: &Location,
) -> Result<Looks, Failure> {
    match destination {
        Location::DockerArchive(_) => Err(Failure::message(format!(
            "`{destination}` is for one image, not for a list"
        ))
        .with_hint(
            "oci-archive:FILE and dir:DIR have all its images; `rbuild save` writes the one for this \
             machine as docker does",
        )),
        _ if images == Images::Omitted && destination.reference().is_none() => {
            let message = format!("`{destination}` cannot have a list without its images");
            Err(Failure::message(message).with_hint("--all=false is for registries"))
        }
        Location::Layout(_) | Location::OciArchive(_) => in_a_layout(wished),
        _ => Ok(wished),
    }
}

/// Sends an index, and what `images` says of those that it lists, to `destination`.
///
/// # Errors
/// As [`send_exported`].
pub fn send_index(
    (place, line): (Place<'_>, Line<'_>),
    index: &ExportedIndex,
    destination: &Location,
    images: Images,
) -> Result<(), Failure> {
    let sent = match (images, destination.reference()) {
        (Images::Omitted, Some(to)) => {
            let (repository, to) = repository((place, line), &to.on_docker_hub())?;
            push_index(place, (&repository, &to), index, images).map_err(Failure::from)
        }
        _ => send_exported((place, index), destination, line),
    };
    sent.map_err(|failure| told(failure, "the list", destination))
}

/// Makes sure that the attestations in `index`, which is at `destination`, are found by the images
/// that they speak of: in its second half, in the order of those. Other places than registries have no such lists.
///
/// # Errors
/// If the registry refuses.
pub fn refer(
    (place, line): (Place<'_>, Line<'_>),
    index: &ExportedIndex,
    destination: &Location,
) -> Result<(), Failure> {
    let (Location::Name(reference) | Location::Registry(reference)) = destination else {
        return Ok(());
    };
    let (repository, _) = repository((place, line), &reference.on_docker_hub())?;
    let (images, attached) = index.images.split_at(index.images.len() / 2);
    for (image, attached) in images.iter().zip(attached) {
        repository.refer(Referrer {
            subject: image.descriptor.digest,
            manifest: &attached.descriptor,
            artifact_type: ARTIFACT_TYPE,
        })?;
    }
    Ok(())
}

fn file(path: &str) -> Target {
    Target::File(path.into())
}

/// What is pushed to when `to` is named, and the reference there.
///
/// # Errors
/// If registries.conf closes it, or the store cannot be read.
pub fn repository(
    (place, line): (Place<'_>, Line<'_>),
    to: &Reference,
) -> Result<(Repository, Reference), Failure> {
    let endpoint = line.push_endpoint(to)?;
    let scope = Scope::Push {
        mounts: match endpoint.reference == *to {
            true => mounts(place.store, to)?,
            false => BTreeMap::new(),
        },
    };
    let repository = line.repository(&endpoint, scope);
    Ok((repository, endpoint.reference))
}

/// The blobs that other repositories of the registry of `to` should have, by the names of images
/// here.
fn mounts(store: &Store, to: &Reference) -> Result<BTreeMap<BlobDigest, String>, Failure> {
    let mut found = BTreeMap::new();
    for (name, id) in store.names()? {
        let Ok(from) = name.as_str().parse::<Reference>() else {
            continue;
        };
        if from.registry != to.registry || from.repository == to.repository {
            continue;
        }
        let layers = store.image(&id)?.map(|image| image.layers);
        let blobs = layers.into_iter().flatten().filter_map(|layer| layer.blob);
        found.extend(blobs.map(|blob| (blob.digest, from.repository.clone())));
    }
    Ok(found)
}
