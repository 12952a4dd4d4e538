//! What a text that names a git repository means. Pure; [`fetch`] runs the program.
//!
//! Knows: the forms of URLs, the fragment `#ref:subdir`, the keys of a query.
//! Does not know: processes, networks.
//!
//! Invariant: nothing of a source can be taken for an option by git or ssh, and neither `Debug`
//! nor `Display` nor an error shows a password or a token.
//!
//! Spec: dockerfile.md 1.11, X5 and X6; trap T40; CVE-2019-13139, CVE-2026-33748,
//! CVE-2023-26054.

use std::fmt;

use rbuild_http::{Url, without_user};

use crate::error::{Error, Result};

pub mod fetch;
mod normalize;
mod parse;

/// A place in a git repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSource {
    remote: Remote,
    /// What to check out; `None` means the remote's `HEAD`.
    pub reference: Option<GitReference>,
    /// The commit that must be found: its digits, or the first of them, in lower case. Without
    /// a reference it is what to check out.
    pub commit: Option<String>,
    /// The directory that is the root, without `..`; `None` means that of the repository.
    pub subdir: Option<String>,
    /// Whether `.git` stays; `None` if the source does not say.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are checked out too.
    pub submodules: bool,
    /// Which times the files get.
    pub times: GitTimes,
    /// Whether the commit is asked for even if there is a reference.
    pub fetch_by_commit: bool,
}

/// What to check out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitReference {
    /// A branch, a tag, a commit or `refs/…`: git decides.
    Any(String),
    /// A branch.
    Branch(String),
    /// A tag.
    Tag(String),
}

/// Which times of modification checked out files get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GitTimes {
    /// That of the checkout.
    #[default]
    Checkout,
    /// That of the commit.
    Commit,
}

/// Where the repository is.
#[derive(Clone, PartialEq, Eq)]
struct Remote {
    /// As git takes it, without user and password if it is http.
    url: String,
    /// The scheme, host and port of an http URL, for headers that go there only.
    origin: Option<Url>,
    /// `user:password` of an http URL.
    user: Option<String>,
}

/// Whether `github.com/owner/name` is git, and not a path (X5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shorthand {
    /// For build contexts.
    Accepted,
    /// For `ADD`.
    Refused,
}

impl GitSource {
    /// Understands `text`; `None` if it does not name a git repository, but a file or an URL of
    /// one.
    ///
    /// # Errors
    /// [`Error::GitSource`] if it does, and is wrong.
    pub fn parse(text: &str, shorthand: Shorthand) -> Option<Result<Self>> {
        parse::parse(text, shorthand).map(|parsed| {
            parsed.map_err(|why| Error::GitSource {
                url: without_user(text),
                why,
            })
        })
    }

    /// The repository's URL, without password.
    pub fn url(&self) -> &str {
        &self.remote.url
    }

    /// The host whose secrets may be used (`GIT_AUTH_TOKEN.HOST`, X6); `None` if the
    /// repository is not asked over http.
    pub fn http_host(&self) -> Option<String> {
        self.remote.origin.as_ref().map(Url::host)
    }

    /// Whether ssh is used, so that an agent is needed.
    pub fn is_ssh(&self) -> bool {
        self.remote.origin.is_none() && !self.remote.url.starts_with("git://")
    }

    /// Where the files are, for others: `git+https://host/repository.git@reference#directory`. SPDX
    /// 2.3, 7.7, "Package download location".
    pub fn locator(&self) -> String {
        let url = &self.remote.url;
        let scp = || url.split_once(':');
        let url = match scp().filter(|_| !url.contains("://")) {
            Some((host, path)) => format!("ssh://{host}/{}", path.trim_start_matches('/')),
            None => url.clone(),
        };
        let reference = self.reference.as_ref().map(GitReference::full);
        let reference = reference.or_else(|| self.commit.clone());
        let part =
            |mark: &str, text: Option<&str>| text.map_or(String::new(), |it| format!("{mark}{it}"));
        let (at, below) = (
            part("@", reference.as_deref()),
            part("#", self.subdir.as_deref()),
        );
        format!("git+{url}{at}{below}")
    }

    /// The last part of the repository's name, without `.git`.
    pub fn name(&self) -> &str {
        let path = self.remote.url.trim_end_matches('/');
        let name = path.rsplit(['/', ':']).next().unwrap_or_default();
        name.strip_suffix(".git").unwrap_or(name)
    }
}

impl GitReference {
    /// As git knows it in a remote repository.
    pub(crate) fn full(&self) -> String {
        match self {
            Self::Any(name) => name.clone(),
            Self::Branch(name) => format!("refs/heads/{name}"),
            Self::Tag(name) => format!("refs/tags/{name}"),
        }
    }
}

impl fmt::Display for GitSource {
    /// For people: URL, reference and directory.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reference = match &self.reference {
            Some(
                GitReference::Any(name) | GitReference::Branch(name) | GitReference::Tag(name),
            ) => name,
            None => self.commit.as_deref().unwrap_or_default(),
        };
        f.write_str(&self.remote.url)?;
        match &self.subdir {
            Some(subdir) => write!(f, "#{reference}:{subdir}"),
            None if reference.is_empty() => Ok(()),
            None => write!(f, "#{reference}"),
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

#[cfg(test)]
mod tests;
