//! Uploading one blob: in one piece, and when that was cut or refused, in several, from where the
//! server is.
//!
//! Knows: the requests of an upload, and what they answer. Does not know: whether the blob is
//! needed, how often to try ([`crate::push`]).
//!
//! Invariant: nothing is sent twice that the server says it has; the manner of the upload changes
//! only once, to the more patient one.
//!
//! OCI distribution-spec, "Pushing blobs".

use std::io::{self, Read};

use rbuild_http::{Body, Method, RETRY_AFTER_LIMIT, Request, Response, Url, redirect_target};
use rbuild_oci::Descriptor;

use crate::{Error, Repository, Result};

/// Opens the bytes to push, from the start, each time it is called.
pub(crate) type Open<'a> = dyn FnMut() -> io::Result<Box<dyn Read + 'a>> + 'a;

/// Bytes that are sent at once where the whole is too much, unless the registry wants more.
const PIECE: u64 = 16 << 20;

/// How bytes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// All, with the request that ends the upload.
    Whole,
    /// Piece by piece.
    Pieces,
}

/// An upload that goes on where it was cut.
pub(crate) struct Upload<'a> {
    repository: &'a Repository,
    descriptor: &'a Descriptor,
    object: String,
    /// Where to go on; `None` before it began, or if it must begin again.
    location: Option<Url>,
    /// Bytes that the server has.
    offset: u64,
    manner: Manner,
    /// The size of a piece, in bytes.
    piece: u64,
}

/// What a failed attempt means for the next one.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// The server may have something already.
    GoOn,
    /// It has forgotten the upload.
    Anew,
    /// It does not take as much at once.
    InPieces,
    /// It will not become better.
    GiveUp,
}

impl<'a> Upload<'a> {
    /// An upload that did not begin, unless at `location`.
    pub fn new(
        repository: &'a Repository,
        descriptor: &'a Descriptor,
        location: Option<Url>,
    ) -> Self {
        Self {
            repository,
            descriptor,
            object: format!("blob {}", descriptor.digest),
            location,
            offset: 0,
            manner: Manner::Whole,
            piece: PIECE,
        }
    }

    /// Bytes that the server has.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Sends what the server lacks, and ends the upload.
    ///
    /// # Errors
    /// [`Error::Source`] if `open` fails; else as any request: [`Upload::recover`] tells what then.
    pub fn advance(&mut self, open: &mut Open<'_>) -> Result<()> {
        let location = match self.location.take() {
            Some(location) => location,
            None => self.begin()?,
        };
        let mut reader = open().map_err(|source| self.source_error(source))?;
        let skipped = io::copy(&mut (&mut reader).take(self.offset), &mut io::sink());
        skipped.map_err(|source| self.source_error(source))?;
        match self.manner {
            Manner::Whole => self.put(location, &mut *reader, self.descriptor.size),
            Manner::Pieces => {
                let location = self.patch_all(location, &mut *reader)?;
                self.put(location, &mut io::empty(), 0)
            }
        }
    }

    /// Prepares the next attempt after `error`: asks the server how much it has. Returns whether
    /// there is sense in one.
    pub fn recover(&mut self, error: &Error) -> bool {
        let has_begun = self.location.is_some();
        match next(error) {
            Next::GiveUp => false,
            // To begin, a token was got already.
            Next::GoOn if !has_begun && matches!(error, Error::Unauthorized { .. }) => false,
            Next::InPieces if self.manner == Manner::Pieces => false,
            Next::InPieces => {
                self.begin_again();
                self.manner = Manner::Pieces;
                true
            }
            Next::Anew => {
                self.begin_again();
                true
            }
            Next::GoOn => {
                self.ask();
                true
            }
        }
    }

    fn begin_again(&mut self) {
        self.location = None;
        self.offset = 0;
    }

    /// Finds out where to go on; where nobody knows, that is the start.
    fn ask(&mut self) {
        let Some(location) = self.location.take() else {
            return self.begin_again();
        };
        let answer = self.repository.send(&self.object, &mut || {
            Request::new(Method::Get, location.clone(), self.repository.security())
        });
        let known = answer.ok().filter(|response| response.status == 204);
        let found = known.and_then(|response| {
            // `0-0` is what many say of no byte at all.
            let last = last_byte(&response).filter(|last| *last > 0)?;
            let location = self.next_location(&response).unwrap_or(location);
            Some((last.saturating_add(1), location))
        });
        match found {
            Some((offset, location)) if offset <= self.descriptor.size => {
                self.offset = offset;
                self.location = Some(location);
                self.manner = Manner::Pieces;
            }
            _ => self.begin_again(),
        }
    }

