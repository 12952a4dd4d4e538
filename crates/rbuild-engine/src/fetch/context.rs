//! Build contexts that are not directories: streams, archives of the web, git repositories.
//!
//! The bytes say what they are: an archive is unpacked, a text is a Dockerfile that builds
//! without a context. dockerfile.md 1.13, I1.

use std::{
    fs::File,
    io::{self, Read, Seek},
};

use rbuild_context::{Download, Downloaded, Git, GitRequest, GitSource, download};
use rbuild_http::{Client, Url};
use rbuild_layer::{
    Codec, Decoder, Ownership, RootEntry, UnpackOptions, Whiteouts, is_tar, sniff, unpack,
};
use rbuild_sys::{Dir, effective_ids};

use super::{
    FetchError, Remote, Revision,
    archive::{HEADER, RATIO_LIMIT},
};

/// Largest Dockerfile, in bytes (sandbox.md, Limits).
pub const MAX_DOCKERFILE: u64 = 4 << 20;
/// Largest archive, in bytes.
const MAX_ARCHIVE: u64 = 64 << 30;
/// The name that a download has for a moment.
const DOWNLOAD: &[u8] = b".rbuild-download";

/// What a build context turned out to be.
#[derive(Debug)]
pub enum FetchedContext {
    /// Files. The Dockerfile is among them: read it with [`Dir::resolve_file`], because it may
    /// be a symlink.
    Tree(Dir),
    /// A Dockerfile's text, and no files.
    Dockerfile(Vec<u8>),
}

/// A build context that was somewhere else.
#[derive(Debug)]
pub struct Fetched {
    /// What it turned out to be.
    pub context: FetchedContext,
    /// What was there.
    pub remote: Remote,
}

/// Fetches build contexts.
#[derive(Clone, Copy, Debug)]
pub struct ContextFetcher<'a> {
    /// For URLs.
    pub http: &'a Client,
    /// For git repositories.
    pub git: &'a Git,
    /// `Authorization` for the context's origin.
    pub authorization: Option<&'a str>,
}

impl ContextFetcher<'_> {
    /// The context that `input` is, called `name` in messages; an archive is unpacked into the
    /// empty directory `into`. Compressed archives are fine.
    ///
    /// # Errors
    /// [`FetchError::Read`], [`FetchError::Unpack`], [`FetchError::Neither`].
    pub fn stream(
        &self,
        input: &mut dyn Read,
        name: &str,
        into: &Dir,
    ) -> Result<FetchedContext, FetchError> {
        from_stream(input, into, name)
    }

    /// The context that is behind `url`, as for [`ContextFetcher::stream`].
    ///
    /// # Errors
    /// [`FetchError::Fetch`] too.
    pub fn url(&self, url: &Url, into: &Dir) -> Result<Fetched, FetchError> {
        let from = format!("`{url}`");
        let mut file = nameless(into).map_err(|source| FetchError::Store {
            from: from.clone(),
            source,
        })?;
        let wanted = Download {
            url,
            known: None,
            checksum: None,
            authorization: self.authorization,
            size_limit: MAX_ARCHIVE,
        };
        let Downloaded::New(remote) = download(self.http, &wanted, &mut file)? else {
            unreachable!("nothing was known")
        };
        file.rewind().map_err(|source| FetchError::Read {
            from: from.clone(),
            source,
        })?;
        Ok(Fetched {
            context: from_stream(&mut file, into, &from)?,
            remote: Remote {
                uri: url.to_string(),
                revision: Revision::Bytes(remote.digest),
            },
        })
    }

    /// The files of `source`, checked out into the empty directory `into`.
    ///
    /// # Errors
    /// [`FetchError::Fetch`].
    pub fn git(
        &self,
        source: &GitSource,
        request: &GitRequest<'_>,
        into: &Dir,
    ) -> Result<Fetched, FetchError> {
        let request = GitRequest {
            authorization: request.authorization.or(self.authorization),
            ..*request
        };
        let checkout = self.git.fetch(source, &request, into)?;
        Ok(Fetched {
            context: FetchedContext::Tree(checkout.tree),
            remote: Remote {
                uri: source.locator(),
                revision: Revision::Commit(checkout.commit),
            },
        })
    }
}

/// A file that disappears with its handle, on the file system of `dir`.
fn nameless(dir: &Dir) -> rbuild_sys::Result<File> {
    let file = dir.create(DOWNLOAD, 0o600)?;
    dir.unlink(DOWNLOAD)?;
    Ok(file)
}

fn from_stream(input: &mut dyn Read, into: &Dir, from: &str) -> Result<FetchedContext, FetchError> {
    let read = |source| FetchError::Read {
        from: from.to_owned(),
        source,
    };
    let neither = |why| FetchError::Neither {
        from: from.to_owned(),
        why,
    };
    let start = start_of(input).map_err(read)?;
    let codec = sniff(&start);
    let whole = io::Cursor::new(start).chain(input);
    let mut decoder = Decoder::new(whole, codec, RATIO_LIMIT).map_err(read)?;
    let header = start_of(&mut decoder).map_err(read)?;
    let empty_archive = header.len() as u64 == HEADER && header.iter().all(|&byte| byte == 0);
    let archive = is_tar(&header) || empty_archive;
    let mut whole = io::Cursor::new(&header[..]).chain(&mut decoder);
    if archive {
        let (uid, gid) = effective_ids();
        let options = UnpackOptions {
            ownership: Ownership::Fixed { uid, gid },
            root: RootEntry::Ignored,
            ..UnpackOptions::new(Whiteouts::Literal)
        };
        unpack(&mut whole, into, &options).map_err(|source| FetchError::Unpack {
            from: from.to_owned(),
            source,
        })?;
        let tree = into.try_clone().map_err(|source| FetchError::Store {
            from: from.to_owned(),
            source,
        })?;
        return Ok(FetchedContext::Tree(tree));
    }
    if codec != Codec::None {
        return Err(neither("it is compressed, but no archive"));
    }
    let mut text = Vec::new();
    whole
        .take(MAX_DOCKERFILE + 1)
        .read_to_end(&mut text)
        .map_err(read)?;
    match &text[..] {
        [] => Err(neither("it is empty")),
        text if text.contains(&0) => Err(neither("it is neither an archive nor a text")),
        text if text.len() as u64 > MAX_DOCKERFILE => {
            Err(neither("it is no archive, and too large for a Dockerfile"))
        }
        _ => Ok(FetchedContext::Dockerfile(text)),
    }
}

/// The first bytes of `input`; fewer than a header's only at its end.
fn start_of(input: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    input.take(HEADER).read_to_end(&mut start)?;
    Ok(start)
}

#[cfg(test)]
mod tests;
