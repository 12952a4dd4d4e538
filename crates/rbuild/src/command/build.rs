//! `rbuild bud` and `rbuild plan`: the pipeline, on one screen.
//!
//! ```text
//! context → text → parse → for each platform: plan ⇄ base images
//!     → build, for all platforms together (steps become frozen layers)
//!     → for each target: commit → outputs
//! ```

use std::process::ExitCode;

use rbuild_dockerfile::Diagnostic;
use rbuild_engine::{
    Bottoms, Builder, Confined, Event, Imports, Notice, State, Supplies, build_all, fetch::Fetcher,
};
use rbuild_http::Client;
use rbuild_plan::Plan;
use rbuild_registry::SignaturePolicy;
use rbuild_sandbox::{Console, Sandbox};
use rbuild_store::Store;

use super::{call, pull::policy};
use crate::{
    ahead::{Beside, during},
    attest::Saying,
    bottoms,
    cli::{BuildArgs, CallFormat, Global, PlanArgs},
    commission::grouping,
    containers_conf::ContainersConf,
    contexts::Opener,
    delivery::{Done, deliver_all},
    emulation,
    exchange::{self, KeyBook, Results},
    explanation::explain,
    failure::Failure,
    fetched::Fetched,
    forecast,
    listeners::Listeners,
    network,
    on_failure::{self, Aftermath},
    order::Order,
    output::{Ends, Guard},
    planning::{Absent, Search},
    progress::{Part, Progress},
    registry::{self, Registry},
    report::{self, Verbosity},
    settings, signals,
    subject::{Subject, Variant, advise},
};

/// What the pipeline is gone through for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// For images.
    Images,
    /// To tell what would be executed for them.
    Forecast(CallFormat),
}

impl Purpose {
    const fn absent(self) -> Absent {
        match self {
            Self::Images => Absent::Fetch,
            Self::Forecast(_) => Absent::Suppose,
        }
    }
}

/// Builds, commits, exports; prints the images' ids. Or only tells what that would execute, or what
/// the Dockerfile says.
///
/// # Errors
/// The user's mistakes are reported with their lines; a failing step ends with 1, a signal with
/// 128 + its number.
pub fn execute(global: &Global, args: &BuildArgs) -> Result<ExitCode, Failure> {
    match args.call.question() {
        Some(question) => call::answer(question, &args.input),
        None if args.dry_run => pursue(Purpose::Forecast(CallFormat::Text), global, args),
        None => pursue(Purpose::Images, global, args),
    }
}

/// Tells which steps of a build would be executed, and why.
///
/// # Errors
/// As [`execute`].
pub fn plan(global: &Global, args: PlanArgs) -> Result<ExitCode, Failure> {
    pursue(Purpose::Forecast(args.format), global, &args.build())
}

fn pursue(purpose: Purpose, global: &Global, args: &BuildArgs) -> Result<ExitCode, Failure> {
    let signals = signals::hold()?;
    let conf = ContainersConf::configured()?;
    let order = Order::of(args, &conf)?;
    let guard = Guard::of(global, args)?;
    let mut outputs = order.outputs.iter();
    outputs.try_for_each(|output| output.refuse_loss(&guard))?;
    let console = on_failure::console(&order.on_failure)?;
    let registry = Registry::configured(&args.registry, &conf)?;
    let signatures = registry::signatures(&args.signatures)?;
    let entered = rbuild_sandbox::enter_limited(order.confines.control.as_ref())?;
    let store = settings::store(global)?;
    let session = store.begin()?;
    let bottoms = bottoms::make(&session)?;
    let sandbox = &Sandbox::new(entered, &bottoms.scratch, &order.confines.confinement)?;
    let private = network::private(args.steps.network);
    let runner = Confined::new(sandbox, private.clone())?;
    let afterwards = Confined::new(sandbox, private)?;
    signals::watch(signals, [&runner, &afterwards].map(|it| it.cancel.clone()));
    let site = Site {
        ends: Ends {
            store: &store,
            session: &session,
            empty: &bottoms.below.empty,
            registry: &registry,
            guard: &guard,
        },
        signatures: &signatures,
        bottoms: &bottoms.below,
        sandbox,
        fetcher: Fetcher {
            http: &Client::new(settings::http(registry.http.backoff())),
            git: &settings::git(order.confidential.agents.get("default")),
            secrets: &order.confidential.secrets,
        },
        runner: &runner,
        afterwards: &afterwards,
        console: console.as_ref(),
    };
    site.pursue(purpose, args, &order)
}

