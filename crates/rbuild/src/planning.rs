//! From a Dockerfile to a plan: base images are found until no more are wanted.
//!
//! Knows: that planning asks for images, and who finds them.
//! Does not know: how a plan is made, nor where images come from.

use std::{collections::BTreeMap, io};

use rbuild_dockerfile::Dockerfile;
use rbuild_engine::{BaseTree, Bases, Policy, Supplies};
use rbuild_oci::Name;
use rbuild_plan::{BaseImage, Inputs, Plan, Planning, blame, plan};

use crate::{
    failure::{Failure, hint},
    report,
    source::Source,
};

/// Base images, twice: as the plan wants to know them and as the store has them.
pub struct Resolved {
    pub trees: BTreeMap<String, BaseTree>,
    /// Their full names.
    pub names: BTreeMap<String, Name>,
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
    Search {
        bases,
        policy,
        absent,
        supplies,
    }: Search<'_, '_>,
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
            Planning::Needs(names) => {
                for name in names {
                    let found = match absent {
                        Absent::Fetch => bases
                            .resolve((&name, policy), supplies, &tell_pulling)
                            .map(Some),
                        Absent::Suppose => bases.find(&name),
                    };
                    let found = found.map_err(|error| {
                        let mut out = io::stderr().lock();
                        let places = blame(file, &inputs, &name);
                        report::diagnostics(&places, source, &mut out);
                        report::causes(&error, &mut out);
                        report::hint(hint(&error).as_deref(), &mut out);
                        Failure::said(1)
                    })?;
                    let Some(found) = found else {
                        let image = BaseImage::supposed(&name, &inputs.platform);
                        inputs.bases.insert(name, image);
                        continue;
                    };
                    inputs.bases.insert(name.clone(), found.image);
                    resolved.trees.insert(name.clone(), found.tree);
                    if let Some(full) = found.name {
                        resolved.names.insert(name, full);
                    }
                }
            }
        }
    }
}

fn tell_pulling(place: &str) {
    report::note(&format!("pulling {place}"));
}
