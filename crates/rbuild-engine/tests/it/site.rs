//! Where a test builds: a store and a context in a directory that goes away.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    iter::successors,
    num::NonZero,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Mutex,
};

use rbuild_context::Git;
use rbuild_engine::{
    Bases, Bottoms, BuildContext, Builder, Caching, Confidential, Error, Event, Forecast, Ignoring,
    Imports, Memory, State, Supplies, build_all, fetch::Fetcher,
};
use rbuild_http::{Client, Settings};
use rbuild_layer::{Form, PackOptions, pack};
use rbuild_oci::{Location, Platform};
use rbuild_plan::{Inputs, Key, Plan, Planning, Step, StepId, plan};
use rbuild_registry::{CredentialSources, Registries, SignaturePolicy};
use rbuild_sandbox::DEFAULT_CAPABILITIES;
use rbuild_snapshot::readable;
use rbuild_store::{Durability, LayerId, Session, Store};
use rbuild_sys::Dir;
use rbuild_testkit::{Tree, skip};

use crate::script::Script;

/// A time after every file's: all digests of the context can be trusted.
pub const LATER: i64 = 1 << 40;

/// A store and a context.
pub struct Site {
    dir: tempfile::TempDir,
    pub store: Store,
}

/// How to build.
pub struct Order<'a> {
    pub dockerfile: &'a str,
    pub args: &'a [(&'a str, &'a str)],
    pub caching: Caching,
    /// A layout that has results of another machine.
    pub import: Option<&'a Path>,
    pub jobs: NonZero<usize>,
    /// The time at which the build begins, seconds since 1970.
    pub now: i64,
}

impl<'a> From<&'a str> for Order<'a> {
    fn from(dockerfile: &'a str) -> Self {
        Self {
            dockerfile,
            args: &[],
            caching: Caching::default(),
            import: None,
            jobs: NonZero::<usize>::MIN,
            now: LATER,
        }
    }
}

/// What came of it.
pub struct Built {
    /// One line each.
    pub events: String,
    /// Why each step was executed, one line each.
    pub whys: String,
    /// The layers that were told of as they were frozen.
    pub frozen: Vec<LayerId>,
    /// What each result can be looked up by, and when it was made.
    pub recorded: Vec<(Vec<Key>, i64)>,
    pub result: Result<Vec<State>, Error>,
}

impl Site {
    /// `None`: no overlay can be mounted here, and the test has been told to skip.
    #[track_caller]
    pub fn new() -> Option<Self> {
        Self::with(Durability::None)
    }

    /// The same, where a power cut can happen.
    #[track_caller]
    pub fn durable() -> Option<Self> {
        Self::with(Durability::Commit)
    }

