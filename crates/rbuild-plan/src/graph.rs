//! The build graph: stages, steps, and the trees between them.
//!
//! Invariant: edges point backwards. Every [`StepId`] in a step's [`Tree`]s is
//! smaller than the step's own id, so running steps in order is always right.

use std::collections::BTreeSet;

use rbuild_dockerfile::{Diagnostic, ast::Span};
use rbuild_oci::{ImageConfig, Platform};

use crate::inputs::ImageRef;
use crate::op::{Op, Source};

/// Index into [`Plan::steps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub u32);

/// Index into [`Plan::stages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageId(pub u32);

/// A whole build, stages that nobody asked for gone.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Stages to be built, in file order.
    pub stages: Vec<Stage>,
    /// Their steps; only instructions that touch files are steps.
    pub steps: Vec<Step>,
    /// The stages that become images: one for each of [`crate::Inputs::targets`], in that order,
    /// at least one. A stage that was asked for twice is there twice.
    pub targets: Vec<StageId>,
    /// Lint and warnings found while planning.
    pub warnings: Vec<Diagnostic>,
}

/// A stage: its final tree and the configuration folded over its instructions.
#[derive(Clone, Debug)]
pub struct Stage {
    /// `AS name`, if it has one.
    pub name: Option<String>,
    /// Position of its `FROM` in the file, from 0.
    pub index: usize,
    /// What it starts from.
    pub base: Base,
    /// What its commands are made for: what its base is for, which need not be what the image is for
    /// (F13).
    pub platform: Platform,
    /// Stages that must be done before this one starts, although it has nothing of them
    /// (`FROM --after`).
    pub after: Vec<StageId>,
    /// The tree it ends with.
    pub tree: Tree,
    /// Configuration of the result, without `rootfs` and `history`.
    pub config: ImageConfig,
    /// History since the base *image* (the entries of parent stages included), in order.
    pub history: Vec<History>,
}

/// What `FROM` named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// `FROM scratch`, or a named context of files, which its first step copies.
    Scratch,
    /// An image of [`crate::Inputs::bases`].
    Image(ImageRef),
    /// An earlier stage.
    Stage(StageId),
}

/// A file system state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tree {
    /// Nothing in it.
    Empty,
    /// That of an image of [`crate::Inputs::bases`].
    Image(ImageRef),
    /// After that step.
    Step(StepId),
}

/// One entry of the image's history to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// `created_by`, as dockerfile.md 1.16 says.
    pub created_by: String,
    /// The step whose layer belongs to this entry; `None` for metadata.
    /// A step that changed nothing makes the entry an `empty_layer` too.
    pub step: Option<StepId>,
}

/// An instruction that touches files.
#[derive(Clone, Debug)]
pub struct Step {
    /// The stage it belongs to.
    pub stage: StageId,
    /// The instruction in the source, for errors.
    pub span: Span,
    /// One line for people: the instruction's text on one line, e.g. `RUN go build`.
    pub title: String,
    /// The tree it works on.
    pub parent: Tree,
    /// What to do to it.
    pub op: Op,
}

impl Plan {
    /// The step behind `id`.
    ///
    /// Ids come from this plan, so they are in range.
    pub fn step(&self, id: StepId) -> &Step {
        &self.steps[id.0 as usize]
    }

    /// The image that stage `id` stands on, however many stages lie between; `None` for scratch.
    pub fn base_image(&self, id: StageId) -> Option<&ImageRef> {
        match &self.stage(id).base {
            Base::Image(image) => Some(image),
            Base::Stage(parent) => self.base_image(*parent),
            Base::Scratch => None,
        }
    }

    /// The stage behind `id`.
    pub fn stage(&self, id: StageId) -> &Stage {
        &self.stages[id.0 as usize]
    }

    /// The steps that must be done before step `id` starts: those that made the trees it works on
    /// and reads, and for the first ones of a stage those of the stages that it comes after.
    pub fn needs(&self, id: StepId) -> BTreeSet<StepId> {
        let step = self.step(id);
        let sources = step.op.sources().into_iter().filter_map(Source::tree);
        let made = sources.chain([&step.parent]).filter_map(|tree| match tree {
            Tree::Step(before) => Some(*before),
            Tree::Empty | Tree::Image(_) => None,
        });
        let mut needs: BTreeSet<StepId> = made.collect();
        let is_first = match step.parent {
            Tree::Step(parent) => self.step(parent).stage != step.stage,
            Tree::Empty | Tree::Image(_) => true,
        };
        if is_first {
            let after = &self.stage(step.stage).after;
            let steps = (0..).map(StepId).zip(&self.steps);
            needs.extend(
                steps
                    .filter(|(_, other)| after.contains(&other.stage))
                    .map(|(id, _)| id),
            );
        }
        needs
    }

    /// The platform that the images are for. Stages that are needed on the way may be for others.
    pub fn platform(&self) -> Platform {
        let config = &self.stage(self.targets[0]).config;
        Platform {
            os: config.os.clone(),
            architecture: config.architecture.clone(),
            variant: config.variant.clone(),
        }
    }
}
