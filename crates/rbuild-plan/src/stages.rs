//! Which stages are needed.
//!
//! Knows: the targets, and what a stage needs: other stages and images.
//! Does not know: what names stand for ([`crate::names`]), what instructions do.
//!
//! Invariant: a stage depends only on stages before it, so going backwards from
//! the last target meets each needed stage after all that need it. Stages that nobody
//! asks for are not looked at: neither resolved nor complained about.
//!
//! Spec: dockerfile.md F10, F11, O3; trap T16; cli.md, wishes 17 and 18.

use std::collections::{BTreeMap, BTreeSet};

use rbuild_dockerfile::Diagnostic;
use rbuild_dockerfile::ast::Dockerfile;
use rbuild_dockerfile::suggest::did_you_mean;
use rbuild_oci::Platform;

use crate::args::{self, Args};
use crate::inputs::{Extent, ImageRef, Inputs};
use crate::linker::Linker;
use crate::names::{self, Named, Names, Origin};
use crate::trigger::Trigger;

/// The part of the file that is to be built.
pub(crate) struct Graph {
    /// Its stages in file order.
    pub stages: Vec<Linked>,
    /// Positions in the file of those that become images, as they were asked for.
    pub targets: Vec<usize>,
    /// What `FROM` sees, and stages on request (A1).
    pub globals: Args,
}

/// A stage with its names resolved.
pub(crate) struct Linked {
    /// Position in the file.
    pub index: usize,
    /// What `FROM` names, or the context that replaces the stage.
    pub base: Named,
    /// What its commands are made for (F13).
    pub platform: Platform,
    /// Its instructions do not count: a context replaces it (F5).
    pub replaced: bool,
    /// Stages that `--after` names.
    pub after: Vec<Named>,
    /// What runs before its own instructions.
    pub triggers: Vec<Trigger>,
    /// What `from` names: by the position of the instruction, triggers first, and there the
    /// number of the mount (0 for `COPY`).
    pub froms: BTreeMap<(usize, usize), Named>,
}

/// Links the stages that are to be built; what is wrong with them goes to `found`.
/// `None` if a target does not exist.
///
/// What images ask for is known only of those in [`Inputs::bases`].
pub(crate) fn link(
    file: &Dockerfile,
    inputs: &Inputs,
    found: &mut Vec<Diagnostic>,
) -> Option<Graph> {
    let targets = targets(file, inputs, found)?;
    let last = *targets.last()?;
    let name = names::of_stage(&file.stages[last]).unwrap_or("default");
    let automatic = Args::automatic(inputs, name);
    let globals = args::globals(file, &inputs.build_args, automatic.clone(), found);
    let none_given = BTreeMap::new();
    let defaults = args::globals(file, &none_given, automatic.clone(), &mut Vec::new());

    let mut needed: BTreeSet<usize> = match inputs.extent {
        Extent::Needed => targets.iter().copied().collect(),
        Extent::All => (0..=*targets.iter().max()?).collect(),
    };
    let mut linker = Linker {
        names: Names { file, inputs },
        globals: &globals,
        defaults: &defaults,
        found,
    };
    let mut stages = Vec::new();
    while let Some(index) = needed.pop_last() {
        let linked = linker.stage(index);
        needed.extend(linked.origins().filter_map(|named| match named.origin {
            Origin::Stage(earlier) => Some(earlier),
            Origin::Scratch | Origin::Image(_) | Origin::Files(_) => None,
        }));
        stages.push(linked);
    }
    stages.reverse();
    settle_platforms(&mut stages);
    let triggers = stages.iter().flat_map(|linked| &linked.triggers);
    let triggers = triggers.map(|trigger| &trigger.instruction);
    found.extend(args::unused(file, triggers, inputs, &automatic));
    Some(Graph {
        stages,
        targets,
        globals,
    })
}

impl Graph {
    /// All places that name the image `wanted`.
    pub(crate) fn places_of(&self, wanted: &ImageRef) -> impl Iterator<Item = (&Linked, &Named)> {
        self.names().filter(
            move |(_, named)| matches!(&named.origin, Origin::Image(image) if image == wanted),
        )
    }

