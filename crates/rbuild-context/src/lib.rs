//! What COPY and ADD can see: sources in a tree, files of the web, git repositories; and what a
//! text that names a build context means.
//!
//! Knows: trees on disk through [`rbuild_sys::Dir`], the language of ignore files and wildcards,
//! how files are fetched and repositories checked out.
//! Does not know: destinations, instructions, caches; archives: bytes become trees in
//! rbuild-engine's `fetch`.
//!
//! A *source* is what one argument of COPY names: a file or a directory inside a root, found
//! through symlinks that never lead out of it. A *walk* visits what belongs to it.
//!
//! The way of a COPY:
//! 1. [`IgnoreRules`] of the context and of `--exclude` make a [`Filter`]; with [`Parents`] it
//!    is a [`Selection`];
//! 2. [`sources`] finds what each pattern names, [`digest`] is the key's part of it;
//! 3. for each [`Source`], [`Source::visit_parents`] and then [`walk`] give what is to be copied,
//!    parents first. With kept parents the source goes to [`Source::kept`] below the destination.
//!
//! The way of a remote source of ADD: [`AddSource::parse`] says what it is; [`download`] fills a
//! file, and what it returns is kept beside it for the next time; [`Git::fetch`] fills a
//! directory, and [`Checkout::commit`] is the key's part of it. [`AuthSecret`] says which secrets
//! authorize them.
//!
//! A build context is a [`ContextSpec`], a named one a [`NamedContext`].

mod content;
mod download;
mod error;
mod filter;
mod git;
mod hidden;
mod ignore;
mod pattern;
mod secret;
mod source;
mod spec;
mod stat_cache;
mod unseen;
mod walk;

pub use content::{FileDigests, Owners, ReadFiles, digest, hash_file};
pub use download::{Download, Downloaded, RemoteFile, download, file_name};
pub use error::{Error, Result};
pub use filter::Filter;
pub use git::{
    GitReference, GitSource, GitTimes, Shorthand,
    fetch::{Checkout, Git, GitDir, GitRequest},
};
pub use hidden::hidden;
pub use ignore::{
    IgnoreFile, IgnoreRules, Place, ignore_file_names, read_ignore_file, read_ignore_rules,
};
pub use secret::{Asked, AuthSecret};
pub use source::{Parents, Selection, Source, sources};
pub use spec::{AddSource, ContextSpec, NamedContext, NamedSource};
pub use stat_cache::StatCache;
pub use unseen::{Unseen, unseen};
pub use walk::{Visit, walk};
