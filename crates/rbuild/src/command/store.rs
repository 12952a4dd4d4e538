//! `rbuild store`: looking after the store itself.

use std::process::ExitCode;

use rbuild_export::is_intact;
use rbuild_store::Damage;

use crate::{
    cli::{CheckArgs, Global, StoreArgs, StoreCommand},
    failure::Failure,
    report::{note, print},
    settings,
};

/// Does what was asked for.
///
/// # Errors
/// As [`check`].
pub fn execute(global: &Global, args: &StoreArgs) -> Result<ExitCode, Failure> {
    match &args.command {
        StoreCommand::Check(args) => check(global, args),
    }
}

/// Says what is damaged, one line each; with `--repair` it is deleted. Status 1 if damage stays.
///
/// # Errors
/// If the store cannot be read, or the damage not be removed.
fn check(global: &Global, args: &CheckArgs) -> Result<ExitCode, Failure> {
    rbuild_sandbox::enter()?;
    let store = settings::store(global)?;
    let damage = store.check(&mut is_intact)?;
    for object in &damage {
        print(&describe(object))?;
    }
    if damage.is_empty() {
        note("nothing is damaged");
        return Ok(ExitCode::SUCCESS);
    }
    if !args.repair {
        note("`rbuild store check --repair` deletes what is damaged");
        return Ok(ExitCode::FAILURE);
    }
    if !store.repair(&damage)? {
        return Err(Failure::message("another rbuild is pruning this store"));
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(damage: &Damage) -> String {
    match damage {
        Damage::Name(name) => format!("name `{name}`: its image is not complete"),
        Damage::Index(name) => format!("list `{name}`: not complete"),
        Damage::Image(id) => format!("image {}: not complete", id.0.hex()),
        Damage::Layer(id) => format!("layer {id}: not what it was"),
        Damage::Blob(digest) => format!("blob {digest}: not what it was"),
    }
}
