//! `COPY` and `ADD`.
//!
//! Spec: dockerfile.md 1.10, 1.11, H4.

use super::{Heredoc, Spanned, Word};

/// `COPY [flags] source… destination`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// `--from=`; its variables are only ARGs (1.17).
    pub from: Option<Spanned<String>>,
    /// `--chown=`, unexpanded.
    pub chown: Option<Word>,
    /// `--chmod=`, unexpanded.
    pub chmod: Option<Word>,
    /// `--link[=bool]` (C22).
    pub link: Option<Spanned<bool>>,
    /// `--parents[=bool]` (C24).
    pub parents: Option<Spanned<bool>>,
    /// `--exclude=`, each verbatim (C25).
    pub exclude: Vec<Spanned<String>>,
    /// Unexpanded; at least one, or a heredoc.
    pub sources: Vec<Word>,
    /// Files whose content is in the Dockerfile (H4).
    pub heredocs: Vec<Heredoc>,
    /// Unexpanded.
    pub destination: Word,
}

/// `ADD [flags] source… destination`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    /// `--checksum=`, unexpanded (C26).
    pub checksum: Option<Word>,
    /// `--keep-git-dir[=bool]` (C27).
    pub keep_git_dir: Option<Spanned<bool>>,
    /// `--unpack[=bool]`; `None` leaves it to the kind of source (C28).
    pub unpack: Option<Spanned<bool>>,
    /// `--chown=`, unexpanded.
    pub chown: Option<Word>,
    /// `--chmod=`, unexpanded.
    pub chmod: Option<Word>,
    /// `--link[=bool]` (C22).
    pub link: Option<Spanned<bool>>,
    /// `--exclude=`, each verbatim (C25).
    pub exclude: Vec<Spanned<String>>,
    /// Unexpanded; at least one, or a heredoc.
    pub sources: Vec<Word>,
    /// Files whose content is in the Dockerfile (H4).
    pub heredocs: Vec<Heredoc>,
    /// Unexpanded.
    pub destination: Word,
}
