//! What can go wrong when a context is looked at.

use std::io;

use rbuild_sys as sys;

/// What every fallible function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// A context could not be understood or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A line of an ignore file is no pattern.
    #[error("ignore file, line {line}: `{pattern}` {why}")]
    IgnorePattern {
        /// Its number, from 1.
        line: usize,
        /// The pattern.
        pattern: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// An ignore file is too large.
    #[error("ignore file `{name}` exceeds the limit `{limit}` of {allowed}")]
    IgnoreLimit {
        /// Name of the file.
        name: String,
        /// Name of the limit.
        limit: &'static str,
        /// Its value.
        allowed: usize,
    },
    /// An ignore file is not text.
    #[error("ignore file `{name}` is not UTF-8")]
    IgnoreText {
        /// Name of the file.
        name: String,
    },
    /// What `--exclude` says is no pattern.
    #[error("`--exclude={pattern}` {why}")]
    Exclude {
        /// The pattern.
        pattern: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A source's wildcard is malformed.
    #[error("`{pattern}` {why}")]
    Wildcard {
        /// The pattern.
        pattern: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A source without wildcards does not exist.
    #[error("`/{path}` not found")]
    NotFound {
        /// The path in the root.
        path: String,
    },
    /// A source without wildcards exists, but is excluded.
    #[error("`/{path}` not found (hint: the ignore file excludes it)")]
    Ignored {
        /// The path in the root.
        path: String,
    },
    /// Something cannot be looked at.
    #[error("cannot read `/{path}`")]
    Read {
        /// The path in the root.
        path: String,
        /// Why.
        source: sys::Error,
    },
    /// The content of a file cannot be read.
    #[error("cannot read the content of `/{path}`")]
    Content {
        /// The path in the root; empty if it is not known.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A cache of content digests is not one of ours.
    #[error("the cache of content digests is damaged or of another version")]
    StatCache,
}

/// `path` for a message.
pub(crate) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
