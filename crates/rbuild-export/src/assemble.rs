//! From layers and a folded configuration to the image's configuration file.
//!
//! Pure. Invariant (G3): there are as many diff ids as history entries that are not
//! `empty_layer`, or importers refuse the image.
//!
//! Spec: dockerfile.md 1.16; OCI image-spec, config.md.

use jiff::Timestamp;
use rbuild_oci::{DiffId, Format, HistoryEntry, ImageConfig, RootFs};
use rbuild_plan::{History, StepId};
use serde_json::{Map, Value, json};

/// A layer that this build made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewLayer {
    /// The step that made it.
    pub step: StepId,
    /// Digest of its uncompressed tar.
    pub diff_id: DiffId,
    /// When the step ended, seconds since 1970.
    pub created: i64,
}

/// What an image is assembled from.
#[derive(Clone, Copy, Debug)]
pub struct Assembly<'a> {
    /// The target stage's configuration, without `rootfs` and `history`.
    pub config: &'a ImageConfig,
    /// The base image's configuration; `None` for `FROM scratch`.
    pub base: Option<&'a ImageConfig>,
    /// What happened since the base image.
    pub history: &'a [History],
    /// The new layers, bottom first. With [`Layers::Squashed`] the only one is the last step's.
    pub layers: &'a [NewLayer],
    /// How layers belong to the history.
    pub grouping: Layers,
    /// Whether the history is told.
    pub telling: Telling,
    /// Whose form of the configuration it is.
    pub format: Format,
    /// The time of everything new, seconds since 1970; `None`: when it was made.
    pub epoch: Option<i64>,
    /// The time of an image without any new layer, seconds since 1970.
    pub now: i64,
}

/// How layers belong to the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layers {
    /// One for each step that changed files.
    PerStep,
    /// One for all of them (`--squash`); it belongs to the last entry that has a step.
    Squashed,
}

/// Whether an image says how it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// It does.
    Told,
    /// It does not, nor how its base was made (`--omit-history`).
    Omitted,
}

/// Makes the configuration file of the image.
///
/// Metadata entries take the time of the layer before them, or of the first new one; the image that
/// of its last (G2, as BuildKit does it). So a build from cache gives the same image again.
pub fn assemble(assembly: &Assembly<'_>) -> ImageConfig {
    let time = |seconds: i64| rfc3339(assembly.epoch.unwrap_or(seconds));
    let first = assembly
        .layers
        .first()
        .map_or(assembly.now, |layer| layer.created);
    let last = assembly
        .layers
        .iter()
        .map(|layer| layer.created)
        .max()
        .unwrap_or(assembly.now);

    let mut config = assembly.config.clone();
    config.created = Some(time(last));
    config.rootfs = assembly
        .base
        .map_or_else(RootFs::default, |base| base.rootfs.clone());
    config
        .rootfs
        .diff_ids
        .extend(assembly.layers.iter().map(|layer| layer.diff_id));
    if assembly.format == Format::Docker {
        add_docker_fields(&mut config);
    }
    if assembly.telling == Telling::Omitted {
        return config;
    }
    config.history = assembly.base.map_or_else(Vec::new, base_history);
    let owners = owners(assembly);
    let mut created = first;
    for (entry, layer) in assembly.history.iter().zip(owners) {
        created = layer.map_or(created, |layer| layer.created);
        config.history.push(HistoryEntry {
            created: Some(time(created)),
            created_by: Some(entry.created_by.clone()),
            comment: Some("rbuild".to_owned()),
            empty_layer: layer.is_none(),
            ..HistoryEntry::default()
        });
    }
    debug_assert_eq!(
        config.rootfs.diff_ids.len(),
        config
            .history
            .iter()
            .filter(|entry| !entry.empty_layer)
            .count(),
        "one history entry for each layer"
    );
    config
}

/// What Docker's form has besides: what the container was like in which the image was made. There
/// was none, so all of it is empty.
fn add_docker_fields(config: &mut ImageConfig) {
    let add = |fields: &mut Map<String, Value>, names: &[&str], empty: &Value| {
        for name in names {
            let field = fields.entry((*name).to_owned());
            field.or_insert_with(|| empty.clone());
        }
    };
    let run = &mut config.config.other;
    add(run, &["Domainname", "Hostname", "Image"], &json!(""));
    let switches = ["AttachStderr", "AttachStdin", "AttachStdout"];
    add(run, &switches, &json!(false));
    add(run, &["OpenStdin", "StdinOnce", "Tty"], &json!(false));
    add(&mut config.other, &["docker_version"], &json!(""));
}

/// Seconds since 1970 as RFC 3339 in UTC; what a timestamp cannot hold becomes the epoch.
pub fn rfc3339(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}

/// For each history entry the layer that belongs to it.
fn owners<'a>(assembly: &Assembly<'a>) -> Vec<Option<&'a NewLayer>> {
    let history = assembly.history;
    match assembly.grouping {
        Layers::PerStep => history
            .iter()
            .map(|entry| {
                assembly
                    .layers
                    .iter()
                    .find(|layer| Some(layer.step) == entry.step)
            })
            .collect(),
        Layers::Squashed => {
            let last = history.iter().rposition(|entry| entry.step.is_some());
            (0..history.len())
                .map(|index| assembly.layers.first().filter(|_| Some(index) == last))
                .collect()
        }
    }
}

