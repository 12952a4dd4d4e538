//! `rbuild import`: an image from a root file system.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
    process::ExitCode,
};

use rbuild_dockerfile::{Severity, parse};
use rbuild_export::{Import, Root, import};
use rbuild_oci::{ImageConfig, Platform};
use rbuild_plan::{Inputs, Planning, plan};
use rbuild_sys::Dir;

use crate::{
    cli::{Global, ImportArgs},
    failure::Failure,
    find::new_name,
    report::{self, Verbosity, print},
    settings,
    source::{Part, Source},
    terminal,
};

/// Imports and prints the image's id.
///
/// # Errors
/// If the source cannot be read, is no root file system, or a `--change` is wrong.
pub fn execute(global: &Global, args: &ImportArgs) -> Result<ExitCode, Failure> {
    let name = new_name(&args.name)?;
    let platform = args.platform.clone().unwrap_or_default();
    let config = config(&args.change, platform)?;
    let cannot = |source: io::Error| {
        Failure::message(format!("cannot open `{}`: {source}", args.source.display()))
    };
    let is_stdin = args.source == Path::new("-");
    if is_stdin {
        terminal::refuse_archive("name a file or a directory, or use a pipe")?;
    }
    let directory = (!is_stdin && args.source.is_dir())
        .then(|| Dir::open(&args.source))
        .transpose()?;
    let mut archive: Box<dyn Read> = match &directory {
        Some(_) => Box::new(io::empty()),
        None if is_stdin => Box::new(io::stdin().lock()),
        None => Box::new(File::open(&args.source).map_err(cannot)?),
    };
    rbuild_sandbox::enter()?;
    let store = settings::store(global)?;
    let session = store.begin()?;
    let request = Import {
        root: match &directory {
            Some(directory) => Root::Directory(directory),
            None => Root::Archive(&mut archive),
        },
        config,
        comment: format!("imported from {}", args.source.display()),
        now: settings::now(),
        name: &name,
    };
    let id = import(&store, &session, request)?;
    Verbosity::of(args.quiet).progress(&format!("imported {name}"));
    print(&id.0.hex())?;
    Ok(ExitCode::SUCCESS)
}

/// The configuration that the instructions `changes` make of an empty one for `platform`: those of a
/// stage that has nothing else in it.
fn config(changes: &[String], platform: Platform) -> Result<ImageConfig, Failure> {
    let text = format!("FROM scratch\n{}\n", changes.join("\n"));
    let (file, mut diagnostics) = parse(&text);
    let inputs = Inputs {
        platform,
        build_args: BTreeMap::new(),
        ..Inputs::default()
    };
    let planned = match plan(&file, &text, &inputs) {
        Planning::Ready(planned) if planned.steps.is_empty() => Some(planned),
        Planning::Ready(_) | Planning::Needs(_) => {
            return Err(Failure::message(format!(
                "--change takes instructions that only change the configuration, not `{}`",
                changes.join("`, `")
            )));
        }
        Planning::Rejected(more) => {
            diagnostics.extend(more);
            None
        }
    };
    match planned {
        Some(planned) if diagnostics.iter().all(|d| d.severity == Severity::Warning) => {
            Ok(planned.stage(planned.targets[0]).config.clone())
        }
        _ => {
            let source = Source::of(Part {
                name: "--change".to_owned(),
                path: None,
                text,
            });
            report::diagnostics(&diagnostics, &source, &mut io::stderr().lock());
            Err(Failure::said(1))
        }
    }
}
