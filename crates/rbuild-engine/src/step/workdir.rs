//! WORKDIR: a directory that must exist (W2).

use rbuild_plan::Workdir;
use rbuild_sys::Dir;

use super::{
    StepError,
    directory::{New, make_directory},
    run::identity,
};

/// Makes the directory with its parents, owned by the current user; existing ones stay as they are.
///
/// # Errors
/// [`StepError::OntoFile`] if a component is something else, [`StepError::User`].
pub fn workdir(tree: &Dir, workdir: &Workdir) -> Result<(), StepError> {
    let path = workdir.path.relative().as_bytes();
    if tree.resolve_stat(path).is_ok_and(|stat| stat.is_dir()) {
        return Ok(());
    }
    let owner = identity(tree, &workdir.user)?;
    let new = New {
        uid: owner.uid,
        gid: owner.gid,
        mode: 0o755,
    };
    make_directory(tree, path, new).map(drop)
}