    /// Images that `inputs` does not have yet, each once, in file order.
    pub(crate) fn missing(&self, inputs: &Inputs) -> Vec<ImageRef> {
        let mut missing: Vec<ImageRef> = Vec::new();
        for (_, named) in self.names() {
            if let Origin::Image(image) = &named.origin
                && !inputs.bases.contains_key(image)
                && !missing.contains(image)
            {
                missing.push(image.clone());
            }
        }
        missing
    }

    fn names(&self) -> impl Iterator<Item = (&Linked, &Named)> {
        self.stages
            .iter()
            .flat_map(|linked| linked.origins().map(move |named| (linked, named)))
    }
}

impl Linked {
    /// Stage `index`, of which nothing counts but that it is `base`.
    pub(crate) fn replaced(index: usize, base: Named, platform: &Platform) -> Self {
        Self {
            index,
            base,
            platform: platform.clone(),
            replaced: true,
            after: Vec::new(),
            triggers: Vec::new(),
            froms: BTreeMap::new(),
        }
    }

    fn origins(&self) -> impl Iterator<Item = &Named> {
        std::iter::once(&self.base)
            .chain(&self.after)
            .chain(self.froms.values())
    }
}

/// A stage that is based on another one is for the platform of that one, whatever it says; what its
/// instructions name is for the same (F13, C23). `stages` are in file order.
fn settle_platforms(stages: &mut [Linked]) {
    for position in 0..stages.len() {
        let (before, rest) = stages.split_at_mut(position);
        let linked = &mut rest[0];
        if let Origin::Stage(parent) = linked.base.origin
            && let Some(parent) = before.iter().find(|it| it.index == parent)
        {
            linked.platform.clone_from(&parent.platform);
        }
        for from in linked.froms.values_mut() {
            from.settle(&linked.platform);
        }
    }
}

/// Positions of the targets, at least one; if none is asked for, the last stage (F11).
/// `None` if one does not exist.
fn targets(file: &Dockerfile, inputs: &Inputs, found: &mut Vec<Diagnostic>) -> Option<Vec<usize>> {
    if inputs.targets.is_empty() {
        let Some(last) = file.stages.len().checked_sub(1) else {
            let message = "there is no `FROM`, so there is nothing to build";
            found.push(Diagnostic::error(0..0, message));
            return None;
        };
        return Some(vec![last]);
    }
    let targets = inputs.targets.iter().map(|wanted| target(file, wanted));
    let (targets, problems): (Vec<_>, Vec<_>) = targets.partition(Result::is_ok);
    found.extend(problems.into_iter().filter_map(Result::err));
    let known = targets.len() == inputs.targets.len();
    known.then(|| targets.into_iter().flatten().collect())
}

/// Position of the last stage called `wanted`, else of the one with that number (F11).
fn target(file: &Dockerfile, wanted: &str) -> Result<usize, Diagnostic> {
    let count = file.stages.len();
    let number = || wanted.parse().ok().filter(|&number| number < count);
    names::last_named(&file.stages, wanted)
        .or_else(number)
        .ok_or_else(|| {
            let message = format!("no stage named `{wanted}`: {}", listed(file));
            Diagnostic {
                hint: did_you_mean(wanted, names::before(file, count)),
                ..Diagnostic::error(0..0, message)
            }
        })
}

/// The choices for `--target`, in words.
fn listed(file: &Dockerfile) -> String {
    let names: Vec<String> = file
        .stages
        .iter()
        .enumerate()
        .map(|(index, stage)| match names::of_stage(stage) {
            Some(name) => format!("`{name}`"),
            None => format!("`{index}`"),
        })
        .collect();
    match names.as_slice() {
        [] => "there are no stages".to_owned(),
        [only] => format!("the only stage is {only}"),
        all => format!("the stages are {}", all.join(", ")),
    }
}
