//! `rbuild bud`: the pipeline, on one screen.
//!
//! ```text
//! context → text → parse → plan ⇄ base images → build (steps become frozen layers)
//!     → for each target: commit → outputs
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    process::ExitCode,
};

use rbuild_dockerfile::{Diagnostic, Dockerfile, Severity, ast::Span, parse};
use rbuild_engine::{
    Bases, Builder, Caching, Confidential, Confined, Error as BuildError, State, fetch::Fetcher,
};
use rbuild_export::{BuiltLayer, Commit, Layers, Origin, commit};
use rbuild_http::Client;
use rbuild_oci::{ImageId, Name, Platform};
use rbuild_plan::{Base, Edits, Entitlement, Inputs, Plan, Planning, StageId, blame, plan};
use rbuild_sandbox::{Cancel, Network, Sandbox};
use rbuild_store::{ImageRecord, Session, Store};

use crate::{
    advice, bottoms,
    cli::{Allowed, BuildArgs, NetworkMode, StepArgs},
    confine::{Confines, Insecure, confines, limits},
    contexts::{Named, Opener},
    description::Description,
    dockerfile,
    failure::{Failure, hint},
    metadata,
    output::{self, Output},
    progress::Progress,
    registry::Registry,
    report, secrets, settings, signals,
    source::Source,
    targets::{self, Target},
};

/// Builds, commits, exports; prints the images' ids.
///
/// # Errors
/// The user's mistakes are reported with their lines; a failing step ends with 1, a signal with
/// 128 + its number.
pub fn execute(root: Option<&Path>, args: &BuildArgs) -> Result<ExitCode, Failure> {
    let signals = signals::hold()?;
    let order = order(args)?;
    let registry = Registry::configured(&args.registry)?;
    let entered = rbuild_sandbox::enter()?;
    let store = settings::store(root)?;
    let session = store.begin()?;
    let bottoms = bottoms::make(&session)?;
    let runner = Confined {
        sandbox: Sandbox::new(entered, &bottoms.scratch, &order.confines.confinement)?,
        cancel: Cancel::new()?,
    };
    signals::watch(signals, runner.cancel.clone());

    let fetcher = Fetcher {
        http: &Client::new(settings::http(registry.http.backoff())),
        git: &settings::git(order.confidential.agents.get("default")),
        secrets: &order.confidential.secrets,
    };
    let opener = Opener {
        session: &session,
        fetcher,
        git_dir: settings::git_dir(&order.inputs.build_args),
    };
    let context = opener.main(&args.input.context)?;
    let source = dockerfile::read(&args.input.file, &context, fetcher.http)?;
    let (file, diagnostics) = parse(&source.text);
    refuse_errors(&diagnostics, &source)?;
    let bases = registry.bases((&store, &session), order.inputs.platform.clone());
    let (plan, resolved) = planned(&file, &source, order.inputs, &bases)?;
    let found = advice::findings(&file, &source.text, diagnostics, &plan.warnings);
    report::diagnostics(&found, &source, &mut io::stderr().lock());
    if args.input.check {
        return Ok(advice::verdict(&found));
    }
    advice::tolerate(&file, &found)?;

    let ignore_file = args.input.ignorefile.as_deref();
    let progress = Progress::new(&plan, args.input.quiet);
    let builder = Builder {
        store: &store,
        session: &session,
        runner: &runner,
        context: &opener.open(context, ignore_file, source.path.as_deref())?,
        named_contexts: &order.contexts.open(&plan, &opener)?,
        bases: &resolved.trees,
        bottoms: &bottoms.below,
        fetcher,
        confidential: &order.confidential,
        capabilities: order.confines.capabilities,
        devices: &order.confines.devices,
        network: network(args.steps.network),
        caching: caching(args),
        jobs: settings::jobs(args.steps.jobs),
        emit: &|event| progress.show(&event),
    };
    let states = builder
        .build(&plan)
        .map_err(|error| explain(error, &plan, &source, &progress))?;
    for (&stage, target) in plan.targets.iter().zip(&order.targets) {
        let request = Request {
            args,
            stage,
            names: &target.names,
            description: &order.description,
        };
        let image = committed(&request, (&store, &session), (&plan, &resolved, &states))?;
        output::write(
            &order.outputs,
            (&store, &session),
            &image,
            &bottoms.below.empty,
        )?;
        finish(&request, &store, &image)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What the flags say, understood before anything is touched.
struct Order {
    inputs: Inputs,
    description: Description,
    contexts: Named,
    confidential: Confidential,
    confines: Confines,
    /// At least one.
    targets: Vec<Target>,
    /// None if there are several targets.
    outputs: Vec<Output>,
}

fn order(args: &BuildArgs) -> Result<Order, Failure> {
    let outputs = args.result.output.iter().map(|spec| Output::parse(spec));
    let outputs = outputs.collect::<Result<_, _>>()?;
    let targets = targets::understood(&args.input.target, &args.result.tag)?;
    if targets.len() > 1 {
        refuse_single(args)?;
    }
    dockerfile::refuse_two_streams(&args.input.file, &args.input.context)?;
    let contexts = Named::parse(&args.input.build_context)?;
    let inputs = Inputs {
        targets: targets.iter().filter_map(|it| it.stage.clone()).collect(),
        contexts: contexts.kinds.clone(),
        ..inputs(args)?
    };
    let description = Description::of(&args.description, settings::epoch(&inputs.build_args)?)?;
    Ok(Order {
        inputs: described(inputs, &description),
        description,
        contexts,
        confidential: secrets::confidential(&args.steps.secret, &args.steps.ssh)?,
        confines: confines(&args.confine, consent(&args.steps.allow))?,
        targets,
        outputs,
    })
}

/// Refuses what takes one image: the caller has several.
fn refuse_single(args: &BuildArgs) -> Result<(), Failure> {
    let flags = [
        ("--output", !args.result.output.is_empty()),
        ("--iidfile", args.result.iidfile.is_some()),
        ("--metadata-file", args.result.metadata_file.is_some()),
    ];
    match flags.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Failure::message(format!(
            "{flag} is for one image, and several are asked for"
        ))
        .with_hint("a second build with one --target takes all steps from the cache")),
        None => Ok(()),
    }
}

