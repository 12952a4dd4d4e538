//! Images for the targets of a build: the last part of the pipeline.
//!
//! Knows: what is told of an image, where. Does not know: how one is put together
//! ([`crate::commission`]) or written ([`crate::output`]).

use std::path::Path;

use rbuild_export::{local_descriptor, local_index};
use rbuild_oci::{BlobDigest, Descriptor, Digest, Name};
use rbuild_plan::StepId;
use rbuild_store::{IndexRecord, Store};
use serde_json::Value;

use crate::{
    attest::Saying,
    cli::BuildArgs,
    commission::{Request, base_image, built_layers, committed, platform_of},
    exchange::{CacheTo, Results},
    failure::Failure,
    image_list, metadata,
    order::{Order, Product},
    output::{self, Built, Ends, Files, Made, Output, Written},
    planning::Resolved,
    report::{self, Verbosity},
    targets::Target,
};

/// A build for one platform that is done.
pub struct Done<'a> {
    pub results: Results<'a>,
    pub resolved: &'a Resolved,
    /// What is said of its images.
    pub saying: Saying,
}

/// Delivers the images of each target: `builds` are for different platforms.
///
/// # Errors
/// What could not be committed, written or told.
pub fn deliver_all(
    (args, order): (&BuildArgs, &Order),
    ends: Ends<'_>,
    builds: &[Done<'_>],
) -> Result<(), Failure> {
    if order.product == Product::Files {
        return deliver_files(order, ends, builds);
    }
    for (number, target) in order.targets.iter().enumerate() {
        let mut images = Vec::with_capacity(builds.len());
        for build in builds {
            images.push(made((args, order), (ends, number), build, builds.len())?);
        }
        deliver((args, order), (ends, target), &images)?;
    }
    Ok(())
}

/// Writes the files of the only target, of which nobody wants an image.
fn deliver_files(order: &Order, ends: Ends<'_>, builds: &[Done<'_>]) -> Result<(), Failure> {
    let mut all = Vec::with_capacity(builds.len());
    for build in builds {
        let Results { plan, states, .. } = build.results;
        let stage = plan.targets[0];
        let base = base_image(ends.store, (plan, stage), build.resolved)?;
        let mut layers = base.map_or_else(Vec::new, |(image, _)| image.layer_ids());
        let added = |step: StepId| states[step.0 as usize].added;
        let built = built_layers(&plan.stage(stage).history, added);
        layers.extend(built.iter().map(|it| it.layer));
        all.push(Files {
            platform: platform_of(plan, stage),
            layers,
        });
    }
    let mut outputs = order.outputs.iter();
    outputs.try_for_each(|output| output.write_files(&all, ends))
}

/// Makes the stage of target `number` an image; it gets its names if it is the only one of `count`.
fn made<'a>(
    (args, order): (&BuildArgs, &Order),
    (ends, number): (Ends<'_>, usize),
    build: &'a Done<'_>,
    count: usize,
) -> Result<Made<'a>, Failure> {
    let Results { plan, states, .. } = build.results;
    let stage = plan.targets[number];
    let request = Request {
        args,
        stage,
        names: match count {
            1 => &order.targets[number].names,
            _ => &[],
        },
        description: &order.description,
        cache: &match order.cache_to.iter().any(CacheTo::is_inline) {
            true => build.results.inline(stage, ends)?,
            false => Vec::new(),
        },
    };
    let work = (plan, build.resolved, states);
    Ok(Made {
        id: committed(&request, (ends.store, ends.session), work)?,
        platform: platform_of(plan, stage),
        saying: &build.saying,
    })
}

/// Lists images for several platforms, writes what was made to the outputs, and tells of it; its id
/// only if the result does not go to standard output.
fn deliver(
    (args, order): (&BuildArgs, &Order),
    (ends, target): (Ends<'_>, &Target),
    images: &[Made<'_>],
) -> Result<(), Failure> {
    let mut list = image_list::list(ends.store, images)?;
    image_list::describe(&mut list, images, &order.description.listed);
    // The commit has given them to a single one.
    if images.len() > 1 {
        image_list::call(ends.session, &list, &target.names)?;
    }
    if let Some(name) = &order.list {
        image_list::add(ends.session, name, &list)?;
    }
    let built = Built {
        ends,
        images,
        names: &target.names,
    };
    let written = output::write(&order.outputs, built)?;
    let result = Outcome::of(ends.store, images, &list)?;
    record(args, &result, (written.as_ref(), &target.names))?;
    for name in target.names.iter().chain(&order.list) {
        Verbosity::of(args.quiet).progress(&format!("committed {name}"));
    }
    if order.outputs.iter().any(Output::is_stdout) {
        return Ok(());
    }
    for id in result.printed(&target.names) {
        report::print(&id.hex())?;
    }
    Ok(())
}

/// What files and the user are told of.
enum Outcome<'a> {
    /// The id of an image, and what it is.
    Image(Digest, Box<rbuild_store::ImageRecord>),
    /// The images for several platforms, and the list of them as it is written.
    List(&'a [Made<'a>], String),
}

impl<'a> Outcome<'a> {
    fn of(store: &Store, images: &'a [Made<'a>], list: &IndexRecord) -> Result<Self, Failure> {
        Ok(match images {
            [only] => Self::Image(only.id.0, Box::new(only.record(store)?)),
            all => Self::List(all, local_index(store, list)?),
        })
    }

    /// The image's id, or that of the list.
    fn id(&self) -> Digest {
        match self {
            Self::Image(id, _) => *id,
            Self::List(_, text) => Digest::of(text.as_bytes()),
        }
    }

    /// A list without a name is not in the store: its images are all there is.
    fn printed(&self, names: &[Name]) -> Vec<Digest> {
        match self {
            Self::List(images, _) if names.is_empty() => {
                images.iter().map(|made| made.id.0).collect()
            }
            _ => vec![self.id()],
        }
    }

    /// Of the image's configuration; a list has none.
    fn config(&self) -> Option<&Digest> {
        match self {
            Self::Image(id, _) => Some(id),
            Self::List(..) => None,
        }
    }

    /// Of the manifest, or of the list, as it is in the store.
    fn descriptor(&self) -> Descriptor {
        match self {
            Self::Image(_, record) => local_descriptor(record),
            Self::List(_, text) => {
                let list: Value = serde_json::from_str(text).expect("we wrote it");
                let media_type = list["mediaType"].as_str().unwrap_or_default();
                Descriptor::new(media_type, BlobDigest(self.id()), text.len() as u64)
            }
        }
    }
}

/// Tells files what was made, and what others have got, if they have.
fn record(
    args: &BuildArgs,
    outcome: &Outcome<'_>,
    (written, names): (Option<&Written>, &[Name]),
) -> Result<(), Failure> {
    if let (Some(file), Some(written)) = (&args.result.digestfile, written) {
        write_text(file, &written.descriptor.digest.to_string())?;
    }
    if let Some(file) = &args.result.iidfile {
        write_text(file, &outcome.id().to_string())?;
    }
    if let Some(file) = &args.result.metadata_file {
        let config = outcome.config();
        let metadata = match written {
            Some(Written { descriptor, names }) => metadata::of(descriptor, config, names),
            None => metadata::of(&outcome.descriptor(), config, names),
        };
        metadata::write(file, &metadata)?;
    }
    Ok(())
}

fn write_text(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text)
        .map_err(|error| Failure::message(format!("cannot write `{}`: {error}", file.display())))
}
