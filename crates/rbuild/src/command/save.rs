//! `rbuild save` and `rbuild export`: images, or their files, as archives.

use std::{io::Write, path::Path, process::ExitCode};

use rbuild_export::{
    Exported, ExportedIndex, Looks, Named, Place, Tagged, export, export_index, write_archive,
    write_directory, write_docker_archive, write_layout, write_tree_tar,
};
use rbuild_oci::{Format, Name};
use rbuild_store::Session;

use crate::{
    cli::{ExportArgs, Global, SaveArgs, SaveFormat},
    failure::Failure,
    find::{Thing, find_for, find_thing},
    settings,
    target::Target,
};

/// Something to save, and the names that it was asked for by.
struct Saved {
    thing: Thing,
    names: Vec<Name>,
}

/// The same, ready to leave.
enum Ready {
    Image(Exported),
    List(ExportedIndex),
}

/// Writes what was named.
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
    let saved = named(&session, args)?;
    let place = Place {
        store: &store,
        session: &session,
    };
    match (args.format, &target) {
        (SaveFormat::DockerArchive, _) => {
            let images: Vec<Named<'_>> = saved.iter().filter_map(Saved::image).collect();
            target.write(&mut |out| Ok(write_docker_archive(place, &images, out)?))?;
        }
        (SaveFormat::OciArchive, _) => {
            let ready = ready(place, &saved)?;
            let tagged = tagged(&saved, &ready);
            target.write(&mut |out| Ok(write_archive(place, &tagged, out)?))?;
        }
        (SaveFormat::OciDir, Target::File(directory)) => {
            for Tagged { what, tag } in tagged(&saved, &ready(place, &saved)?) {
                write_layout(place, what, directory, tag)?;
            }
        }
        (SaveFormat::DockerDir, Target::File(directory)) => {
            save_directory(place, &saved, directory)?;
        }
        (SaveFormat::OciDir | SaveFormat::DockerDir, Target::Stdout) => {
            return Err(Failure::message("a directory cannot go to standard output")
                .with_hint("use -o DIR"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes one image in docker's format.
fn save_directory(place: Place<'_>, saved: &[Saved], directory: &Path) -> Result<(), Failure> {
    let images: Vec<Named<'_>> = saved.iter().filter_map(Saved::image).collect();
    let [one] = &images[..] else {
        return Err(Failure::message("such a directory has one image")
            .with_hint("--format oci-dir can have several"));
    };
    let exported = export(place, one.image, looks(Format::Docker))?;
    Ok(write_directory(place, &exported, directory)?)
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

/// What the names that were given stand for, each once. An OCI layout has all images of a list, with
/// the list; docker's archives and directories have the one for this machine.
fn named(session: &Session, args: &SaveArgs) -> Result<Vec<Saved>, Failure> {
    let store = session.store();
    let find = |text: &str| match args.format {
        SaveFormat::OciArchive | SaveFormat::OciDir => find_thing(store, text),
        SaveFormat::DockerArchive | SaveFormat::DockerDir => {
            find_for(store, text, None).map(|found| Thing::Image(Box::new(found)))
        }
    };
    let mut saved: Vec<Saved> = Vec::new();
    for text in &args.images {
        let mut thing = find(text)?;
        thing.hold(session)?;
        let name = thing.name().cloned();
        match saved.iter_mut().find(|known| known.is(&thing)) {
            Some(known) => known.names.extend(name),
            None => saved.push(Saved {
                thing,
                names: name.into_iter().collect(),
            }),
        }
    }
    if saved.len() > 1 && !args.multi_image_archive {
        let message = format!("these are names of {} images", saved.len());
        return Err(Failure::message(message).with_hint("-m puts several images into one archive"));
    }
    Ok(saved)
}

impl Saved {
    fn is(&self, other: &Thing) -> bool {
        match (&self.thing, other) {
            (Thing::Image(known), Thing::Image(other)) => known.id == other.id,
            (Thing::List(_, known), Thing::List(_, other)) => known == other,
            _ => false,
        }
    }

    /// It as an image; `None` if it is a list.
    fn image(&self) -> Option<Named<'_>> {
        match &self.thing {
            Thing::Image(found) => Some(Named {
                image: &found.record,
                names: &self.names,
            }),
            Thing::List(..) => None,
        }
    }
}

fn looks(format: Format) -> Looks {
    Looks {
        format: Some(format),
        ..Looks::default()
    }
}

/// Each of `saved` for a layout.
fn ready(place: Place<'_>, saved: &[Saved]) -> Result<Vec<Ready>, Failure> {
    let looks = looks(Format::Oci);
    let ready = saved.iter().map(|saved| match &saved.thing {
        Thing::Image(found) => export(place, &found.record, looks).map(Ready::Image),
        Thing::List(_, index) => export_index(place, index, looks).map(Ready::List),
    });
    Ok(ready.collect::<Result<_, _>>()?)
}

/// Each of `saved` under each of its names.
fn tagged<'a>(saved: &'a [Saved], ready: &'a [Ready]) -> Vec<Tagged<'a>> {
    let mut tagged = Vec::new();
    for (saved, ready) in saved.iter().zip(ready) {
        let what = match ready {
            Ready::Image(image) => image.into(),
            Ready::List(list) => list.into(),
        };
        let names = saved.names.iter().map(|name| Some(name.as_str()));
        let none = saved.names.is_empty().then_some(None);
        tagged.extend(names.chain(none).map(|tag| Tagged { what, tag }));
    }
    tagged
}
