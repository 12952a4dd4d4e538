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

/// Whether the value of a variable called `name` may be a secret: stricter than the check, for
/// those who would show it.
pub fn may_name_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let word = |token: &str| name.split('_').any(|word| word == token);
    // Short ones are parts of harmless words too: `monkey`, `author`.
    let found = |token: &str| word(token) || (token.len() > 4 && name.contains(token));
    TOKENS.iter().any(|token| found(token)) || ["pat", "pwd", "pass"].into_iter().any(word)
}

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

#[cfg(test)]
mod tests {
    use super::may_name_secret;

    #[test]
    fn a_name_that_may_be_that_of_a_secret_is_taken_for_one() {
        for name in [
            "TOKEN",
            "API_KEY",
            "DBPASSWORD",
            "GITHUB_PAT",
            "npm_authtoken",
            "PUBLIC_KEY",
        ] {
            assert!(may_name_secret(name), "{name}");
        }
        for name in ["VERSION", "MONKEY", "AUTHOR", "PATH", "COMPASS", ""] {
            assert!(!may_name_secret(name), "{name}");
        }
    }
}
