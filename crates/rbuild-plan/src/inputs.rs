//! What a plan is made from, and what [`crate::plan`] answers.

use std::collections::BTreeMap;

use rbuild_dockerfile::Diagnostic;
use rbuild_oci::{ImageConfig, Platform};

use crate::graph::Plan;

/// Everything a plan depends on besides the Dockerfile: plain values.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// `--build-arg NAME=VALUE`, also proxies and `SOURCE_DATE_EPOCH`.
    pub build_args: BTreeMap<String, String>,
    /// `--target`: a stage name or number; `None` means the last stage.
    pub target: Option<String>,
    /// Platform of this machine: `BUILDPLATFORM`, and the target's as long as only it can be built.
    pub platform: Platform,
    /// `--label KEY=VALUE`, on the final image only (T21).
    pub labels: BTreeMap<String, String>,
    /// Other changes to the final image.
    pub edits: Edits,
    /// `--ulimit NAME=SOFT:HARD`, for all commands; part of their keys.
    pub ulimits: Vec<String>,
    /// `--build-context NAME=…` by `NAME`, which may end in `::PLATFORM` (F5).
    pub contexts: BTreeMap<String, ContextKind>,
    /// Base images found so far, by the reference text as [`Planning::Needs`] gave it.
    pub bases: BTreeMap<String, BaseImage>,
}

/// Changes to the configuration of the final image, made after all its instructions and labels.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    /// `--env NAME=VALUE`: set, with an entry in the history; no command of the build sees it.
    pub env: Vec<(String, String)>,
    /// `--unsetenv NAME`: removed, whoever set it; no entry in the history.
    pub unsetenv: Vec<String>,
    /// `--unsetlabel KEY`: removed, whoever set it; no entry in the history.
    pub unsetlabel: Vec<String>,
}

/// What a name given to `--build-context` stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContextKind {
    /// Files: [`crate::Source::Named`] with the key in [`Inputs::contexts`] names them.
    Files,
    /// An image, or `scratch`: the reference as [`Planning::Needs`] is to ask for it.
    Image(String),
    /// An image in an OCI layout: the text as [`Planning::Needs`] is to ask for it.
    Layout(String),
}

/// What a plan must know of an image.
#[derive(Clone, Debug)]
pub struct BaseImage {
    /// Identifies the image's file system in cache keys: the chain id of its layers.
    pub tree_key: String,
    /// Its configuration, as pulled; history and diff ids included.
    pub config: ImageConfig,
}

/// What [`crate::plan`] answers.
#[derive(Clone, Debug)]
pub enum Planning {
    /// Nothing more is needed.
    Ready(Box<Plan>),
    /// Resolve these references, add them to [`Inputs::bases`], ask again.
    Needs(Vec<String>),
    /// The Dockerfile is wrong; every problem found is listed.
    Rejected(Vec<Diagnostic>),
}
