//! `rbuild manifest push`: a list, with its images, to elsewhere.

use std::path::Path;

use rbuild_export::{Images, Looks, Place, export_index};
use rbuild_oci::Location;

use crate::{
    cli::ListPushArgs,
    command::push::{compress, format, home},
    destination::{in_a_layout, send_index},
    failure::Failure,
    find::find_index,
    registry::Registry,
    report, settings,
};

/// Sends the list and, with `--digestfile`, tells its digest.
///
/// # Errors
/// If there is no such list, or the destination refuses.
pub fn execute(root: Option<&Path>, args: &ListPushArgs) -> Result<(), Failure> {
    let wished = Looks {
        format: args.format.map(format),
        compress: compress(&args.compression)?,
    };
    let registry = Registry::configured(&args.registry)?;
    rbuild_sandbox::enter()?;
    let store = settings::store(root)?;
    let session = store.begin()?;
    let (name, index) = find_index(&store, &args.list)?;
    let index = session.index(&name)?.unwrap_or(index);
    let destination: Location = match &args.destination {
        Some(text) => text.parse()?,
        None => home(&args.list, Some(&name))?,
    };
    let looks = match destination {
        Location::Layout(_) => in_a_layout(wished)?,
        _ => wished,
    };
    let place = Place {
        store: &store,
        session: &session,
    };
    let exported = export_index(place, &index, looks)?;
    let images = match args.all {
        true => Images::Included,
        false => Images::Omitted,
    };
    send_index((place, &registry), &exported, &destination, images)?;
    let digest = exported.descriptor.digest.to_string();
    if !args.quiet {
        report::note(&format!("pushed {name} to {destination}: {digest}"));
    }
    if let Some(file) = &args.digestfile {
        std::fs::write(file, &digest).map_err(|error| {
            Failure::message(format!("cannot write `{}`: {error}", file.display()))
        })?;
    }
    if args.rm {
        store.remove_index(&name)?;
    }
    Ok(())
}
