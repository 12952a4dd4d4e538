//! The image configuration: what the spec has plus what Docker writes.
//!
//! OCI image-spec, config.md; moby image spec v1.2 for `Healthcheck`, `Shell`,
//! `OnBuild` and `ArgsEscaped`. Unknown fields survive a round trip.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{DiffId, Platform};

/// `PATH` of an image that sets none (F8).
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A whole configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// `MAINTAINER`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// `GOARCH`.
    pub architecture: String,
    /// `GOOS`.
    pub os: String,
    /// Variant of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Defaults for running it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: RunConfig,
    /// The layers.
    #[serde(default)]
    pub rootfs: RootFs,
    /// How it was made, oldest first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub history: Vec<HistoryEntry>,
    /// Fields that this type does not name.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Defaults for running an image. `Env` keeps its order: it is semantic (G6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    /// `USER`; empty means root.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `EXPOSE`: `80/tcp`.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// `ENV`: `NAME=value`, in order.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub env: Vec<String>,
    /// `ENTRYPOINT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// `CMD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// `VOLUME`.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub volumes: BTreeMap<String, Empty>,
    /// `WORKDIR`; empty means `/`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// `LABEL`.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub labels: BTreeMap<String, String>,
    /// `STOPSIGNAL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// `SHELL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// `ONBUILD`, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_build: Option<Vec<String>>,
    /// Docker: arguments are escaped already (M3).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub args_escaped: bool,
    /// Fields that this type does not name, `Healthcheck` among them.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `{}`, the value in Docker's sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// The layers of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Bottom first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub diff_ids: Vec<DiffId>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self {
            kind: "layers".to_owned(),
            diff_ids: Vec::new(),
        }
    }
}

/// One line of an image's history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who built it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// No layer belongs to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

impl ImageConfig {
    /// What the image is for; `None` if it does not say.
    pub fn platform(&self) -> Option<Platform> {
        let its = || Platform::new(&self.os, &self.architecture, self.variant.as_deref());
        (!self.architecture.is_empty()).then(its)
    }

    /// The value of `name` in `Env`; the last one wins.
    pub fn env(&self, name: &str) -> Option<&str> {
        let value = |entry: &'_ String| entry.strip_prefix(name)?.strip_prefix('=').map(str::len);
        let entry = self
            .config
            .env
            .iter()
            .rev()
            .find(|entry| value(entry).is_some())?;
        Some(&entry[name.len() + 1..])
    }

    /// Sets `name` in `Env`: in place if it is there (E1), else at the end.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let entry = format!("{name}={value}");
        let same = |e: &&mut String| {
            e.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('='))
        };
        match self.config.env.iter_mut().find(same) {
            Some(old) => *old = entry,
            None => self.config.env.push(entry),
        }
    }
}

/// Go writes `null` for an empty map or slice.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::ImageConfig;

    #[test]
    fn docker_fields_and_unknown_ones_survive_a_round_trip() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Cmd":["sh"],"Healthcheck":{"Test":["NONE"]}},"rootfs":{"type":"layers","diff_ids":[]},"history":[],"moby.x":1}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&config).unwrap(), text);
    }

    /// Found by the fuzz target `documents`.
    #[test]
    fn unknown_numbers_stay_to_the_last_bit() {
        let text = r#"{"architecture":"","os":"","x":2111111111111117777.77}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        let written = serde_json::to_string(&config).unwrap();
        let again: ImageConfig = serde_json::from_str(&written).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn null_is_nothing() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Env":null,"Cmd":null},"history":null}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        assert!(config.config.env.is_empty() && config.history.is_empty());
    }

    #[test]
    fn names_are_sorted_but_in_env_g6() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Env":["B=1","A=2"],"ExposedPorts":{"9/tcp":{},"10/tcp":{}},"Labels":{"b":"1","a":"2"},"Volumes":{"/b":{},"/a":{}}}}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        let written = serde_json::to_string(&config).unwrap();
        for sorted in [
            r#"["B=1","A=2"]"#,
            r#"{"10/tcp":{},"9/tcp":{}}"#,
            r#"{"a":"2","b":"1"}"#,
            r#"{"/a":{},"/b":{}}"#,
        ] {
            assert!(written.contains(sorted), "{written}");
        }
    }

    #[test]
    fn env_is_replaced_in_place() {
        let mut config = ImageConfig::default();
        for (name, value) in [("A", "1"), ("AB", "2"), ("A", "3")] {
            config.set_env(name, value);
        }
        assert_eq!(config.config.env, ["A=3", "AB=2"]);
        assert_eq!(config.env("AB"), Some("2"));
        assert_eq!(config.env("B"), None);
    }
}
