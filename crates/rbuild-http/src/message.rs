//! Requests and answers, as values.

use std::{
    fmt,
    io::{self, Read},
    time::Duration,
};

use jiff::Timestamp;
use ureq::http::HeaderMap;

use crate::{Url, retry_after};

/// How far a server is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Security {
    /// https with a valid certificate; plain http to this machine only.
    Verified,
    /// Plain http too; a certificate, if there is one, must be valid.
    PlainAllowed,
    /// Plain http, and https with any certificate.
    Insecure,
}

/// The methods that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Fetch.
    Get,
    /// Fetch the headers only.
    Head,
    /// Create under a name that the server chooses.
    Post,
    /// Append.
    Patch,
    /// Create under this name.
    Put,
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Put => "PUT",
        }
    }

    /// Whether doing it twice is the same as once. RFC 9110, 9.2.2.
    pub(crate) fn is_idempotent(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Put)
    }
}

/// What is sent along.
pub enum Body<'a> {
    /// Nothing.
    Empty,
    /// These bytes; they can be sent again.
    Bytes(&'a [u8]),
    /// What the reader gives, once: a request with it is never repeated.
    Stream {
        /// The bytes.
        reader: &'a mut dyn Read,
        /// Their number; `None`: sent in chunks.
        size: Option<u64>,
    },
}

/// A request.
pub struct Request<'a> {
    /// What to do.
    pub method: Method,
    /// With what.
    pub url: Url,
    /// `Authorization`; goes to the origin of `url` only.
    pub authorization: Option<String>,
    /// Other headers; they follow redirects.
    pub headers: Vec<(&'static str, String)>,
    /// What is sent along.
    pub body: Body<'a>,
    /// Whether the body goes to the origin of `url` only, as `authorization` does: a redirect
    /// elsewhere is then the answer.
    pub body_is_secret: bool,
    /// How far the server is trusted.
    pub security: Security,
}

impl Request<'_> {
    /// A request without headers and body.
    pub fn new(method: Method, url: Url, security: Security) -> Self {
        Self {
            method,
            url,
            authorization: None,
            headers: Vec::new(),
            body: Body::Empty,
            body_is_secret: false,
            security,
        }
    }
}

/// An answer, whatever its status is.
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Where the answer came from, after redirects.
    pub url: Url,
    pub(crate) headers: HeaderMap,
    /// What came along; ends early with an error when the connection is lost or stalls.
    pub body: Reader,
}

/// The bytes of an answer. [`io::ErrorKind::TimedOut`]: nothing came for too long.
pub struct Reader(Box<dyn Read + Send>);

impl Reader {
    pub(crate) fn new(body: impl Read + Send + 'static) -> Self {
        Self(Box::new(body))
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| {
            let timeout = |inner: &ureq::Error| matches!(inner, ureq::Error::Timeout(_));
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
            match inner.is_some_and(timeout) {
                true => io::Error::new(io::ErrorKind::TimedOut, error),
                false => error,
            }
        })
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.status, self.url)
    }
}

impl Response {
    /// The first header `name`; `None` if there is none or it is not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// All headers `name` that are text.
    pub fn headers<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
    }

    /// How long the server asks us to wait; `None` if it does not. RFC 9110, 10.2.3.
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.header("retry-after")?;
        retry_after::wait(value, self.header("date"), Timestamp::now())
    }

    /// At most `limit` bytes of the body; `None` if it is longer.
    ///
    /// # Errors
    /// When the connection is lost or stalls.
    pub fn read_at_most(self, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        self.body.take(limit + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= limit))
    }
}
