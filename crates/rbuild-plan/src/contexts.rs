//! Named build contexts: which one a name in the file means.
//!
//! Knows: how names are compared, and that one for our platform is preferred.
//! Does not know: what is in a context; stages and images, which a context replaces.
//!
//! Spec: dockerfile.md F5.

use rbuild_oci::Platform;

use crate::inputs::{ContextKind, Inputs};

/// The context called `name`, with its key in [`Inputs::contexts`]; `None` if there is none.
///
/// `name::platform` is preferred to `name`. Case does not count, for stages are called
/// that way; nor do `docker.io/`, `library/` and `:latest`, which an image's name may leave out.
pub(crate) fn of_name<'a>(inputs: &'a Inputs, name: &str) -> Option<(&'a str, &'a ContextKind)> {
    let wanted = familiar(name);
    let rank = |key: &str| {
        let (name, platform) = match key.split_once("::") {
            Some((name, platform)) => (name, Some(platform)),
            None => (key, None),
        };
        let ours = |text: &str| {
            text.parse::<Platform>()
                .is_ok_and(|platform| inputs.platform.matches(&platform))
        };
        let fits = familiar(name).eq_ignore_ascii_case(wanted) && platform.is_none_or(ours);
        fits.then_some(platform.is_none())
    };
    let contexts = inputs.contexts.iter();
    contexts
        .filter_map(|(key, kind)| Some((rank(key)?, key.as_str(), kind)))
        .min_by_key(|&(without_platform, ..)| without_platform)
        .map(|(_, key, kind)| (key, kind))
}

/// The shortest form of an image's name; other names stay as they are.
fn familiar(name: &str) -> &str {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    name.strip_suffix(":latest").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::{familiar, of_name};
    use crate::inputs::{ContextKind, Inputs};
    use rbuild_oci::Platform;

    #[test]
    fn names_have_a_shortest_form_f5() {
        for (name, expected) in [
            ("alpine", "alpine"),
            ("alpine:latest", "alpine"),
            ("docker.io/library/alpine:3", "alpine:3"),
            ("docker.io/me/app:latest", "me/app"),
            ("quay.io/me/app", "quay.io/me/app"),
        ] {
            assert_eq!(familiar(name), expected);
        }
    }

    #[test]
    fn a_context_for_our_platform_is_preferred_f5() {
        let keys = ["a", "a::linux/arm64", "a::linux/amd64", "b::linux/arm64"];
        let inputs = Inputs {
            platform: Platform::new("linux", "amd64", None),
            contexts: keys.map(|key| (key.to_owned(), ContextKind::Files)).into(),
            ..Inputs::default()
        };
        let key = |name| of_name(&inputs, name).map(|(key, _)| key);
        assert_eq!(key("a"), Some("a::linux/amd64"));
        assert_eq!(key("A:latest"), Some("a::linux/amd64"));
        assert_eq!(key("b"), None);
        assert_eq!(key("c"), None);
    }
}
