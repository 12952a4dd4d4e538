//! `rbuild bud`: the pipeline, on one screen.
//!
//! ```text
//! text → parse → plan ⇄ base images → build (steps become frozen layers) → commit → outputs
//! ```

use std::{collections::BTreeMap, io, path::Path, process::ExitCode};

use rbuild_context::Git;
use rbuild_dockerfile::{Diagnostic, Dockerfile, Severity, ast::Span, parse};
use rbuild_engine::{
    Bases, BuildContext, Builder, Caching, Confined, Error as BuildError, HOSTNAME, State,
    fetch::Fetcher,
};
use rbuild_export::{BuiltLayer, Commit, Layers, Place, commit};
use rbuild_http::Client;
use rbuild_oci::{ImageId, Name, Platform};
use rbuild_plan::{Base, Edits, Inputs, Plan, Planning, StageId, blame, plan};
use rbuild_sandbox::{Cancel, Network, Sandbox};
use rbuild_store::{ImageRecord, Session, Store};

use crate::{
    advice, bottoms,
    cli::{BuildArgs, NetworkMode},
    contexts,
    dockerfile::{self, Source},
    failure::{Failure, hint},
    find::new_name,
    output::{self, Built, Output},
    progress::Progress,
    registry::Registry,
    report, secrets, settings, signals,
};

/// Builds, commits, exports; prints the image's id.
///
/// # Errors
/// The user's mistakes are reported with their lines; a failing step ends with 1, a signal with
/// 128 + its number.
pub fn execute(root: Option<&Path>, args: &BuildArgs) -> Result<ExitCode, Failure> {
    let signals = signals::hold()?;
    let outputs = Output::parse_all(&args.result.output)?;
    let names = args
        .result
        .tag
        .iter()
        .map(|name| new_name(name))
        .collect::<Result<Vec<_>, _>>()?;
    let source = dockerfile::read(args.input.file.as_deref(), &args.input.context)?;
    let (file, diagnostics) = parse(&source.text);
    refuse_errors(&diagnostics, &source)?;
    let contexts = contexts::open(&args.input.build_context)?;
    let inputs = Inputs {
        contexts: contexts.kinds,
        ..inputs(args)?
    };
    settings::epoch(&inputs.build_args)?;

    let registry = Registry::configured(&args.registry)?;
    let entered = rbuild_sandbox::enter()?;
    let store = settings::store(root)?;
    let session = store.begin()?;
    let bottoms = bottoms::make(&session)?;
    let runner = Confined {
        sandbox: Sandbox::new(entered, &bottoms.scratch, HOSTNAME)?,
        cancel: Cancel::new()?,
    };
    signals::watch(signals, runner.cancel.clone());

    let bases = registry.bases((&store, &session), inputs.platform.clone());
    let (plan, resolved) = planned(&file, &source, inputs, &bases)?;
    let found = advice::findings(&file, &source.text, diagnostics, &plan.warnings);
    report::diagnostics(&found, &source.name, &source.text, &mut io::stderr().lock());
    if args.input.check {
        return Ok(advice::verdict(&found));
    }
    advice::tolerate(&file, &found)?;

    let progress = Progress::new(&plan, args.input.quiet);
    let builder = Builder {
        store: &store,
        session: &session,
        runner: &runner,
        context: &BuildContext::open(&args.input.context, source.path.as_deref(), settings::now())?,
        named_contexts: &contexts.files,
        bases: &resolved.trees,
        bottoms: &bottoms.below,
        fetcher: Fetcher {
            http: &Client::new(settings::http()),
            git: &Git::default(),
        },
        confidential: &secrets::confidential(&args.steps.secret, &args.steps.ssh)?,
        network: network(args.steps.network),
        caching: if args.steps.no_cache {
            Caching::Refresh
        } else {
            Caching::Use
        },
        emit: &|event| progress.show(&event),
    };
    let states = builder
        .build(&plan)
        .map_err(|error| explain(error, &plan, &source, &progress))?;
    let image = committed(
        args,
        (&store, &session),
        (&plan, &resolved, &states),
        &names,
    )?;
    let built = Built {
        place: Place {
            store: &store,
            session: &session,
        },
        id: &image,
        names: &names,
        empty: &bottoms.below.empty,
        registry: &registry,
    };
    output::write(&outputs, built)?;
    finish(args, &outputs, &image)
}

/// Makes the target stage an image.
fn committed(
    args: &BuildArgs,
    (store, session): (&Store, &Session),
    (plan, resolved, states): (&Plan, &Resolved, &[State]),
    names: &[Name],
) -> Result<ImageId, Failure> {
    let request = Commit {
        stage: plan.stage(plan.target),
        base: base_image(plan, &resolved.images),
        layers: &built_layers(plan, states),
        grouping: if args.result.squash {
            Layers::Squashed
        } else {
            Layers::PerStep
        },
        epoch: settings::epoch(&settings::build_args(&args.input.build_arg))?,
        now: settings::now(),
        names,
    };
    Ok(commit(store, session, &request)?)
}

/// Base images, twice: as the plan wants to know them and as the store has them.
struct Resolved {
    trees: BTreeMap<String, rbuild_engine::BaseTree>,
    images: BTreeMap<String, ImageRecord>,
}

