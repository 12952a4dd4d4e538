//! An image as somebody else's tool sees it: an OCI layout unpacked by umoci.

use std::path::{Path, PathBuf};

use crate::{Error, Host, Output, Tree};

/// Unpacks image `tag` of the OCI layout at `layout` with umoci and returns
/// the root file system, owners as in the image.
///
/// # Errors
/// [`Error::Failed`] with umoci's words if it does not accept the image.
pub fn unpack(host: &Host, layout: &Path, tag: &str) -> Result<Tree, Error> {
    let bundle = fresh(host, "bundle")?;
    let image = format!("{}:{tag}", layout.display());
    Output::of_success(
        host.account
            .inside("umoci")
            .args(["unpack", "--image", &image])
            .arg(&bundle),
    )?;
    Tree::read(&host.account, &bundle.join("rootfs"))
}

/// A path in the scratch directory at which there is nothing yet.
fn fresh(host: &Host, name: &str) -> Result<PathBuf, Error> {
    let parent = host.scratch.dir("unpacked")?;
    let taken = parent
        .read_dir()
        .map_err(Error::file("read", &parent))?
        .count();
    Ok(parent.join(format!("{name}-{taken}")))
}
