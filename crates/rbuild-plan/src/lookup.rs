//! Which paths `COPY` and `ADD` name, and where in the text.
//!
//! Knows: which word of an instruction became which item of a step.
//! Does not know: which files exist.

use std::collections::BTreeMap;

use rbuild_dockerfile::ast::{Dockerfile, Instruction, Kind, Span, Word};

use crate::graph::{Plan, StepId};
use crate::op::{Item, Op, Source};

/// A path that a step copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup<'p> {
    /// The step.
    pub step: StepId,
    /// Which of its items.
    pub item: usize,
    /// Where the path is looked up.
    pub source: &'p Source,
    /// The path or wildcard, as [`Item::Path`] has it.
    pub pattern: &'p str,
    /// Directories on the way are kept (C24).
    pub parents: bool,
    /// Where it was written; the place of the step, if that comes from an image.
    pub span: Span,
}

/// All paths that the steps of `plan` copy; it was made from `file`.
pub fn lookups<'p>(file: &Dockerfile, plan: &'p Plan) -> Vec<Lookup<'p>> {
    let instructions = file.stages.iter().flat_map(|stage| &stage.instructions);
    let words: BTreeMap<usize, &[Word]> = instructions.filter_map(sources).collect();
    let mut lookups = Vec::new();
    for (step, id) in plan.steps.iter().zip((0..).map(StepId)) {
        let Op::Copy(copy) = &step.op else { continue };
        let words = words.get(&step.span.start).copied().unwrap_or_default();
        for (number, item) in copy.items.iter().enumerate() {
            let Item::Path(pattern) = item else { continue };
            let word = words.get(number);
            lookups.push(Lookup {
                step: id,
                item: number,
                source: &copy.source,
                pattern,
                parents: copy.parents,
                span: word.map_or(&step.span, |word| &word.span).clone(),
            });
        }
    }
    lookups
}

/// The sources of `COPY` or `ADD`, by the place that its step has.
fn sources(instruction: &Instruction) -> Option<(usize, &[Word])> {
    let start = instruction.span.start;
    match &instruction.kind {
        Kind::Copy(copy) => Some((start, &copy.sources)),
        Kind::Add(add) => Some((start, &add.sources)),
        Kind::Onbuild(onbuild) => sources(&onbuild.instruction),
        _ => None,
    }
}