fn inputs(args: &BuildArgs) -> Result<Inputs, Failure> {
    let platform = Platform::default();
    if let Some(text) = &args.input.platform {
        let wanted: Platform = text.parse()?;
        if !platform.matches(&wanted) {
            return Err(Failure::message(format!(
                "cannot build for {wanted} on this machine, which is {platform}"
            ))
            .with_hint("building for other platforms is not supported yet"));
        }
    }
    Ok(Inputs {
        build_args: settings::build_args(&args.input.build_arg),
        target: args.input.target.clone(),
        platform,
        labels: settings::pairs(&args.result.label),
        edits: Edits {
            env: settings::pairs(&args.result.env).into_iter().collect(),
            unsetenv: args.result.unsetenv.clone(),
            unsetlabel: args.result.unsetlabel.clone(),
        },
        contexts: BTreeMap::new(),
        bases: BTreeMap::new(),
    })
}

/// Plans, finding base images until no more are wanted.
fn planned(
    file: &Dockerfile,
    source: &Source,
    mut inputs: Inputs,
    bases: &Bases<'_>,
) -> Result<(Box<Plan>, Resolved), Failure> {
    let mut resolved = Resolved {
        trees: BTreeMap::new(),
        images: BTreeMap::new(),
    };
    loop {
        match plan(file, &source.text, &inputs) {
            Planning::Ready(plan) => return Ok((plan, resolved)),
            Planning::Rejected(diagnostics) => {
                report::diagnostics(
                    &diagnostics,
                    &source.name,
                    &source.text,
                    &mut io::stderr().lock(),
                );
                return Err(Failure::said(1));
            }
            Planning::Needs(names) => {
                for name in names {
                    let mut fetching = |name: &str| report::note(&format!("pulling {name}"));
                    let found = bases.resolve(&name, &mut fetching).map_err(|error| {
                        let mut out = io::stderr().lock();
                        let places = blame(file, &inputs, &name);
                        report::diagnostics(&places, &source.name, &source.text, &mut out);
                        report::causes(&error, &mut out);
                        report::hint(hint(&error).as_deref(), &mut out);
                        Failure::said(1)
                    })?;
                    inputs.bases.insert(name.clone(), found.image);
                    resolved.trees.insert(name.clone(), found.tree);
                    resolved.images.insert(name, found.record);
                }
            }
        }
    }
}

fn network(mode: NetworkMode) -> Network {
    match mode {
        NetworkMode::Host => Network::Host,
        NetworkMode::None => Network::None,
    }
}

fn refuse_errors(diagnostics: &[Diagnostic], source: &Source) -> Result<(), Failure> {
    if diagnostics
        .iter()
        .all(|diagnostic| diagnostic.severity == Severity::Warning)
    {
        return Ok(());
    }
    report::diagnostics(
        diagnostics,
        &source.name,
        &source.text,
        &mut io::stderr().lock(),
    );
    Err(Failure::said(1))
}

/// The image that the target stage stands on, however many stages lie between.
fn base_image<'a>(
    plan: &Plan,
    images: &'a BTreeMap<String, ImageRecord>,
) -> Option<&'a ImageRecord> {
    match &plan.stage(root_stage(plan)).base {
        Base::Image(name) => images.get(name),
        Base::Scratch | Base::Stage(_) => None,
    }
}

fn root_stage(plan: &Plan) -> StageId {
    let mut id = plan.target;
    while let Base::Stage(parent) = plan.stage(id).base {
        id = parent;
    }
    id
}

/// The layers of the target stage's history, bottom first.
fn built_layers(plan: &Plan, states: &[State]) -> Vec<BuiltLayer> {
    let steps = plan
        .stage(plan.target)
        .history
        .iter()
        .filter_map(|entry| entry.step);
    let built = |step: rbuild_plan::StepId| {
        let (layer, created) = states[step.0 as usize].added?;
        Some(BuiltLayer {
            step,
            layer,
            created,
        })
    };
    steps.filter_map(built).collect()
}

/// A failing step is shown at its line of the Dockerfile.
fn explain(error: BuildError, plan: &Plan, source: &Source, progress: &Progress) -> Failure {
    if let Some(status) = signals::status() {
        return Failure::message("interrupted").with_status(status);
    }
    let BuildError::Step {
        step,
        source: reason,
    } = error
    else {
        return error.into();
    };
    progress.show_kept();
    let span: Span = plan.step(step).span.clone();
    let mut out = io::stderr().lock();
    report::diagnostics(
        &[Diagnostic::error(span, reason.to_string())],
        &source.name,
        &source.text,
        &mut out,
    );
    report::causes(reason.as_ref(), &mut out);
    report::hint(hint(reason.as_ref()).as_deref(), &mut out);
    Failure::said(1)
}

/// Tells the id, unless standard output has the result.
fn finish(args: &BuildArgs, outputs: &[Output], image: &ImageId) -> Result<ExitCode, Failure> {
    if let Some(file) = &args.result.iidfile {
        std::fs::write(file, image.to_string()).map_err(|error| {
            Failure::message(format!("cannot write `{}`: {error}", file.display()))
        })?;
    }
    if !args.input.quiet {
        for name in &args.result.tag {
            report::note(&format!("committed {}", new_name(name)?));
        }
    }
    if !outputs.iter().any(Output::is_stdout) {
        report::print(&image.0.hex())?;
    }
    Ok(ExitCode::SUCCESS)
}
