//! The image of `dir:DIR`: a manifest and its blobs, side by side, as skopeo writes them.
//!
//! containers-transports(5), "dir". `manifest.json` is the manifest or an index, whose manifests
//! are `HEX.manifest.json`; a blob is called by the digits of its digest.

use std::io::Read;

use rbuild_oci::{BlobDigest, Descriptor, Document, Manifest, Platform};

use crate::{
    layout::{malformed, unusable},
    shelf::{Shelf, ShelfError},
};

const MANIFEST: &str = "manifest.json";

/// Such a directory.
#[derive(Clone, Copy, Debug)]
pub struct Directory<'a>(pub &'a Shelf);

impl Directory<'_> {
    /// Whether the files are those of such a directory.
    pub fn is_one(shelf: &Shelf) -> bool {
        shelf.has("version") && shelf.has(MANIFEST)
    }

    /// Whether the files are others: there is nothing that such a directory would be read by.
    pub fn is_none(shelf: &Shelf) -> bool {
        shelf.lacks(MANIFEST)
    }

    /// The image's manifest for `platform`.
    ///
    /// # Errors
    /// [`ShelfError::Document`] if there is none, or it is wrong.
    pub fn manifest(&self, platform: &Platform) -> Result<Manifest, ShelfError> {
        match self.document(MANIFEST, None)? {
            Document::Manifest(manifest) => Ok(*manifest),
            Document::Index(index) => {
                let wanted = index
                    .choose(platform)
                    .map_err(|source| unusable(MANIFEST, source))?;
                let file = format!("{}.manifest.json", wanted.digest.0.hex());
                match self.document(&file, Some(&wanted.digest))? {
                    Document::Manifest(manifest) => Ok(*manifest),
                    Document::Index(_) => {
                        Err(unusable(&file, malformed("indexes are nested too deeply")))
                    }
                }
            }
        }
    }

    /// The image configuration, verified.
    ///
    /// # Errors
    /// [`ShelfError::Damaged`] and others.
    pub fn config(&self, manifest: &Manifest) -> Result<String, ShelfError> {
        let digest = &manifest.config.digest;
        self.0.text(&digest.0.hex(), Some(digest))
    }

    /// The blob's bytes; whoever reads them verifies them.
    ///
    /// # Errors
    /// [`ShelfError::Open`].
    pub fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, ShelfError> {
        self.0.open(&descriptor.digest.0.hex())
    }

    fn document(&self, file: &str, digest: Option<&BlobDigest>) -> Result<Document, ShelfError> {
        let text = self.0.text(file, digest)?;
        Document::parse(text, "").map_err(|source| unusable(file, source))
    }
}
