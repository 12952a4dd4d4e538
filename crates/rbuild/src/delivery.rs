//! Images for the targets of a build: the last part of the pipeline.
//!
//! Knows: what is told of an image, where. Does not know: how one is put together
//! ([`crate::commission`]) or written ([`crate::output`]).

use std::path::Path;

use rbuild_engine::State;
use rbuild_oci::ImageId;
use rbuild_plan::Plan;
use rbuild_store::Store;

use crate::{
    cli::BuildArgs,
    commission::{Request, committed},
    exchange::{CacheTo, Results},
    failure::Failure,
    metadata,
    order::Order,
    output::{self, Built, Ends, Output},
    planning::Resolved,
    report,
};

/// Delivers the image of each target.
///
/// # Errors
/// What could not be committed, written or told.
pub fn deliver_all(
    (args, order): (&BuildArgs, &Order),
    ends: Ends<'_>,
    (results, resolved): (&Results<'_>, &Resolved),
) -> Result<(), Failure> {
    for (&stage, target) in results.plan.targets.iter().zip(&order.targets) {
        let request = Request {
            args,
            stage,
            names: &target.names,
            description: &order.description,
            cache: &match order.cache_to.iter().any(CacheTo::is_inline) {
                true => results.inline(stage, ends)?,
                false => Vec::new(),
            },
        };
        let work = (results.plan, resolved, results.states);
        deliver(&request, &order.outputs, ends, work)?;
    }
    Ok(())
}

/// Makes a stage an image, writes it to `outputs`, and tells of it; its id only if the result does
/// not go to standard output.
fn deliver(
    request: &Request<'_>,
    outputs: &[Output],
    ends: Ends<'_>,
    work: (&Plan, &Resolved, &[State]),
) -> Result<(), Failure> {
    let image = committed(request, (ends.store, ends.session), work)?;
    let built = Built {
        ends,
        id: &image,
        names: request.names,
    };
    let manifest = output::write(outputs, built)?;
    if let (Some(file), Some(digest)) = (&request.args.result.digestfile, manifest) {
        write_text(file, &digest.to_string())?;
    }
    record(request, ends.store, &image)?;
    match outputs.iter().any(Output::is_stdout) {
        true => Ok(()),
        false => Ok(report::print(&image.0.hex())?),
    }
}

/// Tells files and the user what was made.
fn record(request: &Request<'_>, store: &Store, image: &ImageId) -> Result<(), Failure> {
    let Request { args, names, .. } = request;
    if let Some(file) = &args.result.iidfile {
        write_text(file, &image.to_string())?;
    }
    if let Some(file) = &args.result.metadata_file {
        let gone = || Failure::message(format!("image {image} is not in the store any more"));
        let record = store.image(image)?.ok_or_else(gone)?;
        metadata::write(file, (image, &record), names)?;
    }
    if !args.quiet {
        for name in *names {
            report::note(&format!("committed {name}"));
        }
    }
    Ok(())
}

fn write_text(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text)
        .map_err(|error| Failure::message(format!("cannot write `{}`: {error}", file.display())))
}
