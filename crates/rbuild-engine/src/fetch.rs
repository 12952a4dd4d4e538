//! What comes from outside as bytes, made into directories.
//!
//! Knows: which bytes are an archive, and where the files of a build context come from.
//! Does not know: instructions, trees of images, where directories for staging are.
//!
//! Invariant: what is fetched is written below the directory that the caller gave, and nowhere
//! else, whatever it says; after a failure the caller throws that directory away.
//!
//! Spec: dockerfile.md 1.11, X1 and X2; 1.13, I1; CVE-2020-10696, CVE-2026-28406,
//! CVE-2026-44517.

mod add;
mod archive;
mod context;
#[cfg(test)]
mod samples;

use std::io;

use rbuild_oci::Digest;

pub use add::{Added, Fetcher};
pub use archive::{archive_codec, unpack_archive};
pub use context::{ContextFetcher, Fetched, FetchedContext, MAX_DOCKERFILE};

/// Something elsewhere, as it was when it was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where it is; of a repository what SPDX calls it.
    pub uri: String,
    /// What there was.
    pub revision: Revision,
}

/// What tells one state of a place from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revision {
    /// A commit, all of its digits.
    Commit(String),
    /// What a server sent.
    Bytes(Digest),
}

/// Bytes from outside could not be made into a directory.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// They cannot be had: network, git, checksum.
    #[error("cannot fetch the build context")]
    Fetch(#[from] rbuild_context::Error),
    /// They cannot be read.
    #[error("cannot read {from}")]
    Read {
        /// Where they come from, e.g. `standard input`.
        from: String,
        /// Why.
        source: io::Error,
    },
    /// They are an archive that cannot be unpacked.
    #[error("cannot unpack {from}")]
    Unpack {
        /// Where they come from.
        from: String,
        /// Why.
        source: rbuild_layer::Error,
    },
    /// They are neither an archive nor a Dockerfile.
    #[error("{from} is no build context: {why}")]
    Neither {
        /// Where they come from.
        from: String,
        /// What they are.
        why: &'static str,
    },
    /// They cannot be put down.
    #[error("cannot store {from}")]
    Store {
        /// Where they come from.
        from: String,
        /// Why.
        source: rbuild_sys::Error,
    },
}
