//! `rbuild push`: an image from the store to elsewhere.

use std::{path::Path, process::ExitCode};

use rbuild_export::{Affected, Compress, Frames, Looks, Place};
use rbuild_oci::{Format, Location, Name, media_type::Compression};

use crate::{
    cli::{CompressionArgs, CompressionFormat, ManifestFormat, PushArgs},
    destination::{Parcel, send},
    failure::Failure,
    find::find,
    registry::Registry,
    report, settings,
};

/// Sends the image and, with `--digestfile`, tells its digest.
///
/// # Errors
/// If there is no such image, or the destination refuses.
pub fn execute(root: Option<&Path>, args: &PushArgs) -> Result<ExitCode, Failure> {
    let store_before = settings::store(root)?;
    let image = find(&store_before, &args.image)?;
    drop(store_before);
    let destination = match &args.destination {
        Some(text) => text.parse()?,
        None => home(&args.image, image.name.as_ref())?,
    };
    let looks = Looks {
        format: args.format.map(format),
        compress: compress(&args.compression)?,
    };
    let registry = Registry::configured(&args.registry)?;
    rbuild_sandbox::enter()?;
    let store = settings::store(root)?;
    let session = store.begin()?;
    let place = Place {
        store: &store,
        session: &session,
    };
    let parcel = Parcel {
        place,
        image: &image.record,
        looks,
        name: image.name.as_ref(),
    };
    let digest = send(parcel, &destination, &registry)?.to_string();
    if !args.quiet {
        report::note(&format!("pushed {} to {destination}: {digest}", args.image));
    }
    if let Some(file) = &args.digestfile {
        std::fs::write(file, &digest).map_err(|error| {
            Failure::message(format!("cannot write `{}`: {error}", file.display()))
        })?;
    }
    Ok(ExitCode::SUCCESS)
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

/// What the flags say of compression.
///
/// # Errors
/// For a level that the format does not have.
pub fn compress(args: &CompressionArgs) -> Result<Compress, Failure> {
    let (compression, levels) = match args.compression_format {
        Some(CompressionFormat::Zstd | CompressionFormat::ZstdChunked) => {
            (Compression::Zstd, 1..=22)
        }
        Some(CompressionFormat::Gzip) | None => (Compression::Gzip, 0..=9),
    };
    if let Some(level) = args.compression_level
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
        level: args.compression_level,
        layers: match args.force_compression.unwrap_or(named) {
            true => Affected::All,
            false => Affected::New,
        },
        frames: match args.compression_format {
            Some(CompressionFormat::ZstdChunked) => Frames::PerFile,
            _ => Frames::Any,
        },
    })
}
