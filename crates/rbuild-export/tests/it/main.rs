//! Images that are made, leave and come in, with a real store in a temporary directory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this crate is all tests")]

mod attestation;
mod commit;
mod damage;
mod docker_archive;
mod import;
mod index;
mod layout;
mod local;
mod place;
