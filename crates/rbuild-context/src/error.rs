//! What can go wrong when a context is looked at.

use std::io;

use rbuild_http::Url;
use rbuild_oci::Digest;
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
    #[error("`/{path}` not found")]
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
    /// A text that names a git repository is wrong.
    #[error("`{url}` is not a usable git source: {why}")]
    GitSource {
        /// The text, without user and password.
        url: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// The git program cannot be started.
    #[error("cannot run `{program}`")]
    GitProgram {
        /// Its name or path.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// git said no.
    #[error("cannot {action} the repository `{url}`: {message}")]
    Git {
        /// What it was to do.
        action: &'static str,
        /// The repository.
        url: String,
        /// What git said.
        message: String,
    },
    /// The reference leads to another commit than it must.
    #[error("`{url}` has commit {found} where {expected} is expected")]
    GitCommit {
        /// The repository.
        url: String,
        /// The digits that were asked for.
        expected: String,
        /// The commit that there is.
        found: String,
    },
    /// The directory that a git source names is not in the repository.
    #[error("cannot open the directory `{directory}` of the repository `{url}`")]
    GitDirectory {
        /// The repository.
        url: String,
        /// The directory.
        directory: String,
        /// Why.
        source: sys::Error,
    },
    /// A text that names a build context is wrong.
    #[error("build context `{text}` {why}")]
    ContextName {
        /// The text, without user and password.
        text: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// The platform of a named context is none.
    #[error("cannot understand the platform of a build context")]
    ContextPlatform(#[source] rbuild_oci::Error),
    /// No request, or no answer to it.
    #[error("cannot fetch a file")]
    Http(#[from] rbuild_http::Error),
    /// The server said no.
    #[error("cannot fetch `{url}`: the server answers with status {status}")]
    Status {
        /// The URL.
        url: Url,
        /// The status code.
        status: u16,
    },
    /// The answer ends early.
    #[error("cannot fetch all of `{url}`")]
    Body {
        /// The URL.
        url: Url,
        /// Why.
        source: io::Error,
    },
    /// The answer cannot be written down.
    #[error("cannot store what is fetched from `{url}`")]
    Store {
        /// The URL.
        url: Url,
        /// Why.
        source: io::Error,
    },
    /// The answer is larger than allowed.
    #[error("`{url}` exceeds the limit `size` of {allowed} bytes")]
    TooLarge {
        /// The URL.
        url: Url,
        /// Most bytes.
        allowed: u64,
    },
    /// The answer is not what it must be.
    #[error("`{url}` has the digest {found} where {expected} is expected")]
    Checksum {
        /// The URL.
        url: Url,
        /// The digest that was asked for.
        expected: Digest,
        /// The digest that there is.
        found: Digest,
    },
    /// A cache of content digests is not one of ours.
    #[error("the cache of content digests is damaged or of another version")]
    StatCache,
}

impl Error {
    /// What the user could try.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Ignored { .. } => Some("the ignore file excludes it"),
            Self::GitProgram { .. } => Some("git sources need the program `git`"),
            _ => None,
        }
    }
}

/// `path` for a message.
pub(crate) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
