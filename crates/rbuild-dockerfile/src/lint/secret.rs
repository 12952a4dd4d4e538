//! `SecretsUsedInArgOrEnv`: `ARG` and `ENV` end up in the image, or in its history.

use super::rules::SECRETS_USED_IN_ARG_OR_ENV;
use crate::ast::{Dockerfile, Kind, Word};
use crate::diagnostic::Diagnostic;

/// Words in the name of a secret.
const TOKENS: [&str; 10] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "password",
    "pword",
    "passwd",
    "secret",
    "token",
];

/// Words in the name of something that is none after all.
const HARMLESS: [&str; 3] = ["public", "file", "version"];

pub(super) fn check(file: &Dockerfile, found: &mut Vec<Diagnostic>) {
    let instructions = file.stages.iter().flat_map(|stage| &stage.instructions);
    for instruction in file.globals.iter().chain(instructions) {
        match &instruction.kind {
            Kind::Arg(pairs) => {
                found.extend(pairs.iter().filter_map(|pair| finding("ARG", &pair.name)));
            }
            Kind::Env(pairs) => {
                found.extend(pairs.iter().filter_map(|pair| finding("ENV", &pair.key)));
            }
            _ => {}
        }
    }
}

fn finding(instruction: &str, name: &Word) -> Option<Diagnostic> {
    let text = name.value.trim_matches(['"', '\'']).to_ascii_lowercase();
    let has = |words: &[&str]| text.split('_').any(|word| words.contains(&word));
    if !has(&TOKENS) || has(&HARMLESS) {
        return None;
    }
    let message = format!(
        "`{instruction} {}` may put a secret into the image",
        name.value
    );
    let hint = "use `RUN --mount=type=secret`";
    let finding = Diagnostic::warning(name.span.clone(), message).with_hint(hint);
    Some(finding.of_rule(SECRETS_USED_IN_ARG_OR_ENV))
}
