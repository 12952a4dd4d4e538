//! What tests share: gating by what the host can do, accounts, scratch
//! directories, trees as text, a real registry, an HTTP server and a registry with faults.
//!
//! Only tests and xtask depend on it; no part of the product does. It knows
//! the command line of the `rbuild` binary, none of its crates.

mod account;
mod base;
mod crowd;
mod error;
pub mod fault_registry;
mod host;
pub mod http;
mod layout;
mod need;
mod output;
mod patience;
mod registry;
mod scratch;
mod signer;
mod terminal;
mod token_server;
mod tree;

pub use account::Account;
pub use base::{Base, emulator, target_dir};
pub use crowd::crowd;
pub use error::Error;
pub use host::{Host, rbuild_binary};
pub use layout::unpack;
pub use need::{Need, need, skip};
pub use output::Output;
pub use patience::{PATIENCE, wait_until};
pub use registry::Registry;
pub use scratch::Scratch;
pub use signer::{Signer, openssl};
pub use terminal::{Size, Terminal};
pub use token_server::TokenServer;
pub use tree::{Entry, Kind, Tree};
