//! Whether a tree's own root is in the layer that it is packed into.
//!
//! Invariant: whatever is decided is kept with the layer, so that packing it again gives the same
//! bytes. A layer that nothing was kept of is of a time when no layer had one.

use serde::{Deserialize, Serialize};

/// Whether the tree's root is an entry of its own, `./`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootEntry {
    /// Its mode, owner and times are recorded.
    Listed,
    /// They are recorded unless it is what everybody makes of a root that nothing is said of: mode
    /// 0755, owner 0:0, no attributes.
    Unusual,
    /// The archive says nothing about it.
    #[default]
    Omitted,
}
