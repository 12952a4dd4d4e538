//! The order of planning: link the stages, ask for images, fold each stage.
//!
//! Knows: the sequence, and how stages hand on to each other.
//! Does not know: what an instruction does ([`crate::fold`]).
//!
//! Invariant: steps are made stage by stage in file order, so edges point backwards.

use std::collections::{BTreeMap, BTreeSet};

use rbuild_dockerfile::ast::Dockerfile;
use rbuild_dockerfile::lint;
use rbuild_dockerfile::suggest::did_you_mean;
use rbuild_dockerfile::{Diagnostic, Severity};

use crate::args::Args;
use crate::base;
use crate::fold::{Context, Fold};
use crate::graph::{Base, Plan, Stage, StageId, Step, Tree};
use crate::inputs::{Choice, ImageRef, Inheritance, Inputs, Planning};
use crate::names::{self, Named, Origin};
use crate::op::Source;
use crate::stages::{self, Graph, Linked};
use crate::variables::Certainty;

/// Turns a Dockerfile into a build graph, or says what is missing for that.
///
/// `text` is the source that `file` was parsed from: steps are named after it.
/// A diagnostic about the command line rather than the file has the span `0..0`.
pub fn plan(file: &Dockerfile, text: &str, inputs: &Inputs) -> Planning {
    let mut found = Vec::new();
    let linked = stages::link(file, inputs, &mut found);
    let Some(graph) = linked.filter(|_| !has_error(&found)) else {
        return Planning::Rejected(wanted(file, found));
    };
    let missing = graph.missing(inputs);
    if !missing.is_empty() {
        return Planning::Needs(missing);
    }
    let context = Context {
        escape: file.escape,
        text,
        inputs,
        globals: &graph.globals,
    };
    let mut plan = fold(file, &graph, &context, &mut found);
    let found = wanted(file, found);
    if has_error(&found) {
        return Planning::Rejected(found);
    }
    plan.warnings = found;
    debug_assert!(edges_point_backwards(&plan), "{}", crate::dump(&plan));
    Planning::Ready(Box::new(plan))
}

/// What to tell the user when `image`, one of [`Planning::Needs`], cannot be found: an error at
/// each place that names it, with the stage name that may be meant.
pub fn blame(file: &Dockerfile, inputs: &Inputs, image: &ImageRef) -> Vec<Diagnostic> {
    let Some(graph) = stages::link(file, inputs, &mut Vec::new()) else {
        return Vec::new();
    };
    let platform = match image.platform == inputs.build_platform {
        true => String::new(),
        false => format!(" for `{}`", image.platform),
    };
    let blame = |(linked, named): (&Linked, &Named)| Diagnostic {
        hint: did_you_mean(&image.name, names::before(file, linked.index)),
        ..Diagnostic::error(
            named.span.clone(),
            format!("no stage or image named `{image}`{platform} here, and it cannot be pulled"),
        )
    };
    graph.places_of(image).map(blame).collect()
}

/// Folds all stages of `graph`. Problems go to `found`; if there is an error among them,
/// the plan is not usable. Images that are not among the inputs are taken for unknown ones.
pub(crate) fn fold(
    file: &Dockerfile,
    graph: &Graph,
    context: &Context<'_>,
    found: &mut Vec<Diagnostic>,
) -> Plan {
    let mut steps = Vec::new();
    let mut folded = Folded::default();
    for linked in &graph.stages {
        let ast = &file.stages[linked.index];
        let id = stage_id(folded.stages.len());
        let mut fold = Fold::new(
            context,
            id,
            folded.start(linked, context, found),
            &mut steps,
        );
        fold.certainty = folded.certainty(&fold.stage, context.inputs);
        fold.stage.name = ast.name.as_ref().map(|name| name.value.clone());
        let source = |position, number| folded.source(linked.froms.get(&(position, number)));
        if let Origin::Files(name) = &linked.base.origin {
            fold.files(name, &linked.base.span);
        }
        for (position, trigger) in linked.triggers.iter().enumerate() {
            fold.trigger(trigger, &|number| source(position, number));
        }
        let own = ast.instructions.iter().filter(|_| !linked.replaced);
        for (position, instruction) in (linked.triggers.len()..).zip(own) {
            fold.instruction(instruction, &|number| source(position, number));
        }
        let (stage, args, problems) = fold.finish();
        found.extend(problems);
        folded.push(linked.index, stage, args);
    }
    let targets = graph.targets.iter().map(|index| folded.ids[index]);
    let targets: Vec<StageId> = targets.collect();
    let mut stages = folded.stages;
    // After all stages are folded, so that a target based on another does not inherit them.
    for id in BTreeSet::from_iter(&targets) {
        let target = &mut stages[id.0 as usize];
        base::add_labels(target, &context.inputs.labels);
        base::edit(target, &context.inputs.edits);
    }
    Plan {
        targets,
        stages,
        steps,
        warnings: Vec::new(),
    }
}

