//! The loop: key → cached? → prepare a tree → run or copy → freeze → record; and the search for
//! base images.
//!
//! Knows: how the mechanisms of rank 1 play together. Does not know: the terminal, the command
//! line, what becomes of the trees. Says what happens as [`Event`]s.

mod bases;
mod build;
mod builds;
mod caching;
mod context;
mod deferred;
mod directory;
mod docker_archive;
mod error;
mod event;
pub mod fetch;
mod forecast;
mod graph;
mod imports;
mod layout;
mod lines;
mod list;
mod load;
mod memory;
mod pull;
mod remains;
mod renewed;
mod schedule;
mod selection;
mod shelf;
mod step;
mod supply;
mod trees;
mod work;
mod workers;

pub use bases::{BaseTree, Bases, Chooser, Extent, Notice, Policy, Resolved};
pub use build::{Bottoms, Builder, State};
pub use builds::build_all;
pub use caching::{Caching, Stages};
pub use context::{BuildContext, Ignoring};
pub use error::Error;
pub use event::Event;
pub use forecast::{Doubt, Forecast};
pub use imports::{Import, Imports};
pub use load::{Loaded, Offered, load};
pub use memory::Memory;
pub use pull::{PullError, Tally};
pub use remains::{Failed, Remains};
pub use shelf::{Shelf, ShelfError};
pub use step::{
    StepError,
    mounts::Confidential,
    run::{Confined, HOSTNAME, Private, Runner, environment, identity, with_terminal},
};
pub use supply::Supplies;
