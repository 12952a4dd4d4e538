//! Comments that mean something for the instruction below them.
//!
//! Spec: dockerfile.md P19, D5.

use crate::ast::{Checks, Spanned};
use crate::diagnostic::Diagnostic;
use crate::directive::check;

/// What `comments` say about `name`, case ignored: the text after it.
pub(super) fn description(comments: &[Spanned<String>], name: &str) -> Option<Spanned<String>> {
    comments.iter().find_map(|comment| {
        let text = comment.value.as_str();
        let start = text.get(..name.len())?;
        let rest = text[name.len()..].strip_prefix(' ')?.trim_start();
        let fits = start.eq_ignore_ascii_case(name) && !rest.is_empty();
        let end = comment.span.end;
        fits.then(|| Spanned {
            value: rest.to_owned(),
            span: end - rest.len()..end,
        })
    })
}

/// What the `# check=` among `comments` say, all together. One that is not
/// understood has no effect, and `error` cannot be said here.
pub(super) fn checks(comments: &[Spanned<String>], found: &mut Vec<Diagnostic>) -> Checks {
    let mut all = Checks::default();
    for comment in comments {
        let Some((name, value)) = comment.value.split_once('=') else {
            continue;
        };
        if !name.trim().eq_ignore_ascii_case("check") {
            continue;
        }
        match check::parse(value) {
            Ok(checks) => {
                all.skip.extend(checks.skip);
                all.experimental.extend(checks.experimental);
            }
            Err(problem) => found.push(Diagnostic::warning(comment.span.clone(), problem)),
        }
    }
    all
}
