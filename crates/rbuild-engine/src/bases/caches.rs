//! Images that are caches: `--cache-from`.
//!
//! Knows: that an index has one for each platform, and that other images have one for all.
//! Does not know: what is in one ([`crate::Imports`]).

use rbuild_oci::{BlobDigest, CacheImage, Location, Manifest, Platform};

use crate::{
    Error, Import,
    bases::{Bases, files::which},
    imports::Place,
    layout::Layout,
    pull::PullError,
    shelf::Shelf,
};

impl Bases<'_> {
    /// What `location`, an OCI layout or a registry, has as caches for `platforms`: each image once.
    /// Or why there is none: for one of them, or at all.
    pub fn cache_images(
        &self,
        location: &Location,
        platforms: &[Platform],
    ) -> Vec<Result<Import, Error>> {
        let mut seen: Vec<BlobDigest> = Vec::new();
        let mut found = Vec::new();
        for platform in platforms {
            match self.for_platform(platform).cache_manifest(location) {
                Ok((place, manifest)) if !seen.contains(&manifest.descriptor.digest) => {
                    seen.push(manifest.descriptor.digest);
                    found.push(import(location, place, &manifest));
                }
                Ok(_) => {}
                Err(error) => {
                    let may_have_others = error.is_about_platform();
                    found.push(Err(error));
                    if !may_have_others {
                        break;
                    }
                }
            }
        }
        found
    }

    /// The manifest of the cache for our platform, and where its blobs are.
    fn cache_manifest(&self, location: &Location) -> Result<(Place, Manifest), Error> {
        match location {
            Location::Layout(place) => {
                let open = || -> Result<_, PullError> {
                    self.signatures.demands(location)?;
                    let shelf = Shelf::directory(place.path.as_ref())?;
                    let manifest = Layout(&shelf).resolve(which(place), &self.platform)?;
                    Ok((Place::Layout(shelf), manifest))
                };
                open().map_err(|source| unusable(location, source))
            }
            Location::Name(reference) | Location::Registry(reference) => {
                let name = reference.to_string();
                let (_, found) = self.first((&name, reference), &mut |asked| {
                    let (repository, manifest) = self.manifest(asked)?;
                    Ok((Place::Registry(Box::new(repository)), manifest))
                })?;
                Ok(found)
            }
            Location::OciArchive(_) | Location::DockerArchive(_) | Location::Directory(_) => {
                unreachable!("caches are in registries and layouts")
            }
        }
    }
}

/// The cache that `manifest` describes.
fn import(location: &Location, place: Place, manifest: &Manifest) -> Result<Import, Error> {
    let config = place.origin().config(manifest);
    let config = config.map_err(|source| unusable(location, source))?;
    let image = CacheImage::parse(manifest, &config).map_err(|source| Error::CacheImage {
        location: location.to_string(),
        source,
    })?;
    Ok(Import { image, place })
}

fn unusable(location: &Location, source: PullError) -> Error {
    Error::Files {
        location: location.to_string(),
        source: Box::new(source),
    }
}
