//! What a site or a user has said once for all: containers.conf.
//!
//! Knows: where it is, and which of its keys apply to builds without containers.
//! Does not know: what flags mean; a value of the file stands where none is given.
//!
//! Spec: containers.conf(5) of containers-common.

use std::{fs, io, path::PathBuf, time::Duration};

use toml::{Table, Value};

use crate::{
    amount,
    cli::{CompressionArgs, CompressionFormat, ConfineArgs},
    failure::Failure,
    settings,
};

/// What containers.conf says, as far as it applies.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ContainersConf {
    ulimits: Vec<String>,
    shm_size: Option<String>,
    dns: Vec<String>,
    dns_search: Vec<String>,
    dns_option: Vec<String>,
    /// Whether RUN gets the proxies of the environment.
    pub http_proxy: Option<bool>,
    /// How often is tried again what may work next time.
    pub retry: Option<u32>,
    /// How long is waited before that.
    pub retry_delay: Option<Duration>,
    compression: Option<CompressionFormat>,
    compression_level: Option<u32>,
}

impl ContainersConf {
    /// The file that `CONTAINERS_CONF` names, alone; else the distribution's, the system's and the
    /// user's with their drop-ins, later ones before earlier ones; and what
    /// `CONTAINERS_CONF_OVERRIDE` names before all.
    ///
    /// # Errors
    /// If one cannot be read or understood.
    pub fn configured() -> Result<Self, Failure> {
        let mut found = Self::default();
        for path in files() {
            let cannot = |why: String| {
                Failure::message(format!("cannot use `{}`: {why}", path.display())).with_status(125)
            };
            match fs::read_to_string(&path) {
                Ok(text) => found.add(&text).map_err(cannot)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(cannot(error.to_string())),
            }
        }
        Ok(found)
    }

    /// `args` with our values where they have none.
    pub fn confine(&self, args: &ConfineArgs) -> ConfineArgs {
        let or = |given: &[String], ours: &[String]| match given.is_empty() {
            true => ours.to_vec(),
            false => given.to_vec(),
        };
        // One --dns says all about names.
        let names = args.dns.is_empty();
        let ours = |list: &[String]| if names { list.to_vec() } else { Vec::new() };
        ConfineArgs {
            ulimit: or(&args.ulimit, &self.ulimits),
            shm_size: args.shm_size.clone().or_else(|| self.shm_size.clone()),
            dns: or(&args.dns, &self.dns),
            dns_search: or(&args.dns_search, &ours(&self.dns_search)),
            dns_option: or(&args.dns_option, &ours(&self.dns_option)),
            ..args.clone()
        }
    }

    /// The format and the level of new layers for which `args` have none.
    pub fn compression(&self, args: &CompressionArgs) -> (Option<CompressionFormat>, Option<u32>) {
        match args.compression_format {
            Some(_) => (args.compression_format, args.compression_level),
            None => (
                self.compression,
                args.compression_level.or(self.compression_level),
            ),
        }
    }

    fn add(&mut self, text: &str) -> Result<(), String> {
        let table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| error.message().to_owned())?;
        if let Some(Value::Table(containers)) = table.get("containers") {
            list(containers, "default_ulimits", &mut self.ulimits)?;
            list(containers, "dns_servers", &mut self.dns)?;
            list(containers, "dns_searches", &mut self.dns_search)?;
            list(containers, "dns_options", &mut self.dns_option)?;
            put(containers, "shm_size", &mut self.shm_size, |value| {
                value.as_str().map(str::to_owned)
            })?;
            put(
                containers,
                "http_proxy",
                &mut self.http_proxy,
                Value::as_bool,
            )?;
        }
        if let Some(Value::Table(engine)) = table.get("engine") {
            let number = |value: &Value| value.as_integer().and_then(|it| it.try_into().ok());
            put(engine, "retry", &mut self.retry, number)?;
            put(engine, "retry_delay", &mut self.retry_delay, |value| {
                amount::delay(value.as_str()?).ok()
            })?;
            put(
                engine,
                "compression_format",
                &mut self.compression,
                |value| {
                    Some(match value.as_str()? {
                        "gzip" => CompressionFormat::Gzip,
                        "zstd" => CompressionFormat::Zstd,
                        "zstd:chunked" => CompressionFormat::ZstdChunked,
                        _ => return None,
                    })
                },
            )?;
            put(
                engine,
                "compression_level",
                &mut self.compression_level,
                number,
            )?;
        }
        Ok(())
    }
}

