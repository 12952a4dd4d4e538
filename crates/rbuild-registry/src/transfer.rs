//! Bytes of a blob on their way, taken up again where they were cut.
//!
//! Knows: what `Range` means, and how often a lost connection is worth another one.
//! Does not know: whether the bytes are right; whoever has the whole can tell.

use std::{
    fmt,
    io::{self, Read},
    ops::Range,
    thread::sleep,
};

use rbuild_http::{Method, Reader, Request, Response};
use rbuild_oci::BlobDigest;

use crate::{Error, Repository, Result};

/// Progress, in bytes, after which a lost connection counts as the first one again.
const PROGRESS: u64 = 1 << 20;

/// How much of the blob is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// All of it: a registry that serves no parts may send everything again.
    Whole,
    /// A part: nothing else will do.
    Part,
}

/// What is still to come of a blob, or of a part of it.
pub(crate) struct Transfer<'a> {
    repository: &'a Repository,
    digest: BlobDigest,
    object: String,
    left: Range<u64>,
    extent: Extent,
    body: Option<Reader>,
    /// Connections lost since `progress_mark`.
    losses: u32,
    progress_mark: u64,
}

impl fmt::Debug for Transfer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.object, self.left)
    }
}

impl<'a> Transfer<'a> {
    /// Asks for all `size` bytes of the blob `digest`.
    ///
    /// # Errors
    /// As any request. Reading fails with [`Error`] inside an [`io::Error`].
    pub fn whole(repository: &'a Repository, digest: BlobDigest, size: u64) -> Result<Self> {
        Self::begin(repository, digest, (0..size, Extent::Whole))
    }

    /// Asks for the bytes `part` of the blob `digest`.
    ///
    /// # Errors
    /// [`Error::Indivisible`] if the registry does not serve parts.
    pub fn part(repository: &'a Repository, digest: BlobDigest, part: Range<u64>) -> Result<Self> {
        Self::begin(repository, digest, (part, Extent::Part))
    }

    fn begin(
        repository: &'a Repository,
        digest: BlobDigest,
        (left, extent): (Range<u64>, Extent),
    ) -> Result<Self> {
        let mut transfer = Self {
            repository,
            digest,
            object: format!("blob {digest}"),
            progress_mark: left.start,
            left,
            extent,
            body: None,
            losses: 0,
        };
        transfer.body = Some(transfer.open()?);
        Ok(transfer)
    }

    /// What messages call the blob.
    pub fn what(&self) -> String {
        self.repository.what(&self.object)
    }

    /// Whether more comes than was announced.
    pub fn has_excess(&mut self) -> bool {
        let more = self.body.take().map(|mut body| body.read(&mut [0]));
        matches!(more, Some(Ok(1..)))
    }

    /// The rest: only that where the registry can, else all, and what we have is skipped.
    fn open(&self) -> Result<Reader> {
        let start = self.left.start;
        let range = match self.extent {
            Extent::Whole if start == 0 => None,
            Extent::Whole => Some(format!("bytes={start}-")),
            Extent::Part => Some(format!("bytes={start}-{}", self.left.end - 1)),
        };
        if let Some(range) = range {
            let response = self.request(Some(&range))?;
            let is_rest = || {
                let range = response.header("content-range").unwrap_or_default();
                range.starts_with(&format!("bytes {start}-"))
            };
            match (response.status, self.extent) {
                (206, _) if is_rest() => return Ok(response.body),
                (200 | 206 | 416, Extent::Part) => {
                    return Err(Error::Indivisible { what: self.what() });
                }
                // It says that there is nothing of that kind, or gives something else.
                (206 | 416, Extent::Whole) => {}
                _ => return self.skip(response, start),
            }
        }
        self.skip(self.request(None)?, start)
    }

    fn request(&self, range: Option<&str>) -> Result<Response> {
        let url = self.repository.url(&format!("blobs/{}", self.digest))?;
        self.repository.send(&self.object, &mut || {
            let mut request = Request::new(Method::Get, url.clone(), self.repository.security());
            let range = range.map(|range| ("range", range.to_owned()));
            request.headers.extend(range);
            request
        })
    }

    /// What follows byte `start` of a whole body.
    fn skip(&self, response: Response, start: u64) -> Result<Reader> {
        let mut response = self.repository.expect(&self.object, response, &[200])?;
        let skipped = io::copy(&mut (&mut response.body).take(start), &mut io::sink());
        skipped.map_err(|source| Error::Lost {
            what: self.what(),
            source,
        })?;
        Ok(response.body)
    }

    /// Notes a lost connection, and waits before the next one.
    fn lose(&mut self, source: io::Error) -> io::Result<()> {
        self.body = None;
        if self.left.start >= self.progress_mark + PROGRESS {
            self.losses = 0;
            self.progress_mark = self.left.start;
        }
        let backoff = self.repository.http().backoff();
        self.losses += 1;
        if source.kind() == io::ErrorKind::TimedOut {
            self.losses = backoff.stalled(self.losses);
        }
        if self.losses >= backoff.attempts {
            return Err(io::Error::other(Error::Lost {
                what: self.what(),
                source,
            }));
        }
        sleep(backoff.wait(self.losses));
        Ok(())
    }
}

impl Read for Transfer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let remaining = self.left.end - self.left.start;
            let wanted = usize::try_from(remaining).map_or(buffer.len(), |n| n.min(buffer.len()));
            if wanted == 0 {
                return Ok(0);
            }
            let Some(body) = &mut self.body else {
                match self.open() {
                    Ok(body) => self.body = Some(body),
                    Err(Error::Lost { source, .. }) => self.lose(source)?,
                    Err(error) => return Err(io::Error::other(error)),
                }
                continue;
            };
            match body.read(&mut buffer[..wanted]) {
                Ok(0) => self.lose(io::ErrorKind::UnexpectedEof.into())?,
                Err(error) => self.lose(error)?,
                Ok(count) => {
                    self.left.start += count as u64;
                    return Ok(count);
                }
            }
        }
    }
}
