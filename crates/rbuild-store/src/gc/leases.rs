//! What living sessions hold.

use std::{collections::BTreeSet, fs::File, io::Read};

use crate::{
    Store,
    error::{Context, Result},
    record,
};

/// The lines of all leases whose lock is busy: layer ids, and digests of blobs and images.
///
/// # Errors
/// [`crate::Error::Read`] if a lease cannot be read: then nothing may be deleted.
pub fn leased(store: &Store) -> Result<BTreeSet<String>> {
    let read = || {
        let mut lines = BTreeSet::new();
        let Some(leases) = store.subdirectory("leases")? else {
            return Ok(lines);
        };
        for entry in leases.entries()? {
            let file = match leases.read(&entry.name) {
                Err(error) if record::is_miss(&error) => continue,
                answer => answer?,
            };
            if file.try_lock_shared().is_err() {
                lines.extend(lines_of(file, &entry.name)?);
            }
        }
        Ok(lines)
    };
    read().reading(|| "the leases".to_owned())
}

fn lines_of(mut file: File, name: &[u8]) -> rbuild_sys::Result<Vec<String>> {
    let mut text = String::new();
    record::on(file.read_to_string(&mut text), "read", name)?;
    Ok(text.lines().map(str::to_owned).collect())
}
