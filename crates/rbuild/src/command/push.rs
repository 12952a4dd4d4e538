//! `rbuild push`: an image from the store to elsewhere.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use rbuild_export::{Place, export, export_as, push, write_layout};
use rbuild_oci::{Format, Reference};
use rbuild_registry::{Access, Repository, Scope};

use crate::{
    cli::PushArgs,
    failure::Failure,
    find::{Found, find},
    registry::Registry,
    report, settings,
};

/// Where an image can go.
#[derive(Debug, PartialEq, Eq)]
enum Destination {
    Layout {
        directory: PathBuf,
        tag: Option<String>,
    },
    Registry(Reference),
}

/// Sends the image and, with `--digestfile`, tells its digest.
///
/// # Errors
/// If there is no such image, or the destination refuses.
pub fn execute(root: Option<&Path>, args: &PushArgs) -> Result<ExitCode, Failure> {
    let store_before = settings::store(root)?;
    let image = find(&store_before, &args.image)?;
    drop(store_before);
    let destination = destination(args, &image)?;
    let registry = Registry::configured(&args.registry)?;
    rbuild_sandbox::enter()?;
    let store = settings::store(root)?;
    let session = store.begin()?;
    let place = Place {
        store: &store,
        session: &session,
    };
    let exported = match &destination {
        // Readers of layouts know no other format.
        Destination::Layout { .. } => export_as(place, &image.record, Format::Oci)?,
        Destination::Registry(_) => export(place, &image.record)?,
    };
    let to = match &destination {
        Destination::Layout { directory, tag } => {
            write_layout(place, &exported, directory, tag.as_deref())?;
            directory.display().to_string()
        }
        Destination::Registry(reference) => {
            let endpoint = registry.registries.push_endpoint(reference)?;
            let access = Access {
                scope: Scope::Push { mounts: Vec::new() },
                security: registry.security_of(&endpoint),
                credentials: registry.credentials.clone(),
            };
            let repository = Repository::new(&registry.http, &endpoint.reference, access);
            push(place, &repository, &exported, &endpoint.reference)?;
            reference.to_string()
        }
    };
    let digest = exported.descriptor.digest.to_string();
    if !args.quiet {
        report::note(&format!("pushed {} to {to}: {digest}", args.image));
    }
    if let Some(file) = &args.digestfile {
        std::fs::write(file, &digest).map_err(|error| {
            Failure::message(format!("cannot write `{}`: {error}", file.display()))
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Without a destination the image goes where its name says.
fn destination(args: &PushArgs, image: &Found) -> Result<Destination, Failure> {
    let text = match (&args.destination, &image.name) {
        (Some(text), _) => text.clone(),
        (None, Some(name)) if !name.as_str().starts_with("localhost/") => {
            format!("docker://{name}")
        }
        (None, _) => {
            return Err(Failure::message(format!(
                "`{}` does not say which registry it belongs to",
                args.image
            ))
            .with_hint("add a destination: docker://HOST/NAME[:TAG] or oci:DIR[:TAG]"));
        }
    };
    parse(&text)
}

fn parse(text: &str) -> Result<Destination, Failure> {
    if let Some(path) = text.strip_prefix("oci:") {
        let (directory, tag) = rbuild_engine::split_layout(path);
        return Ok(Destination::Layout {
            directory: directory.into(),
            tag: tag.map(str::to_owned),
        });
    }
    if let Some((transport, _)) = text.split_once(':')
        && [
            "oci-archive",
            "docker-archive",
            "dir",
            "containers-storage",
            "docker-daemon",
        ]
        .contains(&transport)
    {
        return Err(Failure::message(format!("`{transport}:` is not supported yet"))
            .with_hint("docker://HOST/NAME[:TAG] and oci:DIR[:TAG] are; `rbuild bud -o type=oci,dest=FILE` writes archives"));
    }
    let reference: Reference = text.strip_prefix("docker://").unwrap_or(text).parse()?;
    Ok(Destination::Registry(reference.on_docker_hub()))
}

#[cfg(test)]
mod tests {
    use super::{Destination, parse};

    #[test]
    fn destinations_are_layouts_or_registries() {
        let layout = |directory: &str, tag: Option<&str>| Destination::Layout {
            directory: directory.into(),
            tag: tag.map(str::to_owned),
        };
        assert_eq!(parse("oci:/tmp/d").unwrap(), layout("/tmp/d", None));
        assert_eq!(parse("oci:d:1.0").unwrap(), layout("d", Some("1.0")));
        let registry = |text: &str| Destination::Registry(text.parse().unwrap());
        assert_eq!(
            parse("docker://127.0.0.1:5000/a:b").unwrap(),
            registry("127.0.0.1:5000/a:b")
        );
        assert_eq!(
            parse("alpine").unwrap(),
            registry("docker.io/library/alpine")
        );
        assert!(parse("dir:/tmp").is_err());
    }
}
