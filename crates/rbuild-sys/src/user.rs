//! Who this process is.

/// Effective user id, as seen from our user namespace.
pub fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}
