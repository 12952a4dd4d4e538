//! `rbuild pull`: an image from elsewhere into the store.

use std::{path::Path, process::ExitCode};

use rbuild_oci::Platform;

use crate::{
    cli::PullArgs,
    failure::Failure,
    registry::Registry,
    report::{self, print},
    settings,
};

/// Fetches the image, also if one of that name is here, and prints its id.
///
/// # Errors
/// If it cannot be found or does not verify.
pub fn execute(root: Option<&Path>, args: &PullArgs) -> Result<ExitCode, Failure> {
    let registry = Registry::configured(&args.registry)?;
    rbuild_sandbox::enter()?;
    let store = settings::store(root)?;
    let session = store.begin()?;
    let bases = registry.bases((&store, &session), Platform::default());
    let id = bases.pull(&args.image, &mut |place| {
        if !args.quiet {
            report::note(&format!("pulling {place}"));
        }
    })?;
    print(&id.0.hex())?;
    Ok(ExitCode::SUCCESS)
}
