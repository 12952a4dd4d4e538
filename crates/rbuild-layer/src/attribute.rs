//! Which extended attributes belong to an image.

use rbuild_sys::{Dir, Result};

/// The attribute that makes a directory opaque in the `userxattr` form of overlayfs.
pub(crate) const OPAQUE: &[u8] = b"user.overlay.opaque";
/// File capabilities: the one security attribute that means the same on every host.
pub(crate) const CAPABILITY: &[u8] = b"security.capability";

/// Whether attribute `key` is part of a file. Those of overlayfs are not, and those by which the
/// host's security modules label files are not.
pub(crate) fn belongs(key: &[u8]) -> bool {
    let internal = [&b"user.overlay."[..], b"trusted.", b"security."];
    key == CAPABILITY || !internal.iter().any(|prefix| key.starts_with(prefix))
}

/// Whether directory `name` of `dir` (empty: `dir` itself) hides what lower trees have in it.
pub(crate) fn is_opaque(dir: &Dir, name: &[u8]) -> Result<bool> {
    Ok(dir.xattr(name, OPAQUE)?.as_deref() == Some(b"y"))
}
