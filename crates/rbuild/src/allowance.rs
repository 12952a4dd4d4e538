//! What builds may leave behind: the budget of `storage.conf`, applied after each build.
//!
//! ```toml
//! [gc]
//! max-used-space = "20GB"
//! min-free-space = "10GB"
//! keep-duration = "24h"
//! ```
//!
//! Knows: where the file is, and that a build never fails for it.
//! Does not know: what goes first ([`rbuild_store::decide`]).

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rbuild_store::{Budget, Policy, Store};
use serde::Deserialize;

use crate::{
    amount,
    failure::Failure,
    report::{self, Verbosity},
    settings,
    template::size,
};

/// What may stay after a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// `None`: everything.
    budget: Option<Budget>,
    /// What was used within so many seconds stays in any case.
    keep_seconds: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    gc: Gc,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Gc {
    max_used_space: Option<String>,
    min_free_space: Option<String>,
    keep_duration: Option<String>,
}

impl Allowance {
    /// As the user's `rbuild/storage.conf` says, else the system's; everything if there is none,
    /// or it gives no bound.
    ///
    /// # Errors
    /// If it cannot be read or understood.
    pub fn configured() -> Result<Self, Failure> {
        let own = settings::config_home().map(|config| config.join("rbuild/storage.conf"));
        let system = PathBuf::from("/etc/rbuild/storage.conf");
        for path in own.iter().chain([&system]) {
            match fs::read_to_string(path) {
                Ok(text) => return parse(&text).map_err(|why| unusable(path, &why)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(unusable(path, &error.to_string())),
            }
        }
        parse("").map_err(|why| unusable(&system, &why))
    }

    /// Deletes what is beyond the bounds. Living sessions keep what they use, so a build that
    /// has not ended loses nothing of its own.
    ///
    /// What cannot be deleted now is only told: the build is done.
    pub fn enforce(&self, store: &Store, verbosity: Verbosity) {
        if self.budget.is_none() {
            return;
        }
        let policy = Policy {
            now: settings::now(),
            keep_seconds: self.keep_seconds,
            budget: self.budget,
            ..Policy::default()
        };
        match store.prune(&policy) {
            Ok(gone) => {
                let freed: u64 = gone.iter().flatten().map(|victim| victim.size).sum();
                if freed > 0 {
                    verbosity.progress(&format!("storage.conf: freed {}", size(freed)));
                }
            }
            Err(error) => report::note(&format!("storage.conf: nothing more is freed: {error}")),
        }
    }
}

fn unusable(path: &Path, why: &str) -> Failure {
    Failure::message(format!("cannot use `{}`: {why}", path.display())).with_status(125)
}

fn parse(text: &str) -> Result<Allowance, String> {
    let Text { gc } = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let used = amount_of(
        "max-used-space",
        gc.max_used_space.as_deref(),
        amount::bytes,
    )?;
    let free = amount_of(
        "min-free-space",
        gc.min_free_space.as_deref(),
        amount::bytes,
    )?;
    let keep = amount_of(
        "keep-duration",
        gc.keep_duration.as_deref(),
        amount::seconds,
    )?;
    let bounded = used.is_some() || free.is_some();
    Ok(Allowance {
        budget: bounded.then(|| Budget {
            used: used.unwrap_or(u64::MAX),
            free: free.unwrap_or(0),
        }),
        keep_seconds: keep.unwrap_or(0),
    })
}

fn amount_of<T>(
    key: &str,
    text: Option<&str>,
    parse: fn(&str) -> Option<T>,
) -> Result<Option<T>, String> {
    let Some(text) = text else { return Ok(None) };
    match parse(text) {
        None => Err(format!("`{key}` cannot be `{text}`")),
        amount => Ok(amount),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match parse(text) {
            Err(why) => why,
            Ok(it) => match it.budget {
                None => "everything".to_owned(),
                Some(budget) => format!("{} {} {}", budget.used, budget.free, it.keep_seconds),
            },
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn there_is_no_bound_unless_one_is_given() {
        check("", "everything");
        check("[gc]\n", "everything");
        check("[gc]\nkeep-duration = \"1h\"\n", "everything");
    }

    #[test]
    fn bounds_are_amounts_as_prune_takes_them() {
        check("[gc]\nmax-used-space = \"2GB\"\n", "2000000000 0 0");
        check(
            "[gc]\nmin-free-space = \"1GiB\"\nkeep-duration = \"1m\"\n",
            &format!("{} 1073741824 60", u64::MAX),
        );
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        check(
            "[gc]\nmax-used-space = \"lots\"\n",
            "`max-used-space` cannot be `lots`",
        );
        assert!(parse("[gc]\nmax-space = \"1GB\"\n").is_err());
        assert!(parse("[storage]\ndriver = \"overlay\"\n").is_err());
    }
}
