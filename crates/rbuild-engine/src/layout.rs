//! Images in an OCI layout: `index.json` and `blobs/`, in a directory or an archive.
//!
//! OCI image-spec, image-layout.md. What is in it is as foreign as what a registry serves.

use std::io::Read;

use rbuild_oci::{BlobDigest, Descriptor, Document, Manifest, ManifestError, Platform};

use crate::shelf::{Shelf, ShelfError};

const INDEX: &str = "index.json";
/// How deep indexes may be nested.
const INDEX_DEPTH: u32 = 2;

/// A layout.
#[derive(Clone, Copy, Debug)]
pub struct Layout<'a>(pub &'a Shelf);

/// Which of a layout's images is meant.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// The only one.
    Only,
    /// The one that has the tag.
    Tagged(&'a str),
    /// The one that hashes to this, or the index that does.
    Pinned(&'a BlobDigest),
}

impl Layout<'_> {
    /// Whether the files are those of a layout.
    pub fn is_one(shelf: &Shelf) -> bool {
        shelf.has(INDEX) && shelf.has("oci-layout")
    }

    /// Whether the files are others: there is nothing that a layout would be read by.
    pub fn is_none(shelf: &Shelf) -> bool {
        shelf.lacks(INDEX)
    }

    /// All images, and what they are called.
    ///
    /// # Errors
    /// [`ShelfError::Document`] if the index is wrong, or lists none.
    pub fn images(&self) -> Result<Vec<(Descriptor, Option<String>)>, ShelfError> {
        let Document::Index(index) = self.document(INDEX, None)? else {
            return Err(unusable(INDEX, malformed("it is not an index")));
        };
        let images = index.entries().map_err(|source| unusable(INDEX, source))?;
        match images.is_empty() {
            true => Err(unusable(INDEX, malformed("it lists no image"))),
            false => Ok(images),
        }
    }

    /// The manifest of the image that is meant, for `platform`.
    ///
    /// # Errors
    /// [`ShelfError::Document`] if there is none, or it is wrong.
    pub fn resolve(&self, which: Which<'_>, platform: &Platform) -> Result<Manifest, ShelfError> {
        let Document::Index(top) = self.document(INDEX, None)? else {
            return Err(unusable(INDEX, malformed("it is not an index")));
        };
        let wanted = match which {
            Which::Only => top.tagged(None),
            Which::Tagged(tag) => top.tagged(Some(tag)),
            Which::Pinned(digest) => top.pinned(digest),
        };
        self.manifest(wanted.map_err(|source| unusable(INDEX, source))?, platform)
    }

    /// The manifest that `wanted`, a manifest or an index, means on `platform`.
    ///
    /// # Errors
    /// As [`Layout::resolve`].
    pub fn manifest(
        &self,
        mut wanted: Descriptor,
        platform: &Platform,
    ) -> Result<Manifest, ShelfError> {
        let mut file = String::new();
        for _ in 0..=INDEX_DEPTH {
            file = blob_path(&wanted.digest);
            match self.document(&file, Some(&wanted))? {
                Document::Manifest(manifest) => return Ok(*manifest),
                Document::Index(index) => {
                    wanted = index
                        .choose(platform)
                        .map_err(|source| unusable(&file, source))?;
                }
            }
        }
        Err(unusable(&file, malformed("indexes are nested too deeply")))
    }

    /// The image configuration, verified.
    ///
    /// # Errors
    /// [`ShelfError::Damaged`] and others.
    pub fn config(&self, manifest: &Manifest) -> Result<String, ShelfError> {
        let digest = &manifest.config.digest;
        self.0.text(&blob_path(digest), Some(digest))
    }

    /// The blob's bytes; whoever reads them verifies them.
    ///
    /// # Errors
    /// [`ShelfError::Open`], [`ShelfError::Missing`].
    pub fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>, ShelfError> {
        self.0.open(&blob_path(&descriptor.digest))
    }

    fn document(&self, file: &str, wanted: Option<&Descriptor>) -> Result<Document, ShelfError> {
        let text = self.0.text(file, wanted.map(|wanted| &wanted.digest))?;
        let served_as = wanted.map_or("", |wanted| &wanted.media_type);
        Document::parse(text, served_as).map_err(|source| unusable(file, source))
    }
}

/// `file` does not say what it should.
pub(crate) fn unusable(file: &str, source: ManifestError) -> ShelfError {
    ShelfError::Document {
        file: file.to_owned(),
        source,
    }
}

pub(crate) fn malformed(why: &str) -> ManifestError {
    ManifestError::Malformed(why.to_owned())
}

fn blob_path(digest: &BlobDigest) -> String {
    format!("blobs/sha256/{}", digest.0.hex())
}
