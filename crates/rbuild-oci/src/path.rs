//! Paths inside an image. Never host paths: `rbuild_sys::Dir` opens them below some root.

use std::fmt;

/// Absolute, clean path inside an image: starts with `/`, no `.`, no `..`, no
/// empty component, no trailing slash except for the root itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImagePath(String);

impl ImagePath {
    /// The root, `/`.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// `path` seen from `self`, cleaned lexically as Go's `path.Join` does it:
    /// an absolute `path` replaces `self`; `..` above the root stays at the root.
    ///
    /// `None` if there is a NUL in it.
    pub fn join(&self, path: &str) -> Option<Self> {
        if path.contains('\0') {
            return None;
        }
        let mut parts: Vec<&str> = if path.starts_with('/') {
            Vec::new()
        } else {
            self.components().collect()
        };
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                name => parts.push(name),
            }
        }
        Some(Self(format!("/{}", parts.join("/"))))
    }

    /// The path as text, with its leading `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without its leading `/`: relative to the image's root, empty for the root itself.
    pub fn relative(&self) -> &str {
        &self.0[1..]
    }

    /// Names from the root down.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|part| !part.is_empty())
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        self.0 == "/"
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::ImagePath;

    #[track_caller]
    fn check(from: &str, path: &str, expected: &str) {
        let from = ImagePath::root().join(from).unwrap();
        assert_eq!(from.join(path).unwrap().as_str(), expected);
    }

    #[test]
    fn joining_cleans() {
        check("/", "", "/");
        check("/a/b", "c", "/a/b/c");
        check("/a/b", "/c/", "/c");
        check("/a/b", "../../../..", "/");
        check("/a//b/./", "./x//y/.", "/a/b/x/y");
    }

    #[test]
    fn nul_is_refused() {
        assert_eq!(ImagePath::root().join("a\0b"), None);
    }
}