    #[track_caller]
    fn with(durability: Durability) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let [top, bottom] = ["context", "store"].map(|name| {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            Dir::open(&path).unwrap()
        });
        if let Err(error) = readable(&[&top], &bottom) {
            skip(&causes(&error));
            return None;
        }
        let store = Store::open(&dir.path().join("store"), durability).unwrap();
        Some(Self { dir, store })
    }

    /// A host path; `context` is the context.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file of the context, of mode 0644, with the directories on the way.
    pub fn file(&self, name: &str, content: &str) {
        let path = self.path("context").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    pub fn link(&self, target: &str, name: &str) {
        std::os::unix::fs::symlink(target, self.path("context").join(name)).unwrap();
    }

    /// Builds `order` in a session of its own.
    pub fn build<'a>(&self, order: impl Into<Order<'a>>) -> Built {
        let order = order.into();
        let plan = planned(&order);
        let events = Mutex::new(String::new());
        let whys = Mutex::new(String::new());
        let frozen = Mutex::new(Vec::new());
        let recorded = Mutex::new(Vec::new());
        let emit = |event| {
            tell(&plan, &event, &mut events.lock().unwrap());
            if let Event::Started { step, why } = &event {
                let title = &plan.step(*step).title;
                writeln!(whys.lock().unwrap(), "{title}: {why}").unwrap();
            }
            if let Event::Frozen { layer, .. } = &event {
                frozen.lock().unwrap().push(*layer);
            }
            if let Event::Recorded { keys, created, .. } = &event {
                recorded.lock().unwrap().push((keys.clone(), *created));
            }
        };
        let result = self.with_builder(&order, &emit, |builder| {
            build_all(&[(builder, &plan)], order.jobs).map(|mut states| states.remove(0))
        });
        Built {
            events: events.into_inner().unwrap(),
            whys: whys.into_inner().unwrap(),
            frozen: frozen.into_inner().unwrap(),
            recorded: recorded.into_inner().unwrap(),
            result: result.map_err(|failed| failed.error),
        }
    }

    /// Builds `dockerfiles` together, otherwise as `order` says; returns the events, with the number
    /// of the build before each, and the number of the one that failed.
    pub fn together(&self, dockerfiles: &[&str], order: &Order<'_>) -> (String, Option<usize>) {
        let plan = |&dockerfile: &&str| planned(&Order::from(dockerfile));
        let plans: Vec<Plan> = dockerfiles.iter().map(plan).collect();
        let events = &Mutex::new(String::new());
        let emits = plans.iter().enumerate().map(|(number, plan)| {
            move |event: Event| {
                let mut line = String::new();
                tell(plan, &event, &mut line);
                let mut events = events.lock().unwrap();
                line.lines()
                    .for_each(|line| writeln!(events, "{number}: {line}").unwrap());
            }
        });
        let emits: Vec<_> = emits.collect();
        let result = self.with_builder(order, &|_| (), |builder| {
            let builders = emits.iter().map(|emit| Builder { emit, ..*builder });
            let builders: Vec<Builder<'_>> = builders.collect();
            let builds: Vec<_> = builders.iter().zip(&plans).collect();
            build_all(&builds, order.jobs)
        });
        let events = events.lock().unwrap().clone();
        (events, result.err().map(|failed| failed.build))
    }

    /// What a build would do, a line for each step.
    pub fn forecast<'a>(&self, order: impl Into<Order<'a>>) -> String {
        let order = order.into();
        let plan = planned(&order);
        let warnings = Mutex::new(String::new());
        let emit = |event| match event {
            Event::Warning(_) => tell(&plan, &event, &mut warnings.lock().unwrap()),
            _ => panic!("{event:?}"),
        };
        let forecasts = self.with_builder(&order, &emit, |builder| builder.forecast(&plan));
        let line = |(step, forecast): (&Step, &Forecast)| match forecast {
            Forecast::Cached => format!("cached {}\n", step.title),
            Forecast::Executed(why) => format!("execute {}: {why}\n", step.title),
            Forecast::Unknown(doubt) => format!("unknown {}: {doubt:?}\n", step.title),
        };
        let forecasts = forecasts.unwrap();
        let lines = plan.steps.iter().zip(&forecasts).map(line);
        warnings.into_inner().unwrap() + &lines.collect::<String>()
    }

    fn with_builder<T>(
        &self,
        order: &Order<'_>,
        emit: &(dyn Fn(Event) + Sync),
        act: impl FnOnce(&Builder<'_>) -> T,
    ) -> T {
        let session = self.store.begin().unwrap();
        let context =
            BuildContext::open(&self.path("context"), Ignoring::Usual(None), order.now).unwrap();
        let http = Client::new(Settings::default());
        let (registries, signatures) = (Registries::default(), SignaturePolicy::default());
        let bases = Bases {
            store: &self.store,
            session: &session,
            http: &http,
            registries: &registries,
            security: None,
            credentials: &CredentialSources::default(),
            signatures: &signatures,
            platform: Platform::new("linux", "amd64", None),
            choose: &|_| None,
            tally: std::sync::Arc::default(),
        };
        let (mut supplies, mut imports) = (Supplies::default(), Imports::default());
        if let Some(layout) = order.import {
            let place: Location = format!("oci:{}", layout.display()).parse().unwrap();
            for import in bases.cache_images(&place, std::slice::from_ref(&bases.platform)) {
                imports.add(
                    (place.to_string(), import.unwrap()),
                    &mut supplies,
                    &session,
                );
            }
        }
        act(&Builder {
            store: &self.store,
            session: &session,
            runner: &Script,
            context: &context,
            named_contexts: &BTreeMap::new(),
            bases: &BTreeMap::new(),
            bottoms: &bottoms(&session),
            fetcher: Fetcher {
                http: &http,
                git: &Git::default(),
                secrets: &BTreeMap::new(),
            },
            confidential: &Confidential::default(),
            capabilities: DEFAULT_CAPABILITIES,
            devices: &[],
            timeout: None,
            supplies: &supplies,
            imports: &imports,
            caching: &order.caching,
            memory: &Memory::of(b"site"),
            emit,
        })
    }

    /// The events of a build that must succeed.
    #[track_caller]
    pub fn events<'a>(&self, order: impl Into<Order<'a>>) -> String {
        let built = self.build(order);
        if let Err(error) = &built.result {
            panic!("{}\n{}", built.events, causes(error));
        }
        built.events
    }

    /// The last state of a build that must succeed.
    #[track_caller]
    pub fn state<'a>(&self, order: impl Into<Order<'a>>) -> State {
        let states = self.build(order).result;
        states.unwrap().pop().expect("the plan has steps")
    }

    /// What a build that must fail says, one cause per line.
    #[track_caller]
    pub fn failure<'a>(&self, order: impl Into<Order<'a>>) -> String {
        match self.build(order).result {
            Ok(_) => panic!("the build did not fail"),
            Err(error) => causes(&error),
        }
    }

    /// The whole tree of `layers` as overlayfs shows it.
    pub fn tree(&self, layers: &[LayerId]) -> Tree {
        self.look(layers, |root| {
            let mut tar = Vec::new();
            pack(&[root], &PackOptions::new(Form::Plain), &mut tar).unwrap();
            Tree::from_tar(&tar[..]).unwrap()
        })
    }

    /// Looks into the whole tree of `layers`.
    pub fn look<T>(&self, layers: &[LayerId], look: impl FnOnce(&Dir) -> T) -> T {
        let session = self.store.begin().unwrap();
        let opened: Vec<Dir> = layers
            .iter()
            .rev()
            .map(|id| session.layer(id).unwrap().unwrap().diff)
            .collect();
        let below: Vec<&Dir> = opened.iter().collect();
        look(&readable(&below, &bottoms(&session).empty).unwrap())
    }
}

