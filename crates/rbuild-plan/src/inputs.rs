//! What a plan is made from, and what [`crate::plan`] answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rbuild_dockerfile::Diagnostic;
use rbuild_oci::{ImageConfig, Platform};

use crate::entitlement::Entitlement;
use crate::graph::Plan;
use crate::op::Network;

/// Everything a plan depends on besides the Dockerfile: plain values.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// `--build-arg NAME=VALUE`, also proxies and `SOURCE_DATE_EPOCH`.
    pub build_args: BTreeMap<String, String>,
    /// `--target`: names or numbers of stages, in the order of [`Plan::targets`]; empty means the
    /// last stage. `TARGETSTAGE` is the last of them.
    pub targets: Vec<String>,
    /// What is built besides the targets.
    pub extent: Extent,
    /// `--from`: what the first `FROM` of the file names instead of what is written there.
    pub from: Option<String>,
    /// Platform of the images: `TARGETPLATFORM`.
    pub platform: Platform,
    /// Whether somebody has asked for that one.
    pub choice: Choice,
    /// Platform of this machine: `BUILDPLATFORM`.
    pub build_platform: Platform,
    /// `--label KEY=VALUE`, on the targets only (T21).
    pub labels: BTreeMap<String, String>,
    /// Other changes to the targets.
    pub edits: Edits,
    /// What the Dockerfile may ask for beyond what all may (R5–R7).
    pub allowed: BTreeSet<Entitlement>,
    /// `--network`: that of commands that do not say (R5); part of their keys.
    pub network: Network,
    /// `--ulimit NAME=SOFT:HARD`, for all commands; part of their keys.
    pub ulimits: Vec<String>,
    /// `--build-context NAME=…` by `NAME`, which may end in `::PLATFORM` (F5).
    pub contexts: BTreeMap<String, ContextKind>,
    /// Base images found so far, as [`Planning::Needs`] asked for them.
    pub bases: BTreeMap<ImageRef, BaseImage>,
}

/// Who has chosen the platform of the images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// Nobody: that of this machine will do, but a target from a base for another platform is for
    /// that one (F13).
    #[default]
    Implied,
    /// `--platform`: the images are for no other.
    Asked,
}

/// An image that is needed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageRef {
    /// As it was written, variables replaced.
    pub name: String,
    /// Which of those that the name stands for.
    pub platform: Platform,
}

impl fmt::Display for ImageRef {
    /// The name alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Which stages are built besides the targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// Those that the targets need (F11).
    #[default]
    Needed,
    /// All up to the last target in the file, whether needed or not: their results are dropped,
    /// but they must succeed.
    All,
}

/// Changes to the configuration of a target, made after all its instructions and labels.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    /// `--env NAME=VALUE`: set, with an entry in the history; no command of the build sees it.
    pub env: Vec<(String, String)>,
    /// `--unsetenv NAME`: removed, whoever set it; no entry in the history.
    pub unsetenv: Vec<String>,
    /// `--unsetlabel KEY`: removed, whoever set it; no entry in the history.
    pub unsetlabel: Vec<String>,
    /// What becomes of the labels of the image or stage that a stage starts from.
    pub labels_of_base: Inheritance,
    /// A label that names the builder; no entry in the history (G4).
    pub identity: Option<(String, String)>,
}

/// What becomes of something that a base image has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inheritance {
    /// What is built on it has it too.
    #[default]
    Kept,
    /// What is built on it has it not.
    Dropped,
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

impl BaseImage {
    /// Stands for `image` where nothing is known of it: an empty one.
    pub fn supposed(ImageRef { name, platform }: &ImageRef) -> Self {
        Self {
            tree_key: name.clone(),
            config: ImageConfig {
                os: platform.os.clone(),
                architecture: platform.architecture.clone(),
                variant: platform.variant.clone(),
                ..ImageConfig::default()
            },
        }
    }
}

/// What [`crate::plan`] answers.
#[derive(Clone, Debug)]
pub enum Planning {
    /// Nothing more is needed.
    Ready(Box<Plan>),
    /// Find these images, add them to [`Inputs::bases`], ask again.
    Needs(Vec<ImageRef>),
    /// The Dockerfile is wrong; every problem found is listed.
    Rejected(Vec<Diagnostic>),
}
