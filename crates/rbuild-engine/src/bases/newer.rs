//! [`Policy::Newer`](super::Policy): an image of the store, unless there is another one now where it
//! comes from.
//!
//! Knows: which image counts as another one. Does not know: what it is called afterwards.
//!
//! Invariant: another image is taken only when all of it is here. Were its layers left where they
//! are until a step needs them, as they are under the other policies, the plan would stand on its
//! configuration when they do not come, and it would be too late for the store's.

use rbuild_oci::{Location, Name};
use rbuild_store::ImageRecord;

use crate::{
    Error,
    bases::{Bases, Notice},
};

/// Names of what was built here: no registry has these.
const OURS: &str = "localhost/";

impl Bases<'_> {
    /// The image that is called `full` now where that leads, and its name; `None` if it is `old`, or
    /// cannot be had: `tell` gets to know why. The user calls it `name`.
    pub(super) fn newer(
        &self,
        name: &str,
        (full, old): (&Name, &ImageRecord),
        tell: &mut dyn FnMut(Notice<'_>),
    ) -> Option<(Name, ImageRecord)> {
        // A digest never means another image.
        if full.as_str().starts_with(OURS) || full.tag().is_none() {
            return None;
        }
        let found = self.other(name, (full, old), &mut |place| {
            tell(Notice::Fetching(place));
        });
        found.unwrap_or_else(|why| {
            tell(Notice::Kept { name, why: &why });
            None
        })
    }

    /// The same image has the same manifest, to the byte: then nothing else is asked for.
    fn other(
        &self,
        name: &str,
        (full, old): (&Name, &ImageRecord),
        fetching: &mut dyn FnMut(&str),
    ) -> Result<Option<(Name, ImageRecord)>, Error> {
        let place: Location = full.as_str().parse()?;
        let Some(reference) = place.reference() else {
            return Ok(None);
        };
        let (full, other) = self.first((name, reference), &mut |asked| {
            let (repository, manifest) = self.manifest(asked)?;
            if old.manifest.as_ref() == Some(&manifest.text) {
                return Ok(None);
            }
            fetching(&asked.told(name));
            self.pull_from(&repository, manifest).map(Some)
        })?;
        Ok(other.map(|record| (full.local_name(), record)))
    }
}
