//! From a Dockerfile to a plan: base images are found until no more are wanted.
//!
//! Knows: that planning asks for images, and who finds them.
//! Does not know: how a plan is made, nor where images come from.

use std::{collections::BTreeMap, io};

use rbuild_dockerfile::Dockerfile;
use rbuild_engine::{BaseTree, Bases, Error, Notice, Policy, Resolved as Found, Supplies};
use rbuild_oci::Name;
use rbuild_plan::{BaseImage, ImageRef, Inputs, Plan, Planning, blame, plan};

use crate::{
    failure::{Failure, hint},
    report,
    source::Source,
};

/// Base images, twice: as the plan wants to know them and as the store has them.
pub struct Resolved {
    pub trees: BTreeMap<ImageRef, BaseTree>,
    /// Their full names.
    pub names: BTreeMap<ImageRef, Name>,
}

/// What is done for a base image that the store does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// It is fetched.
    Fetch,
    /// It is taken for an empty one; it is not among what was resolved.
    Suppose,
}

/// How base images are found.
pub struct Search<'a, 's> {
    /// Finds them.
    pub bases: &'s Bases<'s>,
    /// When their places are asked.
    pub policy: Policy,
    /// What if that would have to be.
    pub absent: Absent,
    /// Is told where they come from, also when that is put off.
    pub tell: &'s (dyn Fn(Notice<'_>) + Sync),
    /// Gets to know what was put off.
    pub supplies: &'a mut Supplies<'s>,
}

/// Plans, finding base images until no more are wanted.
///
/// # Errors
/// The user's mistakes and images that cannot be had are reported with their lines.
pub fn planned(
    file: &Dockerfile,
    source: &Source,
    mut inputs: Inputs,
    search: &mut Search<'_, '_>,
) -> Result<(Box<Plan>, Resolved), Failure> {
    let mut resolved = Resolved {
        trees: BTreeMap::new(),
        names: BTreeMap::new(),
    };
    loop {
        match plan(file, &source.text, &inputs) {
            Planning::Ready(plan) => return Ok((plan, resolved)),
            Planning::Rejected(diagnostics) => {
                report::diagnostics(&diagnostics, source, &mut io::stderr().lock());
                return Err(Failure::said(1));
            }
            Planning::Needs(images) => {
                for image in images {
                    let found = search.find(&image).map_err(|error| {
                        let mut out = io::stderr().lock();
                        let places = blame(file, &inputs, &image);
                        report::diagnostics(&places, source, &mut out);
                        report::causes(&error, &mut out);
                        report::hint(hint(&error).as_deref(), &mut out);
                        Failure::said(1)
                    })?;
                    let Some(found) = found else {
                        let supposed = BaseImage::supposed(&image);
                        inputs.bases.insert(image, supposed);
                        continue;
                    };
                    inputs.bases.insert(image.clone(), found.image);
                    resolved.trees.insert(image.clone(), found.tree);
                    if let Some(full) = found.name {
                        resolved.names.insert(image, full);
                    }
                }
            }
        }
    }
}

impl Search<'_, '_> {
    fn find(&mut self, image: &ImageRef) -> Result<Option<Found>, Error> {
        let bases = self.bases.for_platform(&image.platform);
        match self.absent {
            Absent::Fetch => bases
                .resolve((&image.name, self.policy), self.supplies, self.tell)
                .map(Some),
            Absent::Suppose => bases.find(&image.name),
        }
    }
}