/// The base's history. Where it does not account for every layer (`docker import`, our own
/// import of older images), entries are added so that ours do.
fn base_history(base: &ImageConfig) -> Vec<HistoryEntry> {
    let mut history = base.history.clone();
    let accounted = history.iter().filter(|entry| !entry.empty_layer).count();
    let layers = base.rootfs.diff_ids.len();
    history.extend((accounted..layers).map(|_| HistoryEntry {
        created: base.created.clone(),
        comment: Some("layer of the base image".to_owned()),
        ..HistoryEntry::default()
    }));
    let mut surplus = accounted.saturating_sub(layers);
    for entry in history.iter_mut().rev() {
        if surplus > 0 && !entry.empty_layer {
            entry.empty_layer = true;
            surplus -= 1;
        }
    }
    history
}

#[cfg(test)]
mod tests {
    use rbuild_oci::{DiffId, Digest, Format, HistoryEntry, ImageConfig};
    use rbuild_plan::{History, StepId};

    use super::{Assembly, Layers, NewLayer, Telling, assemble};

    fn layer(step: u32, created: i64) -> NewLayer {
        NewLayer {
            step: StepId(step),
            diff_id: DiffId(Digest::of(&[0])),
            created,
        }
    }

    fn history(steps: &[Option<u32>]) -> Vec<History> {
        let entry = |step: &Option<u32>| History {
            created_by: step.map_or("ENV a=1".to_owned(), |n| format!("RUN {n}")),
            step: step.map(StepId),
        };
        steps.iter().map(entry).collect()
    }

    /// Shows each history entry as `text time [layer]`.
    fn show(config: &ImageConfig) -> Vec<String> {
        let line = |entry: &HistoryEntry| {
            let text = entry
                .created_by
                .as_deref()
                .or(entry.comment.as_deref())
                .unwrap_or("-");
            let time = entry
                .created
                .as_deref()
                .unwrap_or("-")
                .trim_start_matches("1970-01-01T00:");
            format!(
                "{text} {time}{}",
                if entry.empty_layer { "" } else { " layer" }
            )
        };
        config.history.iter().map(line).collect()
    }

    #[track_caller]
    fn check(steps: &[Option<u32>], change: impl Fn(&mut Assembly<'_>), expected: &[&str]) {
        let layers = [layer(0, 60), layer(2, 120)];
        let mut assembly = Assembly {
            config: &ImageConfig::default(),
            base: None,
            history: &history(steps),
            layers: &layers,
            grouping: Layers::PerStep,
            telling: Telling::Told,
            format: Format::Oci,
            epoch: None,
            now: 3599,
        };
        change(&mut assembly);
        assert_eq!(show(&assemble(&assembly)), expected);
    }

    const STEPS: &[Option<u32>] = &[None, Some(0), Some(1), Some(2)];

    #[test]
    fn g2_metadata_is_of_the_time_of_the_layer_before_it() {
        check(
            &[None, Some(0), None, Some(2), None],
            |_| (),
            &[
                "ENV a=1 01:00Z",
                "RUN 0 01:00Z layer",
                "ENV a=1 01:00Z",
                "RUN 2 02:00Z layer",
                "ENV a=1 02:00Z",
            ],
        );
    }

    #[test]
    fn a_step_that_changed_nothing_is_an_empty_layer() {
        check(
            STEPS,
            |_| (),
            &[
                "ENV a=1 01:00Z",
                "RUN 0 01:00Z layer",
                "RUN 1 01:00Z",
                "RUN 2 02:00Z layer",
            ],
        );
    }

    #[test]
    fn the_epoch_is_the_time_of_everything_new_g2() {
        check(
            STEPS,
            |a| a.epoch = Some(1),
            &[
                "ENV a=1 00:01Z",
                "RUN 0 00:01Z layer",
                "RUN 1 00:01Z",
                "RUN 2 00:01Z layer",
            ],
        );
    }

    #[test]
    fn a_squashed_image_has_its_layer_at_the_last_step() {
        check(
            STEPS,
            |a| {
                a.grouping = Layers::Squashed;
                a.layers = &a.layers[1..];
            },
            &[
                "ENV a=1 02:00Z",
                "RUN 0 02:00Z",
                "RUN 1 02:00Z",
                "RUN 2 02:00Z layer",
            ],
        );
    }

    #[test]
    fn g3_a_history_that_is_omitted_is_empty() {
        check(STEPS, |a| a.telling = Telling::Omitted, &[]);
    }

    #[test]
    fn docker_is_told_of_a_container_that_never_was() {
        let assembly = Assembly {
            config: &ImageConfig::default(),
            base: None,
            history: &[],
            layers: &[],
            grouping: Layers::PerStep,
            telling: Telling::Told,
            format: Format::Docker,
            epoch: None,
            now: 0,
        };
        let config = assemble(&assembly);
        assert_eq!(config.config.other["Hostname"], "");
        assert_eq!(config.config.other["Tty"], false);
        assert_eq!(config.other["docker_version"], "");
    }

    #[test]
    fn without_layers_the_image_is_of_now() {
        check(&[None], |a| a.layers = &[], &["ENV a=1 59:59Z"]);
    }

    #[test]
    fn a_base_without_history_is_accounted_for() {
        let mut base = ImageConfig::default();
        base.rootfs.diff_ids = vec![DiffId(Digest::of(b"base"))];
        let assembly = Assembly {
            config: &ImageConfig::default(),
            base: Some(&base),
            history: &[],
            layers: &[],
            grouping: Layers::PerStep,
            telling: Telling::Told,
            format: Format::Oci,
            epoch: None,
            now: 0,
        };
        assert_eq!(
            show(&assemble(&assembly)),
            ["layer of the base image - layer"]
        );
    }
}
