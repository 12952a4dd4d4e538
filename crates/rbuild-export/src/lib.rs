//! From a built tree to an image, and from an image to wherever it shall go.
//!
//! ```text
//! stage + frozen layers ── pack once, hash ──► diff ids
//! config + diff ids     ── assemble (pure) ──► image in the store      commit
//! root file system      ── unpack ───────────► image in the store      import
//! image in the store    ── compress once ────► blobs + manifest        blob, manifest
//!                                                ├─► OCI layout, archive  layout
//!                                                ├─► `dir:`               directory
//!                                                └─► registry             push
//! images in the store   ── layers as tars ───► docker's archive        docker_archive
//! image in the store    ── merged tree ──────► directory, tar          local, replica, sweep
//! what is said of it    ── statements ───────► beside the image        attestation, attested_files
//! layers of steps       ── records ──────────► image for other machines  cache_image
//! cache mount           ── tar ──────────────► archive, and back       cache_mount
//! ```
//!
//! A local image has no compressed layer: bytes are compressed when they leave, once.

mod annotations;
mod assemble;
mod attestation;
mod attested_files;
mod blob;
mod cache_image;
mod cache_mount;
mod check;
mod commit;
mod directory;
mod docker_archive;
mod error;
mod hashing;
mod import;
mod index;
mod layout;
mod local;
mod manifest;
mod outgoing;
mod provenance;
mod purl;
mod push;
mod replacement;
mod replica;
mod sbom;
mod split;
mod sweep;

pub use annotations::{Annotations, Origin, Stamp, annotated, annotations};
pub use assemble::{Assembly, Layers, NewLayer, Telling, assemble, rfc3339};
pub use attestation::{ARTIFACT_TYPE, Attestation, Claim, Subject, attested};
pub use attested_files::AttestedFiles;
pub use blob::{Affected, Compress, Frames, Stop};
pub use cache_image::{CacheLayer, CacheStep, cache_image};
pub use cache_mount::{export_cache, import_cache};
pub use check::is_intact;
pub use commit::{BuiltLayer, Commit, Packed, commit, packed};
pub use directory::write_directory;
pub use docker_archive::{Named, write_docker_archive};
pub use error::Error;
pub use import::{Import, Root, import};
pub use index::{ExportedIndex, export_index, export_listed, local_index};
pub use layout::{Tagged, write_archive, write_layout};
pub use local::{merged, write_path, write_tree, write_tree_tar};
pub use manifest::{
    Exported, Looks, Place, export, format_of, layer_blob, local_descriptor, local_digest,
};
pub use outgoing::Outgoing;
pub use provenance::{Detail, Material, Origins, Provenance};
pub use push::{Images, push, push_index, push_layer};
pub use replacement::Replacement;
pub use replica::{Others, Replica};
pub use sbom::sbom;
pub use split::{Split, subdirectory};
