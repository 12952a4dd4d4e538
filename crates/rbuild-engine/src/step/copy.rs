//! COPY: selected files into a tree.
//!
//! Knows: which sources are archives, and whose their copies are (dockerfile.md 1.10).
//! Does not know: how the files were selected, or how the tree is made of layers.
//!
//! Invariant: nothing is followed out of the source or the destination; both sides are
//! [`Dir`] handles.
//! A context's own files are never linked to.

mod copier;
mod crew;
mod folder;
mod leaf;

use rbuild_context::{Filter, Owners, Source};
use rbuild_layer::Ownership;
use rbuild_plan::{Archives, Copy};
use rbuild_store::StagedLayer;
use rbuild_sys::{Dir, Error as SysError, FileKind};

use crate::{
    fetch::{archive_codec, unpack_archive},
    selection::Selection,
};

use super::{StepError, place::Tree};
use copier::{Copier, Terms};

/// Who owns what is copied (C11, C20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The same as in the source tree; directories that have to be made belong to 0:0.
    AsInSource,
    /// These ids.
    Fixed {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

/// Where files go.
#[derive(Clone, Copy)]
pub(crate) struct Destination<'a> {
    /// The tree, written without mounting it.
    pub tree: Tree<'a>,
    /// Mounts it, for archives.
    pub mount: &'a dyn Fn() -> Result<Mounted, StepError>,
}

/// The tree, mounted for a while; nothing else writes to it meanwhile.
pub(crate) struct Mounted {
    pub tree: Dir,
    /// Has the directory that the kernel works in.
    pub _work: StagedLayer,
}

/// Copies what `selection` has to `destination` as `copy` says. Without `chown`, files of trees
/// keep their owners and all others belong to 0:0.
///
/// # Errors
/// The user's ([`StepError::OntoDirectory`], [`StepError::OntoFile`]) and the world's.
pub(crate) fn copy(
    destination: Destination<'_>,
    copy: &Copy,
    selection: &Selection<'_>,
    chown: Option<Owner>,
) -> Result<(), StepError> {
    let threads = crew::threads();
    let several = selection.count() > 1 || copy.items.len() > 1;
    for group in &selection.groups {
        let owner = chown.unwrap_or(match group.owners {
            Owners::Counted => Owner::AsInSource,
            Owners::Ignored => Owner::Fixed { uid: 0, gid: 0 },
        });
        let mut copier = Copier::new(Terms {
            tree: destination.tree,
            owner,
            mode: copy.chmod.as_ref(),
            destination: copy.destination.relative(),
            // Several sources make the destination a directory (C7).
            into_directory: copy.destination_is_dir || several,
            threads,
        });
        for source in &group.sources {
            if group.archives == Archives::Unpack
                && source.stat.kind == FileKind::File
                && unpack(destination, copy, source, chown)?
            {
                continue;
            }
            copier.source(source, selection.filter(group))?;
        }
    }
    Ok(())
}

/// Unpacks `source` over the destination if it is an archive (X1); `false` if it is a file.
fn unpack(
    destination: Destination<'_>,
    copy: &Copy,
    source: &Source,
    chown: Option<Owner>,
) -> Result<bool, StepError> {
    let name = String::from_utf8_lossy(&source.name).into_owned();
    let read = |source: SysError| StepError::Stage {
        what: format!("`{name}`"),
        source,
    };
    let (dir, entry) = source.open()?;
    let mut file = dir.read(entry).map_err(read)?;
    let codec = archive_codec(&mut file).map_err(|source| {
        read(SysError {
            call: "read",
            operand: name.clone(),
            source,
        })
    })?;
    let Some(codec) = codec else { return Ok(false) };
    let ownership = match chown {
        Some(Owner::Fixed { uid, gid }) => Ownership::Fixed { uid, gid },
        Some(Owner::AsInSource) | None => Ownership::Keep,
    };
    let mounted = (destination.mount)()?;
    let to = (&mounted.tree, copy.destination.relative().as_bytes());
    unpack_archive((&mut file, codec), to, ownership, &name)?;
    Ok(true)
}

/// Copies what is in the directories `sources` into the new directory `to`, owners and all.
///
/// # Errors
/// [`StepError::Write`].
pub(super) fn fill(to: &Dir, empty: &Dir, sources: &[Source]) -> Result<(), StepError> {
    let tree = Tree {
        below: empty,
        changes: to,
    };
    let mut copier = Copier::new(Terms {
        tree,
        owner: Owner::AsInSource,
        mode: None,
        destination: "",
        into_directory: true,
        threads: crew::threads(),
    });
    let mut all = sources.iter().filter(|source| source.stat.is_dir());
    all.try_for_each(|source| copier.contents(source, Filter::default(), b""))
}
