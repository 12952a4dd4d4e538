//! `rbuild load`: images from an archive or a directory, with their names.

use std::{io, path::Path, process::ExitCode};

use rbuild_engine::{Loaded, Offered, PullError, Shelf, ShelfError, load};
use rbuild_oci::Platform;
use rbuild_store::Session;

use crate::{
    cli::{Global, LoadArgs},
    failure::Failure,
    registry,
    report::print,
    settings, terminal,
};

/// Loads every image and says what it is called.
///
/// # Errors
/// If it is no archive of images, or one that does not verify.
pub fn execute(global: &Global, args: &LoadArgs) -> Result<ExitCode, Failure> {
    let input = args.input.as_deref().filter(|path| *path != Path::new("-"));
    if input.is_none() {
        terminal::refuse_archive("use -i FILE, or a pipe")?;
    }
    let signatures = registry::signatures(&args.signatures)?;
    rbuild_sandbox::enter()?;
    let store = settings::store(global)?;
    let session = store.begin()?;
    let shelf = open(input, &session).map_err(|error| explain(error.into(), input))?;
    let offered = Offered {
        shelf: &shelf,
        path: input.and_then(Path::to_str).unwrap_or_default(),
        signatures: &signatures,
    };
    let loaded =
        load(offered, &session, &Platform::default()).map_err(|error| explain(error, input))?;
    for image in &loaded {
        tell(image, args.quiet)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn open(input: Option<&Path>, session: &Session) -> Result<Shelf, ShelfError> {
    match input {
        Some(path) if path.is_dir() => Shelf::directory(path),
        Some(path) => Shelf::archive(path, session),
        None => Shelf::stream(&mut io::stdin().lock(), session),
    }
}

/// As podman words it: scripts cut the name off behind `Loaded image: `.
fn tell(image: &Loaded, quiet: bool) -> io::Result<()> {
    let what = if quiet { "" } else { "Loaded image: " };
    if image.names.is_empty() {
        return print(&format!("{what}sha256:{}", image.id.0.hex()));
    }
    image
        .names
        .iter()
        .try_for_each(|name| print(&format!("{what}{name}")))
}

fn explain(error: PullError, input: Option<&Path>) -> Failure {
    let name = input.map_or("standard input".to_owned(), |path| {
        path.display().to_string()
    });
    let hint = matches!(error, PullError::Files(ShelfError::RootFileSystem)).then(|| {
        format!(
            "`rbuild import {} NAME` makes an image of them",
            input.map_or("-".to_owned(), |path| path.display().to_string())
        )
    });
    let failure = Failure::from(LoadError {
        name,
        source: error,
    });
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot load `{name}`")]
struct LoadError {
    name: String,
    source: PullError,
}
