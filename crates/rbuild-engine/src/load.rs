//! All images of an archive or directory, with their names: `rbuild load`.
//!
//! The content tells what it is. An archive that is both an OCI layout and one of `docker save`
//! (docker 25 and newer) is read as a layout, which has digests of everything.

use rbuild_oci::{ImageId, LocalPlace, Location, Name, Platform, Reference};
use rbuild_registry::SignaturePolicy;
use rbuild_store::Session;

use crate::{
    directory::Directory,
    docker_archive,
    layout::{Layout, malformed, unusable},
    pull::{Origin, PullError, Tally, pull, pull_parts},
    shelf::{Shelf, ShelfError},
};

/// An image that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its id.
    pub id: ImageId,
    /// What it is called now; nothing if it had no name.
    pub names: Vec<Name>,
}

/// A shelf, and which images it may be asked for.
#[derive(Clone, Copy)]
pub struct Offered<'a> {
    /// Has the images.
    pub shelf: &'a Shelf,
    /// Where it is; empty if it came through a pipe.
    pub path: &'a str,
    /// Which images may be used.
    pub signatures: &'a SignaturePolicy,
}

impl Offered<'_> {
    /// Refuses what the policy rejects.
    fn allow(&self, place: impl Fn(LocalPlace) -> Location) -> Result<(), PullError> {
        let place = place(LocalPlace {
            path: self.path.to_owned(),
            tag: None,
            digest: None,
        });
        Ok(self.signatures.demands(&place).map(drop)?)
    }
}

/// Puts every image of what is offered into the store, for `platform` where there is a choice, and
/// names it as it was named.
///
/// # Errors
/// The first failure; images that were complete stay.
pub fn load(
    offered: Offered<'_>,
    session: &Session,
    platform: &Platform,
) -> Result<Vec<Loaded>, PullError> {
    let shelf = offered.shelf;
    let mut loaded = Vec::new();
    if Layout::is_one(shelf) {
        offered.allow(match shelf {
            Shelf::Archive(_) => Location::OciArchive,
            Shelf::Directory(_) => Location::Layout,
        })?;
        let layout = Layout(shelf);
        for (entry, name) in layout.images()? {
            let manifest = layout.manifest(entry, platform)?;
            let record = pull(
                &Origin::Layout(layout),
                manifest,
                (session, &Tally::default()),
            )?;
            let names = name.iter().filter_map(|name| layout_name(name)).collect();
            add(&mut loaded, record.id(), names);
        }
    } else if Directory::is_one(shelf) {
        offered.allow(|place| Location::Directory(place.path))?;
        let directory = Directory(shelf);
        let manifest = directory.manifest(platform)?;
        let record = pull(
            &Origin::Directory(directory),
            manifest,
            (session, &Tally::default()),
        )?;
        add(&mut loaded, record.id(), Vec::new());
    } else if docker_archive::is_one(shelf) {
        offered.allow(Location::DockerArchive)?;
        for image in docker_archive::images(shelf)? {
            let names = image.names().map(docker_name);
            let names = names.collect::<Result<_, _>>()?;
            let record = pull_parts(image.parts(shelf)?, session)?;
            add(&mut loaded, record.id(), names);
        }
    } else if ["bin", "etc", "usr", "var"]
        .iter()
        .any(|dir| shelf.has_directory(dir))
    {
        return Err(ShelfError::RootFileSystem.into());
    } else {
        return Err(ShelfError::NoImage.into());
    }
    for image in &loaded {
        for name in &image.names {
            session
                .set_name(name, &image.id)
                .map_err(|source| PullError::Store {
                    layer: name.to_string(),
                    source,
                })?;
        }
    }
    Ok(loaded)
}

/// An image that is listed once for each of its names is one image.
fn add(loaded: &mut Vec<Loaded>, id: ImageId, names: Vec<Name>) {
    match loaded.iter_mut().find(|image| image.id == id) {
        Some(image) => image.names.extend(names),
        None => loaded.push(Loaded { id, names }),
    }
}

/// The name that an annotation of a layout gives. A tag alone is none: it belongs to the layout.
fn layout_name(text: &str) -> Option<Name> {
    let reference: Reference = text.parse().ok()?;
    (text.contains(['/', ':']) && reference.digest.is_none()).then(|| reference.local_name())
}

/// A name as docker writes it: one without a registry is Docker Hub's.
fn docker_name(text: &str) -> Result<Name, ShelfError> {
    let reference: Result<Reference, _> = text.parse();
    match reference {
        Ok(reference) if reference.digest.is_none() => Ok(reference.on_docker_hub().local_name()),
        _ => Err(unusable(
            "manifest.json",
            malformed(&format!("`{text}` is not a name")),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{docker_name, layout_name};

    #[test]
    fn names_of_layouts_are_names_and_tags_are_not() {
        let name = |text: &str| layout_name(text).map(|name| name.to_string());
        assert_eq!(name("localhost/a:1").as_deref(), Some("localhost/a:1"));
        assert_eq!(name("a:1").as_deref(), Some("localhost/a:1"));
        assert_eq!(name("latest"), None);
        assert_eq!(name("../x:1"), None);
    }

    #[test]
    fn names_of_docker_are_those_of_its_hub() {
        let name = |text: &str| docker_name(text).map(|name| name.to_string()).ok();
        assert_eq!(name("a:1").as_deref(), Some("docker.io/library/a:1"));
        assert_eq!(name("localhost/a:1").as_deref(), Some("localhost/a:1"));
        assert_eq!(name("../../a:1"), None);
    }
}
