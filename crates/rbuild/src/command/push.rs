//! `rbuild push`: images and lists from the store to elsewhere.

use std::{path::Path, process::ExitCode};

use rbuild_export::{Affected, Compress, Frames, Images, Looks, Place, export_index};
use rbuild_oci::{BlobDigest, Format, Location, Name, Reference, media_type::Compression};
use rbuild_store::{IndexRecord, Store};

use crate::{
    cli::{CompressionArgs, CompressionFormat, Global, ManifestFormat, PushArgs},
    command::hand_over,
    containers_conf::ContainersConf,
    destination::{Parcel, looks_of_list, send, send_index},
    failure::Failure,
    find::{Thing, find, find_thing},
    registry::Registry,
    report::Verbosity,
    settings,
};

/// Sends what the name stands for, or with `--all-tags` all that its repository has.
///
/// # Errors
/// If there is no such image, or the destination refuses.
pub fn execute(global: &Global, args: &PushArgs) -> Result<ExitCode, Failure> {
    if let Some(name) = args.destination.as_deref().and_then(hand_over::storage) {
        return hand_over::push(global, args, name);
    }
    let store = settings::store(global)?;
    let mut wanted = match args.all_tags {
        true => all_tags(&store, args)?,
        false => vec![Wanted::alone(&store, args)?],
    };
    drop(store);
    let conf = ContainersConf::configured()?;
    let looks = Looks {
        format: args.format.map(format),
        compress: compress(&args.compression, &conf)?,
    };
    let registry = Registry::configured(&args.registry, &conf)?;
    rbuild_sandbox::enter()?;
    let store = settings::store(global)?;
    let session = store.begin()?;
    let place = Place {
        store: &store,
        session: &session,
    };
    let images = images(args.all);
    for Wanted { text, thing, to } in &mut wanted {
        thing.hold(&session)?;
        let digest = match thing {
            Thing::Image(found) => {
                let parcel = Parcel {
                    place,
                    image: &found.record,
                    looks,
                    name: found.name.as_ref(),
                };
                send(parcel, to, registry.line())?.digest
            }
            Thing::List(_, index) => send_list((place, &registry), (index, looks), to, images)?,
        };
        Verbosity::of(args.quiet).progress(&format!("pushed {text} to {to}: {digest}"));
        if let Some(file) = &args.digestfile {
            tell(file, &digest)?;
        }
        if let (Thing::List(name, _), true) = (thing, args.rm) {
            store.remove_index(name)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What `--all` says.
pub fn images(all: bool) -> Images {
    match all {
        true => Images::Included,
        false => Images::Omitted,
    }
}

/// Something to push.
struct Wanted {
    /// As the user calls it.
    text: String,
    thing: Thing,
    to: Location,
}

impl Wanted {
    fn alone(store: &Store, args: &PushArgs) -> Result<Self, Failure> {
        let text = args.image.clone();
        let thing = find_thing(store, &text)?;
        let to = match &args.destination {
            Some(destination) => destination.parse()?,
            None => home(&text, thing.name())?,
        };
        Ok(Self { text, thing, to })
    }
}

/// All images and lists of a repository, each with where it goes: under its own tag.
///
/// # Errors
/// If the name or the destination has a tag, or there is nothing of that name.
fn all_tags(store: &Store, args: &PushArgs) -> Result<Vec<Wanted>, Failure> {
    let reference: Reference = args.image.parse()?;
    let destination = args.destination.as_deref().map(str::parse).transpose()?;
    let to = match &destination {
        None => None,
        Some(Location::Name(to) | Location::Registry(to)) => Some(to),
        Some(_) => return Err(Failure::message("--all-tags sends to a registry only")),
    };
    if [Some(&reference), to].into_iter().flatten().any(is_exact) {
        let message = "--all-tags takes repositories, without tags and digests";
        return Err(Failure::message(message));
    }
    let repositories = reference.local_names();
    let repositories = || repositories.iter().map(Name::repository);
    let mut wanted = Vec::new();
    for repository in repositories() {
        let mut add = |name: &Name, thing: Thing| -> Result<(), Failure> {
            let to = match to {
                Some(to) => Location::Registry(Reference {
                    tag: name.tag().map(str::to_owned),
                    ..to.clone()
                }),
                None => home(name.as_str(), Some(name))?,
            };
            let text = name.to_string();
            wanted.push(Wanted { text, thing, to });
            Ok(())
        };
        let is_meant = |name: &Name| name.repository() == repository && name.tag().is_some();
        for (name, _) in store.names()?.iter().filter(|(name, _)| is_meant(name)) {
            add(name, Thing::Image(Box::new(find(store, name.as_str())?)))?;
        }
        for (name, index) in store.indexes()?.into_iter().filter(|it| is_meant(&it.0)) {
            add(&name, Thing::List(name.clone(), index))?;
        }
        // A short name means the first repository that has something.
        if !wanted.is_empty() {
            return Ok(wanted);
        }
    }
    Err(Failure::message(format!("no image of `{reference}` in the store")).with_status(125))
}

fn is_exact(reference: &Reference) -> bool {
    reference.tag.is_some() || reference.digest.is_some()
}

/// Sends a list, and what `images` says of those in it; returns its digest there.
///
/// # Errors
/// If `destination` refuses, or cannot have a list.
fn send_list(
    (place, registry): (Place<'_>, &Registry),
    (index, wished): (&IndexRecord, Looks),
    destination: &Location,
    images: Images,
) -> Result<BlobDigest, Failure> {
    let looks = looks_of_list(wished, images, destination)?;
    let exported = export_index(place, index, looks)?;
    send_index((place, registry.line()), &exported, destination, images)?;
    Ok(exported.descriptor.digest)
}

/// Writes `digest` to `file`.
///
/// # Errors
/// If it cannot be written.
pub fn tell(file: &Path, digest: &BlobDigest) -> Result<(), Failure> {
    std::fs::write(file, digest.to_string())
        .map_err(|error| Failure::message(format!("cannot write `{}`: {error}", file.display())))
}

/// Where `name`, which was typed as `text`, says that it belongs.
///
/// # Errors
/// If it does not say.
pub fn home(text: &str, name: Option<&Name>) -> Result<Location, Failure> {
    match name {
        Some(name) if !name.as_str().starts_with("localhost/") => {
            Ok(format!("docker://{name}").parse()?)
        }
        _ => Err(Failure::message(format!(
            "`{text}` does not say which registry it belongs to"
        ))
        .with_hint("add a destination: docker://HOST/NAME[:TAG], or a file; `rbuild push --help` lists them")),
    }
}

/// The format of manifests that is meant.
pub fn format(format: ManifestFormat) -> Format {
    match format {
        ManifestFormat::Oci => Format::Oci,
        ManifestFormat::Docker => Format::Docker,
    }
}

/// What the flags say of compression, and `conf` where they say nothing.
///
/// # Errors
/// For a level that the format does not have.
pub fn compress(args: &CompressionArgs, conf: &ContainersConf) -> Result<Compress, Failure> {
    let (format, level) = conf.compression(args);
    let (compression, levels) = match format {
        Some(CompressionFormat::Zstd | CompressionFormat::ZstdChunked) => {
            (Compression::Zstd, 1..=22)
        }
        Some(CompressionFormat::Gzip) | None => (Compression::Gzip, 0..=9),
    };
    if let Some(level) = level
        && !levels.contains(&level)
    {
        let (first, last) = (levels.start(), levels.end());
        return Err(Failure::message(format!(
            "--compression-level is {first} to {last} here, not {level}"
        )));
    }
    let named = args.compression_format.is_some();
    Ok(Compress {
        compression,
        level,
        layers: match args.force_compression.unwrap_or(named) {
            true => Affected::All,
            false => Affected::New,
        },
        frames: match format {
            Some(CompressionFormat::ZstdChunked) => Frames::PerFile,
            _ => Frames::Any,
        },
    })
}
