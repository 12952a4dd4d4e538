//! `rbuild bud`: the pipeline, on one screen.
//!
//! ```text
//! context → text → parse → plan ⇄ base images → build (steps become frozen layers)
//!     → for each target: commit → outputs
//! ```

use std::{collections::BTreeMap, io, path::Path, process::ExitCode};

use rbuild_dockerfile::{Diagnostic, Dockerfile, ast::Span, parse};
use rbuild_engine::{
    Bases, BuildContext, Builder, Confined, Error as BuildError, State, fetch::Fetcher,
};
use rbuild_http::Client;
use rbuild_oci::ImageId;
use rbuild_plan::{Inputs, Plan};
use rbuild_sandbox::Sandbox;
use rbuild_store::Store;

use super::call;
use crate::{
    advice,
    ahead::{self, Ahead},
    attest::{Build, Saying},
    bottoms,
    cli::BuildArgs,
    commission::{Request, committed, grouping},
    contexts::Opener,
    dockerfile,
    failure::{Failure, hint},
    metadata, network,
    on_failure::{self, Aftermath},
    order::Order,
    output::{self, Built, Ends, Output},
    planning::{Resolved, planned},
    progress::Progress,
    registry::Registry,
    report, settings, signals,
    source::Source,
    unseen,
};

/// Builds, commits, exports; prints the images' ids.
///
/// # Errors
/// The user's mistakes are reported with their lines; a failing step ends with 1, a signal with
/// 128 + its number.
pub fn execute(root: Option<&Path>, args: &BuildArgs) -> Result<ExitCode, Failure> {
    match args.call.question() {
        Some(question) => call::answer(question, &args.input),
        None => build(root, args),
    }
}

fn build(root: Option<&Path>, args: &BuildArgs) -> Result<ExitCode, Failure> {
    let signals = signals::hold()?;
    let order = Order::of(args)?;
    let console = on_failure::console(&order.on_failure)?;
    let registry = Registry::configured(&args.registry)?;
    let entered = rbuild_sandbox::enter()?;
    let store = settings::store(root)?;
    let session = store.begin()?;
    let bottoms = bottoms::make(&session)?;
    let sandbox = &Sandbox::new(entered, &bottoms.scratch, &order.confines.confinement)?;
    let private = network::private(args.steps.network);
    let runner = Confined::new(sandbox, private.clone())?;
    let afterwards = Confined::new(sandbox, private)?;
    signals::watch(signals, [&runner, &afterwards].map(|it| it.cancel.clone()));

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
    let bases = registry.bases((&store, &session), order.inputs.platform.clone());
    let subject = Subject::prepared(args, &order, &opener, &bases)?;
    let (file, source) = (&subject.file, &subject.source);
    let (plan, resolved) = (&*subject.plan, &subject.resolved);

    let unmatched = unseen::InTrees::default();
    let progress = Progress::new(plan, args.quiet, runner.cancel.clone());
    let (ahead, finished) = Ahead::new(ahead::wanted(plan, grouping(args)));
    let builder = Builder {
        store: &store,
        session: &session,
        runner: &runner,
        context: &subject.context,
        named_contexts: &subject.contexts,
        bases: &resolved.trees,
        bottoms: &bottoms.below,
        fetcher,
        confidential: &order.confidential,
        capabilities: order.confines.capabilities,
        devices: &order.confines.devices,
        timeout: order.timeout,
        caching: order.caching,
        jobs: settings::jobs(args.steps.jobs),
        emit: &|event| {
            ahead.note(&event);
            unmatched.note(&event);
            progress.show(&event);
        },
    };
    let (place, times) = ((&store, &session), order.description.files);
    let built = ahead::hashing(place, (&ahead, finished), times, || builder.build(plan));
    let states = match built {
        Ok(states) => states,
        Err(failed) => {
            let failure = explain(failed.error, plan, source, &progress);
            let runner = &afterwards;
            let aftermath = Aftermath {
                builder: Builder { runner, ..builder },
                plan,
                resolved,
                states: &failed.states,
                console: console.as_ref(),
            };
            aftermath.of(failed.remains, &order.on_failure)?;
            return Err(failure);
        }
    };
    advise((file, source), &unmatched.findings(file, plan))?;
    let work = Build {
        args,
        order: &order,
        plan,
        resolved,
        source,
    };
    let ends = Ends {
        store: &store,
        session: &session,
        empty: &bottoms.below.empty,
        registry: &registry,
        saying: &Saying::of(&work),
    };
    deliver_all((args, &order), ends, (plan, resolved, &states))?;
    order.allowance.enforce(&store);
    Ok(ExitCode::SUCCESS)
}

