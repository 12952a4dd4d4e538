//! `rbuild manifest push`: a list, with its images, to elsewhere.

use rbuild_export::{Images, Looks, Place};
use rbuild_oci::Location;

use crate::{
    cli::{Global, ListPushArgs},
    command::push::{compress, format, home, send_list, tell},
    containers_conf::ContainersConf,
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
    let conf = ContainersConf::configured()?;
    let wished = Looks {
        format: args.format.map(format),
        compress: compress(&args.compression, &conf)?,
    };
    let registry = Registry::configured(&args.registry, &conf)?;
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
    let images = match args.all {
        true => Images::Included,
        false => Images::Omitted,
    };
    let digest = send_list((place, &registry), (&index, wished), &destination, images)?;
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
