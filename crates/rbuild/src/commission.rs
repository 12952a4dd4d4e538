//! From a stage that is built to an image.
//!
//! Knows: which steps and which base image a stage consists of.
//! Does not know: how an image is put together, nor where it goes.

use rbuild_engine::State;
use rbuild_export::{BuiltLayer, CacheStep, Commit, Layers, Origin, commit};
use rbuild_oci::{ImageId, Name, Platform};
use rbuild_plan::{History, Plan, StageId, StepId};
use rbuild_store::{ImageRecord, LayerId, Session, Store};

use crate::{
    cli::BuildArgs, description::Description, failure::Failure, output::Part, planning::Resolved,
    settings,
};

/// One image to be.
pub struct Request<'a> {
    pub args: &'a BuildArgs,
    pub stage: StageId,
    /// What it will be called.
    pub names: &'a [Name],
    pub description: &'a Description,
    /// What it tells other machines of its steps.
    pub cache: &'a [(StepId, CacheStep)],
}

/// Makes a stage an image.
///
/// # Errors
/// If the store cannot be read or written.
pub fn committed(
    request: &Request<'_>,
    (store, session): (&Store, &Session),
    (plan, resolved, states): (&Plan, &Resolved, &[State]),
) -> Result<ImageId, Failure> {
    let description = request.description;
    let base = base_image(store, (plan, request.stage), resolved)?;
    let said = description
        .said
        .of(Part::Manifest, &platform_of(plan, request.stage));
    let commission = Commit {
        stage: plan.stage(request.stage),
        base: base
            .as_ref()
            .map(|(image, name)| Origin { image, name: *name }),
        layers: &built_layers(&plan.stage(request.stage).history, |step| {
            states[step.0 as usize].added
        }),
        grouping: grouping(request.args),
        epoch: description.epoch,
        files: description.files,
        telling: description.telling,
        format: description.format,
        annotations: description.annotations(&said),
        cache: request.cache,
        now: settings::now(),
        names: request.names,
    };
    Ok(commit(store, session, &commission)?)
}

/// What the image of `stage` says that it is for.
pub fn platform_of(plan: &Plan, stage: StageId) -> Platform {
    let config = &plan.stage(stage).config;
    Platform::new(&config.os, &config.architecture, config.variant.as_deref())
}

/// One layer for each step, or one for all.
pub fn grouping(args: &BuildArgs) -> Layers {
    match args.result.squash {
        true => Layers::Squashed,
        false => Layers::PerStep,
    }
}

/// The image that `stage` stands on, however many stages lie between, and its full name.
///
/// # Errors
/// If it is not in the store any more.
pub fn base_image<'a>(
    store: &Store,
    (plan, stage): (&Plan, StageId),
    resolved: &'a Resolved,
) -> Result<Option<(ImageRecord, Option<&'a Name>)>, Failure> {
    let Some(image) = plan.base_image(stage) else {
        return Ok(None);
    };
    let tree = resolved.trees.get(image);
    let tree = tree.ok_or_else(|| Failure::message(format!("nobody has looked for `{image}`")))?;
    let gone = || Failure::message(format!("image `{image}` is not in the store any more"));
    let record = store.image(&tree.image)?.ok_or_else(gone)?;
    Ok(Some((record, resolved.names.get(image))))
}

/// The layers of the steps in `history`, bottom first; `added` says which layer a step added, and
/// when.
pub fn built_layers(
    history: &[History],
    added: impl Fn(StepId) -> Option<(LayerId, i64)>,
) -> Vec<BuiltLayer> {
    let steps = history.iter().filter_map(|entry| entry.step);
    let built = |step: StepId| {
        let (layer, created) = added(step)?;
        Some(BuiltLayer {
            step,
            layer,
            created,
        })
    };
    steps.filter_map(built).collect()
}
