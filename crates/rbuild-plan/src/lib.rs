//! From a Dockerfile to a build graph: [`plan`] decides everything that can be
//! decided without touching the world.
//!
//! Pure: no files, no network, no clock. What it lacks it asks for
//! ([`Planning::Needs`]); the caller finds it and asks again.

mod graph;
mod inputs;

pub use graph::{
    Base, Copy, History, Op, Plan, Run, Source, Stage, StageId, Step, StepId, Tree, Workdir,
};
pub use inputs::{BaseImage, Inputs, Planning};