/// Where a build takes place.
struct Site<'a> {
    ends: Ends<'a>,
    /// Which images may be used.
    signatures: &'a SignaturePolicy,
    bottoms: &'a Bottoms,
    sandbox: &'a Sandbox,
    fetcher: Fetcher<'a>,
    runner: &'a Confined<'a>,
    /// For what is done when the other one was told to run nothing any more.
    afterwards: &'a Confined<'a>,
    /// For a shell in what a failed RUN leaves.
    console: Option<&'a Console>,
}

impl Site<'_> {
    fn pursue(
        &self,
        purpose: Purpose,
        args: &BuildArgs,
        order: &Order,
    ) -> Result<ExitCode, Failure> {
        let (store, session) = (self.ends.store, self.ends.session);
        let verbosity = Verbosity::of(args.quiet);
        let opener = Opener {
            session,
            fetcher: self.fetcher,
            git_dir: settings::git_dir(&order.inputs.build_args),
            verbosity,
        };
        let platform = order.platforms.all[0].clone();
        let bases = self
            .ends
            .registry
            .bases((store, session), self.signatures, platform);
        let tell = |notice: Notice<'_>| report::notice(notice, verbosity);
        let mut supplies = Supplies::default();
        let search = Search {
            bases: &bases,
            policy: policy(args.pull),
            absent: purpose.absent(),
            tell: &tell,
            supplies: &mut supplies,
        };
        let subject = Subject::prepared(args, order, &opener, search)?;
        if purpose == Purpose::Images {
            emulation::enable_all(&subject, self.sandbox)?;
        }
        let imports = exchange::imports(
            (&order.cache_from, &order.platforms.all),
            &bases,
            (&mut supplies, session),
        );
        let ground = Ground {
            args,
            order,
            subject: &subject,
            supplies: &supplies,
            imports: &imports,
        };
        if let Purpose::Forecast(format) = purpose {
            return self.foretell(&ground, format);
        }
        let finished = self.build(&ground)?;
        let done = finished.iter().map(|it| it.done(&ground, store));
        let done: Vec<Done<'_>> = done.collect::<Result<_, _>>()?;
        deliver_all((args, order), self.ends, &done)?;
        let results: Vec<&Results<'_>> = done.iter().map(|it| &it.results).collect();
        exchange::export_cache(&results, &order.cache_to, self.ends, verbosity)?;
        order.allowance.enforce(store, verbosity);
        Ok(ExitCode::SUCCESS)
    }

    /// Tells what building would execute, for each platform as if there were no other.
    fn foretell(&self, ground: &Ground<'_>, format: CallFormat) -> Result<ExitCode, Failure> {
        let mut foretold = Vec::with_capacity(ground.subject.variants.len());
        for variant in &ground.subject.variants {
            let progress = self.progress(ground, variant);
            let builder = self.builder(ground, variant, &|_| ());
            let forecasts = builder.forecast(&variant.plan);
            let told = |error| explain(error, &variant.plan, &ground.subject.source, &progress);
            foretold.push((&*variant.plan, forecasts.map_err(told)?));
        }
        forecast::print(&foretold, format)
    }

    /// Executes the steps for all platforms.
    fn build<'b>(&self, ground: &Ground<'b>) -> Result<Vec<Finished<'b>>, Failure> {
        let Ground {
            args,
            order,
            subject,
            ..
        } = *ground;
        let variants = &subject.variants;
        let beside = |variant: &'b Variant| {
            let planned = (&*variant.plan, &variant.resolved);
            Beside::of(order, grouping(args), self.ends, planned)
        };
        let besides: Vec<Beside<'_>> = variants.iter().map(beside).collect();
        let mut listeners = Vec::with_capacity(variants.len());
        let mut finished = Vec::with_capacity(variants.len());
        for (variant, beside) in variants.iter().zip(&besides) {
            let (ahead, layers) = beside.ahead(&variant.plan);
            listeners.push(Listeners::new(ahead, self.progress(ground, variant)));
            finished.push(layers);
        }
        let aheads = besides.iter().zip(&listeners).zip(finished);
        let aheads = aheads.map(|((beside, it), finished)| (beside, &it.ahead, finished));
        let build = || self.execute(ground, &listeners);
        let built = during(self.ends.session, aheads.collect(), build)?;
        advise_all(subject, &listeners)?;
        let parts = variants.iter().zip(built).zip(listeners);
        let finished = parts.map(|((variant, states), listeners)| Finished {
            variant,
            states,
            keys: listeners.keys,
            fetched: listeners.fetched,
        });
        Ok(finished.collect())
    }

    /// The state after each step, for each platform; `listeners` hear what happens for theirs.
    fn execute(
        &self,
        ground: &Ground<'_>,
        listeners: &[Listeners],
    ) -> Result<Vec<Vec<State>>, Failure> {
        let Ground {
            args,
            order,
            subject,
            ..
        } = *ground;
        let emits = listeners.iter();
        let emits: Vec<_> = emits.map(|it| |event: Event| it.hear(&event)).collect();
        let variants = subject.variants.iter();
        let builders = variants.clone().zip(&emits);
        let builders = builders.map(|(variant, emit)| self.builder(ground, variant, emit));
        let builders: Vec<Builder<'_>> = builders.collect();
        let plans = variants.map(|variant| &*variant.plan);
        let builds: Vec<(&Builder<'_>, &Plan)> = builders.iter().zip(plans).collect();
        build_all(&builds, settings::jobs(args.steps.jobs)).map_err(|failed| {
            let build = failed.build;
            let runner = self.afterwards;
            if builds.len() > 1 && signals::status().is_none() {
                let platform = builds[build].1.platform();
                report::note(&format!("the build for {platform} has failed"));
            }
            let aftermath = Aftermath {
                builder: Builder {
                    runner,
                    ..builders[build]
                },
                source: &subject.source,
                variant: &subject.variants[build],
                console: self.console,
            };
            aftermath.of(*failed, &order.on_failure, &listeners[build].progress)
        })
    }

    fn progress(&self, ground: &Ground<'_>, variant: &Variant) -> Progress {
        let plan = &*variant.plan;
        let part = match ground.subject.variants.len() {
            1 => Part::Whole,
            _ => Part::Platform,
        };
        let verbosity = Verbosity::of(ground.args.quiet);
        Progress::new((plan, part), verbosity, self.runner.cancel.clone())
    }

    fn builder<'b>(
        &'b self,
        ground: &Ground<'b>,
        variant: &'b Variant,
        emit: &'b (dyn Fn(Event) + Sync),
    ) -> Builder<'b> {
        let Ground {
            order,
            subject,
            supplies,
            imports,
            ..
        } = *ground;
        Builder {
            store: self.ends.store,
            session: self.ends.session,
            runner: self.runner,
            context: &subject.context,
            named_contexts: &subject.contexts,
            bases: &variant.resolved.trees,
            bottoms: self.bottoms,
            fetcher: self.fetcher,
            confidential: &order.confidential,
            capabilities: order.confines.capabilities,
            devices: &order.confines.devices,
            timeout: order.timeout,
            supplies,
            imports,
            caching: &variant.caching,
            memory: &variant.memory,
            emit,
        }
    }
}

