//! `rbuild bud` and `rbuild plan`: the pipeline, on one screen.
//!
//! ```text
//! context → text → parse → plan ⇄ base images → build (steps become frozen layers)
//!     → for each target: commit → outputs
//! ```

use std::process::ExitCode;

use rbuild_engine::{Bottoms, Builder, Confined, Supplies, fetch::Fetcher};
use rbuild_http::Client;
use rbuild_registry::SignaturePolicy;
use rbuild_sandbox::{Console, Sandbox};

use super::{call, pull::policy};
use crate::{
    ahead::Beside,
    attest::Saying,
    bottoms,
    cli::{BuildArgs, CallFormat, Global, PlanArgs},
    commission::grouping,
    contexts::Opener,
    delivery::deliver_all,
    exchange::{self, Results},
    explanation::explain,
    failure::Failure,
    forecast,
    listeners::Listeners,
    network,
    on_failure::{self, Aftermath},
    order::Order,
    output::Ends,
    planning::{Absent, Search},
    progress::Progress,
    registry::{self, Registry},
    settings, signals,
    subject::{Subject, advise},
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
    let order = Order::of(args)?;
    let console = on_failure::console(&order.on_failure)?;
    let registry = Registry::configured(&args.registry)?;
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
            saying: &Saying::NOTHING,
        },
        signatures: &signatures,
        bottoms: &bottoms.below,
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
        let opener = Opener {
            session,
            fetcher: self.fetcher,
            git_dir: settings::git_dir(&order.inputs.build_args),
        };
        let platform = order.inputs.platform.clone();
        let bases = self
            .ends
            .registry
            .bases((store, session), self.signatures, platform);
        let mut supplies = Supplies::default();
        let search = Search {
            bases: &bases,
            policy: policy(args.pull),
            absent: purpose.absent(),
            supplies: &mut supplies,
        };
        let subject = Subject::prepared(args, order, &opener, search)?;
        let (file, source) = (&subject.file, &subject.source);
        let (plan, resolved) = (&*subject.plan, &subject.resolved);
        let imports = exchange::imports(&order.cache_from, &bases, (&mut supplies, session));
        let progress = Progress::new(plan, args.quiet, self.runner.cancel.clone());
        let beside = Beside::of(order, grouping(args), self.ends, (plan, resolved));
        let (ahead, finished) = beside.ahead(plan);
        let listeners = Listeners::new(ahead, progress);
        let builder = Builder {
            store,
            session,
            runner: self.runner,
            context: &subject.context,
            named_contexts: &subject.contexts,
            bases: &resolved.trees,
            bottoms: self.bottoms,
            fetcher: self.fetcher,
            confidential: &order.confidential,
            capabilities: order.confines.capabilities,
            devices: &order.confines.devices,
            timeout: order.timeout,
            supplies: &supplies,
            imports: &imports,
            caching: &subject.caching,
            memory: &subject.memory,
            jobs: settings::jobs(args.steps.jobs),
            emit: &|event| listeners.hear(&event),
        };
        if let Purpose::Forecast(format) = purpose {
            let told = |error| explain(error, plan, source, &listeners.progress);
            return forecast::print(plan, &builder.forecast(plan).map_err(told)?, format);
        }
        let built = beside.during((&listeners.ahead, finished), || builder.build(plan));
        let states = built.map_err(|failed| {
            let runner = self.afterwards;
            let aftermath = Aftermath {
                builder: Builder { runner, ..builder },
                subject: &subject,
                console: self.console,
            };
            aftermath.of(*failed, &order.on_failure, &listeners.progress)
        })?;
        advise((file, source), &listeners.unmatched.findings(file, plan))?;
        let results = Results {
            plan,
            states: &states,
            keys: &listeners.keys,
            imports: &imports,
            supplies: &supplies,
        };
        let saying = Saying::of((args, order), &subject, store)?;
        deliver_all(
            (args, order),
            self.ends.saying(&saying),
            (&results, resolved),
        )?;
        results.export(&order.cache_to, self.ends)?;
        order.allowance.enforce(store);
        Ok(ExitCode::SUCCESS)
    }
}
