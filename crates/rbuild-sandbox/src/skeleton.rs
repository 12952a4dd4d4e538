//! The layer at the bottom of every tree: places for what the sandbox attaches.

use rbuild_sys::{Dir, Error};

use crate::etc_files::EtcFile;

/// Fills the empty directory `dir` with `dev`, `proc`, `sys` and the files of `/etc` that the
/// sandbox provides, so that attaching them creates nothing in a tree that has it as its lowest
/// layer. An image's own entries lie above and win.
///
/// # Errors
/// As mkdir(2) and open(2).
pub fn skeleton(dir: &Dir) -> Result<(), Error> {
    for name in ["dev", "proc", "sys", "etc"] {
        dir.mkdir(name.as_bytes(), 0o755)?;
        dir.set_mode(name.as_bytes(), 0o755)?;
    }
    let etc = dir.child(b"etc")?;
    for file in EtcFile::ALL {
        etc.create(file.name().as_bytes(), 0o644)?;
        etc.set_mode(file.name().as_bytes(), 0o644)?;
    }
    Ok(())
}
