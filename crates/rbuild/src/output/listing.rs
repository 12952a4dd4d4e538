//! Which annotations an output has a place for.
//!
//! Knows: where there is an index, and what lists that. Does not know: the words of either.
//!
//! Spec: cli.md 2.7. What has no place is refused: BuildKit drops some of it.

use rbuild_oci::{Format, Platform};

use super::{Kind, Output, Part, Remarks};
use crate::failure::Failure;

/// What images are listed for together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// They are not: it is one for one platform.
    Single,
    /// For what is said of the only one.
    Attested,
    /// For several platforms.
    Several,
}

impl Output {
    /// Says `more` too, where there is a place for it.
    pub fn say(&mut self, more: &Remarks, listing: Listing) {
        let more = more.only(|part| self.has_place(part, listing));
        self.remarks.extend(&more);
    }

    /// Whether what is said of `part` can be written there.
    pub fn has_place(&self, part: Part, listing: Listing) -> bool {
        let is_layout = matches!(self.kind, Kind::OciArchive(..) | Kind::Layout(_));
        let is_listed = match listing {
            Listing::Single => false,
            Listing::Attested => self.carries_attestations(),
            Listing::Several => true,
        };
        !self.is_files()
            && match part {
                Part::Manifest => true,
                Part::Entry => is_listed || is_layout,
                Part::Index => is_listed,
                Part::IndexEntry => is_listed && is_layout,
            }
    }

    /// Refuses annotations that there will be no place for: of images in `format`, for `platforms`.
    ///
    /// # Errors
    /// If there are such.
    pub fn refuse_remarks(
        &self,
        format: Format,
        (platforms, listing): (&[Platform], Listing),
    ) -> Result<(), Failure> {
        let lost = self
            .remarks
            .parts()
            .find(|it| !self.has_place(*it, listing));
        let why = match (self.remarks.stranger(platforms), lost) {
            _ if self.remarks.is_empty() => return Ok(()),
            _ if self.looks.format.unwrap_or(format) == Format::Docker => {
                "docker's format has none".to_owned()
            }
            (_, Some(Part::IndexEntry)) if listing != Listing::Single => {
                "only type=oci has an `index-descriptor`".to_owned()
            }
            (_, Some(part)) => format!(
                "there will be no index, and no `{}`: it is one image for one platform",
                part.name()
            ),
            (Some(platform), None) => format!("nothing is built for {platform}"),
            (None, None) => return Ok(()),
        };
        Err(Failure::message(format!(
            "--output: an annotation has no place: {why}"
        )))
    }
}
