//! `RUN --mount`: what the plan names, found and opened.
//!
//! Knows: where mounts get their files from. Does not know: how the sandbox attaches them.
//!
//! Spec: dockerfile.md R8-R12.

use rbuild_context::{
    Filter, Owners, ReadFiles, Selection as Select, digest as digest_of, sources,
};
use rbuild_plan::{CacheMount, MountKind, Run};

use super::StepError;
use crate::selection::{Root, Staging, literal};

/// Digest of what the source number `index` of `run` gives it (R11, T46).
pub(crate) fn digest(
    run: &Run,
    index: usize,
    root: Root<'_>,
    staging: Staging<'_>,
) -> Result<[u8; 32], StepError> {
    let mounts = run.mounts.iter().filter(|mount| mount.source().is_some());
    let path = mounts.skip(index).find_map(|mount| match &mount.kind {
        MountKind::Bind { path, .. } => Some(path),
        MountKind::Cache(CacheMount {
            seed: Some((_, path)),
            ..
        }) => Some(path),
        _ => None,
    });
    let pattern = literal(path.map_or(&b""[..], |path| path.as_bytes()));
    match root {
        Root::Context(context) => {
            let filter = Filter {
                ignored: context.rules(),
                excluded: None,
            };
            let found = sources(
                context.root(),
                &pattern,
                &Select {
                    filter,
                    ..Select::default()
                },
            )?;
            context.with_digests(staging.store, &mut |known| {
                Ok(digest_of(&found, &filter, Owners::Ignored, known)?)
            })
        }
        Root::Tree(tree) => {
            let found = sources(tree, &pattern, &Select::default())?;
            Ok(digest_of(
                &found,
                &Filter::default(),
                Owners::Counted,
                &mut ReadFiles,
            )?)
        }
    }
}
