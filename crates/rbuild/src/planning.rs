//! From a Dockerfile to a plan: base images are found until no more are wanted.
//!
//! Knows: that planning asks for images, and who finds them.
//! Does not know: how a plan is made, nor where images come from.

use std::{collections::BTreeMap, io};

use rbuild_dockerfile::Dockerfile;
use rbuild_engine::Bases;
use rbuild_oci::Name;
use rbuild_plan::{Inputs, Plan, Planning, blame, plan};
use rbuild_store::ImageRecord;

use crate::{
    failure::{Failure, hint},
    report,
    source::Source,
};

/// Base images, twice: as the plan wants to know them and as the store has them.
pub struct Resolved {
    pub trees: BTreeMap<String, rbuild_engine::BaseTree>,
    pub images: BTreeMap<String, ImageRecord>,
    /// Their full names.
    pub names: BTreeMap<String, Name>,
}

/// Plans, finding base images until no more are wanted.
///
/// # Errors
/// The user's mistakes and images that cannot be had are reported with their lines.
pub fn planned(
    file: &Dockerfile,
    source: &Source,
    mut inputs: Inputs,
    bases: &Bases<'_>,
) -> Result<(Box<Plan>, Resolved), Failure> {
    let mut resolved = Resolved {
        trees: BTreeMap::new(),
        images: BTreeMap::new(),
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
                    let mut fetching = |name: &str| report::note(&format!("pulling {name}"));
                    let found = bases.resolve(&name, &mut fetching).map_err(|error| {
                        let mut out = io::stderr().lock();
                        let places = blame(file, &inputs, &name);
                        report::diagnostics(&places, source, &mut out);
                        report::causes(&error, &mut out);
                        report::hint(hint(&error).as_deref(), &mut out);
                        Failure::said(1)
                    })?;
                    inputs.bases.insert(name.clone(), found.image);
                    resolved.trees.insert(name.clone(), found.tree);
                    if let Some(full) = found.name {
                        resolved.names.insert(name.clone(), full);
                    }
                    resolved.images.insert(name, found.record);
                }
            }
        }
    }
}
