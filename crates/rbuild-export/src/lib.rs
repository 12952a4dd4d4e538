//! From a built tree to an image, and from an image to wherever it shall go.
//!
//! ```text
//! stage + frozen layers ── pack once, hash ──► diff ids
//! config + diff ids     ── assemble (pure) ──► image in the store      commit
//! root file system      ── unpack ───────────► image in the store      import
//! image in the store    ── compress once ────► blobs + manifest        manifest
//!                                                ├─► OCI layout, archive  layout
//!                                                └─► registry             push
//! image in the store    ── merged tree ──────► directory               local
//! ```
//!
//! A local image has no compressed layer: bytes are compressed when they leave, once.

mod annotations;
mod assemble;
mod check;
mod commit;
mod error;
mod hashing;
mod import;
mod layout;
mod local;
mod manifest;
mod push;

pub use annotations::{Annotations, Origin, Stamp, annotations};
pub use assemble::{Assembly, Layers, NewLayer, Telling, assemble, rfc3339};
pub use check::is_intact;
pub use commit::{BuiltLayer, Commit, commit};
pub use error::Error;
pub use import::{Import, Root, import};
pub use layout::{write_archive, write_layout};
pub use local::{write_path, write_tree};
pub use manifest::{Exported, Place, export, export_as, format_of, local_descriptor, local_digest};
pub use push::push;
