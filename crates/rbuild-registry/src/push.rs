//! Pushing: blobs first, each only if the registry lacks it, then the manifest.
//!
//! OCI distribution-spec, "Push".

use std::{
    io::{self, Read},
    thread::sleep,
};

use rbuild_http::{Body, Method, Request, Response, Url, redirect_target};
use rbuild_oci::{BlobDigest, Descriptor, Digest, Hasher};

use crate::{Error, Repository, Result};

/// Opens the bytes to push, from the start, each time it is called.
type Open<'a> = dyn FnMut() -> io::Result<Box<dyn Read>> + 'a;

impl Repository {
    /// Whether the repository has blob `digest`.
    ///
    /// # Errors
    /// As any request.
    pub fn has_blob(&self, digest: &BlobDigest) -> Result<bool> {
        let object = format!("blob {digest}");
        let url = self.url(&format!("blobs/{digest}"))?;
        let response = self.send(&object, &mut || {
            Request::new(Method::Head, url.clone(), self.security())
        })?;
        if response.status == 404 {
            return Ok(false);
        }
        self.expect(&object, response, &[200]).map(|_| true)
    }

    /// Makes blob `digest` of repository `from`, of the same registry, available here without
    /// moving it. Returns whether that worked; if not, push it.
    ///
    /// # Errors
    /// As any request.
    pub fn mount(&self, digest: &BlobDigest, from: &str) -> Result<bool> {
        let object = format!("blob {digest}");
        let url = self
            .url("blobs/uploads/")?
            .with_query("mount", &digest.to_string())
            .with_query("from", from);
        let response = self.send(&object, &mut || {
            Request::new(Method::Post, url.clone(), self.security())
        })?;
        // 202: an upload was begun instead; the registry forgets it in time.
        let response = self.expect(&object, response, &[201, 202])?;
        Ok(response.status == 201)
    }

    /// Uploads the blob that `descriptor` names, if it is not there yet.
    ///
    /// Starts again from the beginning when the connection is lost or the token expires.
    ///
    /// # Errors
    /// [`Error::Source`] if `open` fails; [`Error::Status`] if the registry refuses, as when
    /// the bytes are others than announced; else as any request.
    pub fn push_blob(&self, descriptor: &Descriptor, open: &mut Open<'_>) -> Result<()> {
        if self.has_blob(&descriptor.digest)? {
            return Ok(());
        }
        let backoff = self.http().backoff();
        let mut attempt = 1;
        loop {
            match self.upload(descriptor, open) {
                Err(error) if attempt < backoff.attempts && may_pass(&error) => {
                    sleep(backoff.wait(attempt));
                }
                answer => return answer,
            }
            attempt += 1;
        }
    }

    /// Uploads what `reader` gives, whose size is not known; returns what it was.
    ///
    /// # Errors
    /// As any request; nothing is repeated, because `reader` cannot be.
    pub fn push_stream(&self, reader: &mut dyn Read) -> Result<(BlobDigest, u64)> {
        let object = "a new blob";
        let location = self.begin_upload(object)?;
        let mut hashing = Hashing {
            reader,
            hasher: Hasher::new(),
        };
        let mut request = Request::new(Method::Patch, location, self.security());
        request.headers.push(octets());
        request.body = Body::Stream {
            reader: &mut hashing,
            size: None,
        };
        let response = self.send_once(object, request)?;
        let response = self.expect(object, response, &[202, 204])?;
        let location = self.location(object, &response)?;
        let size = hashing.hasher.size();
        let digest = BlobDigest(hashing.hasher.finish());
        let url = location.with_query("digest", &digest.to_string());
        let response = self.send(object, &mut || {
            Request::new(Method::Put, url.clone(), self.security())
        })?;
        self.expect(object, response, &[201, 204])?;
        Ok((digest, size))
    }

    /// Writes manifest `text` of type `media_type` under `tag` (`None`: only under its
    /// digest), and returns its digest. Everything it names must be there already.
    ///
    /// # Errors
    /// [`Error::Digest`] if the registry stored something else; else as any request.
    pub fn push_manifest(
        &self,
        tag: Option<&str>,
        media_type: &str,
        text: &str,
    ) -> Result<BlobDigest> {
        let digest = BlobDigest(Digest::of(text.as_bytes()));
        let name = tag.map_or_else(|| digest.to_string(), str::to_owned);
        let object = format!("manifest `{name}`");
        let url = self.url(&format!("manifests/{name}"))?;
        let response = self.send(&object, &mut || {
            let mut request = Request::new(Method::Put, url.clone(), self.security());
            request
                .headers
                .push(("content-type", media_type.to_owned()));
            request.body = Body::Bytes(text.as_bytes());
            request
        })?;
        let response = self.expect(&object, response, &[201, 200, 202])?;
        let stored = response
            .header("docker-content-digest")
            .and_then(|stored| stored.parse().ok());
        match stored.map(BlobDigest) {
            Some(found) if found != digest => Err(Error::Digest {
                what: self.what(&object),
                expected: digest,
                found,
            }),
            _ => Ok(digest),
        }
    }

    fn upload(&self, descriptor: &Descriptor, open: &mut Open<'_>) -> Result<()> {
        let object = format!("blob {}", descriptor.digest);
        let location = self.begin_upload(&object)?;
        let mut reader = open().map_err(|source| Error::Source {
            what: object.clone(),
            source,
        })?;
        let url = location.with_query("digest", &descriptor.digest.to_string());
        let mut request = Request::new(Method::Put, url, self.security());
        request.headers.push(octets());
        request.body = Body::Stream {
            reader: &mut *reader,
            size: Some(descriptor.size),
        };
        let response = self.send_once(&object, request)?;
        self.expect(&object, response, &[201, 204]).map(drop)
    }

    /// Asks where to upload to.
    fn begin_upload(&self, object: &str) -> Result<Url> {
        let url = self.url("blobs/uploads/")?;
        let response = self.send(object, &mut || {
            Request::new(Method::Post, url.clone(), self.security())
        })?;
        let response = self.expect(object, response, &[202])?;
        self.location(object, &response)
    }

    /// Where `response` says that the upload goes on.
    fn location(&self, object: &str, response: &Response) -> Result<Url> {
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

/// Whether another attempt may end better. 401 is a token that expired meanwhile: the next
/// attempt begins with a request that gets a new one. 404: the upload was forgotten.
fn may_pass(error: &Error) -> bool {
    match error {
        Error::Send { source, .. } => source.is_connection(),
        Error::Unauthorized { .. } => true,
        Error::Status { status, .. } => {
            matches!(status, 404 | 429 | 500 | 502 | 503 | 504)
        }
        _ => false,
    }
}

/// Hashes what is read through it.
struct Hashing<'a> {
    reader: &'a mut dyn Read,
    hasher: Hasher,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
