//! `rbuild util dump`: what a Dockerfile becomes on its way, for contributors and bug reports.

use std::{io, process::ExitCode};

use rbuild_dockerfile::{dump as dump_tree, parse};
use rbuild_http::{Backoff, Client};
use rbuild_oci::Platform;
use rbuild_plan::{
    BaseImage, Entitlement, Inputs, Key, Plan, Planning, SourceDigest, Tree, dump as dump_plan,
    plan, step_key,
};

use crate::{
    cli::{DumpArgs, Dumped, UtilArgs, UtilCommand},
    contexts::Main,
    dockerfile,
    failure::Failure,
    report::{self, print},
    settings,
    source::Source,
};

/// Prints it.
///
/// # Errors
/// If the file cannot be read or planned.
pub fn execute(args: &UtilArgs) -> Result<ExitCode, Failure> {
    let UtilCommand::Dump(args) = &args.command;
    let here = Main::Directory(".".into());
    let http = Client::new(settings::http(Backoff::default()));
    let source = dockerfile::read(std::slice::from_ref(&args.file), &here, &http)?;
    let text = match args.what {
        Dumped::Ast => {
            let (file, diagnostics) = parse(&source.text);
            dump_tree(&file, &diagnostics, &source.text)
        }
        Dumped::Plan => dump_plan(&*planned(args, &source)?),
        Dumped::Keys => keys(&*planned(args, &source)?),
    };
    print(text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// Plans with empty base images: what an image holds is not this command's business.
fn planned(args: &DumpArgs, source: &Source) -> Result<Box<Plan>, Failure> {
    let (file, mut found) = parse(&source.text);
    let mut inputs = Inputs {
        build_args: settings::build_args(settings::proxies(), &[], &args.build_arg)?,
        targets: args.target.clone(),
        extent: args.extent(),
        platform: Platform::default(),
        allowed: Entitlement::ALL.into(),
        ..Inputs::default()
    };
    loop {
        match plan(&file, &source.text, &inputs) {
            Planning::Ready(plan) => return Ok(plan),
            Planning::Needs(images) => inputs.bases.extend(images.into_iter().map(|image| {
                let supposed = BaseImage::supposed(&image);
                (image, supposed)
            })),
            Planning::Rejected(more) => {
                found.extend(more);
                report::diagnostics(&found, source, &mut io::stderr().lock());
                return Err(Failure::said(1));
            }
        }
    }
}

/// One line for each step.
fn keys(plan: &Plan) -> String {
    let platform = plan.platform();
    let mut keys: Vec<Key> = Vec::new();
    let mut lines = String::new();
    for step in &plan.steps {
        let key_of = |tree: &Tree| match tree {
            Tree::Empty => Key::of_empty_tree(&platform),
            Tree::Image(image) => Key::of_image_tree(&image.name, &image.platform),
            Tree::Step(id) => keys[id.0 as usize],
        };
        let sources: Vec<SourceDigest> = step
            .op
            .sources()
            .into_iter()
            .map(|source| {
                source
                    .tree()
                    .map_or(SourceDigest::Content([0; 32]), |tree| {
                        SourceDigest::Tree(key_of(tree))
                    })
            })
            .chain(
                step.op
                    .counted_secrets()
                    .into_iter()
                    .map(|_| SourceDigest::Content([0; 32])),
            )
            .collect();
        let key = step_key(step, &key_of(&step.parent), &sources);
        lines.push_str(&format!("{key} {}\n", step.title));
        keys.push(key);
    }
    lines
}