/// Stages that are done.
#[derive(Default)]
struct Folded {
    stages: Vec<Stage>,
    /// ARGs in scope at the end of each; a stage based on it inherits them (A3).
    args: Vec<Args>,
    /// Ids by position in the file.
    ids: BTreeMap<usize, StageId>,
}

impl Folded {
    /// The stage of `linked` before its first instruction, and the ARGs in its scope.
    fn start(
        &self,
        linked: &Linked,
        context: &Context<'_>,
        found: &mut Vec<Diagnostic>,
    ) -> (Stage, Args) {
        let inputs = context.inputs;
        let platform = match inputs.choice {
            Choice::Asked => &inputs.platform,
            Choice::Implied => &linked.platform,
        };
        let mut stage = match &linked.base.origin {
            Origin::Scratch | Origin::Files(_) => base::scratch(platform),
            Origin::Image(reference) => match inputs.bases.get(reference) {
                Some(image) => {
                    let span = &linked.base.span;
                    found.extend(base::objections(reference, image, span));
                    base::image(reference, image, platform)
                }
                None => base::unknown(reference, platform),
            },
            Origin::Stage(index) => {
                let id = self.ids[index];
                base::child(id, &self.stages[id.0 as usize])
            }
        };
        if inputs.edits.labels_of_base == Inheritance::Dropped {
            stage.config.config.labels.clear();
        }
        stage.index = linked.index;
        stage.platform.clone_from(&linked.platform);
        stage.after = linked
            .after
            .iter()
            .filter_map(|named| self.id_of(&named.origin))
            .collect();
        let args = match stage.base {
            Base::Stage(id) => self.args[id.0 as usize].clone(),
            Base::Scratch | Base::Image(_) => Args::default(),
        };
        (stage, args)
    }

    /// Where files come from; without a `from`: the build context.
    fn source(&self, from: Option<&Named>) -> Source {
        match from.map(|named| &named.origin) {
            None => Source::Context,
            Some(Origin::Scratch) => Source::Tree(Tree::Empty),
            Some(Origin::Files(name)) => Source::Named(name.clone()),
            Some(Origin::Image(reference)) => Source::Tree(Tree::Image(reference.clone())),
            Some(Origin::Stage(index)) => {
                let stage = &self.stages[self.ids[index].0 as usize];
                Source::Tree(stage.tree.clone())
            }
        }
    }

    /// Whether all variables are known in `stage`, which may be based on those that are done.
    fn certainty(&self, stage: &Stage, inputs: &Inputs) -> Certainty {
        let mut base = &stage.base;
        while let Base::Stage(id) = base {
            base = &self.stages[id.0 as usize].base;
        }
        match base {
            Base::Image(reference) if !inputs.bases.contains_key(reference) => Certainty::Partial,
            Base::Image(_) | Base::Stage(_) | Base::Scratch => Certainty::Complete,
        }
    }

    fn id_of(&self, origin: &Origin) -> Option<StageId> {
        match origin {
            Origin::Stage(index) => self.ids.get(index).copied(),
            Origin::Scratch | Origin::Image(_) | Origin::Files(_) => None,
        }
    }

    fn push(&mut self, index: usize, stage: Stage, args: Args) {
        self.ids.insert(index, stage_id(self.stages.len()));
        self.stages.push(stage);
        self.args.push(args);
    }
}

fn stage_id(index: usize) -> StageId {
    StageId(u32::try_from(index).expect("a stage takes bytes of a file that is in memory"))
}

fn has_error(found: &[Diagnostic]) -> bool {
    found.iter().any(|it| it.severity == Severity::Error)
}

/// What the file wants to hear of, sorted by place; two findings at one place keep their order.
pub(crate) fn wanted(file: &Dockerfile, found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut found = lint::applied(file, found);
    found.sort_by_key(|it| it.span.start);
    found.dedup();
    found
}

fn edges_point_backwards(plan: &Plan) -> bool {
    let backwards = |tree: &Tree, id: usize| match tree {
        Tree::Step(before) => (before.0 as usize) < id,
        Tree::Empty | Tree::Image(_) => true,
    };
    let fine = |(id, step): (usize, &Step)| {
        let sources = step.op.sources().into_iter().filter_map(Source::tree);
        sources
            .chain([&step.parent])
            .all(|tree| backwards(tree, id))
    };
    plan.steps.iter().enumerate().all(fine)
}
