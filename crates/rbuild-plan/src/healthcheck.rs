//! `HEALTHCHECK`: how an image says whether a container is well.
//!
//! Knows: Docker's form of it in the configuration, which OCI has no field for (M5).
//!
//! Spec: dockerfile.md 1.8, 1.16; moby image spec v1.2, `Healthcheck`.

use std::time::Duration;

use rbuild_dockerfile::ast::{Command, Healthcheck, Probe};
use serde_json::{Map, Value, json};

use crate::fold::Fold;

/// Its name in the configuration.
const FIELD: &str = "Healthcheck";

impl Fold<'_> {
    pub(crate) fn healthcheck(&mut self, check: &Healthcheck) -> Option<()> {
        let value = match check {
            Healthcheck::None => json!({ "Test": ["NONE"] }),
            Healthcheck::Probe(probe) => Value::Object(of_probe(probe)),
        };
        self.push_history(format!("HEALTHCHECK {value}"));
        self.stage
            .config
            .config
            .other
            .insert(FIELD.to_owned(), value);
        Some(())
    }
}

/// Durations in nanoseconds; what was not said is left out.
fn of_probe(probe: &Probe) -> Map<String, Value> {
    let test = match &probe.command {
        Command::Shell(text) => vec!["CMD-SHELL".to_owned(), text.value.clone()],
        Command::Exec(argv) => std::iter::once("CMD".to_owned())
            .chain(argv.value.iter().cloned())
            .collect(),
    };
    let mut fields = Map::from_iter([("Test".to_owned(), json!(test))]);
    for (name, duration) in [
        ("Interval", probe.interval),
        ("Timeout", probe.timeout),
        ("StartPeriod", probe.start_period),
        ("StartInterval", probe.start_interval),
    ] {
        if let Some(nanoseconds) = duration.and_then(nanoseconds) {
            fields.insert(name.to_owned(), json!(nanoseconds));
        }
    }
    if let Some(retries) = probe.retries {
        fields.insert("Retries".to_owned(), json!(retries));
    }
    fields
}

fn nanoseconds(duration: Duration) -> Option<u64> {
    u64::try_from(duration.as_nanos())
        .ok()
        .filter(|&nanoseconds| nanoseconds > 0)
}
