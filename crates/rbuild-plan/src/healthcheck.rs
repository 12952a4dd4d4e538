//! `HEALTHCHECK`: how an image says whether a container is well.
//!
//! Knows: Docker's form of it in the configuration, which OCI has no field for (M5), and Go's
//! form of that in history.
//!
//! Spec: dockerfile.md 1.8, 1.16; moby image spec v1.2, `Healthcheck`.

use std::time::Duration;

use rbuild_dockerfile::ast::{Command, Healthcheck, Probe};
use serde_json::{Map, Value, json};

use crate::fold::Fold;
use crate::history;

/// Its name in the configuration.
const FIELD: &str = "Healthcheck";

/// What the configuration says.
#[derive(Default)]
struct Check {
    test: Vec<String>,
    /// Interval, timeout, start period, start interval; zero leaves it to the runtime.
    durations: [Duration; 4],
    /// Zero leaves it to the runtime.
    retries: u32,
}

impl Fold<'_> {
    pub(crate) fn healthcheck(&mut self, check: &Healthcheck) -> Option<()> {
        let check = match check {
            Healthcheck::None => Check {
                test: vec!["NONE".to_owned()],
                ..Check::default()
            },
            Healthcheck::Probe(probe) => Check::of_probe(probe),
        };
        self.push_history(check.told());
        let other = &mut self.stage.config.config.other;
        other.insert(FIELD.to_owned(), Value::Object(check.fields()));
        Some(())
    }
}

impl Check {
    fn of_probe(probe: &Probe) -> Self {
        let test = match &probe.command {
            Command::Shell(text) => vec!["CMD-SHELL".to_owned(), text.value.clone()],
            Command::Exec(argv) => std::iter::once("CMD".to_owned())
                .chain(argv.value.iter().cloned())
                .collect(),
        };
        let durations = [
            probe.interval,
            probe.timeout,
            probe.start_period,
            probe.start_interval,
        ];
        Self {
            test,
            durations: durations.map(Option::unwrap_or_default),
            retries: probe.retries.unwrap_or_default(),
        }
    }

    /// Durations in nanoseconds; what is zero is left out.
    fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::from_iter([("Test".to_owned(), json!(self.test))]);
        let names = ["Interval", "Timeout", "StartPeriod", "StartInterval"];
        for (name, duration) in names.into_iter().zip(self.durations) {
            // The parser lets through what Go can hold.
            let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
            if nanoseconds > 0 {
                fields.insert(name.to_owned(), json!(nanoseconds));
            }
        }
        if self.retries > 0 {
            fields.insert("Retries".to_owned(), json!(self.retries));
        }
        fields
    }

    /// As Go's `%q` prints the structure: `HEALTHCHECK &{["CMD" "x"] "5s" "0s" "0s" "0s" '\x03'}`.
    fn told(&self) -> String {
        let test = history::go_quoted_list("HEALTHCHECK &{", &self.test).replacen("{ ", "{", 1);
        let durations = self
            .durations
            .map(|it| format!("{:?}", history::go_duration(it)));
        let retries = history::go_quoted_char(self.retries);
        format!("{test} {} {retries}}}", durations.join(" "))
    }
}
