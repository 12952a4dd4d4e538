//! Trees and archives: canonical packing, safe unpacking, whiteouts, compression.
//!
//! Knows: tar (ustar, PAX, GNU long names), the overlayfs form of a tree, gzip, zstd;
//! reads bzip2 and xz too.
//! Does not know: images, digests, stores, networks.
//!
//! A *tree* is an overlayfs upper directory in its `userxattr` form: a 0/0 character device is a
//! deletion, the attribute `user.overlay.opaque` = `y` hides what lower trees have in a directory.
//! In an archive the same are the empty files `.wh.NAME` and `.wh..wh..opq` (OCI image-spec,
//! layer.md, "Whiteouts").

mod archive;
mod attribute;
mod catalog;
mod chunked;
mod decode;
mod encode;
mod error;
mod gzip;
mod header;
mod merge;
mod pack;
mod pax;
mod unpack;
mod unpack_options;

pub use archive::is_tar;
pub use catalog::{Catalog, Section};
pub use chunked::{Chunks, Frame, TableOfContents, write_chunked};
pub use decode::{Codec, Decoder, sniff};
pub use encode::{Encoder, EncoderOptions};
pub use error::{Error, Result};
pub use pack::{Form, PackOptions, Packed, pack};
pub use unpack::{Unpacked, unpack};
pub use unpack_options::{Disk, Limits, Ownership, RootEntry, UnpackOptions, Whiteouts};
