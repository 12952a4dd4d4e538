//! What the environment says, read once.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use rbuild_http::{Proxies, Settings};
use rbuild_store::{Durability, Store};

use crate::{description::EPOCH, failure::Failure};

/// Proxy variables that reach RUN without an ARG (A7), in both cases.
const PROXIES: [&str; 5] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// Opens the store: `--root`, else `RBUILD_STORE`, else `$XDG_DATA_HOME/rbuild`, else
/// `~/.local/share/rbuild`.
///
/// # Errors
/// When there is no home directory, or the store cannot be used.
pub fn store(root: Option<&Path>) -> Result<Store, Failure> {
    Ok(Store::open(&store_path(root)?, Durability::Commit)?)
}

/// Where [`store`] is.
///
/// # Errors
/// When there is no home directory.
pub fn store_path(root: Option<&Path>) -> Result<PathBuf, Failure> {
    root.map(Path::to_owned)
        .or_else(|| path("RBUILD_STORE"))
        .or_else(|| path("XDG_DATA_HOME").map(|data| data.join("rbuild")))
        .or_else(|| path("HOME").map(|home| home.join(".local/share/rbuild")))
        .ok_or_else(|| {
            Failure::message("cannot tell where to keep images: HOME is not set")
                .with_hint("use --root DIR, or set RBUILD_STORE")
        })
}

/// `--build-arg` values; a name without `=` takes the value of the environment, or is ignored
/// where it is not set (A9).
pub fn build_args(flags: &[String]) -> BTreeMap<String, String> {
    let mut args: BTreeMap<String, String> = proxies();
    for flag in flags {
        match flag.split_once('=') {
            Some((name, value)) => drop(args.insert(name.to_owned(), value.to_owned())),
            None => drop(env::var(flag).map(|value| args.insert(flag.clone(), value))),
        }
    }
    args
}

/// Proxy variables that are set.
pub fn proxies() -> BTreeMap<String, String> {
    let names = PROXIES
        .iter()
        .flat_map(|name| [(*name).to_owned(), name.to_ascii_lowercase()]);
    names
        .filter_map(|name| Some((name.clone(), env::var(&name).ok()?)))
        .collect()
}

/// `SOURCE_DATE_EPOCH`, seconds since 1970; a build argument of that name wins.
///
/// # Errors
/// If it is set and not a number.
pub fn epoch(args: &BTreeMap<String, String>) -> Result<Option<i64>, Failure> {
    let text = args.get(EPOCH).cloned().or_else(|| env::var(EPOCH).ok());
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let seconds = text.parse().map_err(|_| {
        Failure::message(format!(
            "SOURCE_DATE_EPOCH is `{text}`, which is not a number of seconds"
        ))
    })?;
    Ok(Some(seconds))
}

/// For what fetches: the site's proxies, and our name.
pub fn http() -> Settings {
    Settings {
        proxies: site_proxies(),
        user_agent: concat!("rbuild/", env!("CARGO_PKG_VERSION")).to_owned(),
        ..Settings::default()
    }
}

/// The site's proxies.
fn site_proxies() -> Proxies {
    let set = |name: &str| {
        env::var(name.to_ascii_lowercase())
            .or_else(|_| env::var(name))
            .ok()
    };
    // HTTP_PROXY in upper case may come from a CGI request: only the lower case counts there.
    Proxies {
        http: env::var("http_proxy").ok(),
        https: set("HTTPS_PROXY"),
        no_proxy: set("NO_PROXY").unwrap_or_default(),
    }
}

/// A path that a variable names; `None` if it is not set, or empty.
pub fn path(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// Where this user keeps configuration; `None` without a home directory.
pub fn config_home() -> Option<PathBuf> {
    path("XDG_CONFIG_HOME").or_else(|| path("HOME").map(|home| home.join(".config")))
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// `KEY=VALUE` flags as a map; the last one of a key wins. A flag without `=` has an empty value.
pub fn pairs(flags: &[String]) -> BTreeMap<String, String> {
    let pair = |flag: &String| {
        let (key, value) = flag.split_once('=').unwrap_or((flag, ""));
        (key.to_owned(), value.to_owned())
    };
    flags.iter().map(pair).collect()
}
