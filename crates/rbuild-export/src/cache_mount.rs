//! Cache mounts as archives: out of a store, and into another one.
//!
//! Knows: that the archive's root, `./`, has the owner and the mode that the cache was made with.
//! Does not know: which cache a command will ask for; equal id, owner and mode find it.
//!
//! Invariant: nobody uses a cache while it is packed, and a new one appears complete.

use std::io::{Read, Write};

use rbuild_layer::{Form, PackOptions, pack};
use rbuild_store::{CacheClaim, CacheName, Session, Sharing, Wait};

use crate::{Error, import::unpack_archive};

/// Writes the first copy of the cache `name` to `out`, as a tar; waits until nobody uses it.
///
/// # Errors
/// [`Error::Pack`], [`Error::Store`].
pub fn export_cache(
    session: &Session,
    name: &CacheName,
    wait: &mut Wait<'_>,
    out: &mut dyn Write,
) -> Result<(), Error> {
    for claim in session.claim_caches(&[alone(name)], wait)? {
        let dir = claim.open(session, |_| Ok::<(), Error>(()))?;
        pack(&[&dir], &PackOptions::new(Form::Plain), out).map_err(Error::Pack)?;
    }
    Ok(())
}

/// Makes `archive`, which may be compressed, the cache `id`; returns what it is called. `None` if
/// there is one of that name, which stays as it is.
///
/// # Errors
/// [`Error::Unpack`], [`Error::Store`].
pub fn import_cache(
    session: &Session,
    id: &str,
    archive: &mut dyn Read,
    wait: &mut Wait<'_>,
) -> Result<Option<CacheName>, Error> {
    let staged = session.new_layer()?;
    unpack_archive(archive, &staged.diff)?;
    let root = staged.diff.stat_self().map_err(Error::directory(id))?;
    let name = CacheName {
        id: id.to_owned(),
        uid: root.uid,
        gid: root.gid,
        mode: root.mode,
        seed: None,
    };
    let mut is_new = false;
    for claim in session.claim_caches(&[alone(&name)], wait)? {
        claim.open(session, |dir| {
            is_new = true;
            let fill = || {
                let entries = staged.diff.entries()?;
                let mut moved = entries
                    .iter()
                    .map(|entry| dir.rename(&staged.diff, &entry.name, &entry.name));
                moved.try_for_each(|moved| moved)
            };
            fill().map_err(Error::directory(id))
        })?;
    }
    Ok(is_new.then_some(name))
}

fn alone(name: &CacheName) -> CacheClaim {
    CacheClaim {
        name: name.clone(),
        sharing: Sharing::Locked,
    }
}
