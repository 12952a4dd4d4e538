//! `rbuild exists`: a question for scripts.

use std::process::ExitCode;

use crate::{
    cli::{ExistsArgs, Global},
    failure::Failure,
    find::look_up,
    settings,
};

/// Answers by the exit status: 0 for yes, 1 for no, as `podman image exists` does.
///
/// # Errors
/// If the store cannot be read, or the start of an id fits several.
pub fn execute(global: &Global, args: &ExistsArgs) -> Result<ExitCode, Failure> {
    let store = settings::store(global)?;
    Ok(match look_up(&store, &args.image)? {
        Some(_) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    })
}
