//! From a Dockerfile to a build graph: [`plan`] decides everything that can be
//! decided without touching the world.
//!
//! Pure: no files, no network, no clock. What it lacks it asks for
//! ([`Planning::Needs`]); the caller finds it and asks again.

mod args;
mod base;
mod contexts;
mod copy;
mod device;
mod dump;
mod entitlement;
mod fold;
mod graph;
mod healthcheck;
mod history;
mod inputs;
mod key;
mod linker;
mod mount;
mod names;
mod op;
mod plan;
mod port;
mod run;
mod signal;
mod stages;
mod title;
mod trigger;
mod variables;

pub use dump::dump;
pub use entitlement::Entitlement;
pub use graph::{Base, History, Plan, Stage, StageId, Step, StepId, Tree};
pub use inputs::{BaseImage, ContextKind, Edits, Extent, Inheritance, Inputs, Planning};
pub use key::{Key, SourceDigest, step_key};
pub use op::{
    Access, Archives, CacheMount, Copy, Device, Item, Mount, MountKind, Network, Node, Op, Run,
    Script, Secret, Security, Sharing, Source, Workdir,
};
pub use plan::{blame, plan};
