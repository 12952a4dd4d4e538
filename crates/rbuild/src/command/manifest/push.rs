//! `rbuild manifest push`: a list, with its images, to elsewhere.

use rbuild_export::{Looks, Place};
use rbuild_oci::Location;

use crate::{
    cli::{Global, ListPushArgs},
    command::push::{compress, format, home, images, send_list, tell},
    failure::Failure,
    find::find_index,
    registry::Registry,
    report, settings,
};

/// Sends the list and, with `--digestfile`, tells its digest.
///
/// # Errors
/// If there is no such list, or the destination refuses.
pub fn execute(global: &Global, args: &ListPushArgs) -> Result<(), Failure> {
    let wished = Looks {
        format: args.format.map(format),
        compress: compress(&args.compression)?,
    };
    let registry = Registry::configured(&args.registry)?;
    rbuild_sandbox::enter()?;
    let store = settings::store(global)?;
    let session = store.begin()?;
    let (name, index) = find_index(&store, &args.list)?;
    let index = session.index(&name)?.unwrap_or(index);
    let destination: Location = match &args.destination {
        Some(text) => text.parse()?,
        None => home(&args.list, Some(&name))?,
    };
    let place = Place {
        store: &store,
        session: &session,
    };
    let ends = (place, &registry);
    let digest = send_list(ends, (&index, wished), &destination, images(args.all))?;
    if !args.quiet {
        report::note(&format!("pushed {name} to {destination}: {digest}"));
    }
    if let Some(file) = &args.digestfile {
        tell(file, &digest)?;
    }
    if args.rm {
        store.remove_index(&name)?;
    }
    Ok(())
}
