//! `rbuild pull`: an image from elsewhere into the store.

use std::{path::Path, process::ExitCode};

use rbuild_engine::Bases;
use rbuild_oci::Platform;

use crate::{
    cli::PullArgs,
    failure::Failure,
    report::{self, print},
    settings,
};

/// Fetches the image, also if one of that name is here, and prints its id.
///
/// # Errors
/// If it cannot be found or does not verify.
pub fn execute(root: Option<&Path>, args: &PullArgs) -> Result<ExitCode, Failure> {
    rbuild_sandbox::enter()?;
    let store = settings::store(root)?;
    let session = store.begin()?;
    let http = settings::http();
    let bases = Bases {
        store: &store,
        session: &session,
        http: &http,
        security: settings::security(&args.registry),
        platform: Platform::default(),
    };
    if !args.quiet {
        report::note(&format!("pulling {}", args.image));
    }
    let id = bases.pull(&args.image)?;
    print(&id.0.hex())?;
    Ok(ExitCode::SUCCESS)
}
