//! The value of `# check=`: `skip=A,B|all;error=true|false;experimental=A,B|all`.
//!
//! Spec: dockerfile.md D5.

use crate::ast::{Checks, Rules};
use crate::mount::parse_bool;
use crate::suggest::nearest;
use std::collections::BTreeSet;

const KEYS: [&str; 3] = ["skip", "error", "experimental"];

/// Reads `value`; the build argument `BUILDKIT_DOCKERFILE_CHECK` has the same form.
///
/// # Errors
/// The message for the user.
pub fn parse(value: &str) -> Result<Checks, String> {
    let mut checks = Checks::default();
    let parts: Vec<&str> = value.split(';').collect();
    if parts.len() > KEYS.len() {
        return Err("`check` has more than three parts".to_owned());
    }
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match (key.trim(), value.trim()) {
            ("", "") => {}
            (key, "") => return Err(format!("`{}` in `check` has no value", shown(key))),
            ("skip", names) => checks.skip = rules(names),
            ("experimental", names) => checks.experimental = rules(names),
            ("error", flag) => {
                checks.error = parse_bool(flag)
                    .ok_or_else(|| format!("`{}` is neither `true` nor `false`", shown(flag)))?;
            }
            (key, _) => return Err(unknown(key)),
        }
    }
    Ok(checks)
}

fn rules(names: &str) -> Rules {
    let names = names.split(',').map(str::trim);
    let names: BTreeSet<String> = names
        .filter(|name| !name.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    match names.contains("all") {
        true => Rules::All,
        false => Rules::Named(names),
    }
}

fn unknown(key: &str) -> String {
    let known = KEYS.join("`, `");
    match nearest(key, KEYS) {
        Some(meant) => format!(
            "`check` has no part `{}`: did you mean `{meant}`?",
            shown(key)
        ),
        None => format!("`check` has no part `{}`: there are `{known}`", shown(key)),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