/// One image to be.
struct Request<'a> {
    args: &'a BuildArgs,
    stage: StageId,
    names: &'a [Name],
    description: &'a Description,
}

/// Makes a stage an image.
fn committed(
    request: &Request<'_>,
    (store, session): (&Store, &Session),
    (plan, resolved, states): (&Plan, &Resolved, &[State]),
) -> Result<ImageId, Failure> {
    let description = request.description;
    let commission = Commit {
        stage: plan.stage(request.stage),
        base: base_image(plan, request.stage, resolved),
        layers: &built_layers(plan, request.stage, states),
        grouping: if request.args.result.squash {
            Layers::Squashed
        } else {
            Layers::PerStep
        },
        epoch: description.epoch,
        files: description.files,
        telling: description.telling,
        format: description.format,
        annotations: description.annotations(),
        now: settings::now(),
        names: request.names,
    };
    Ok(commit(store, session, &commission)?)
}

/// Base images, twice: as the plan wants to know them and as the store has them.
struct Resolved {
    trees: BTreeMap<String, rbuild_engine::BaseTree>,
    images: BTreeMap<String, ImageRecord>,
    /// Their full names.
    names: BTreeMap<String, Name>,
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
        build_args: settings::build_args(&args.input.build_arg_file, &args.input.build_arg)?,
        extent: args.input.extent(),
        from: args.input.from.clone(),
        platform,
        labels: settings::pairs(&args.result.label),
        edits: Edits {
            env: settings::pairs(&args.result.env).into_iter().collect(),
            unsetenv: args.result.unsetenv.clone(),
            unsetlabel: args.result.unsetlabel.clone(),
            ..Edits::default()
        },
        allowed: allowed(&args.steps),
        ulimits: limits(&args.confine.ulimit)?
            .iter()
            .map(ToString::to_string)
            .collect(),
        ..Inputs::default()
    })
}

/// `inputs` with what `description` wants of the plan.
fn described(mut inputs: Inputs, description: &Description) -> Inputs {
    description.add_epoch(&mut inputs.build_args);
    inputs.edits.labels_of_base = description.labels_of_base;
    inputs.edits.identity.clone_from(&description.identity);
    inputs
}

