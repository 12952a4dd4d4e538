//! The binary end to end: real namespaces, a real registry, other people's
//! tools. Nothing here knows a crate of rbuild, only its command line.
//!
//! Each test says what it needs; `cargo xtask test` provides all of it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod add;
mod archives;
mod attestations;
mod cache;
mod checks;
mod consent;
mod copy;
mod corpus;
mod crash;
mod crowd;
mod death;
mod deleting;
mod descriptions;
mod differential;
mod disk;
mod durability;
mod emulation;
mod examples;
mod exchange;
mod fault;
mod faults;
mod hand_over;
mod heredocs;
mod hostile;
mod images;
mod inputs;
mod interactive;
mod interop;
mod isolation;
mod language;
mod limits;
mod logins;
mod manifests;
mod matrix;
mod mistakes;
mod mounts;
mod network;
mod outputs;
mod parallel;
mod partial;
mod places;
mod platforms;
mod policy;
mod privilege;
mod probe;
mod proxies;
mod prune;
mod push_ahead;
mod registry_faults;
mod reproducible;
mod surroundings;
mod survivors;
mod targets;
mod witness;
