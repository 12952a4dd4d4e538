//! From a Dockerfile to a build graph: [`plan`] decides everything that can be
//! decided without touching the world.
//!
//! Pure: no files, no network, no clock. What it lacks it asks for
//! ([`Planning::Needs`]); the caller finds it and asks again. [`survey`] decides what
//! follows from the text alone.

mod account;
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
mod ledger;
mod linker;
mod listing;
mod lookup;
mod mount;
mod names;
mod op;
mod outline;
mod plan;
mod port;
mod reason;
mod run;
mod signal;
mod stages;
mod survey;
mod title;
mod trigger;
mod variables;

pub use account::{Account, Parent, Part, Value};
pub use dump::dump;
pub use entitlement::Entitlement;
pub use graph::{Base, History, Plan, Stage, StageId, Step, StepId, Tree};
pub use inputs::{
    BaseImage, Choice, ContextKind, Edits, Extent, ImageRef, Inheritance, Inputs, Planning,
};
pub use key::{Key, SourceDigest, step_key};
pub use ledger::Ledger;
pub use listing::{FileChanges, Listing};
pub use lookup::{Lookup, lookups};
pub use op::{
    Access, Archives, CacheMount, Copy, Device, Item, Mount, MountKind, Network, Node, Op, Run,
    Script, Secret, Security, Sharing, Source, Workdir,
};
pub use outline::{Outline, Parameter, Request, Target, outline, targets};
pub use plan::{blame, plan};
pub use reason::{Absence, Change, Reason};
pub use survey::{Survey, survey};