/// Tells which wildcards have matched nothing in trees, once where that is so for each platform.
fn advise_all(subject: &Subject, listeners: &[Listeners]) -> Result<(), Failure> {
    let (file, source) = (&subject.file, &subject.source);
    let mut all: Vec<Diagnostic> = Vec::new();
    for (variant, listeners) in subject.variants.iter().zip(listeners) {
        for finding in listeners.unmatched.findings(file, &variant.plan) {
            if !all.contains(&finding) {
                all.push(finding);
            }
        }
    }
    advise((file, source), &all)
}

/// What is built, and what there is for it.
#[derive(Clone, Copy)]
struct Ground<'a> {
    args: &'a BuildArgs,
    order: &'a Order,
    subject: &'a Subject,
    supplies: &'a Supplies<'a>,
    imports: &'a Imports,
}

/// What came of the steps for one platform.
struct Finished<'a> {
    variant: &'a Variant,
    /// After each step.
    states: Vec<State>,
    keys: KeyBook,
    fetched: Fetched,
}

impl<'a> Finished<'a> {
    /// The same, ready for delivery.
    fn done(&'a self, ground: &Ground<'a>, store: &Store) -> Result<Done<'a>, Failure> {
        let Ground {
            order,
            subject,
            supplies,
            imports,
            ..
        } = *ground;
        let variant = self.variant;
        Ok(Done {
            saying: Saying::of(order, (subject, variant), &self.fetched, store)?,
            resolved: &variant.resolved,
            results: Results {
                plan: &variant.plan,
                states: &self.states,
                keys: &self.keys,
                imports,
                supplies,
            },
        })
    }
}
