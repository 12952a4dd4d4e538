//! Fetching a blob: verified while it streams, resumed where it was cut.

use std::{
    fmt,
    io::{self, Read},
    thread::sleep,
};

use rbuild_http::{Method, Reader, Request, Response};
use rbuild_oci::{BlobDigest, Descriptor, Hasher};

use crate::{Error, Repository, Result};

/// Progress, in bytes, after which a lost connection counts as the first one again.
const PROGRESS: u64 = 1 << 20;

/// The bytes of a blob. The end comes only if digest and size are right: whoever reads to the
/// end without an error has the blob.
pub struct BlobReader<'a> {
    repository: &'a Repository,
    descriptor: Descriptor,
    object: String,
    body: Option<Reader>,
    /// `None` once the end was verified.
    hasher: Option<Hasher>,
    /// Connections lost since `progress_mark`.
    losses: u32,
    progress_mark: u64,
}

impl fmt::Debug for BlobReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.object)
    }
}

impl Repository {
    /// Starts to fetch the blob that `descriptor` names.
    ///
    /// Lost connections are resumed with `Range`, a bounded number of times; stalled ones once.
    ///
    /// # Errors
    /// As any request. Reading fails with [`Error`] inside an [`io::Error`].
    pub fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader<'_>> {
        let mut reader = BlobReader {
            repository: self,
            descriptor: descriptor.clone(),
            object: format!("blob {}", descriptor.digest),
            body: None,
            hasher: Some(Hasher::new()),
            losses: 0,
            progress_mark: 0,
        };
        reader.body = Some(reader.open(0)?);
        Ok(reader)
    }
}

impl BlobReader<'_> {
    /// The body from byte `start` on: only that where the server can, else all, and what we have
    /// is skipped.
    fn open(&self, start: u64) -> Result<Reader> {
        if start > 0 {
            let response = self.request(Some(start))?;
            let is_rest = || {
                let range = response.header("content-range").unwrap_or_default();
                range.starts_with(&format!("bytes {start}-"))
            };
            match response.status {
                206 if is_rest() => return Ok(response.body),
                // It says that there is nothing of that kind, or gives something else.
                206 | 416 => {}
                _ => return self.skip(response, start),
            }
        }
        self.skip(self.request(None)?, start)
    }

    /// Asks for the blob, or what it has from byte `start` on.
    fn request(&self, start: Option<u64>) -> Result<Response> {
        let url = self
            .repository
            .url(&format!("blobs/{}", self.descriptor.digest))?;
        self.repository.send(&self.object, &mut || {
            let mut request = Request::new(Method::Get, url.clone(), self.repository.security());
            let range = start.map(|start| ("range", format!("bytes={start}-")));
            request.headers.extend(range);
            request
        })
    }

    /// What follows byte `start` of a whole body.
    fn skip(&self, response: Response, start: u64) -> Result<Reader> {
        let mut response = self.repository.expect(&self.object, response, &[200])?;
        let skipped = io::copy(&mut (&mut response.body).take(start), &mut io::sink());
        skipped.map_err(|source| Error::Lost {
            what: self.repository.what(&self.object),
            source,
        })?;
        Ok(response.body)
    }

    /// Notes a lost connection, and waits before the next one.
    fn lose(&mut self, received: u64, source: io::Error) -> io::Result<()> {
        self.body = None;
        if received >= self.progress_mark + PROGRESS {
            self.losses = 0;
            self.progress_mark = received;
        }
        let backoff = self.repository.http().backoff();
        self.losses += 1;
        if source.kind() == io::ErrorKind::TimedOut {
            self.losses = backoff.stalled(self.losses);
        }
        if self.losses >= backoff.attempts {
            return Err(io::Error::other(Error::Lost {
                what: self.repository.what(&self.object),
                source,
            }));
        }
        sleep(backoff.wait(self.losses));
        Ok(())
    }

    /// Nothing may follow, and the digest must be right.
    fn finish(&mut self) -> io::Result<usize> {
        let what = || self.repository.what(&self.object);
        let excess = self.body.take().map(|mut body| body.read(&mut [0]));
        if let Some(Ok(1..)) = excess {
            return Err(io::Error::other(Error::TooLarge {
                what: what(),
                limit: self.descriptor.size,
            }));
        }
        let Some(hasher) = self.hasher.take() else {
            return Ok(0);
        };
        let found = BlobDigest(hasher.finish());
        if found == self.descriptor.digest {
            return Ok(0);
        }
        Err(io::Error::other(Error::Digest {
            what: what(),
            expected: self.descriptor.digest,
            found,
        }))
    }
}

impl Read for BlobReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let received = match &self.hasher {
                Some(hasher) => hasher.size(),
                None => return Ok(0),
            };
            let remaining = self.descriptor.size - received;
            if remaining == 0 {
                return self.finish();
            }
            let wanted = usize::try_from(remaining).map_or(buffer.len(), |n| n.min(buffer.len()));
            let answer = match &mut self.body {
                Some(body) => body.read(&mut buffer[..wanted]),
                None => {
                    self.body = match self.open(received) {
                        Ok(body) => Some(body),
                        Err(Error::Lost { source, .. }) => {
                            self.lose(received, source)?;
                            continue;
                        }
                        Err(error) => return Err(io::Error::other(error)),
                    };
                    continue;
                }
            };
            match answer {
                Ok(0) => self.lose(received, io::ErrorKind::UnexpectedEof.into())?,
                Err(error) => self.lose(received, error)?,
                Ok(count) => {
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(&buffer[..count]);
                    }
                    return Ok(count);
                }
            }
        }
    }
}
