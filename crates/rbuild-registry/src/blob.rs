//! Fetching a blob: verified while it streams. Parts of one are not: nobody has said their digest.

use std::{
    fmt,
    io::{self, Read},
    ops::Range,
};

use rbuild_oci::{BlobDigest, Descriptor, Hasher};

use crate::{Error, Repository, Result, transfer::Transfer};

/// The bytes of a blob. The end comes only if digest and size are right: whoever reads to the
/// end without an error has the blob.
pub struct BlobReader<'a> {
    transfer: Transfer<'a>,
    expected: BlobDigest,
    size: u64,
    /// `None` once the end was verified.
    hasher: Option<Hasher>,
}

impl fmt::Debug for BlobReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.transfer.fmt(f)
    }
}

/// Bytes from the middle of a blob, as the registry says: they may be others.
#[derive(Debug)]
pub struct PartReader<'a>(Transfer<'a>);

impl Repository {
    /// Starts to fetch the blob that `descriptor` names.
    ///
    /// Lost connections are resumed with `Range`, a bounded number of times; stalled ones once.
    ///
    /// # Errors
    /// As any request. Reading fails with [`Error`] inside an [`io::Error`].
    pub fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader<'_>> {
        Ok(BlobReader {
            transfer: Transfer::whole(self, descriptor.digest, descriptor.size)?,
            expected: descriptor.digest,
            size: descriptor.size,
            hasher: Some(Hasher::new()),
        })
    }

    /// Starts to fetch the bytes `part` of the blob that `descriptor` names; no more than those
    /// are read.
    ///
    /// # Errors
    /// [`Error::Indivisible`] if the registry does not serve parts; else as [`Repository::blob`].
    pub fn blob_part(&self, descriptor: &Descriptor, part: Range<u64>) -> Result<PartReader<'_>> {
        Transfer::part(self, descriptor.digest, part).map(PartReader)
    }
}

impl BlobReader<'_> {
    /// Nothing may follow, and the digest must be right.
    fn finish(&mut self) -> io::Result<usize> {
        let Some(hasher) = self.hasher.take() else {
            return Ok(0);
        };
        if self.transfer.has_excess() {
            return Err(io::Error::other(Error::TooLarge {
                what: self.transfer.what(),
                limit: self.size,
            }));
        }
        let found = BlobDigest(hasher.finish());
        if found == self.expected {
            return Ok(0);
        }
        Err(io::Error::other(Error::Digest {
            what: self.transfer.what(),
            expected: self.expected,
            found,
        }))
    }
}

impl Read for BlobReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = self.transfer.read(buffer)?;
        match &mut self.hasher {
            Some(hasher) if count > 0 => {
                hasher.update(&buffer[..count]);
                Ok(count)
            }
            _ => self.finish(),
        }
    }
}

impl Read for PartReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}
