//! Commands: what `CMD` and `ENTRYPOINT` start, and how `HEALTHCHECK` asks.
//!
//! Spec: dockerfile.md 1.8, P14, P15.

use super::Spanned;
use std::time::Duration;

/// The argument of `CMD` and `ENTRYPOINT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Text for the shell, continuations removed, never expanded by the builder.
    Shell(Spanned<String>),
    /// A JSON array, verbatim.
    Exec(Spanned<Vec<String>>),
}

/// `HEALTHCHECK …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healthcheck {
    /// `HEALTHCHECK NONE`: forget what the base image has.
    None,
    /// `HEALTHCHECK [flags] CMD command`.
    Probe(Probe),
}

/// How to find out whether a container is well. Durations are zero (the runtime's
/// default) or at least a millisecond (M5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// `--interval=`.
    pub interval: Option<Duration>,
    /// `--timeout=`.
    pub timeout: Option<Duration>,
    /// `--start-period=`.
    pub start_period: Option<Duration>,
    /// `--start-interval=`.
    pub start_interval: Option<Duration>,
    /// `--retries=`: at most `i32::MAX`; zero is the runtime's default.
    pub retries: Option<u32>,
    /// What to run.
    pub command: Command,
}
