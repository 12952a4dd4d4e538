//! The values of `RUN --mount=` that come from closed sets.
//!
//! Knows: their names. Does not know: which keys a type takes, what a mount does.
//!
//! The parser and, for values with variables, the plan both ask here.
//!
//! Spec: dockerfile.md R8.

/// `type=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MountKind {
    /// Files of the context, a stage or an image.
    #[default]
    Bind,
    /// A directory that outlives the build.
    Cache,
    /// An empty directory in memory.
    Tmpfs,
    /// A file or variable that leaves no trace.
    Secret,
    /// The socket of an ssh agent.
    Ssh,
}

/// `sharing=` of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Several steps use it at once.
    #[default]
    Shared,
    /// A step that finds it in use gets one of its own.
    Private,
    /// A step that finds it in use waits.
    Locked,
}

/// The names of all types.
pub const KINDS: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];

/// The names of all ways of sharing.
pub const SHARINGS: [&str; 3] = ["shared", "private", "locked"];

impl MountKind {
    /// The type called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "bind" => Self::Bind,
            "cache" => Self::Cache,
            "tmpfs" => Self::Tmpfs,
            "secret" => Self::Secret,
            "ssh" => Self::Ssh,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        KINDS[self as usize]
    }
}

impl Sharing {
    /// The way of sharing called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "shared" => Self::Shared,
            "private" => Self::Private,
            "locked" => Self::Locked,
            _ => return None,
        })
    }
}

/// The value of `cache` of a secret whose content is a reason to run again (cli.md, wish 8).
pub const SECRET_COUNTS: &str = "content";

/// A boolean as flags and mount options write it.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}
