//! What can be asked of a Dockerfile: its targets, and what one of them takes.
//!
//! Knows: descriptions, the values that ARGs would have, what mounts ask the user for.
//! Does not know: how that is shown.
//!
//! Spec: dockerfile.md P19; cli.md, `--call`.

use rbuild_dockerfile::ast::{ArgPair, Dockerfile, Instruction, Kind};

use crate::args::{self, Args, Givers};
use crate::graph::{Base, Plan, Stage};
use crate::inputs::Inputs;
use crate::names;
use crate::op::{MountKind, Op};

/// A stage that can be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What `--target` calls it: its name, else its number.
    pub name: String,
    /// What the comment above it says.
    pub description: Option<String>,
    /// What `FROM` names, as written.
    pub base: String,
    /// `FROM --platform`, as written.
    pub platform: Option<String>,
    /// It is built when no target is chosen.
    pub is_default: bool,
}

/// What a target takes from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// What `--target` calls it.
    pub name: String,
    /// What the comment above it says.
    pub description: Option<String>,
    /// Build arguments, in the order of the file.
    pub args: Vec<Parameter>,
    /// `--secret`.
    pub secrets: Vec<Request>,
    /// `--ssh`.
    pub agents: Vec<Request>,
    /// Ids of cache mounts.
    pub caches: Vec<String>,
}

/// A build argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What the comment above it says.
    pub description: Option<String>,
    /// What it is worth; as written, if that needs a base image. `None` if it has no value.
    pub value: Option<String>,
}

/// A secret or an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its id.
    pub id: String,
    /// The build fails without it.
    pub required: bool,
}

/// The stages of `file`, in its order.
pub fn targets(file: &Dockerfile) -> Vec<Target> {
    let last = file.stages.len().saturating_sub(1);
    let stages = file.stages.iter().enumerate();
    stages
        .map(|(index, stage)| Target {
            name: name(file, index),
            description: stage.description.as_ref().map(|it| it.value.clone()),
            base: stage.base.value.clone(),
            platform: stage.platform.as_ref().map(|it| it.value.clone()),
            is_default: index == last,
        })
        .collect()
}

/// What the last target of `plan` takes, which [`crate::survey`] made from `file` and `inputs`.
pub fn outline(file: &Dockerfile, plan: &Plan, inputs: &Inputs) -> Outline {
    let index = target(plan).index;
    let description = file.stages[index].description.as_ref();
    let mut outline = Outline {
        name: name(file, index),
        description: description.map(|it| it.value.clone()),
        args: parameters(file, plan, inputs),
        ..Outline::default()
    };
    for step in &plan.steps {
        let Op::Run(run) = &step.op else { continue };
        for mount in &run.mounts {
            match &mount.kind {
                MountKind::Secret(secret) => {
                    request(&mut outline.secrets, &secret.id, secret.required);
                }
                MountKind::Ssh { id, required, .. } => request(&mut outline.agents, id, *required),
                MountKind::Cache(cache) if !outline.caches.contains(&cache.id) => {
                    outline.caches.push(cache.id.clone());
                }
                MountKind::Cache(_) | MountKind::Bind { .. } | MountKind::Tmpfs { .. } => {}
            }
        }
    }
    outline
}

fn target(plan: &Plan) -> &Stage {
    let last = plan.targets.last();
    plan.stage(*last.expect("a plan has a target"))
}

fn name(file: &Dockerfile, index: usize) -> String {
    names::of_stage(&file.stages[index]).map_or_else(|| index.to_string(), str::to_owned)
}

fn request(all: &mut Vec<Request>, id: &str, required: bool) {
    match all.iter_mut().find(|request| request.id == id) {
        Some(request) => request.required |= required,
        None => all.push(Request {
            id: id.to_owned(),
            required,
        }),
    }
}

/// The ARGs before the first `FROM` and those of the stages in `plan`.
fn parameters(file: &Dockerfile, plan: &Plan, inputs: &Inputs) -> Vec<Parameter> {
    let target = names::of_stage(&file.stages[target(plan).index]);
    let automatic = Args::automatic(inputs, target.unwrap_or("default"));
    let globals = args::globals(file, &inputs.build_args, automatic.clone(), &mut Vec::new());
    let givers = Givers {
        given: &inputs.build_args,
        globals: &globals,
    };
    let mut all = Parameters {
        automatic: &automatic,
        found: Vec::new(),
    };
    for pair in pairs(&file.globals) {
        all.add(pair, &globals);
    }
    let mut scopes: Vec<Args> = Vec::new();
    for stage in &plan.stages {
        let mut scope = match stage.base {
            Base::Stage(parent) => scopes[parent.0 as usize].clone(),
            Base::Scratch | Base::Image(_) => Args::default(),
        };
        for pair in pairs(&file.stages[stage.index].instructions) {
            givers.declare(std::slice::from_ref(pair), file.escape, &mut scope);
            all.add(pair, &scope);
        }
        scopes.push(scope);
    }
    all.found
}

fn pairs(instructions: &[Instruction]) -> impl Iterator<Item = &ArgPair> {
    let pairs = instructions.iter().filter_map(|it| match &it.kind {
        Kind::Arg(pairs) => Some(pairs),
        _ => None,
    });
    pairs.flatten()
}

/// Build arguments so far, each once.
struct Parameters<'a> {
    /// Nobody needs to be told of those.
    automatic: &'a Args,
    found: Vec<Parameter>,
}

impl Parameters<'_> {
    /// Adds what `pair` says, whose value is in `scope`.
    fn add(&mut self, pair: &ArgPair, scope: &Args) {
        let name = &pair.name.value;
        if self.automatic.declares(name) {
            return;
        }
        let written = pair.default.as_ref().map(|word| word.value.as_str());
        let value = scope.value(name).or(written).map(str::to_owned);
        let description = pair.description.as_ref().map(|it| it.value.clone());
        match self.found.iter_mut().find(|it| it.name == *name) {
            Some(known) => {
                known.value = known.value.take().or(value);
                known.description = known.description.take().or(description);
            }
            None => self.found.push(Parameter {
                name: name.clone(),
                description,
                value,
            }),
        }
    }
}
