//! What pulled images are called in the store.
//!
//! Knows: that a name stands for one image, while a registry has one for each platform under it.
//! Does not know: lists of images, which only users make.
//!
//! Invariant: an image that loses its name to one for another platform is still called by its
//! digest, so that it is found, shown and kept until somebody removes it. One that loses it to a
//! later image for its own platform has no name, as with podman.

use rbuild_oci::{Digest, ImageId, Name, Platform};
use rbuild_store::ImageRecord;

use crate::{Error, bases::Bases};

impl Bases<'_> {
    /// Gives the base image `id` the name `name`. The name of an image for this machine is not taken
    /// away by a base for another platform.
    pub(super) fn call_base(&self, name: &Name, id: &ImageId) -> Result<(), Error> {
        let ours = self.for_platform(&Platform::default());
        let taken = self.named(name)?;
        match taken.is_some_and(|old| ours.is_for_platform(&old)) {
            true if self.platform != ours.platform => Ok(()),
            _ => self.call(name, id),
        }
    }

    /// Gives the image `id` the name `name`, whoever has it.
    pub(super) fn call(&self, name: &Name, id: &ImageId) -> Result<(), Error> {
        if let Some(old) = self.named(name)?
            && !self.is_for_platform(&old)
            && let Some(pinned) = by_digest(name, &old)
        {
            self.session.set_name(&pinned, &old.id())?;
        }
        Ok(self.session.set_name(name, id)?)
    }

    fn named(&self, name: &Name) -> Result<Option<ImageRecord>, Error> {
        let id = self.store.name(name)?;
        Ok(id.map(|id| self.store.image(&id)).transpose()?.flatten())
    }
}

/// What `image` is called in the repository of `name` by its digest there; `None` for one that was
/// built here.
fn by_digest(name: &Name, image: &ImageRecord) -> Option<Name> {
    let digest = Digest::of(image.manifest.as_ref()?.as_bytes());
    Name::parse(&format!("{}@{digest}", name.repository()))
}
