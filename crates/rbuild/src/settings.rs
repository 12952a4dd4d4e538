//! What the environment says, read once.

use std::{
    collections::BTreeMap,
    env, fs,
    num::NonZero,
    path::{Path, PathBuf},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::ValueEnum;
use rbuild_context::{Git, GitDir};
use rbuild_http::{Backoff, Proxies, Settings};
use rbuild_store::{Durability, Store};

use crate::{
    cli::{Global, Sync},
    description::EPOCH,
    failure::Failure,
};

/// Proxy variables that reach RUN without an ARG (A7), in both cases.
const PROXIES: [&str; 5] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// Opens the store where, and writes to it as, the flags or the environment say.
///
/// # Errors
/// When there is no home directory, or the store cannot be used.
pub fn store(global: &Global) -> Result<Store, Failure> {
    Ok(Store::open(&store_path(global)?, durability(global)?)?)
}

/// Where [`store`] is: `--root`, else `RBUILD_STORE`, else `$XDG_DATA_HOME/rbuild`, else
/// `~/.local/share/rbuild`.
///
/// # Errors
/// When there is no home directory.
pub fn store_path(global: &Global) -> Result<PathBuf, Failure> {
    global
        .root
        .clone()
        .or_else(|| path("RBUILD_STORE"))
        .or_else(|| path("XDG_DATA_HOME").map(|data| data.join("rbuild")))
        .or_else(|| path("HOME").map(|home| home.join(".local/share/rbuild")))
        .ok_or_else(|| {
            Failure::message("cannot tell where to keep images: HOME is not set")
                .with_hint("use --root DIR, or set RBUILD_STORE")
        })
}

/// `--sync`, else `RBUILD_SYNC`; what is committed survives unless they say otherwise (store.md 8).
fn durability(global: &Global) -> Result<Durability, Failure> {
    let said = match (global.sync, env::var("RBUILD_SYNC")) {
        (Some(flag), _) => Some(flag),
        (None, Ok(text)) if !text.is_empty() => {
            let why = || format!("RBUILD_SYNC is `{text}`: it can be `commit` or `none`");
            Some(Sync::from_str(&text, false).map_err(|_| Failure::message(why()))?)
        }
        _ => None,
    };
    Ok(match said {
        Some(Sync::None) => Durability::None,
        Some(Sync::Commit) | None => Durability::Commit,
    })
}

/// How many steps run at the same time: `--jobs`, where 0 means no limit, else the CPUs that this
/// process may use by its affinity and its cgroup.
pub fn jobs(flag: Option<usize>) -> NonZero<usize> {
    match flag {
        Some(jobs) => NonZero::new(jobs).unwrap_or(NonZero::<usize>::MAX),
        None => thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
    }
}

/// Build arguments: those of the `site`, then those of the files of `--build-arg-file`, then `--build-arg`;
/// later ones win. A name without `=` takes the value of the environment, or is ignored where it
/// is not set (A9).
///
/// # Errors
/// If a file cannot be read, or a line of it has no name.
pub fn build_args(
    site: BTreeMap<String, String>,
    files: &[PathBuf],
    flags: &[String],
) -> Result<BTreeMap<String, String>, Failure> {
    let mut args = site;
    for file in files {
        let cannot = |why: String| {
            let file = file.display();
            Failure::message(format!("cannot use --build-arg-file `{file}`: {why}"))
        };
        let text = fs::read_to_string(file).map_err(|error| cannot(error.to_string()))?;
        for (number, line) in (1..).zip(text.lines()) {
            if line.starts_with('=') {
                return Err(cannot(format!("line {number} has no name")));
            }
            if !line.is_empty() && !line.starts_with('#') {
                add_build_arg(&mut args, line);
            }
        }
    }
    for flag in flags {
        add_build_arg(&mut args, flag);
    }
    Ok(args)
}

fn add_build_arg(args: &mut BTreeMap<String, String>, text: &str) {
    match text.split_once('=') {
        Some((name, value)) => drop(args.insert(name.to_owned(), value.to_owned())),
        None => drop(env::var(text).map(|value| args.insert(text.to_owned(), value))),
    }
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
pub fn http(backoff: Backoff) -> Settings {
    Settings {
        backoff,
        proxies: site_proxies(),
        user_agent: concat!("rbuild/", env!("CARGO_PKG_VERSION")).to_owned(),
        ..Settings::default()
    }
}

/// Whether a build context that is a git repository keeps its `.git`: the build argument
/// `BUILDKIT_CONTEXT_KEEP_GIT_DIR` (A8).
pub fn git_dir(args: &BTreeMap<String, String>) -> GitDir {
    let asked = args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR");
    match asked.is_some_and(|value| matches!(value.as_str(), "1" | "true")) {
        true => GitDir::Kept,
        false => GitDir::Removed,
    }
}

/// For git repositories: the site's proxies, and the keys of the ssh agent `agent`.
pub fn git(agent: Option<&PathBuf>) -> Git {
    let usual = Git::default();
    Git {
        search_path: env::var_os("PATH").unwrap_or(usual.search_path),
        ssh_agent: agent.map(|socket| socket.clone().into_os_string()),
        known_hosts: path("HOME")
            .map(|home| home.join(".ssh/known_hosts"))
            .filter(|file| file.is_file())
            .and_then(|file| file.into_os_string().into_string().ok()),
        proxies: site_proxies(),
        ..usual
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

/// The files `*.conf` of a directory, by name.
pub fn drop_ins(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|it| it == "conf"));
    files.sort();
    files
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
