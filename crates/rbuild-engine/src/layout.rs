//! Base images in an OCI layout: a directory with `index.json` and `blobs/`.
//!
//! OCI image-spec, image-layout.md. What is in it is as foreign as what a registry serves.

use std::{fs::File, io::Read, path::Path};

use rbuild_oci::{BlobDigest, Descriptor, Digest, Document, Manifest, ManifestError, Platform};
use rbuild_sys::Dir;

/// Largest document, in bytes (sandbox.md, Limits).
const DOCUMENT_LIMIT: u64 = 8 << 20;
/// How deep indexes may be nested.
const INDEX_DEPTH: u32 = 2;

/// An open layout.
#[derive(Debug)]
pub struct Layout {
    dir: Dir,
}

/// Why an image cannot be taken from a layout.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// It is missing, or not a directory.
    #[error("cannot open the directory")]
    Directory(#[source] rbuild_sys::Error),
    /// A file is missing or not a regular one.
    #[error("cannot open `{file}`")]
    Open {
        /// Relative to the layout.
        file: String,
        /// Why.
        source: rbuild_sys::Error,
    },
    /// A file cannot be read.
    #[error("cannot read `{file}`")]
    Read {
        /// Relative to the layout.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A document is larger than any honest one.
    #[error("`{0}` is larger than 8 MiB")]
    TooLarge(String),
    /// The content is not what its name says.
    #[error("`{0}` is damaged: it has another digest")]
    Damaged(String),
    /// The index or manifest is wrong, or has no such image.
    #[error("`{file}` is of no use")]
    Document {
        /// Relative to the layout.
        file: String,
        /// Why.
        source: ManifestError,
    },
}

/// `DIR[:TAG]` → directory and tag. A colon in a directory's name is taken for a tag only behind
/// the last slash.
pub fn split_layout(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((directory, tag)) if !tag.contains('/') && !tag.is_empty() => (directory, Some(tag)),
        _ => (text.strip_suffix(':').unwrap_or(text), None),
    }
}

impl Layout {
    /// Opens the layout at the host path `path`.
    ///
    /// # Errors
    /// [`LayoutError::Directory`].
    pub fn open(path: &Path) -> Result<Self, LayoutError> {
        Dir::open(path)
            .map(|dir| Self { dir })
            .map_err(LayoutError::Directory)
    }

    /// The manifest of the image with `tag` (without: of the only one) for `platform`.
    ///
    /// # Errors
    /// [`LayoutError::Document`] if there is none, or it is wrong.
    pub fn resolve(&self, tag: Option<&str>, platform: &Platform) -> Result<Manifest, LayoutError> {
        let mut file = "index.json".to_owned();
        let unusable = |file: &str, source| LayoutError::Document {
            file: file.to_owned(),
            source,
        };
        let Document::Index(top) = self.document(&file, None)? else {
            return Err(unusable(
                &file,
                ManifestError::Malformed("it is not an index".to_owned()),
            ));
        };
        let mut wanted = top.tagged(tag).map_err(|source| unusable(&file, source))?;
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
        Err(unusable(
            &file,
            ManifestError::Malformed("indexes are nested too deeply".to_owned()),
        ))
    }

    /// The image configuration, verified.
    ///
    /// # Errors
    /// [`LayoutError::Damaged`] and others.
    pub fn config(&self, manifest: &Manifest) -> Result<String, LayoutError> {
        self.text(
            &blob_path(&manifest.config.digest),
            Some(&manifest.config.digest),
        )
    }

    /// The blob's file; whoever reads it verifies it.
    ///
    /// # Errors
    /// [`LayoutError::Open`].
    pub fn blob(&self, descriptor: &Descriptor) -> Result<File, LayoutError> {
        self.open_file(&blob_path(&descriptor.digest))
    }

    fn document(&self, file: &str, wanted: Option<&Descriptor>) -> Result<Document, LayoutError> {
        let text = self.text(file, wanted.map(|wanted| &wanted.digest))?;
        let served_as = wanted.map_or("", |wanted| &wanted.media_type);
        Document::parse(text, served_as).map_err(|source| LayoutError::Document {
            file: file.to_owned(),
            source,
        })
    }

    fn text(&self, file: &str, digest: Option<&BlobDigest>) -> Result<String, LayoutError> {
        let mut text = String::new();
        self.open_file(file)?
            .take(DOCUMENT_LIMIT + 1)
            .read_to_string(&mut text)
            .map_err(|source| LayoutError::Read {
                file: file.to_owned(),
                source,
            })?;
        if text.len() as u64 > DOCUMENT_LIMIT {
            return Err(LayoutError::TooLarge(file.to_owned()));
        }
        if digest.is_some_and(|digest| digest.0 != Digest::of(text.as_bytes())) {
            return Err(LayoutError::Damaged(file.to_owned()));
        }
        Ok(text)
    }

    fn open_file(&self, file: &str) -> Result<File, LayoutError> {
        self.dir
            .resolve_file(file.as_bytes())
            .map_err(|source| LayoutError::Open {
                file: file.to_owned(),
                source,
            })
    }
}

fn blob_path(digest: &BlobDigest) -> String {
    format!("blobs/sha256/{}", digest.0.hex())
}

#[cfg(test)]
mod tests {
    use super::split_layout;

    #[test]
    fn the_tag_is_behind_the_last_colon() {
        assert_eq!(split_layout("/tmp/d:1.0"), ("/tmp/d", Some("1.0")));
        assert_eq!(split_layout("/tmp/d"), ("/tmp/d", None));
        assert_eq!(split_layout("/tmp/a:b/d"), ("/tmp/a:b/d", None));
        assert_eq!(split_layout("d:"), ("d", None));
    }
}
