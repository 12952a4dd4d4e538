//! From a Dockerfile to a build graph: [`plan`] decides everything that can be
//! decided without touching the world.
//!
//! Pure: no files, no network, no clock. What it lacks it asks for
//! ([`Planning::Needs`]); the caller finds it and asks again.

mod args;
mod base;
mod copy;
mod dump;
mod fold;
mod graph;
mod history;
mod inputs;
mod key;
mod plan;
mod port;
mod run;
mod signal;
mod stages;
mod title;
mod variables;

pub use dump::dump;
pub use graph::{
    Base, Copy, History, Op, Plan, Run, Source, Stage, StageId, Step, StepId, Tree, Workdir,
};
pub use inputs::{BaseImage, Inputs, Planning};
pub use key::{Key, SourceDigest, step_key};
pub use plan::{blame, plan};
