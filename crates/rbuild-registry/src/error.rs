//! What can go wrong between us and a registry.

use std::{io, path::PathBuf, time::Duration};

use rbuild_oci::{BlobDigest, ManifestError};

/// What every function of this crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// A registry did not do what was asked. `what` names the object, with its repository.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer.
    #[error("no answer about {what}")]
    Send {
        /// The object.
        what: String,
        /// Why.
        source: rbuild_http::Error,
    },
    /// An answer that says no.
    #[error("the registry refused {what} with status {status}{message}")]
    Status {
        /// The object.
        what: String,
        /// The status code.
        status: u16,
        /// `: ` and what it says about that, or nothing.
        message: String,
        /// How long it wants us to wait, if it says that.
        retry_after: Option<Duration>,
    },
    /// It does not know us, or not as somebody who may.
    #[error("the registry refused {what} with status 401: {why}")]
    Unauthorized {
        /// The object.
        what: String,
        /// The registry's `host[:port]`.
        registry: String,
        /// Who we said we are.
        why: String,
    },
    /// A file of logins is damaged.
    #[error("cannot use the logins in `{path}`: {why}")]
    AuthFile {
        /// The file.
        path: PathBuf,
        /// What is wrong; no secrets.
        why: String,
    },
    /// A program that keeps logins does not work.
    #[error("cannot use `{program}`: {why}")]
    Helper {
        /// Its name.
        program: String,
        /// What is wrong; no secrets.
        why: String,
    },
    /// A registries.conf, a policy.json, or a key that it names, is wrong.
    #[error("cannot use `{path}`: {why}")]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The site's policy does not allow it.
    #[error("the signature policy does not allow `{image}`: {why}")]
    Rejected {
        /// The image.
        image: String,
        /// Which rule, or what its signatures lack.
        why: String,
    },
    /// The configuration leaves no place to ask.
    #[error("registries.conf does not allow `{name}`: {why}")]
    Blocked {
        /// The image.
        name: String,
        /// Which rule.
        why: String,
    },
    /// A short name that several registries may have, where only the user can say which is meant.
    #[error("`{name}` may mean {candidates}, and nobody can be asked which")]
    Ambiguous {
        /// The name.
        name: String,
        /// What it may mean.
        candidates: String,
    },
    /// It asks for credentials in a way that is not accepted.
    #[error("cannot log in for {what}: {why}")]
    Login {
        /// The object.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// The answer was lost on its way.
    #[error("lost the connection in {what}")]
    Lost {
        /// The object.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// Only all of it can be had.
    #[error("the registry does not serve parts of {what}")]
    Indivisible {
        /// The object.
        what: String,
    },
    /// Larger than such an object may be.
    #[error("{what} has more than {limit} bytes")]
    TooLarge {
        /// The object.
        what: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// Not what the specification says.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// The object.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// Other bytes than were asked for.
    #[error("{what} should have digest {expected}, but has {found}")]
    Digest {
        /// The object.
        what: String,
        /// What was asked for or announced.
        expected: BlobDigest,
        /// What came.
        found: BlobDigest,
    },
    /// It leads to no image that can be used here.
    #[error("cannot use {what}")]
    Manifest {
        /// The manifest or index.
        what: String,
        /// Why.
        source: ManifestError,
    },
    /// The bytes to push cannot be read.
    #[error("cannot read {what} to push it")]
    Source {
        /// The object.
        what: String,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// Whether the registry says that there is no such object, or none for us.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Status { status: 404, .. })
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unauthorized { registry, .. } => Some(format!(
                "log in with `rbuild login {registry}`, or use --creds or --authfile"
            )),
            Self::Send { source, .. } if source.is_without_tls() => Some(
                "it does not speak TLS; if it is to be trusted all the same: --tls-verify=false, or `insecure = true` for it in registries.conf".to_owned(),
            ),
            Self::Status { status: 403, .. } => Some(
                "this login may not do that; `rbuild login` or --creds take another one".to_owned(),
            ),
            Self::Status { status: 404, .. } => Some(
                "there is no such repository or tag, or it is not shown to this login".to_owned(),
            ),
            Self::Rejected { .. } => {
                Some("--signature-policy FILE follows another policy".to_owned())
            }
            Self::Ambiguous { .. } => Some(
                "write the full name, or give it an alias in registries.conf; `short-name-mode` \
                 there is `enforcing`"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}
