//! A URL → bytes in a file, and what is remembered of them.
//!
//! Knows: names, times, validators and checksums of what is fetched over http.
//! Does not know: what is in the bytes, or where they go in an image.
//!
//! Invariant: bytes that do not have the expected checksum are never returned as fetched.
//!
//! Spec: dockerfile.md 1.11, X3 and X4; C26; traps T36, T39; RFC 9110, 13.1.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
};

use rbuild_http::{Client, Method, Request, Response, Security, Url, percent_decoded};
use rbuild_oci::{Digest, Hasher};

use crate::error::{Error, Result};

/// How much is copied at once, in bytes.
const BUFFER: usize = 256 << 10;
/// Version of the stored form.
const FORM: &str = "rbuild remote 1";

/// What to fetch, and how.
#[derive(Clone, Debug)]
pub struct Download<'a> {
    /// Where it is. Plain http is fine, but https is never left for it.
    pub url: &'a Url,
    /// What was fetched before, if its bytes are still there: nothing is sent again then.
    pub known: Option<&'a RemoteFile>,
    /// What the digest of the bytes must be.
    pub checksum: Option<Digest>,
    /// `Authorization` for the origin of `url`.
    pub authorization: Option<&'a str>,
    /// Most bytes.
    pub size_limit: u64,
}

/// What [`download`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Downloaded {
    /// Nothing new: what was known still is so.
    Unchanged,
    /// Bytes, which are in the file now.
    New(RemoteFile),
}

/// What is known of fetched bytes. The caller keeps it beside them, for the next
/// [`Download::known`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// Digest of the bytes.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    /// `Last-Modified`, in seconds since 1970; `None` if the server does not say.
    pub modified: Option<i64>,
    /// What the server knows them by.
    validators: Validators,
}

/// Headers of an answer that make the next request conditional, verbatim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Validators {
    etag: Option<String>,
    last_modified: Option<String>,
}

impl RemoteFile {
    /// The form in which [`RemoteFile::load`] reads it.
    pub fn store(&self) -> Vec<u8> {
        let line = |value: &Option<String>| value.clone().unwrap_or_default();
        let modified = self.modified.map(|seconds| seconds.to_string());
        [
            FORM.to_owned(),
            self.digest.to_string(),
            self.size.to_string(),
            line(&modified),
            line(&self.validators.etag),
            line(&self.validators.last_modified),
        ]
        .join("\n")
        .into_bytes()
    }

    /// Reads what [`RemoteFile::store`] returned; `None` if it is anything else.
    pub fn load(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let lines: Vec<&str> = text.split('\n').collect();
        let &[FORM, digest, size, modified, etag, last_modified] = &lines[..] else {
            return None;
        };
        let line = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Some(Self {
            digest: digest.parse().ok()?,
            size: size.parse().ok()?,
            modified: match modified {
                "" => None,
                seconds => Some(seconds.parse().ok()?),
            },
            validators: Validators {
                etag: line(etag),
                last_modified: line(last_modified),
            },
        })
    }
}

/// The name of a file that is fetched from `url`: the last part of its path, decoded; `None` if
/// that is no name. Its query does not count (T36).
pub fn file_name(url: &Url) -> Option<String> {
    let path = percent_decoded(url.path())?;
    let name = path.trim_end_matches('/').rsplit('/').next()?;
    let usable = !matches!(name, "" | "." | "..") && !name.contains('\0');
    usable.then(|| name.to_owned())
}

/// Fetches the bytes of a URL into `to`, which is emptied first; begins again when the
/// connection is lost.
///
/// # Errors
/// [`Error::Http`] without an answer, [`Error::Status`] for one that is not 200,
/// [`Error::Body`] if it ends early, [`Error::TooLarge`], [`Error::Checksum`]. `to` then holds
/// anything.
pub fn download(client: &Client, wanted: &Download<'_>, to: &mut File) -> Result<Downloaded> {
    let backoff = client.backoff();
    let mut attempt = 1;
    loop {
        match try_download(client, wanted, to) {
            Err(Error::Body { .. }) if attempt < backoff.attempts => {
                std::thread::sleep(backoff.wait(attempt));
                attempt += 1;
            }
            answer => return answer,
        }
    }
}

fn try_download(client: &Client, wanted: &Download<'_>, to: &mut File) -> Result<Downloaded> {
    let mut request = Request::new(Method::Get, wanted.url.clone(), Security::PlainAllowed);
    request.authorization = wanted.authorization.map(str::to_owned);
    let known = wanted.known.map(|known| &known.validators);
    let mut conditional = false;
    if let Some(etag) = known.and_then(|known| known.etag.as_ref()) {
        request.headers.push(("if-none-match", etag.clone()));
        conditional = true;
    }
    if let Some(time) = known.and_then(|known| known.last_modified.as_ref()) {
        request.headers.push(("if-modified-since", time.clone()));
        conditional = true;
    }
    let response = client.send(request)?;
    match response.status {
        200 => {}
        304 if conditional => {
            let digest = wanted.known.map(|known| known.digest);
            verify(wanted, digest)?;
            return Ok(Downloaded::Unchanged);
        }
        status => {
            return Err(Error::Status {
                url: wanted.url.clone(),
                status,
            });
        }
    }
    let validators = Validators {
        etag: response.header("etag").map(str::to_owned),
        last_modified: response.header("last-modified").map(str::to_owned),
    };
    let (digest, size) = receive(response, wanted, to)?;
    verify(wanted, Some(digest))?;
    Ok(Downloaded::New(RemoteFile {
        digest,
        size,
        modified: validators.last_modified.as_deref().and_then(http_date),
        validators,
    }))
}

/// Writes the body of `response` to `to`.
fn receive(mut response: Response, wanted: &Download<'_>, to: &mut File) -> Result<(Digest, u64)> {
    let written = |source| Error::Store {
        url: wanted.url.clone(),
        source,
    };
    to.set_len(0).and_then(|()| to.rewind()).map_err(written)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; BUFFER];
    let mut size = 0u64;
    loop {
        let count = match response.body.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finish(), size)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => {
                return Err(Error::Body {
                    url: wanted.url.clone(),
                    source,
                });
            }
        };
        size += count as u64;
        if size > wanted.size_limit {
            return Err(Error::TooLarge {
                url: wanted.url.clone(),
                allowed: wanted.size_limit,
            });
        }
        hasher.update(&buffer[..count]);
        to.write_all(&buffer[..count]).map_err(written)?;
    }
}

fn verify(wanted: &Download<'_>, found: Option<Digest>) -> Result<()> {
    match (wanted.checksum, found) {
        (Some(expected), Some(found)) if expected != found => Err(Error::Checksum {
            url: wanted.url.clone(),
            expected,
            found,
        }),
        _ => Ok(()),
    }
}

/// Seconds since 1970 of `Last-Modified`; `None` if it is malformed. RFC 9110, 5.6.7.
fn http_date(text: &str) -> Option<i64> {
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text);
    time.ok().map(jiff::Timestamp::as_second)
}

#[cfg(test)]
mod tests;
