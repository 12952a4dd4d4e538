//! What stays on disk between builds: blobs, layers, images, names, the build cache.
//!
//! Knows: the directory layout and the order of writes that keeps it valid.
//! Does not know: what is in a layer, what a cache key means, how to pull or build.
//!
//! Invariant: every prefix of every sequence of writes is a valid store, so no crash needs
//! repairs. An object appears by one rename or link of a finished file or directory;
//! a damaged object is the same as a missing one. Locks belong to the kernel and die with
//! their holder. Spec: store.md; what is where: docs/formats.md.
//!
//! Reading and removing is done on a [`Store`], writing in a [`Session`].

mod blob;
mod cache;
mod cache_mount;
mod check;
mod error;
mod flock;
mod gc;
mod id;
mod image;
mod index;
mod layer;
mod lock;
mod name;
mod record;
mod secret;
mod session;
mod store;
mod wait;

pub use blob::BlobWriter;
pub use cache::CacheRecord;
pub use cache_mount::{CacheClaim, CacheEntry, CacheMount, CacheName, CacheRemoval, Sharing};
pub use check::Damage;
pub use error::{Error, Result};
pub use gc::{
    Budget, Cache, Label, Measure, Object, Part, Policy, Survey, SurveyedImage, SurveyedLayer,
    SurveyedNote, SurveyedRecord, Usage, Use, Victim, Why, decide, dump,
};
pub use id::{Key, LayerId};
pub use image::{Draft, ImageLayer, ImageRecord};
pub use index::{IndexRecord, ListedImage};
pub use layer::{Layer, LayerRecord, StagedLayer};
pub use lock::KeyLock;
pub use session::Session;
pub use store::{Durability, Store};
pub use wait::Wait;
