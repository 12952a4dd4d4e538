//! Pushing: blobs first, each only if the registry lacks it, then the manifest.
//!
//! OCI distribution-spec, "Push".

use std::thread::sleep;

use rbuild_http::{Body, Method, Request, Url};
use rbuild_oci::{BlobDigest, Descriptor, Digest};

use crate::{
    Error, Repository, Result,
    upload::{Open, Upload},
};

/// Progress, in bytes, after which a lost connection counts as the first one again.
const PROGRESS: u64 = 1 << 20;

/// What became of a blob that another repository has.
enum Mounting {
    /// It is here.
    Done,
    /// It is to be uploaded, there.
    Upload(Url),
    /// It is to be uploaded.
    Refused,
}

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

    /// Uploads the blob that `descriptor` names, if it is not there yet, nor in another repository
    /// that [`Scope::Push`] names for it.
    ///
    /// Goes on where the server is when the connection is lost or the token expires, and sends
    /// pieces to a server that does not take the whole.
    ///
    /// # Errors
    /// [`Error::Source`] if `open` fails; [`Error::Status`] if the registry refuses, as when
    /// the bytes are others than announced; else as any request.
    pub fn push_blob(&self, descriptor: &Descriptor, open: &mut Open<'_>) -> Result<()> {
        if self.has_blob(&descriptor.digest)? {
            return Ok(());
        }
        let location = match self.mount(&descriptor.digest)? {
            Mounting::Done => return Ok(()),
            Mounting::Upload(location) => Some(location),
            Mounting::Refused => None,
        };
        let mut upload = Upload::new(self, descriptor, location);
        let backoff = self.http().backoff();
        let (mut attempt, mut mark) = (1, 0);
        loop {
            let error = match upload.advance(open) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if matches!(&error, Error::Send { source, .. } if source.is_stall()) {
                attempt = backoff.stalled(attempt);
            }
            if attempt >= backoff.attempts || !upload.recover(&error) {
                return Err(error);
            }
            // The answer may be all that was lost.
            if upload.offset() == 0 && self.has_blob(&descriptor.digest)? {
                return Ok(());
            }
            let asked = match &error {
                Error::Status { retry_after, .. } => *retry_after,
                _ => None,
            };
            sleep(asked.unwrap_or_else(|| backoff.wait(attempt)));
            attempt += 1;
            if upload.offset() >= mark + PROGRESS {
                (attempt, mark) = (1, upload.offset());
            }
        }
    }

    /// Makes blob `digest` available here without moving it, if [`Scope::Push`] says which other
    /// repository of the registry has it.
    fn mount(&self, digest: &BlobDigest) -> Result<Mounting> {
        let Some(from) = self.mount_source(digest) else {
            return Ok(Mounting::Refused);
        };
        let object = format!("blob {digest}");
        let url = self
            .url("blobs/uploads/")?
            .with_query("mount", &digest.to_string())
            .with_query("from", from);
        let response = self.send(&object, &mut || {
            Request::new(Method::Post, url.clone(), self.security())
        })?;
        match response.status {
            201 => Ok(Mounting::Done),
            202 => self.location(&object, &response).map(Mounting::Upload),
            // The other repository may be closed to us: that says nothing about this one.
            400 | 401 | 403 | 404 | 405 => Ok(Mounting::Refused),
            _ => self
                .expect(&object, response, &[201, 202])
                .map(|_| Mounting::Refused),
        }
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
}
