//! Package URLs: what an image or a package is called in attestations. Pure.
//!
//! The specification of purl, "Rules for each purl component", and its type `docker`, as BuildKit
//! fills it in.

use std::fmt::Write;

use rbuild_oci::{Name, Platform};

/// `text` with everything escaped but letters, digits and `.-_~`.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~".contains(&byte) {
            out.push(byte.into());
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    out
}

/// The image `name` for `platform`, e.g. `pkg:docker/quay.io/a/b@1?platform=linux%2Famd64`. What is
/// on Docker Hub is called as its users call it.
pub(crate) fn of_image(name: &Name, platform: &Platform) -> String {
    let repository = name.repository();
    let hub = repository.strip_prefix("docker.io/");
    let short = hub.map(|path| path.strip_prefix("library/").unwrap_or(path));
    let path: Vec<String> = short
        .unwrap_or(repository)
        .split('/')
        .map(escaped)
        .collect();
    let tag = name.tag().map(|tag| format!("@{}", escaped(tag)));
    let platform = escaped(&platform.to_string());
    let (path, tag) = (path.join("/"), tag.unwrap_or_default());
    format!("pkg:docker/{path}{tag}?platform={platform}")
}

#[cfg(test)]
mod tests {
    use rbuild_oci::{Name, Platform};

    use super::of_image;

    #[test]
    fn an_image_is_called_as_its_users_call_it() {
        let platform = Platform::new("linux", "amd64", None);
        let check = |name: &str, expected: &str| {
            let name = Name::parse(name).unwrap();
            assert_eq!(of_image(&name, &platform), format!("pkg:docker/{expected}"));
        };
        check(
            "docker.io/library/alpine:3",
            "alpine@3?platform=linux%2Famd64",
        );
        check("docker.io/a/b:1", "a/b@1?platform=linux%2Famd64");
        check(
            "127.0.0.1:5000/a:1",
            "127.0.0.1%3A5000/a@1?platform=linux%2Famd64",
        );
    }
}
