//! Archives among the sources of ADD.
//!
//! Content decides, never a name: what decompresses to something that starts with the header of
//! a tar is an archive. Empty and cut ones are files like any other. dockerfile.md 1.11, X1.

use std::{
    fs::File,
    io::{self, Read, Seek},
};

use rbuild_layer::{
    Codec, Decoder, Ownership, RootEntry, UnpackOptions, Unpacked, Whiteouts, is_tar, sniff, unpack,
};
use rbuild_sys::Dir;

use super::FetchError;

/// Most bytes from one byte of an archive, once there is 1 GiB.
pub(super) const RATIO_LIMIT: u64 = 2_000;
/// Bytes of a tar header.
pub(super) const HEADER: u64 = 512;

/// How `file` is compressed, if it is an archive; `None` if it is not. Its position is at the
/// start afterwards.
///
/// # Errors
/// When it cannot be read; bytes that do not decompress are no error.
pub fn archive_codec(file: &mut File) -> io::Result<Option<Codec>> {
    file.rewind()?;
    let mut start = Vec::new();
    file.by_ref().take(HEADER).read_to_end(&mut start)?;
    file.rewind()?;
    let codec = sniff(&start);
    let header = match codec {
        Codec::None => start,
        codec => {
            let mut header = Vec::new();
            let decoder = Decoder::new(&mut *file, codec, RATIO_LIMIT)?;
            // What ends in an error is too short or no archive; both show below.
            let _ = decoder.take(HEADER).read_to_end(&mut header);
            header
        }
    };
    file.rewind()?;
    Ok(is_tar(&header).then_some(codec))
}

/// Unpacks the archive `file`, compressed with `codec`, below the directory `below` of `tree`,
/// over what is there. `name` is for messages. Deletion marks of layers are ordinary files, the
/// archive's own root says nothing about the directory.
///
/// # Errors
/// [`FetchError::Read`], [`FetchError::Unpack`].
pub fn unpack_archive(
    (file, codec): (&mut File, Codec),
    (tree, below): (&Dir, &[u8]),
    ownership: Ownership,
    name: &str,
) -> Result<Unpacked, FetchError> {
    let from = || format!("the archive `{name}`");
    let mut decoder =
        Decoder::new(file, codec, RATIO_LIMIT).map_err(|source| FetchError::Read {
            from: from(),
            source,
        })?;
    let options = UnpackOptions {
        below: below.to_vec(),
        ownership,
        root: RootEntry::Ignored,
        ..UnpackOptions::new(Whiteouts::Literal)
    };
    unpack(&mut decoder, tree, &options).map_err(|source| FetchError::Unpack {
        from: from(),
        source,
    })
}

#[cfg(test)]
mod tests;
