//! What COPY and ADD can see: ignore files, sources, wildcards, content digests.
//!
//! Knows: trees on disk through [`rbuild_sys::Dir`], the language of ignore files and wildcards.
//! Does not know: destinations, instructions, caches, networks.
//!
//! A *source* is what one argument of COPY names: a file or a directory inside a root, found
//! through symlinks that never lead out of it. A *walk* visits what belongs to it.

mod content;
mod download;
mod error;
mod filter;
mod git;
mod ignore;
mod pattern;
mod source;
mod spec;
mod stat_cache;
mod walk;

pub use content::{FileDigests, Owners, ReadFiles, digest, hash_file};
pub use download::{Download, Downloaded, RemoteFile, download, file_name};
pub use error::{Error, Result};
pub use filter::Filter;
pub use git::{
    GitReference, GitSource, GitTimes, Shorthand,
    fetch::{Checkout, Git, GitDir, GitRequest},
};
pub use ignore::{IgnoreFile, IgnoreRules, Place, ignore_file_names, read_ignore_file};
pub use source::{Parents, Selection, Source, sources};
pub use spec::{AddSource, ContextSpec, NamedContext, NamedSource};
pub use stat_cache::StatCache;
pub use walk::{Visit, walk};