/// What the Dockerfile may ask for; who gave the build the host's network has allowed it to RUN.
fn allowed(args: &StepArgs) -> BTreeSet<Entitlement> {
    let allowed = args.allow.iter().map(|allowed| match allowed {
        Allowed::NetworkHost => Entitlement::NetworkHost,
        Allowed::SecurityInsecure => Entitlement::SecurityInsecure,
        Allowed::Device => Entitlement::Device,
    });
    let network = (args.network == NetworkMode::Host).then_some(Entitlement::NetworkHost);
    allowed.chain(network).collect()
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
        names: BTreeMap::new(),
    };
    loop {
        match plan(file, &source.text, &inputs) {
            Planning::Ready(plan) => return Ok((plan, resolved)),
            Planning::Rejected(diagnostics) => {
                report::diagnostics(&diagnostics, source, &mut io::stderr().lock());
                return Err(Failure::said(1));
            }
            Planning::Needs(names) => {
                for name in names {
                    let mut fetching = |name: &str| report::note(&format!("pulling {name}"));
                    let found = bases.resolve(&name, &mut fetching).map_err(|error| {
                        let mut out = io::stderr().lock();
                        let places = blame(file, &inputs, &name);
                        report::diagnostics(&places, source, &mut out);
                        report::causes(&error, &mut out);
                        report::hint(hint(&error).as_deref(), &mut out);
                        Failure::said(1)
                    })?;
                    inputs.bases.insert(name.clone(), found.image);
                    resolved.trees.insert(name.clone(), found.tree);
                    if let Some(full) = found.name {
                        resolved.names.insert(name.clone(), full);
                    }
                    resolved.images.insert(name, found.record);
                }
            }
        }
    }
}

fn caching(args: &BuildArgs) -> Caching {
    match args.steps.no_cache {
        true => Caching::Refresh,
        false => Caching::Use,
    }
}

fn consent(allowed: &[Allowed]) -> Insecure {
    match allowed.contains(&Allowed::SecurityInsecure) {
        true => Insecure::Allowed,
        false => Insecure::Refused,
    }
}

/// The sandbox's word for a network.
pub fn network(mode: NetworkMode) -> Network {
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
    report::diagnostics(diagnostics, source, &mut io::stderr().lock());
    Err(Failure::said(1))
}

/// The image that `stage` stands on, however many stages lie between.
fn base_image<'a>(plan: &Plan, stage: StageId, resolved: &'a Resolved) -> Option<Origin<'a>> {
    match &plan.stage(root_stage(plan, stage)).base {
        Base::Image(name) => Some(Origin {
            image: resolved.images.get(name)?,
            name: resolved.names.get(name),
        }),
        Base::Scratch | Base::Stage(_) => None,
    }
}

fn root_stage(plan: &Plan, mut stage: StageId) -> StageId {
    while let Base::Stage(parent) = plan.stage(stage).base {
        stage = parent;
    }
    stage
}

/// The layers of the history of `stage`, bottom first.
fn built_layers(plan: &Plan, stage: StageId, states: &[State]) -> Vec<BuiltLayer> {
    let history = plan.stage(stage).history.iter();
    let steps = history.filter_map(|entry| entry.step);
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
    progress.show_kept(step);
    let span: Span = plan.step(step).span.clone();
    let mut out = io::stderr().lock();
    report::diagnostics(
        &[Diagnostic::error(span, reason.to_string())],
        source,
        &mut out,
    );
    report::causes(reason.as_ref(), &mut out);
    report::hint(hint(reason.as_ref()).as_deref(), &mut out);
    Failure::said(1)
}

/// Tells what was made.
fn finish(request: &Request<'_>, store: &Store, image: &ImageId) -> Result<(), Failure> {
    let Request { args, names, .. } = request;
    if let Some(file) = &args.result.iidfile {
        std::fs::write(file, image.to_string()).map_err(|error| {
            Failure::message(format!("cannot write `{}`: {error}", file.display()))
        })?;
    }
    if let Some(file) = &args.result.metadata_file {
        let gone = || Failure::message(format!("image {image} is not in the store any more"));
        let record = store.image(image)?.ok_or_else(gone)?;
        metadata::write(file, (image, &record), names)?;
    }
    if !args.input.quiet {
        for name in *names {
            report::note(&format!("committed {name}"));
        }
    }
    Ok(report::print(&image.0.hex())?)
}