    /// Asks where to upload to.
    fn begin(&mut self) -> Result<Url> {
        self.offset = 0;
        let url = self.repository.url("blobs/uploads/")?;
        let response = self.repository.send(&self.object, &mut || {
            Request::new(Method::Post, url.clone(), self.repository.security())
        })?;
        let response = self.repository.expect(&self.object, response, &[202])?;
        let least = response.header("oci-chunk-min-length");
        let least = least.and_then(|bytes| bytes.parse().ok());
        self.piece = PIECE.max(least.unwrap_or_default());
        self.repository.location(&self.object, &response)
    }

    /// Sends the rest in pieces; returns where to end the upload.
    fn patch_all(&mut self, mut location: Url, reader: &mut dyn Read) -> Result<Url> {
        while self.offset < self.descriptor.size {
            let size = self.piece.min(self.descriptor.size - self.offset);
            let last = self.offset + size - 1;
            let mut request =
                Request::new(Method::Patch, location.clone(), self.repository.security());
            request.headers.push(octets());
            let range = format!("{}-{last}", self.offset);
            request.headers.push(("content-range", range));
            let mut piece = reader.take(size);
            request.body = Body::Stream {
                reader: &mut piece,
                size: Some(size),
            };
            self.location = Some(location);
            let response = self.send_once(request)?;
            let response = self
                .repository
                .expect(&self.object, response, &[202, 204])?;
            self.advanced_to(last + 1, &response)?;
            location = self.next_location(&response)?;
        }
        Ok(location)
    }

    /// Notes that the server has `expected` bytes, if it agrees.
    fn advanced_to(&mut self, expected: u64, response: &Response) -> Result<()> {
        match last_byte(response) {
            Some(last) if last.checked_add(1) != Some(expected) => Err(Error::Malformed {
                what: self.repository.what(&self.object),
                why: format!("the registry has bytes 0-{last} instead of {expected} bytes"),
            }),
            _ => {
                self.offset = expected;
                Ok(())
            }
        }
    }

    /// Ends the upload with the last `size` bytes.
    fn put(&mut self, location: Url, reader: &mut dyn Read, size: u64) -> Result<()> {
        let url = location.with_query("digest", &self.descriptor.digest.to_string());
        self.location = Some(location);
        let mut request = Request::new(Method::Put, url, self.repository.security());
        request.headers.push(octets());
        request.body = Body::Stream {
            reader,
            size: Some(size),
        };
        let response = self.send_once(request)?;
        let wanted = [201, 204];
        let answer = self.repository.expect(&self.object, response, &wanted);
        answer.map(drop)
    }

    fn send_once(&self, request: Request<'_>) -> Result<Response> {
        self.repository.send_once(&self.object, request)
    }

    fn next_location(&self, response: &Response) -> Result<Url> {
        self.repository.location(&self.object, response)
    }

    fn source_error(&self, source: io::Error) -> Error {
        Error::Source {
            what: self.object.clone(),
            source,
        }
    }
}

impl Repository {
    /// Where `response` says that an upload goes on.
    pub(crate) fn location(&self, object: &str, response: &Response) -> Result<Url> {
        let location = response
            .header("location")
            .ok_or_else(|| Error::Malformed {
                what: self.what(object),
                why: "no place to upload to".to_owned(),
            })?;
        redirect_target(&response.url, location, self.security())
            .map_err(|source| self.send_error(object, source))
    }
}

fn octets() -> (&'static str, String) {
    ("content-type", "application/octet-stream".to_owned())
}

/// The last byte that the server has by its `Range: 0-LAST`; `None` if it does not say.
fn last_byte(response: &Response) -> Option<u64> {
    let range = response.header("range")?;
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    range.strip_prefix("0-")?.parse().ok()
}

/// What `error` means. 401 is a token that expired meanwhile: to ask for the state of the upload
/// gets a new one. 404: the upload was forgotten. 416: we disagree about what the server has.
fn next(error: &Error) -> Next {
    match error {
        Error::Send { source, .. } if source.is_connection() || source.is_stall() => Next::GoOn,
        Error::Unauthorized { .. } => Next::GoOn,
        Error::Status { retry_after, .. } if *retry_after > Some(RETRY_AFTER_LIMIT) => Next::GiveUp,
        Error::Status { status, .. } => match status {
            404 => Next::Anew,
            405 | 411 | 413 | 501 => Next::InPieces,
            416 | 429 | 500 | 502 | 503 | 504 => Next::GoOn,
            _ => Next::GiveUp,
        },
        _ => Next::GiveUp,
    }
}
