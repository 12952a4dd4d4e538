//! Compressed bytes → bytes, with bounds on what hostile input can cost.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use rbuild_oci::media_type::Compression;

/// Input buffer, in bytes.
const BUFFER: usize = 128 * 1024;
/// Largest window of zstd, as a power of two: 128 MiB.
const WINDOW_LOG: u32 = 27;
/// The ratio is judged only after this many bytes.
const RATIO_FROM: u64 = 1 << 30;

/// The compression that `start`, the first bytes of a file, shows (RFC 1952, RFC 8878);
/// [`Compression::None`] for anything else. Four bytes suffice.
pub fn sniff(start: &[u8]) -> Compression {
    match start {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::None,
    }
}

/// Reads the decompressed bytes: all members of gzip, all frames of zstd.
pub struct Decoder<'a, R: Read> {
    stream: Stream<'a, R>,
    produced: u64,
    ratio_limit: u64,
}

enum Stream<'a, R: Read> {
    None(Counted<R>),
    Gzip(Box<MultiGzDecoder<Counted<R>>>),
    Zstd(zstd::stream::read::Decoder<'a, Counted<R>>),
}

impl<R: Read> Decoder<'_, R> {
    /// Reads `input`; more than `ratio_limit` bytes from one byte of it are an error, once there
    /// are more than 1 GiB.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(input: R, compression: Compression, ratio_limit: u64) -> io::Result<Self> {
        let input = Counted {
            input: BufReader::with_capacity(BUFFER, input),
            consumed: 0,
        };
        let stream = match compression {
            Compression::None => Stream::None(input),
            Compression::Gzip => Stream::Gzip(Box::new(MultiGzDecoder::new(input))),
            Compression::Zstd => {
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
            Stream::Zstd(decoder) => decoder.get_ref().consumed,
        }
    }
}

impl<R: Read> Read for Decoder<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.stream {
            Stream::None(input) => input.read(buffer)?,
            Stream::Gzip(decoder) => decoder.read(buffer)?,
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
