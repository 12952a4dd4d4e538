//! WORKDIR: a directory that must exist (W2).

use rbuild_plan::Workdir;
use rbuild_sys::{Dir, Errno};

use super::{StepError, run::identity};

/// Makes the directory with its parents, owned by the current user; existing ones stay as they are.
///
/// # Errors
/// [`StepError::OntoFile`] if a component is something else, [`StepError::User`].
pub fn workdir(tree: &Dir, workdir: &Workdir) -> Result<(), StepError> {
    let path = workdir.path.as_str();
    let exists = tree
        .resolve_stat(workdir.path.relative().as_bytes())
        .is_ok_and(|stat| stat.is_dir());
    if exists {
        return Ok(());
    }
    let owner = identity(tree, &workdir.user)?;
    let made = tree.make_dirs(workdir.path.relative().as_bytes(), 0o755, |parent, name| {
        parent.set_owner(name, owner.uid, owner.gid)?;
        parent.set_mode(name, 0o755)
    });
    made.map(drop).map_err(|source| match source.errno() {
        Some(Errno::NOTDIR) => StepError::OntoFile {
            path: path.to_owned(),
        },
        _ => StepError::write(path, source),
    })
}
