//! Bytes → compressed bytes. Same bytes in, same bytes out, on any number of threads.

use std::io::{self, Write};

use rbuild_oci::media_type::Compression;
use zstd::stream::raw::CParameter;

use crate::gzip::Gzip;

/// Level of gzip when none is asked for.
const GZIP_LEVEL: u32 = 5;
/// Level of zstd when none is asked for.
const ZSTD_LEVEL: u32 = 3;
/// More threads would only take memory: each holds some jobs.
const ZSTD_THREADS: usize = 4;
/// What a thread compresses at once, in bytes; zstd's own choice, 8 MiB, takes 95 MiB on two threads.
const ZSTD_JOB: u32 = 4 << 20;

/// How [`Encoder`] works.
#[derive(Clone, Copy, Debug)]
pub struct EncoderOptions {
    /// The format.
    pub compression: Compression,
    /// Level in the format's own scale (gzip 0 to 9, zstd 1 to 22; others become the nearest);
    /// `None` is 5 for gzip and 3 for zstd.
    pub level: Option<u32>,
    /// Upper bound on the number of threads; the bytes do not depend on it.
    pub threads: usize,
}

impl EncoderOptions {
    /// The usual level, on all processors that we may use.
    pub fn new(compression: Compression) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            compression,
            level: None,
            threads,
        }
    }
}

/// The level of zstd that is meant.
pub(crate) fn zstd_level(level: Option<u32>) -> i32 {
    let level = level.unwrap_or(ZSTD_LEVEL).clamp(1, 22);
    i32::try_from(level).expect("at most 22")
}

/// Writes compressed bytes to `W`; complete only after [`Encoder::finish`].
pub struct Encoder<W: Write>(Stream<W>);

enum Stream<W: Write> {
    None(W),
    Gzip(Box<Gzip<W>>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Encoder<W> {
    /// Compresses to `out`.
    ///
    /// # Errors
    /// When memory or threads run out.
    pub fn new(out: W, options: &EncoderOptions) -> io::Result<Self> {
        Ok(Self(match options.compression {
            Compression::None => Stream::None(out),
            Compression::Gzip => {
                let level = options.level.unwrap_or(GZIP_LEVEL).min(9);
                Stream::Gzip(Box::new(Gzip::new(out, level, options.threads)))
            }
            Compression::Zstd => {
                let level = zstd_level(options.level);
                let mut encoder = zstd::stream::write::Encoder::new(out, level)?;
                // Always at least one worker: without any, zstd cuts its jobs differently.
                let workers = options.threads.clamp(1, ZSTD_THREADS);
                encoder.multithread(u32::try_from(workers).expect("at most 4"))?;
                encoder.set_parameter(CParameter::JobSize(ZSTD_JOB))?;
                Stream::Zstd(encoder)
            }
        }))
    }

    /// Writes what is left and returns the destination.
    ///
    /// # Errors
    /// As its `write`.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Stream::None(mut out) => {
                out.flush()?;
                Ok(out)
            }
            Stream::Gzip(gzip) => gzip.finish(),
            Stream::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Stream::None(out) => out.write(bytes),
            Stream::Gzip(gzip) => gzip.write(bytes),
            Stream::Zstd(encoder) => encoder.write(bytes),
        }
    }

    /// Does nothing for gzip and zstd: a flush would change the bytes.
    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Stream::None(out) => out.flush(),
            Stream::Gzip(_) | Stream::Zstd(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
