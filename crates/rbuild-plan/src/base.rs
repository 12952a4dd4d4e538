//! The configuration that a stage starts with.
//!
//! Knows: what is inherited from `scratch`, an image or a stage, and what is not.
//! Does not know: instructions.
//!
//! Spec: dockerfile.md F7–F9, F13, O2, E2.

use std::collections::BTreeMap;

use rbuild_dockerfile::Diagnostic;
use rbuild_dockerfile::ast::Span;
use rbuild_dockerfile::lint::rules;
use rbuild_oci::{DEFAULT_PATH, ImageConfig, Platform, RootFs};

use crate::graph::{Base, History, Stage, StageId, Tree};
use crate::history;
use crate::inputs::{BaseImage, Edits, ImageRef};

/// Fields that Docker wrote about the container and the image that a base was made of:
/// wrong for what is built on it.
const STALE: [&str; 5] = [
    "container",
    "container_config",
    "docker_version",
    "id",
    "parent",
];

/// Fields of Docker's configuration that are about a container, not about running the image.
const OF_A_CONTAINER: [&str; 9] = [
    "AttachStderr",
    "AttachStdin",
    "AttachStdout",
    "Domainname",
    "Hostname",
    "Image",
    "OpenStdin",
    "StdinOnce",
    "Tty",
];

/// `FROM scratch` (F7), for an image for `platform`.
pub(crate) fn scratch(platform: &Platform) -> Stage {
    let mut config = ImageConfig::default();
    "/".clone_into(&mut config.config.working_dir);
    stage(Base::Scratch, Tree::Empty, config, platform)
}

/// `FROM reference`: all that the image says about running it, but none of its triggers.
pub(crate) fn image(reference: &ImageRef, image: &BaseImage, platform: &Platform) -> Stage {
    let mut config = ImageConfig {
        created: None,
        rootfs: RootFs::default(),
        history: Vec::new(),
        ..image.config.clone()
    };
    config.config.on_build = None;
    config
        .other
        .retain(|name, _| !STALE.contains(&name.as_str()));
    let run = &mut config.config.other;
    run.retain(|name, _| !OF_A_CONTAINER.contains(&name.as_str()));
    let base = Base::Image(reference.clone());
    stage(base, Tree::Image(reference.clone()), config, platform)
}

/// `FROM reference` where nothing is known of the image.
pub(crate) fn unknown(reference: &ImageRef, platform: &Platform) -> Stage {
    let nothing = BaseImage {
        tree_key: String::new(),
        config: ImageConfig::default(),
    };
    image(reference, &nothing, platform)
}

/// `FROM stage`: its files, its configuration but for triggers, and its history (F9).
pub(crate) fn child(id: StageId, parent: &Stage) -> Stage {
    let mut stage = Stage {
        name: None,
        base: Base::Stage(id),
        after: Vec::new(),
        ..parent.clone()
    };
    stage.config.config.on_build = None;
    stage
}

/// What speaks against building on `image`, which was named at `span`.
pub(crate) fn objections(reference: &ImageRef, image: &BaseImage, span: &Span) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let config = &image.config;
    let its = Platform::new(&config.os, &config.architecture, config.variant.as_deref());
    let wanted = &reference.platform;
    if !its.matches(wanted) && !wanted.matches(&its) {
        let message = format!("base image `{reference}` is for `{its}`, not for `{wanted}`");
        let warning = Diagnostic::warning(span.clone(), message);
        found.push(warning.of_rule(rules::INVALID_BASE_IMAGE_PLATFORM));
    }
    found
}

/// `--label`, on the target only and after all its instructions (E2, T21).
pub(crate) fn add_labels(target: &mut Stage, labels: &BTreeMap<String, String>) {
    if labels.is_empty() {
        return;
    }
    let pairs = labels
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()));
    let pairs: Vec<(String, String)> = pairs.collect();
    target.history.push(History {
        created_by: history::pairs("LABEL", &pairs),
        step: None,
    });
    target.config.config.labels.extend(pairs);
}

/// `--env`, `--identity-label`, `--unsetenv` and `--unsetlabel`, on the target only: first what is
/// added. As in buildah, removing leaves no trace in the history.
pub(crate) fn edit(target: &mut Stage, edits: &Edits) {
    if !edits.env.is_empty() {
        target.history.push(History {
            created_by: history::pairs("ENV", &edits.env),
            step: None,
        });
    }
    for (name, value) in &edits.env {
        target.config.set_env(name, value);
    }
    let config = &mut target.config.config;
    config.labels.extend(edits.identity.clone());
    let is_unset = |entry: &String| {
        let name = entry
            .split_once('=')
            .map_or(entry.as_str(), |(name, _)| name);
        edits.unsetenv.iter().any(|unset| unset == name)
    };
    config.env.retain(|entry| !is_unset(entry));
    config
        .labels
        .retain(|key, _| !edits.unsetlabel.contains(key));
}

fn stage(base: Base, tree: Tree, mut config: ImageConfig, platform: &Platform) -> Stage {
    config.os.clone_from(&platform.os);
    config.architecture.clone_from(&platform.architecture);
    config.variant.clone_from(&platform.variant);
    if config.env("PATH").is_none() {
        config.set_env("PATH", DEFAULT_PATH); // F8
    }
    Stage {
        name: None,
        index: 0,
        base,
        platform: platform.clone(),
        after: Vec::new(),
        tree,
        config,
        history: Vec::new(),
    }
}
