//! Images from files that are named as such: `oci:`, `oci-archive:`, `docker-archive:`, `dir:`.
//!
//! Knows: who reads which kind. Does not know: what is in one.
//!
//! Invariant: an image from files gets no name: it would stand for another one tomorrow.

use std::path::Path;

use rbuild_oci::{LocalPlace, Location};
use rbuild_store::ImageRecord;

use crate::{
    Error,
    bases::Bases,
    directory::Directory,
    docker_archive,
    layout::{Layout, Which, malformed, unusable},
    pull::{Origin, PullError, pull, pull_parts},
    shelf::{Shelf, ShelfError},
};

impl Bases<'_> {
    /// Fetches the image at `location`.
    ///
    /// # Errors
    /// [`Error::Files`].
    pub(super) fn fetch_from_files(&self, location: &Location) -> Result<ImageRecord, Error> {
        let allowed = self.signatures.demands(location).map_err(PullError::from);
        let fetched = allowed.and_then(|_| match location {
            Location::Layout(place) => {
                self.layout_image(place, Shelf::directory(place.path.as_ref()))
            }
            Location::OciArchive(place) => self.layout_image(place, self.archive(place)),
            Location::DockerArchive(place) => self.docker_archive_image(place),
            Location::Directory(path) => self.directory_image(path),
            Location::Name(_) | Location::Registry(_) => {
                unreachable!("whoever has a reference asks a registry")
            }
        });
        fetched.map_err(|source| Error::Files {
            location: location.to_string(),
            source: Box::new(source),
        })
    }

    fn archive(&self, place: &LocalPlace) -> Result<Shelf, ShelfError> {
        Shelf::archive(place.path.as_ref(), self.session)
    }

    fn layout_image(
        &self,
        place: &LocalPlace,
        shelf: Result<Shelf, ShelfError>,
    ) -> Result<ImageRecord, PullError> {
        let shelf = shelf?;
        if Layout::is_none(&shelf) {
            return Err(ShelfError::Other("an OCI layout").into());
        }
        let layout = Layout(&shelf);
        let manifest = layout.resolve(which(place), &self.platform)?;
        pull(
            &Origin::Layout(layout),
            manifest,
            (self.session, &self.tally),
        )
    }

    fn docker_archive_image(&self, place: &LocalPlace) -> Result<ImageRecord, PullError> {
        if place.digest.is_some() {
            let why = malformed("such an archive has no manifest that could have a digest");
            return Err(unusable("manifest.json", why).into());
        }
        let shelf = self.archive(place)?;
        let image = docker_archive::image(&shelf, place.tag.as_deref())?;
        pull_parts(image.parts(&shelf)?, self.session)
    }

    fn directory_image(&self, path: &str) -> Result<ImageRecord, PullError> {
        let shelf = Shelf::directory(Path::new(path))?;
        if Directory::is_none(&shelf) {
            return Err(ShelfError::Other("a directory of a manifest and its blobs").into());
        }
        let directory = Directory(&shelf);
        let manifest = directory.manifest(&self.platform)?;
        pull(
            &Origin::Directory(directory),
            manifest,
            (self.session, &self.tally),
        )
    }
}

/// Which of a layout's images `place` means.
pub(super) fn which(place: &LocalPlace) -> Which<'_> {
    match (&place.digest, &place.tag) {
        (Some(digest), _) => Which::Pinned(digest),
        (None, Some(tag)) => Which::Tagged(tag),
        (None, None) => Which::Only,
    }
}
