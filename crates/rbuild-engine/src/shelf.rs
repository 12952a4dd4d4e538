//! The files that images are made of, by name: a directory, or an archive on disk.
//!
//! Knows: how they are opened and how much of them may be read. Does not know: what they mean.
//!
//! Invariant: a name from outside is looked up below a directory handle or in a catalog, never in
//! the file system at large; a document is bounded before it is read.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::Path,
};

use rbuild_layer::{Catalog, Codec, Decoder, sniff};
use rbuild_oci::{BlobDigest, Digest, ManifestError};
use rbuild_store::Session;
use rbuild_sys::{Dir, Errno};

/// Largest document, in bytes (sandbox.md, Limits).
const DOCUMENT_LIMIT: u64 = 8 << 20;
/// An archive that unpacks to more than so many times its size is refused (sandbox.md, Limits).
const RATIO_LIMIT: u64 = 2_000;
/// Largest archive that is put on disk, in bytes: as large as a layer may be (sandbox.md, Limits).
const ARCHIVE_LIMIT: u64 = 256 << 30;

/// Where files are looked up.
#[derive(Debug)]
pub enum Shelf {
    /// Below a directory of this machine.
    Directory(Dir),
    /// In an archive.
    Archive(Catalog),
}

/// Why an image cannot be taken from files.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// It is missing, or not a directory.
    #[error("cannot open the directory")]
    Directory(#[source] rbuild_sys::Error),
    /// It is missing, or closed to us.
    #[error("cannot open the file")]
    File(#[source] io::Error),
    /// It cannot be kept on disk while it is read.
    #[error("cannot keep the archive for the time being")]
    Scratch(#[source] rbuild_store::Error),
    /// Its bytes cannot be read or decompressed, or not be kept.
    #[error("cannot read the archive")]
    Copy(#[source] io::Error),
    /// It does not end where it must.
    #[error("it unpacks to more than {limit} bytes")]
    Endless {
        /// Those that are allowed.
        limit: u64,
    },
    /// It is not an archive that may be read.
    #[error("cannot use the archive")]
    Catalog(#[source] rbuild_layer::Error),
    /// A file is missing or not a regular one.
    #[error("cannot open `{file}`")]
    Open {
        /// Relative to the directory.
        file: String,
        /// Why.
        source: rbuild_sys::Error,
    },
    /// The archive has no such file.
    #[error("there is no file `{0}` in the archive")]
    Missing(String),
    /// A file cannot be read.
    #[error("cannot read `{file}`")]
    Read {
        /// Relative to the directory.
        file: String,
        /// Why.
        source: io::Error,
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
        /// Relative to the directory.
        file: String,
        /// Why.
        source: ManifestError,
    },
    /// The files are others than those that were named.
    #[error("it is not {0}")]
    Other(&'static str),
    /// The files are those of no image.
    #[error("it is neither an OCI layout nor an archive of `docker save`")]
    NoImage,
    /// The files are those of a root file system.
    #[error("it is an archive of files, not of an image")]
    RootFileSystem,
}

impl Shelf {
    /// The directory at the host path `path`.
    ///
    /// # Errors
    /// [`ShelfError::Directory`].
    pub fn directory(path: &Path) -> Result<Self, ShelfError> {
        Dir::open(path)
            .map(Self::Directory)
            .map_err(ShelfError::Directory)
    }

    /// The archive at the host path `path`.
    ///
    /// # Errors
    /// [`ShelfError::File`]; else as [`Shelf::stream`].
    pub fn archive(path: &Path, session: &Session) -> Result<Self, ShelfError> {
        let mut file = File::open(path).map_err(ShelfError::File)?;
        let mut start = [0; 16];
        let count = file.read(&mut start).map_err(ShelfError::Copy)?;
        let is_plain = sniff(&start[..count]) == Codec::None;
        if is_plain && file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Catalog::of(file)
                .map(Self::Archive)
                .map_err(ShelfError::Catalog);
        }
        Self::stream(&mut start[..count].chain(file), session)
    }

    /// An archive that comes as a stream or compressed: it is put on disk, because its members may
    /// be in any order.
    ///
    /// # Errors
    /// [`ShelfError::Copy`], [`ShelfError::Endless`], [`ShelfError::Catalog`],
    /// [`ShelfError::Scratch`].
    pub fn stream(input: &mut dyn Read, session: &Session) -> Result<Self, ShelfError> {
        let mut start = Vec::new();
        let mut head = input.take(16);
        head.read_to_end(&mut start).map_err(ShelfError::Copy)?;
        let codec = sniff(&start);
        let mut decoder = Decoder::new((&start[..]).chain(input), codec, RATIO_LIMIT)
            .map_err(ShelfError::Copy)?;
        let mut kept = session.scratch_file().map_err(ShelfError::Scratch)?;
        keep(&mut decoder, &mut kept, ARCHIVE_LIMIT)?;
        Catalog::of(kept)
            .map(Self::Archive)
            .map_err(ShelfError::Catalog)
    }

    /// Whether there is a file `file`.
    pub fn has(&self, file: &str) -> bool {
        match self {
            Self::Directory(dir) => dir.resolve_file(file.as_bytes()).is_ok(),
            Self::Archive(catalog) => catalog.has(file),
        }
    }

    /// Whether there is nothing called `file`: not even what cannot be read.
    pub fn lacks(&self, file: &str) -> bool {
        match self {
            Self::Directory(dir) => {
                let found = dir.resolve_file(file.as_bytes());
                found.is_err_and(|error| error.is(Errno::NOENT))
            }
            Self::Archive(catalog) => !catalog.has(file),
        }
    }

    /// Whether there is a directory `path`; archives show it by what is in it.
    pub fn has_directory(&self, path: &str) -> bool {
        match self {
            Self::Directory(dir) => dir.resolve_dir(path.as_bytes()).is_ok(),
            Self::Archive(catalog) => catalog.has_below(path),
        }
    }

    /// Size of `file`, in bytes.
    ///
    /// # Errors
    /// [`ShelfError::Open`], [`ShelfError::Missing`].
    pub fn size(&self, file: &str) -> Result<u64, ShelfError> {
        match self {
            Self::Directory(dir) => dir
                .resolve_stat(file.as_bytes())
                .map(|stat| stat.size)
                .map_err(|source| ShelfError::Open {
                    file: file.to_owned(),
                    source,
                }),
            Self::Archive(catalog) => match catalog.open(file) {
                Some(section) => Ok(section.size()),
                None => Err(ShelfError::Missing(file.to_owned())),
            },
        }
    }

    /// The bytes of `file`; whoever reads them verifies them.
    ///
    /// # Errors
    /// [`ShelfError::Open`], [`ShelfError::Missing`].
    pub fn open(&self, file: &str) -> Result<Box<dyn Read + '_>, ShelfError> {
        match self {
            Self::Directory(dir) => match dir.resolve_file(file.as_bytes()) {
                Ok(found) => Ok(Box::new(found)),
                Err(source) => Err(ShelfError::Open {
                    file: file.to_owned(),
                    source,
                }),
            },
            Self::Archive(catalog) => match catalog.open(file) {
                Some(section) => Ok(Box::new(section)),
                None => Err(ShelfError::Missing(file.to_owned())),
            },
        }
    }

    /// The document `file`, at most 8 MiB, which must hash to `digest`.
    ///
    /// # Errors
    /// As [`Shelf::open`]; [`ShelfError::TooLarge`], [`ShelfError::Damaged`].
    pub fn text(&self, file: &str, digest: Option<&BlobDigest>) -> Result<String, ShelfError> {
        let mut text = String::new();
        self.open(file)?
            .take(DOCUMENT_LIMIT + 1)
            .read_to_string(&mut text)
            .map_err(|source| ShelfError::Read {
                file: file.to_owned(),
                source,
            })?;
        if text.len() as u64 > DOCUMENT_LIMIT {
            return Err(ShelfError::TooLarge(file.to_owned()));
        }
        if digest.is_some_and(|digest| digest.0 != Digest::of(text.as_bytes())) {
            return Err(ShelfError::Damaged(file.to_owned()));
        }
        Ok(text)
    }
}

/// Copies all of `input`, which has at most `limit` bytes.
fn keep(input: &mut dyn Read, kept: &mut dyn Write, limit: u64) -> Result<(), ShelfError> {
    let mut bounded = input.take(limit.saturating_add(1));
    let copied = io::copy(&mut bounded, kept).map_err(ShelfError::Copy)?;
    if copied > limit {
        return Err(ShelfError::Endless { limit });
    }
    kept.flush().map_err(ShelfError::Copy)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use super::keep;

    #[test]
    fn a_stream_that_does_not_end_fills_no_disk() {
        let mut kept = Vec::new();
        let error = keep(&mut io::repeat(0), &mut kept, 100).unwrap_err();
        assert_eq!(error.to_string(), "it unpacks to more than 100 bytes");
        assert_eq!(kept.len(), 101);
        keep(&mut io::repeat(0).take(100), &mut io::sink(), 100).unwrap();
    }
}
