//! A blocking client of the OCI distribution specification.
//!
//! Knows: manifests, blobs and signatures of one repository, logins and tokens, resuming,
//! uploading; what registries.conf, policy.json and auth.json mean.
//! Does not know: where those files are, where bytes are kept, what is in a layer.
//!
//! Invariant: no byte is handed out as the end of something before digest and size of the
//! whole were right; from a lying server at most one byte more than announced is read.

mod auth;
mod auth_file;
mod blob;
mod credential_helper;
mod credentials;
mod error;
mod manifest;
mod push;
mod referrers;
mod registries;
mod repository;
mod signature_policy;
mod sigstore;
mod tags;
mod transfer;
mod upload;

pub use auth::{Bearer, Challenge, best_challenge, parse_token};
pub use auth_file::{AuthFile, Entry, edited, emptied};
pub use blob::{BlobReader, PartReader};
pub use credential_helper::{erase as erase_login, get as get_login, store as store_login};
pub use credentials::{CredentialSources, Login};
pub use error::{Error, Result};
pub use manifest::Resolved;
pub use referrers::Referrer;
pub use registries::{Endpoint, Registries, Target};
pub use repository::{Access, Repository, Scope};
pub use signature_policy::{SignaturePolicy, Signed};
