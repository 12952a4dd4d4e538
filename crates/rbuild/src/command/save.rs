//! `rbuild save` and `rbuild export`: images, or their files, as archives.

use std::{io::Write, process::ExitCode};

use rbuild_export::{
    Exported, Looks, Named, Place, Tagged, export, write_archive, write_directory,
    write_docker_archive, write_layout, write_tree_tar,
};
use rbuild_oci::{Format, Name};
use rbuild_store::{ImageRecord, Store};

use crate::{
    cli::{ExportArgs, Global, SaveArgs, SaveFormat},
    failure::Failure,
    find::find_for,
    settings,
    target::Target,
};

/// An image to save, and the names that it was asked for by.
struct Saved {
    image: ImageRecord,
    names: Vec<Name>,
}

/// Writes the images that were named.
///
/// # Errors
/// If there is no such image, several without `-m`, or the destination cannot be written.
pub fn execute(global: &Global, args: &SaveArgs) -> Result<ExitCode, Failure> {
    let target = Target::of(args.output.as_deref());
    if !is_directory(args.format) {
        target.refuse_terminal("use -o FILE, or a pipe")?;
    }
    rbuild_sandbox::enter()?;
    let store = settings::store(global)?;
    let session = store.begin()?;
    let saved = named(&store, args)?;
    let place = Place {
        store: &store,
        session: &session,
    };
    match (args.format, &target) {
        (SaveFormat::DockerArchive, _) => {
            let images: Vec<Named<'_>> = saved
                .iter()
                .map(|saved| Named {
                    image: &saved.image,
                    names: &saved.names,
                })
                .collect();
            target.write(&mut |out| Ok(write_docker_archive(place, &images, out)?))?;
        }
        (SaveFormat::OciArchive, _) => {
            let exported = exported(place, &saved, Format::Oci)?;
            let tagged = tagged(&saved, &exported);
            target.write(&mut |out| Ok(write_archive(place, &tagged, out)?))?;
        }
        (SaveFormat::OciDir, Target::File(directory)) => {
            let exported = exported(place, &saved, Format::Oci)?;
            for Tagged { image, tag } in tagged(&saved, &exported) {
                write_layout(place, image, directory, tag)?;
            }
        }
        (SaveFormat::DockerDir, Target::File(directory)) => {
            let [image] = &exported(place, &saved, Format::Docker)?[..] else {
                return Err(Failure::message("such a directory has one image"));
            };
            write_directory(place, image, directory)?;
        }
        (SaveFormat::OciDir | SaveFormat::DockerDir, Target::Stdout) => {
            return Err(Failure::message("a directory cannot go to standard output")
                .with_hint("use -o DIR"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the files of an image as a tar.
///
/// # Errors
/// If there is no such image, or the destination cannot be written.
pub fn files(global: &Global, args: &ExportArgs) -> Result<ExitCode, Failure> {
    let target = Target::of(args.output.as_deref());
    target.refuse_terminal("use -o FILE, or a pipe")?;
    rbuild_sandbox::enter()?;
    let store = settings::store(global)?;
    let session = store.begin()?;
    let image = find_for(&store, &args.image, None)?;
    let empty = session.new_layer()?;
    target.write(&mut |out: &mut dyn Write| {
        let layers = image.record.layer_ids();
        Ok(write_tree_tar(&store, &layers, &empty.diff, out)?)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn is_directory(format: SaveFormat) -> bool {
    matches!(format, SaveFormat::OciDir | SaveFormat::DockerDir)
}

/// The images by the names that were given, each once; of a list the one for this machine.
fn named(store: &Store, args: &SaveArgs) -> Result<Vec<Saved>, Failure> {
    let mut saved: Vec<Saved> = Vec::new();
    for text in &args.images {
        let found = find_for(store, text, None)?;
        let known = saved.iter_mut().find(|known| known.image.id() == found.id);
        match known {
            Some(known) => known.names.extend(found.name),
            None => saved.push(Saved {
                image: found.record,
                names: found.name.into_iter().collect(),
            }),
        }
    }
    if saved.len() > 1 && !args.multi_image_archive {
        let message = format!("these are names of {} images", saved.len());
        return Err(Failure::message(message).with_hint("-m puts several images into one archive"));
    }
    Ok(saved)
}

fn exported(place: Place<'_>, saved: &[Saved], format: Format) -> Result<Vec<Exported>, Failure> {
    let looks = Looks {
        format: Some(format),
        ..Looks::default()
    };
    let exported = saved.iter().map(|saved| export(place, &saved.image, looks));
    Ok(exported.collect::<Result<_, _>>()?)
}

/// Each image under each of its names.
fn tagged<'a>(saved: &'a [Saved], exported: &'a [Exported]) -> Vec<Tagged<'a>> {
    let mut tagged = Vec::new();
    for (saved, image) in saved.iter().zip(exported) {
        let names = saved.names.iter().map(|name| Some(name.as_str()));
        let none = saved.names.is_empty().then_some(None);
        tagged.extend(names.chain(none).map(|tag| Tagged { image, tag }));
    }
    tagged
}