/// Takes the value of `key`, if there is one.
fn put<T>(
    table: &Table,
    key: &str,
    to: &mut Option<T>,
    parse: impl FnOnce(&Value) -> Option<T>,
) -> Result<(), String> {
    if let Some(value) = table.get(key) {
        *to = Some(parse(value).ok_or_else(|| wrong(key, value))?);
    }
    Ok(())
}

fn wrong(key: &str, value: &Value) -> String {
    match value.as_str() {
        Some(text) => format!("`{key}` cannot be `{text}`"),
        None => format!("`{key}` cannot be this {}", value.type_str()),
    }
}

/// Takes a list of words; with `{append = true}` in it, it continues the one before.
fn list(table: &Table, key: &str, to: &mut Vec<String>) -> Result<(), String> {
    let Some(value) = table.get(key) else {
        return Ok(());
    };
    let wrong = || wrong(key, value);
    let (mut words, mut appends) = (Vec::new(), false);
    for item in value.as_array().ok_or_else(wrong)? {
        match item {
            Value::String(word) => words.push(word.clone()),
            Value::Table(options) => {
                let append = options.get("append").and_then(Value::as_bool);
                appends = append.ok_or_else(wrong)?;
            }
            _ => return Err(wrong()),
        }
    }
    if !appends {
        to.clear();
    }
    to.append(&mut words);
    Ok(())
}

/// The files, the first to be read first.
fn files() -> Vec<PathBuf> {
    let after = settings::path("CONTAINERS_CONF_OVERRIDE");
    if let Some(only) = settings::path("CONTAINERS_CONF") {
        return [only].into_iter().chain(after).collect();
    }
    let own = settings::config_home().map(|config| config.join("containers"));
    let mut files = vec![PathBuf::from("/usr/share/containers/containers.conf")];
    for dir in [PathBuf::from("/etc/containers")].into_iter().chain(own) {
        files.push(dir.join("containers.conf"));
        files.extend(settings::drop_ins(&dir.join("containers.conf.d")));
    }
    files.into_iter().chain(after).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::ContainersConf;
    use crate::cli::CompressionFormat;

    #[test]
    fn later_files_win_and_lists_can_go_on() {
        let mut site = ContainersConf::default();
        for text in [
            "[containers]\ndefault_ulimits = [\"nofile=10:20\"]\ndns_servers = [\"1.1.1.1\"]\n\
             shm_size = \"1m\"\ndefault_capabilities = [\"KILL\"]\n[engine]\nretry = 3\n",
            "[containers]\ndefault_ulimits = [\"core=0:0\", {append = true}]\nhttp_proxy = false\n\
             dns_servers = [\"2.2.2.2\"]\n[engine]\nretry_delay = \"2s\"\ncompression_format = \"zstd\"\n",
        ] {
            site.add(text).unwrap();
        }
        let expected = ContainersConf {
            ulimits: ["nofile=10:20", "core=0:0"].map(str::to_owned).to_vec(),
            shm_size: Some("1m".to_owned()),
            dns: vec!["2.2.2.2".to_owned()],
            http_proxy: Some(false),
            retry: Some(3),
            retry_delay: Some(Duration::from_secs(2)),
            compression: Some(CompressionFormat::Zstd),
            ..ContainersConf::default()
        };
        assert_eq!(site, expected);
    }

    #[test]
    fn values_of_another_kind_are_refused() {
        for text in [
            "[containers]\ndns_servers = 1",
            "[containers]\ndns_servers = [1]",
            "[containers]\nhttp_proxy = \"yes\"",
            "[engine]\nretry = -1",
            "[engine]\nretry_delay = 5",
            "[engine]\ncompression_format = \"lzma\"",
            "[containers",
        ] {
            assert!(ContainersConf::default().add(text).is_err(), "{text}");
        }
    }
}
