//! Remote sources of ADD: files of the web and git repositories, put into directories.
//!
//! Bytes that were fetched before and are still in the store are asked for conditionally.
//!
//! Spec: dockerfile.md 1.11, X3 to X6; C26.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Seek},
};

use rbuild_context::{
    Asked, AuthSecret, Download, Downloaded, Git, GitDir, GitRequest, GitSource, RemoteFile,
    Shorthand, download, file_name,
};
use rbuild_http::{Client, Url};
use rbuild_oci::BlobDigest;
use rbuild_store::{Key, Session};
use rbuild_sys::{Dir, Timestamp};

use super::{Remote, Revision};
use crate::step::StepError;

/// Kind of the store's notes on files of the web.
const NOTES: &str = "remote";
/// Largest file, in bytes.
const MAX_SIZE: u64 = 64 << 30;
/// The name of a file whose URL has none (X3).
const UNNAMED: &str = "__unnamed__";

/// Fetches what ADD names.
#[derive(Clone, Copy)]
pub struct Fetcher<'a> {
    /// For URLs.
    pub http: &'a Client,
    /// For repositories.
    pub git: &'a Git,
    /// Build secrets by id, some of which may authorize a request (X4, X6).
    pub secrets: &'a BTreeMap<String, Vec<u8>>,
}

/// What ADD has named, put down.
pub struct Added {
    /// Nothing else is in it.
    pub dir: Dir,
    /// The file in there that is meant; empty: all of it is.
    pub name: String,
    /// What was fetched.
    pub remote: Remote,
}

impl Fetcher<'_> {
    /// The value of `Authorization` for `host`, if one of the secrets is for it.
    pub fn authorization(&self, asked: Asked, host: &str) -> Option<String> {
        let candidates = AuthSecret::candidates(asked, host);
        candidates.iter().find_map(|candidate| {
            let value = self.secrets.get(&candidate.id)?;
            candidate.authorization(std::str::from_utf8(value).ok()?)
        })
    }

    /// The file behind `url` as a file in a new directory, mode 0600, its time that of the server.
    ///
    /// # Errors
    /// [`StepError::Source`] if it cannot be had, or has another checksum.
    pub fn url(
        &self,
        session: &Session,
        url: &str,
        checksum: Option<&str>,
    ) -> Result<Added, StepError> {
        let parsed: Url = url.parse().map_err(rbuild_context::Error::from)?;
        let checksum = checksum
            .map(|text| text.parse().map_err(StepError::Checksum))
            .transpose()?;
        let known = known(session, url)?;
        let dir = session.new_layer()?.diff;
        let name = file_name(&parsed).unwrap_or_else(|| UNNAMED.to_owned());
        let stage = |source| StepError::Stage {
            what: format!("`{url}`"),
            source,
        };
        let mut file = dir.create(name.as_bytes(), 0o600).map_err(stage)?;
        let authorization = self.authorization(Asked::File, &parsed.host());
        let wanted = Download {
            url: &parsed,
            known: known.as_ref().map(|(remote, _)| remote),
            checksum,
            authorization: authorization.as_deref(),
            size_limit: MAX_SIZE,
        };
        let remote = match (download(self.http, &wanted, &mut file)?, known) {
            (Downloaded::Unchanged, Some((remote, mut blob))) => {
                copy(&mut blob, &mut file, url)?;
                remote
            }
            (Downloaded::New(remote), _) => {
                remember(session, url, &remote, &mut file)?;
                remote
            }
            (Downloaded::Unchanged, None) => unreachable!("nothing was known"),
        };
        dir.set_mode(name.as_bytes(), 0o600).map_err(stage)?;
        let mtime = Timestamp {
            seconds: remote.modified.unwrap_or(0),
            nanoseconds: 0,
        };
        dir.set_mtime(name.as_bytes(), mtime).map_err(stage)?;
        Ok(Added {
            dir,
            name,
            remote: Remote {
                uri: parsed.to_string(),
                revision: Revision::Bytes(remote.digest),
            },
        })
    }

    /// The files of the repository that `text` names.
    ///
    /// # Errors
    /// [`StepError::Source`] if it cannot be had, or is at another commit.
    pub fn git(
        &self,
        session: &Session,
        text: &str,
        (checksum, keep_git_dir): (Option<&str>, Option<bool>),
    ) -> Result<Added, StepError> {
        let source = GitSource::parse(text, Shorthand::Refused).ok_or_else(|| {
            StepError::NoRepository {
                url: text.to_owned(),
            }
        })??;
        let git_dir = match (keep_git_dir, source.keep_git_dir) {
            (Some(flag), Some(query)) if flag != query => {
                return Err(StepError::GitDir {
                    url: text.to_owned(),
                    flag,
                });
            }
            (Some(true), _) => GitDir::Kept,
            (Some(false) | None, _) => GitDir::Removed,
        };
        let host = source.http_host();
        let authorization = host.and_then(|host| self.authorization(Asked::Git, &host));
        let request = GitRequest {
            git_dir,
            checksum,
            authorization: authorization.as_deref(),
        };
        let into = session.new_layer()?.diff;
        let checkout = self.git.fetch(&source, &request, &into)?;
        Ok(Added {
            dir: checkout.tree,
            name: String::new(),
            remote: Remote {
                uri: source.locator(),
                revision: Revision::Commit(checkout.commit),
            },
        })
    }
}

/// Keeps the bytes of `file` as a blob, and a note of what they are.
fn remember(
    session: &Session,
    url: &str,
    remote: &RemoteFile,
    file: &mut File,
) -> Result<(), StepError> {
    let mut blob = session.blob()?;
    file.rewind()
        .and_then(|()| io::copy(file, &mut blob))
        .map_err(reading(url))?;
    blob.commit(Some((BlobDigest(remote.digest), remote.size)))?;
    Ok(session.put_note(NOTES, &Key::of(url.as_bytes()), &remote.store())?)
}

/// What was fetched from there before, if its bytes are still in the store.
fn known(session: &Session, url: &str) -> Result<Option<(RemoteFile, File)>, StepError> {
    let note = session.store().note(NOTES, &Key::of(url.as_bytes()))?;
    let Some(remote) = note.and_then(|bytes| RemoteFile::load(&bytes)) else {
        return Ok(None);
    };
    let blob = session.store().open_blob(&BlobDigest(remote.digest))?;
    Ok(blob.map(|blob| (remote, blob)))
}

fn copy(from: &mut File, to: &mut File, url: &str) -> Result<(), StepError> {
    io::copy(from, to).map(drop).map_err(reading(url))
}

fn reading(url: &str) -> impl FnOnce(io::Error) -> StepError {
    let what = format!("`{url}`");
    |source| StepError::Stage {
        what,
        source: rbuild_sys::Error {
            call: "read",
            operand: String::new(),
            source,
        },
    }
}