fn bottoms(session: &Session) -> Bottoms {
    let [empty, skeleton] = [(), ()].map(|()| session.new_layer().unwrap().diff);
    Bottoms { empty, skeleton }
}

#[track_caller]
fn planned(order: &Order<'_>) -> Plan {
    let (file, diagnostics) = rbuild_dockerfile::parse(order.dockerfile);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    let inputs = Inputs {
        build_args: order.args.iter().map(own).collect(),
        ..Inputs::default()
    };
    match plan(&file, order.dockerfile, &inputs) {
        Planning::Ready(plan) => *plan,
        other => panic!("{other:?}"),
    }
}

/// Writes `event` as a line.
fn tell(plan: &Plan, event: &Event, out: &mut String) {
    let title = |id: &StepId| &plan.step(*id).title;
    match event {
        Event::Cached(id) => writeln!(out, "cached {}", title(id)),
        Event::Started { step, .. } => writeln!(out, "started {}", title(step)),
        Event::Finished(id) => writeln!(out, "finished {}", title(id)),
        Event::Waiting(id) => writeln!(out, "waiting {}", title(id)),
        Event::Output { stream, line, .. } => {
            writeln!(out, "  {stream:?} {:?}", String::from_utf8_lossy(line))
        }
        Event::Frozen { .. }
        | Event::Known { .. }
        | Event::Recorded { .. }
        | Event::Fetched { .. } => Ok(()),
        Event::Unmatched { step, item } => {
            writeln!(out, "unmatched {item} of {}", title(step))
        }
        Event::Warning(text) => writeln!(out, "warning {text}"),
    }
    .unwrap();
}

/// An error and its causes, one per line.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    successors(Some(error), |&error| error.source())
        .map(|error| {
            format!(
                "{error}
"
            )
        })
        .collect()
}

/// Sets the time of last modification, seconds since 1970.
pub fn touch(path: &Path, seconds: u64) {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(time)
        .unwrap();
}
