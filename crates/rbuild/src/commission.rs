//! From a stage that is built to an image.
//!
//! Knows: which steps and which base image a stage consists of.
//! Does not know: how an image is put together, nor where it goes.

use rbuild_engine::State;
use rbuild_export::{BuiltLayer, Commit, Layers, Origin, commit};
use rbuild_oci::{ImageId, Name};
use rbuild_plan::{Base, History, Plan, StageId, StepId};
use rbuild_store::{LayerId, Session, Store};

use crate::{
    cli::BuildArgs, description::Description, failure::Failure, planning::Resolved, settings,
};

/// One image to be.
pub struct Request<'a> {
    pub args: &'a BuildArgs,
    pub stage: StageId,
    /// What it will be called.
    pub names: &'a [Name],
    pub description: &'a Description,
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
    let commission = Commit {
        stage: plan.stage(request.stage),
        base: base_image(plan, request.stage, resolved),
        layers: &built_layers(&plan.stage(request.stage).history, |step| {
            states[step.0 as usize].added
        }),
        grouping: grouping(request.args),
        epoch: description.epoch,
        files: description.files,
        telling: description.telling,
        format: description.format,
        annotations: description.annotations(),
        now: settings::now(),
        names: request.names,
    };
    Ok(commit(store, session, &commission)?)
}

/// One layer for each step, or one for all.
pub fn grouping(args: &BuildArgs) -> Layers {
    match args.result.squash {
        true => Layers::Squashed,
        false => Layers::PerStep,
    }
}

/// The image that `stage` stands on, however many stages lie between.
pub fn base_image<'a>(plan: &Plan, stage: StageId, resolved: &'a Resolved) -> Option<Origin<'a>> {
    match &plan.stage(root_stage(plan, stage)).base {
        Base::Image(name) => Some(Origin {
            image: resolved.images.get(name)?,
            name: resolved.names.get(name),
        }),
        Base::Scratch | Base::Stage(_) => None,
    }
}

fn root_stage(plan: &Plan, mut stage: StageId) -> StageId {
    while let Base::Stage(parent) = plan.stage(stage).base {
        stage = parent;
    }
    stage
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
