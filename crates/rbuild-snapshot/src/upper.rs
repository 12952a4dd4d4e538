//! The directory that receives a step's changes.

use rbuild_sys::{Dir, Stat};

use crate::Error;

/// Makes the new directory `upper` look like the root of the tree `below` (its top directory;
/// `None` for an empty tree): in an overlay the top directory's metadata is the tree's.
///
/// # Errors
/// [`Error::Prepare`].
pub fn prepare(upper: &Dir, below: Option<&Dir>) -> Result<(), Error> {
    let like = below
        .map(Dir::stat_self)
        .transpose()
        .map_err(Error::Prepare)?;
    let (uid, gid, mode) = like.map_or((0, 0, 0o755), |root| (root.uid, root.gid, root.mode));
    let own = || -> rbuild_sys::Result<()> {
        rbuild_sys::set_file_owner(upper, uid, gid)?;
        rbuild_sys::set_file_mode(upper, mode)?;
        like.map_or(Ok(()), |root| rbuild_sys::set_file_mtime(upper, root.mtime))
    };
    own().map_err(Error::Prepare)
}

/// Whether a step left anything in `upper`: an entry, or another owner or mode of the root than
/// that of the tree `below` ([`prepare`] made them equal).
///
/// # Errors
/// [`Error::Changes`].
pub fn has_changes(upper: &Dir, below: Option<&Dir>) -> Result<bool, Error> {
    let look = || -> rbuild_sys::Result<bool> {
        if !upper.entries()?.is_empty() {
            return Ok(true);
        }
        let now = upper.stat_self()?;
        let attributes = |stat: Stat| (stat.uid, stat.gid, stat.mode);
        let before = below.map_or(Ok((0, 0, 0o755)), |dir| dir.stat_self().map(attributes))?;
        Ok(attributes(now) != before)
    };
    look().map_err(Error::Changes)
}
