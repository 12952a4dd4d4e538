//! `rbuild manifest push`: a list, with its images, to elsewhere.

use std::collections::BTreeMap;

use rbuild_export::{Affected, Compress, Frames, Looks, Place, export_index};
use rbuild_oci::{IN_ZSTD, Location, media_type::Compression};

use crate::{
    cli::{CompressionFormat, Global, ListPushArgs},
    command::push::{compress, format, home, images, tell},
    containers_conf::ContainersConf,
    destination::{looks_of_list, send_index},
    failure::Failure,
    find::find_index,
    registry::Registry,
    report::Verbosity,
    settings,
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
    let images = images(args.all);
    let looks = looks_of_list(wished, images, &destination)?;
    let mut exported = export_index(place, &index, looks)?;
    for format in &args.add_compression {
        let looks = in_compression(looks, *format);
        let more = export_index(place, &index, looks)?;
        exported = exported.with(more, &said_of(*format));
    }
    send_index((place, registry.line()), &exported, &destination, images)?;
    let digest = exported.descriptor.digest;
    Verbosity::of(args.quiet).progress(&format!("pushed {name} to {destination}: {digest}"));
    if let Some(file) = &args.digestfile {
        tell(file, &digest)?;
    }
    if args.rm {
        store.remove_index(&name)?;
    }
    Ok(())
}

/// `looks` with every layer compressed as `format` says.
fn in_compression(looks: Looks, format: CompressionFormat) -> Looks {
    let (compression, frames) = match format {
        CompressionFormat::Gzip => (Compression::Gzip, Frames::Any),
        CompressionFormat::Zstd => (Compression::Zstd, Frames::Any),
        CompressionFormat::ZstdChunked => (Compression::Zstd, Frames::PerFile),
    };
    Looks {
        compress: Compress {
            compression,
            frames,
            level: None,
            layers: Affected::All,
        },
        ..looks
    }
}

/// By what podman finds an image in that compression in a list.
fn said_of(format: CompressionFormat) -> BTreeMap<String, String> {
    match format {
        CompressionFormat::Gzip => BTreeMap::new(),
        CompressionFormat::Zstd | CompressionFormat::ZstdChunked => {
            BTreeMap::from([(IN_ZSTD.to_owned(), "true".to_owned())])
        }
    }
}
