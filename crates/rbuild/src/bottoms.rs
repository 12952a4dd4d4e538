//! Directories that lie under every tree of this process.

use rbuild_engine::Bottoms as Below;
use rbuild_sandbox::skeleton;
use rbuild_store::Session;
use rbuild_sys::Dir;

use crate::failure::Failure;

/// Where the sandbox keeps its files, and what trees stand on.
pub struct Bottoms {
    /// What trees stand on.
    pub below: Below,
    /// For [`rbuild_sandbox::Sandbox::new`].
    pub scratch: Dir,
}

/// Makes them in the session's staging directory; they go with it.
///
/// # Errors
/// If the store cannot be written.
pub fn make(session: &Session) -> Result<Bottoms, Failure> {
    let (empty, filled) = (session.new_layer()?, session.new_layer()?);
    skeleton(&filled.diff)?;
    let below = Below {
        empty: empty.diff,
        skeleton: filled.diff,
    };
    Ok(Bottoms {
        below,
        scratch: filled.work,
    })
}
