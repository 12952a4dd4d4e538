//! Compressed bytes → bytes, with bounds on what hostile input can cost.

use std::io::{self, BufRead, BufReader, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use liblzma::{bufread::XzDecoder, stream};
use rbuild_oci::media_type::Compression;

use crate::archive::is_tar;

/// Input buffer, in bytes.
const BUFFER: usize = 128 * 1024;
/// Largest window of zstd, as a power of two: 128 MiB.
const WINDOW_LOG: u32 = 27;
/// Most memory for xz, in bytes: what `xz -9` needs, twice.
const XZ_MEMORY: u64 = 128 << 20;
/// How an archive without entries begins.
const NOTHING: [u8; 512] = [0; 512];
/// The ratio is judged only after this many bytes.
const RATIO_FROM: u64 = 1 << 30;

/// How the bytes of an archive are compressed. Layers know fewer ways: [`Compression`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// As bzip2(1) does.
    Bzip2,
    /// As xz(1) does.
    Xz,
    /// RFC 8878.
    Zstd,
}

impl From<Compression> for Codec {
    fn from(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::None,
            Compression::Gzip => Self::Gzip,
            Compression::Zstd => Self::Zstd,
        }
    }
}

/// The compression that `start`, the first bytes of a file, shows; [`Codec::None`] for anything
/// else. Ten bytes suffice.
pub fn sniff(start: &[u8]) -> Codec {
    match start {
        [0x1f, 0x8b, ..] => Codec::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Codec::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Codec::Xz,
        // The digit is the size of a block; then the number of one follows, or that of the end.
        [
            b'B',
            b'Z',
            b'h',
            b'1'..=b'9',
            0x31,
            0x41,
            0x59,
            0x26,
            0x53,
            0x59,
            ..,
        ]
        | [
            b'B',
            b'Z',
            b'h',
            b'1'..=b'9',
            0x17,
            0x72,
            0x45,
            0x38,
            0x50,
            0x90,
            ..,
        ] => Codec::Bzip2,
        _ => Codec::None,
    }
}

/// Reads the decompressed bytes: all members of gzip, bzip2 and xz, all frames of zstd.
pub struct Decoder<'a, R: Read> {
    stream: Stream<'a, R>,
    produced: u64,
    ratio_limit: u64,
}

enum Stream<'a, R: Read> {
    None(Counted<R>),
    Gzip(Box<MultiGzDecoder<Counted<R>>>),
    Bzip2(Box<MultiBzDecoder<Counted<R>>>),
    Xz(Box<XzDecoder<Counted<R>>>),
    Zstd(zstd::stream::read::Decoder<'a, Counted<R>>),
}

impl<R: Read> Decoder<'_, R> {
    /// Reads `input`; more than `ratio_limit` bytes from one byte of it are an error, once there
    /// are more than 1 GiB.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(input: R, codec: impl Into<Codec>, ratio_limit: u64) -> io::Result<Self> {
        let input = BufReader::with_capacity(BUFFER, input);
        Self::buffered(input, codec.into(), ratio_limit)
    }

    /// The same for a layer of which its manifest says how it is compressed. Others write plain
    /// tars, or another compression, where they say gzip (podman to `dir:`): what shows counts. What
    /// is said to be plain is.
    ///
    /// # Errors
    /// As [`Decoder::new`], and when `input` cannot be read.
    pub fn of_layer(input: R, said: Compression, ratio_limit: u64) -> io::Result<Self> {
        let mut input = BufReader::with_capacity(BUFFER, input);
        let codec = match said {
            Compression::None => Codec::None,
            Compression::Gzip | Compression::Zstd => {
                let start = input.fill_buf()?;
                match sniff(start) {
                    shown @ (Codec::Gzip | Codec::Zstd) => shown,
                    _ if is_tar(start) || start.starts_with(&NOTHING) => Codec::None,
                    _ => said.into(),
                }
            }
        };
        Self::buffered(input, codec, ratio_limit)
    }

    fn buffered(input: BufReader<R>, codec: Codec, ratio_limit: u64) -> io::Result<Self> {
        let input = Counted { input, consumed: 0 };
        let stream = match codec {
            Codec::None => Stream::None(input),
            Codec::Gzip => Stream::Gzip(Box::new(MultiGzDecoder::new(input))),
            Codec::Bzip2 => Stream::Bzip2(Box::new(MultiBzDecoder::new(input))),
            Codec::Xz => {
                let decoder = stream::Stream::new_stream_decoder(XZ_MEMORY, stream::CONCATENATED)?;
                Stream::Xz(Box::new(XzDecoder::new_stream(input, decoder)))
            }
            Codec::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(WINDOW_LOG)?;
                Stream::Zstd(decoder)
            }
        };
        Ok(Self {
            stream,
            produced: 0,
            ratio_limit,
        })
    }

    fn consumed(&self) -> u64 {
        match &self.stream {
            Stream::None(input) => input.consumed,
            Stream::Gzip(decoder) => decoder.get_ref().consumed,
            Stream::Bzip2(decoder) => decoder.get_ref().consumed,
            Stream::Xz(decoder) => decoder.get_ref().consumed,
            Stream::Zstd(decoder) => decoder.get_ref().consumed,
        }
    }
}

impl<R: Read> Read for Decoder<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.stream {
            Stream::None(input) => input.read(buffer)?,
            Stream::Gzip(decoder) => decoder.read(buffer)?,
            Stream::Bzip2(decoder) => decoder.read(buffer)?,
            Stream::Xz(decoder) => decoder.read(buffer)?,
            Stream::Zstd(decoder) => decoder.read(buffer)?,
        };
        self.produced += count as u64;
        let allowed = self
            .consumed()
            .saturating_mul(self.ratio_limit)
            .max(RATIO_FROM);
        if self.produced > allowed {
            let limit = self.ratio_limit;
            return Err(io::Error::other(format!(
                "the limit `ratio` of {limit} is exceeded"
            )));
        }
        Ok(count)
    }
}

/// A buffered reader that knows how much was taken from it.
struct Counted<R> {
    input: BufReader<R>,
    consumed: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.consumed += count as u64;
        Ok(count)
    }
}

impl<R: Read> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.consumed += count as u64;
        self.input.consume(count);
    }
}

#[cfg(test)]
mod tests;
