//! What a COPY or ADD copies: found, opened, and described by a digest.
//!
//! Knows: the places that files come from. Does not know: where they go.
//!
//! Spec: dockerfile.md 1.10, 1.15 (content), H4.

use std::io::Write;

use rbuild_context::{
    FileDigests, Filter, IgnoreRules, Owners, Parents, ReadFiles, Selection as Select, Source,
    digest, sources,
};
use rbuild_plan::{Archives, Copy, Item};
use rbuild_store::{Key, Session, Store};
use rbuild_sys::{Dir, Error as SysError};

use crate::{
    BuildContext,
    fetch::{Added, Fetcher, Remote},
    list::{List, Listed},
    step::StepError,
};

/// Where the paths of a COPY are looked up.
#[derive(Clone, Copy)]
pub(crate) enum Root<'a> {
    /// The build context: its ignore file counts, owners do not (C11, C16).
    Context(&'a BuildContext),
    /// A stage's or an image's tree.
    Tree(&'a Dir),
}

/// What an instruction copies, in its order.
pub(crate) struct Selection<'a> {
    /// What each item selected.
    pub groups: Vec<Group<'a>>,
    /// `--exclude`.
    excluded: Option<IgnoreRules>,
}

/// What one item selected.
pub(crate) struct Group<'a> {
    /// None for a wildcard without a match.
    pub sources: Vec<Source>,
    /// What becomes of archives among them.
    pub archives: Archives,
    /// Whether owners are kept from the source.
    pub owners: Owners,
    /// The ignore file that counts.
    ignored: Option<&'a IgnoreRules>,
    /// What was fetched for it.
    pub remote: Option<Remote>,
}

/// Where files are put that are not yet anywhere.
#[derive(Clone, Copy)]
pub(crate) struct Staging<'a> {
    /// Knows digests of context files.
    pub store: &'a Store,
    /// Makes directories that go with it.
    pub session: &'a Session,
    /// Fetches what is not here.
    pub fetcher: Fetcher<'a>,
}

impl<'a> Selection<'a> {
    /// Finds what `copy` copies from `root`.
    ///
    /// # Errors
    /// [`StepError::Source`] for a literal source that is missing.
    pub fn of(copy: &Copy, root: Root<'a>, staging: Staging<'_>) -> Result<Self, StepError> {
        let excluded = match &copy.exclude[..] {
            [] => None,
            patterns => Some(IgnoreRules::parse(&patterns.join("\n"))?),
        };
        let mut groups = Vec::with_capacity(copy.items.len());
        for item in &copy.items {
            groups.push(group(copy, item, (root, excluded.as_ref()), staging)?);
        }
        Ok(Self { groups, excluded })
    }

    /// What is taken away from the sources of `group`.
    pub fn filter<'s>(&'s self, group: &'s Group<'a>) -> Filter<'s> {
        Filter {
            ignored: group.ignored,
            excluded: self.excluded.as_ref(),
        }
    }

    /// How many sources there are.
    pub fn count(&self) -> usize {
        self.groups.iter().map(|group| group.sources.len()).sum()
    }

    /// Digest of all content; context files that did not change are not read again. `list` is
    /// told of the files.
    ///
    /// # Errors
    /// [`StepError::Source`] if a file cannot be read.
    pub fn digest(
        &self,
        root: Root<'_>,
        staging: Staging<'_>,
        list: &mut dyn List,
    ) -> Result<[u8; 32], StepError> {
        let mut all = Vec::with_capacity(32 * self.groups.len());
        for group in &self.groups {
            let digest = match (
                root,
                group.ignored.is_some() || group.owners == Owners::Ignored,
            ) {
                (Root::Context(context), true) => context
                    .with_digests(staging.store, &mut |known| {
                        self.one(group, &mut Listed { known, list })
                    }),
                _ => self.one(
                    group,
                    &mut Listed {
                        known: &mut ReadFiles,
                        list,
                    },
                ),
            }?;
            all.extend_from_slice(&digest);
        }
        Ok(*Key::of(&all).as_bytes())
    }

    fn one(&self, group: &Group<'_>, known: &mut dyn FileDigests) -> Result<[u8; 32], StepError> {
        Ok(digest(
            &group.sources,
            &self.filter(group),
            group.owners,
            known,
        )?)
    }
}

fn group<'a>(
    copy: &Copy,
    item: &Item,
    (root, excluded): (Root<'a>, Option<&IgnoreRules>),
    staging: Staging<'_>,
) -> Result<Group<'a>, StepError> {
    let parents = if copy.parents {
        Parents::Kept
    } else {
        Parents::Dropped
    };
    match (item, root) {
        (Item::Path(pattern), Root::Context(context)) => {
            let filter = Filter {
                ignored: context.rules(),
                excluded,
            };
            Ok(Group {
                sources: sources(
                    context.root(),
                    pattern.as_bytes(),
                    &Select { filter, parents },
                )?,
                archives: copy.archives,
                owners: Owners::Ignored,
                ignored: context.rules(),
                remote: None,
            })
        }
        (Item::Path(pattern), Root::Tree(tree)) => {
            let filter = Filter {
                ignored: None,
                excluded,
            };
            Ok(Group {
                sources: sources(tree, pattern.as_bytes(), &Select { filter, parents })?,
                archives: copy.archives,
                owners: Owners::Counted,
                ignored: None,
                remote: None,
            })
        }
        (Item::Inline { name, content }, _) => {
            let dir = inline(name, content, staging)?;
            Ok(made(&dir, name.as_bytes(), Archives::Keep)?)
        }
        (
            Item::Url {
                url,
                checksum,
                archives,
            },
            _,
        ) => {
            let fetcher = staging.fetcher;
            let added = fetcher.url(staging.session, url, checksum.as_deref())?;
            fetched(added, *archives)
        }
        (
            Item::Git {
                url,
                checksum,
                keep_git_dir,
            },
            _,
        ) => {
            let wanted = (checksum.as_deref(), *keep_git_dir);
            let added = staging.fetcher.git(staging.session, url, wanted)?;
            fetched(added, Archives::Keep)
        }
    }
}

/// What was fetched.
fn fetched<'a>(added: Added, archives: Archives) -> Result<Group<'a>, StepError> {
    let Added { dir, name, remote } = added;
    Ok(Group {
        remote: Some(remote),
        ..made(&dir, name.as_bytes(), archives)?
    })
}

/// A file or directory that was made for this.
fn made<'a>(
    dir: &Dir,
    name: &[u8],
    archives: Archives,
) -> Result<Group<'a>, rbuild_context::Error> {
    Ok(Group {
        sources: sources(dir, &literal(name), &Select::default())?,
        archives,
        owners: Owners::Ignored,
        ignored: None,
        remote: None,
    })
}

/// The file of a heredoc, mode 0644 (H4).
fn inline(name: &str, content: &str, staging: Staging<'_>) -> Result<Dir, StepError> {
    let stage = |source| StepError::Stage {
        what: format!("the heredoc `{name}`"),
        source,
    };
    let dir = staging.session.new_layer().map_err(StepError::Store)?.diff;
    let mut file = dir.create(name.as_bytes(), 0o644).map_err(stage)?;
    file.write_all(content.as_bytes()).map_err(|source| {
        stage(SysError {
            call: "write",
            operand: name.to_owned(),
            source,
        })
    })?;
    dir.set_mode(name.as_bytes(), 0o644).map_err(stage)?;
    Ok(dir)
}

/// A pattern that means just `name`.
pub(crate) fn literal(name: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(name.len());
    for &byte in name {
        if b"*?[\\".contains(&byte) {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern
}