/// What is built: the first half of the pipeline.
struct Subject {
    file: Dockerfile,
    source: Source,
    plan: Box<Plan>,
    resolved: Resolved,
    context: BuildContext,
    contexts: BTreeMap<String, BuildContext>,
}

impl Subject {
    /// From the context to the plan; tells what checks have found.
    fn prepared(
        args: &BuildArgs,
        order: &Order,
        opener: &Opener<'_>,
        bases: &Bases<'_>,
    ) -> Result<Self, Failure> {
        let context = opener.main(&args.input.context)?;
        let source = dockerfile::read(&args.input.file, &context, opener.fetcher.http)?;
        let (file, parsed) = understood(&source, &order.inputs)?;
        let (plan, resolved) = planned(&file, &source, order.inputs.clone(), bases)?;
        let ignore_file = args.input.ignorefile.as_deref();
        let context = opener.open(context, ignore_file, source.path.as_deref())?;
        let contexts = order.contexts.open(&plan, opener)?;
        let missed = unseen::in_contexts(&file, &plan, Some(&context), &contexts);
        let planned = [missed, plan.warnings.clone()].concat();
        let found = advice::findings(&file, &source.text, parsed, planned);
        advise((&file, &source), &found)?;
        Ok(Self {
            file,
            source,
            plan,
            resolved,
            context,
            contexts,
        })
    }
}

/// The instructions, and what the parser found.
fn understood(source: &Source, inputs: &Inputs) -> Result<(Dockerfile, Vec<Diagnostic>), Failure> {
    let (mut file, parsed) = parse(&source.text);
    advice::obey(&mut file, &inputs.build_args)?;
    advice::refuse(&file, &parsed, source)?;
    Ok((file, parsed))
}

/// Delivers the image of each target.
fn deliver_all(
    (args, order): (&BuildArgs, &Order),
    ends: Ends<'_>,
    work: (&Plan, &Resolved, &[State]),
) -> Result<(), Failure> {
    for (&stage, target) in work.0.targets.iter().zip(&order.targets) {
        let request = Request {
            args,
            stage,
            names: &target.names,
            description: &order.description,
        };
        deliver(&request, &order.outputs, ends, work)?;
    }
    Ok(())
}

/// Makes a stage an image, writes it to `outputs`, and tells of it; its id only if the result does
/// not go to standard output.
fn deliver(
    request: &Request<'_>,
    outputs: &[Output],
    ends: Ends<'_>,
    work: (&Plan, &Resolved, &[State]),
) -> Result<(), Failure> {
    let image = committed(request, (ends.store, ends.session), work)?;
    let built = Built {
        ends,
        id: &image,
        names: request.names,
    };
    output::write(outputs, built)?;
    record(request, ends.store, &image)?;
    match outputs.iter().any(Output::is_stdout) {
        true => Ok(()),
        false => Ok(report::print(&image.0.hex())?),
    }
}

/// Tells what checks have found.
fn advise((file, source): (&Dockerfile, &Source), found: &[Diagnostic]) -> Result<(), Failure> {
    report::diagnostics(found, source, &mut io::stderr().lock());
    advice::tolerate(file, found)
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

/// Tells files and the user what was made.
fn record(request: &Request<'_>, store: &Store, image: &ImageId) -> Result<(), Failure> {
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
    if !args.quiet {
        for name in *names {
            report::note(&format!("committed {name}"));
        }
    }
    Ok(())
}
