//! `rbuild pull`: an image from elsewhere into the store.

use std::process::ExitCode;

use rbuild_engine::{Bases, Policy};
use rbuild_oci::{ImageConfig, ImageId, Location, Platform, Reference};
use rbuild_store::Store;

use crate::{
    cli::{Global, PullArgs, PullPolicy},
    command::hand_over,
    containers_conf::ContainersConf,
    failure::Failure,
    registry::{self, Registry},
    report::{self, Verbosity, print},
    settings,
};

/// Fetches the image as the policy says, and prints its id.
///
/// # Errors
/// If it cannot be found or does not verify.
pub fn execute(global: &Global, args: &PullArgs) -> Result<ExitCode, Failure> {
    if let Some(name) = hand_over::storage(&args.image) {
        return hand_over::pull(global, args, name);
    }
    let location: Location = args.image.parse()?;
    let platform = match &args.platform {
        Some(text) => text.parse()?,
        None => Platform::default(),
    };
    let registry = Registry::configured(&args.registry, &ContainersConf::configured()?)?;
    let signatures = registry::signatures(&args.signatures)?;
    rbuild_sandbox::enter()?;
    let store = settings::store(global)?;
    let session = store.begin()?;
    let bases = registry.bases((&store, &session), &signatures, platform.clone());
    let wanted = match args.all_tags {
        true => all_tags(&bases, &location)?,
        false => vec![args.image.clone()],
    };
    for name in &wanted {
        let id = bases.pull(name, policy(args.policy), &mut |notice| {
            report::notice(notice, Verbosity::of(args.quiet));
        })?;
        warn_of_other_platform(&store, (name, &id), &platform)?;
        print(&id.0.hex())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A place that has one image, or does not say what its images are for, gives what it has.
fn warn_of_other_platform(
    store: &Store,
    (name, id): (&str, &ImageId),
    wanted: &Platform,
) -> Result<(), Failure> {
    let Some(image) = store.image(id)? else {
        return Ok(());
    };
    let config: ImageConfig = serde_json::from_str(&image.config)?;
    match config.platform() {
        Some(its) if !its.matches(wanted) => {
            report::note(&format!("warning: `{name}` is for {its}, not for {wanted}"));
        }
        _ => {}
    }
    Ok(())
}

/// The names of all images in the repository.
fn all_tags(bases: &Bases<'_>, location: &Location) -> Result<Vec<String>, Failure> {
    match location.reference() {
        Some(reference) if reference.tag.is_none() && reference.digest.is_none() => {
            let tags = bases.tags(reference)?;
            Ok(tags.iter().map(Reference::to_string).collect())
        }
        _ => Err(Failure::message(format!(
            "--all-tags takes a repository without a tag, not `{location}`"
        ))),
    }
}

/// What the engine calls `policy`.
pub(super) fn policy(policy: PullPolicy) -> Policy {
    match policy {
        PullPolicy::Always => Policy::Always,
        PullPolicy::Missing => Policy::Missing,
        PullPolicy::Newer => Policy::Newer,
        PullPolicy::Never => Policy::Never,
    }
}
