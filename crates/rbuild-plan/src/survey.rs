//! What can be said about a file before its images are known.
//!
//! Knows: that an image may set variables, name a user, have triggers.
//! Does not know: how stages are planned ([`crate::plan`]).
//!
//! Invariant: nothing is said that an image could disprove.
//!
//! Spec: dockerfile.md 1.18.

use rbuild_dockerfile::Diagnostic;
use rbuild_dockerfile::ast::Dockerfile;

use crate::fold::Context;
use crate::graph::Plan;
use crate::inputs::{Extent, Inputs};
use crate::plan::{fold, wanted};
use crate::stages;

/// What is known of a file without its images.
pub struct Survey {
    /// What would be done, as far as that is known: not to be executed. `None` if there is no
    /// stage, or no such target.
    pub plan: Option<Plan>,
    /// Everything that is wrong, and the findings of checks that the file wants to hear of.
    pub found: Vec<Diagnostic>,
}

/// Looks at all stages, or at what [`Inputs::targets`] need, without asking for an image.
///
/// What depends on a variable that an image may set is left out, also of the plan. `text` is the
/// source that `file` was parsed from.
pub fn survey(file: &Dockerfile, text: &str, inputs: &Inputs) -> Survey {
    let mut found = Vec::new();
    let mut inputs = inputs.clone();
    if inputs.targets.is_empty() {
        inputs.extent = Extent::All;
    }
    let plan = stages::link(file, &inputs, &mut found).map(|graph| {
        let context = Context {
            escape: file.escape,
            text,
            inputs: &inputs,
            globals: &graph.globals,
        };
        fold(file, &graph, &context, &mut found)
    });
    Survey {
        plan: plan.filter(|plan| !plan.stages.is_empty()),
        found: wanted(file, found),
    }
}
