//! The binary end to end: real namespaces, a real registry, other people's
//! tools. Nothing here knows a crate of rbuild, only its command line.
//!
//! Each test says what it needs; `cargo xtask test` provides all of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cache;
mod copy;
mod death;
mod examples;
mod images;
mod interop;
mod isolation;
mod language;
mod logins;
mod mistakes;
mod outputs;
mod privilege;
mod reproducible;
mod surroundings;
