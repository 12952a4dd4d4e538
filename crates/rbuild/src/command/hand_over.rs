//! `containers-storage:` in `push` and `pull`: images to and from podman's own store.
//!
//! Knows: what of those commands has a meaning there. Does not know: how podman's programs are called
//! ([`crate::storage_tool`]).

use std::process::ExitCode;

use rbuild_engine::{Offered, Shelf, load};
use rbuild_export::{Named, Place, write_docker_archive};
use rbuild_oci::{Platform, Reference};
use rbuild_registry::SignaturePolicy;

use crate::{
    cli::{Global, PullArgs, PullPolicy, PushArgs},
    failure::Failure,
    find::{find_for, new_name},
    registry,
    report::{Verbosity, print},
    settings,
    storage_tool::{Loader, Saver},
};

/// What follows `containers-storage:`; `None` if `place` is another one.
pub fn storage(place: &str) -> Option<&str> {
    place.strip_prefix("containers-storage:")
}

/// `rbuild push IMAGE containers-storage:[NAME]`: hands an image over; of a list, the one for this
/// machine.
///
/// # Errors
/// If there is no such image, or podman does not take it.
pub fn push(global: &Global, args: &PushArgs, name: &str) -> Result<ExitCode, Failure> {
    refuse_of_push(args)?;
    let found = find_for(&settings::store(global)?, &args.image, None)?;
    let name = match name {
        "" => found.name,
        name => Some(new_name(checked(name)?)?),
    };
    let loader = Loader::start(&args.image)?;
    let called = loader.called().to_owned();
    rbuild_sandbox::enter()?;
    let store = settings::store(global)?;
    let session = store.begin()?;
    let place = Place {
        store: &store,
        session: &session,
    };
    let named = Named {
        image: &found.record,
        names: name.as_slice(),
    };
    loader.feed(|out| Ok(write_docker_archive(place, &[named], out)?))?;
    let name = name.map(|name| name.to_string()).unwrap_or_default();
    let (image, id) = (&args.image, found.id);
    Verbosity::of(args.quiet).progress(&format!(
        "pushed {image} to containers-storage:{name} through `{called}`: {id}"
    ));
    Ok(ExitCode::SUCCESS)
}

/// What podman decides itself is not asked for.
fn refuse_of_push(args: &PushArgs) -> Result<(), Failure> {
    let compression = &args.compression;
    let given = [
        ("--all-tags", args.all_tags),
        ("--format", args.format.is_some()),
        (
            "--compression-format",
            compression.compression_format.is_some(),
        ),
        (
            "--compression-level",
            compression.compression_level.is_some(),
        ),
        (
            "--force-compression",
            compression.force_compression.is_some(),
        ),
        ("--digestfile", args.digestfile.is_some()),
    ];
    refuse(
        &given,
        "it takes one image, whose manifest podman makes itself",
    )
}

/// `rbuild pull containers-storage:NAME`: takes an image under the name that it has there, and
/// prints its id.
///
/// # Errors
/// If podman has no such image, it does not verify, or the policy for signatures forbids it.
pub fn pull(global: &Global, args: &PullArgs, name: &str) -> Result<ExitCode, Failure> {
    let given = [
        ("--all-tags", args.all_tags),
        ("--policy", args.policy != PullPolicy::Always),
        ("--platform", args.platform.is_some()),
    ];
    refuse(&given, "podman's store has one image of a name")?;
    let name = checked(name)?;
    let full = match is_id(name) {
        true => None,
        false => Some(new_name(name)?.to_string()),
    };
    registry::signatures(&args.signatures)?.allows_from_storage(name)?;
    let saver = Saver::start(name, full.as_deref())?;
    let called = saver.called();
    Verbosity::of(args.quiet).progress(&format!(
        "pulling containers-storage:{name} through `{called}`"
    ));
    rbuild_sandbox::enter()?;
    let store = settings::store(global)?;
    let session = store.begin()?;
    let shelf = saver.drain(|archive| Ok(Shelf::stream(archive, &session)?))?;
    let offered = Offered {
        shelf: &shelf,
        path: "",
        // The policy was asked about podman's store, not about archives.
        signatures: &SignaturePolicy::default(),
    };
    for image in load(offered, &session, &Platform::default())? {
        print(&image.id.0.hex())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn refuse(given: &[(&str, bool)], why: &str) -> Result<(), Failure> {
    match given.iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((flag, _)) => Err(Failure::message(format!(
            "{flag} means nothing for `containers-storage:`: {why}"
        ))),
    }
}

/// `name`, if it is one, or an id.
///
/// # Errors
/// For a digest, which the archive in between could not prove, and for another store than the
/// user's own.
fn checked(name: &str) -> Result<&str, Failure> {
    if name.starts_with('[') {
        return Err(
            Failure::message(format!("`containers-storage:{name}` names a store"))
                .with_hint("CONTAINERS_STORAGE_CONF=FILE leads podman to another one"),
        );
    }
    if name.is_empty() {
        return Err(Failure::message(
            "`containers-storage:` needs the name of an image",
        ));
    }
    let reference: Reference = name.parse()?;
    match reference.digest {
        None => Ok(name),
        Some(_) => Err(Failure::message(format!(
            "`containers-storage:{name}` has a digest, which cannot be verified: an archive comes out of podman, without its manifest"
        ))),
    }
}

/// Whether podman would look for the id of an image.
fn is_id(name: &str) -> bool {
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::{checked, is_id};

    #[track_caller]
    fn check(name: &str, is_fine: bool) {
        assert_eq!(checked(name).is_ok(), is_fine, "{name}");
    }

    #[test]
    fn an_image_of_podman_has_a_name_or_an_id() {
        check("localhost/a:1", true);
        check("a", true);
        check("9ea7a6b699a83cd0", true);
        check("[overlay@/x+/y]a", false);
        check("-a", false);
        check("", false);
        check(&format!("a@sha256:{}", "0".repeat(64)), false);
        assert!(is_id("9ea7a6b699a8") && is_id(&"a".repeat(64)));
        assert!(!is_id("cafe") && !is_id("cafe:1") && !is_id("localhost/a"));
    }
}
