//! A blocking client of the OCI distribution specification.
//!
//! Knows: manifests and blobs of one repository, tokens, resuming, uploading.
//! Does not know: short names, mirrors, where bytes are kept, what is in a layer.
//!
//! Invariant: no byte is handed out as the end of something before digest and size of the
//! whole were right; from a lying server at most one byte more than announced is read.

mod auth;
mod blob;
mod error;
mod manifest;
mod push;
mod repository;

pub use blob::BlobReader;
pub use error::{Error, Result};
pub use repository::{Access, Repository, Scope};
