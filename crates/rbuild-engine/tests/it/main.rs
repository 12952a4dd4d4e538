//! The engine in a temporary directory: a real store, real overlays, and a machine that is only
//! played.
//!
//! Stacking trees needs mounts: without them the tests say `SKIP`, and fail under
//! `RBUILD_TEST_REQUIRE=1`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this crate is all tests")]

mod archives;
mod attack;
mod bases;
mod cache;
mod copy;
mod hostile;
mod imports;
mod layout;
mod newer;
mod random;
mod reasons;
mod script;
mod site;
mod special;
mod states;
mod workdir;
