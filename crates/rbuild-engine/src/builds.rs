//! Builds that are done together: those of one Dockerfile for several platforms.
//!
//! Knows: that they share workers, that the first failure ends all of them, and that they make
//! what they have in common once.
//! Does not know: what a step does ([`crate::work`]), nor which is next ([`crate::schedule`]).

use std::num::NonZero;

use rbuild_plan::{Plan, Tree};

use crate::{
    Error,
    build::{Builder, State},
    deferred::Deferred,
    graph::{Graph, Task},
    remains::{Failed, Failure},
    renewed::Renewed,
    trees::Trees,
    work::Work,
    workers::{Made, Steps},
};

/// Executes all steps of the plans, `jobs` at the same time, each when what it needs is done;
/// returns the state after each, plan by plan. The result does not depend on `jobs`.
///
/// # Errors
/// [`Error::Step`] with the step that failed; the results of those before it stay cached.
pub fn build_all(
    builds: &[(&Builder<'_>, &Plan)],
    jobs: NonZero<usize>,
) -> Result<Vec<Vec<State>>, Box<Failed>> {
    let plans = builds.iter().map(|(_, plan)| *plan);
    let deferred: Vec<Deferred> = plans.clone().map(Deferred::of).collect();
    let renewed = &Renewed::default();
    let trees = builds.iter().zip(&deferred);
    let trees = trees.map(|(&(builder, plan), deferred)| Trees {
        builder,
        plan,
        deferred,
        renewed,
    });
    let names = builds
        .iter()
        .flat_map(|(builder, plan)| builder.names(plan));
    let builds = Builds {
        trees: trees.collect(),
        graph: Graph::of(plans).queue(names),
        jobs,
    };
    let built = loop {
        let built = builds.execute();
        match built.and_then(|states| builds.complete(states)) {
            Err(failed) if builds.is_settled_by_disbelief(&failed) => {}
            other => break other,
        }
    };
    // Builds that failed have read the context too.
    builds.remember();
    built
}

struct Builds<'a> {
    trees: Vec<Trees<'a>>,
    graph: Graph,
    jobs: NonZero<usize>,
}

impl Builds<'_> {
    fn execute(&self) -> Result<Vec<Vec<State>>, Box<Failed>> {
        let execute = |task: Task, made: &Made<'_, State>| {
            let trees = self.trees[task.build];
            let state = |tree: &Tree| {
                let of = |step| made.by(Task { step, ..task }).cloned();
                let state = trees.builder.state(trees.plan, tree, &of);
                state.expect("a step starts when what it needs is done")
            };
            let work = Work::new(trees, task.step, &state);
            work.execute().map_err(|failure| (task.build, failure))
        };
        let steps = Steps {
            execute: &execute,
            stop: &|(build, failure): &(usize, Box<Failure>)| match failure.error {
                // The build goes on without it.
                Error::Import { .. } => {}
                _ => self.trees[*build].builder.runner.stop(),
            },
            jobs: self.jobs,
        };
        steps.of(&self.graph).map_err(|mut stopped| {
            let (build, failure) = stopped.failure;
            let Failure { error, remains } = *failure;
            Box::new(Failed {
                build,
                error,
                remains: remains.or_else(|| self.trees[build].deferred.take()),
                states: stopped.made.swap_remove(build),
            })
        })
    }

    /// Makes sure that what the targets consist of is there.
    fn complete(&self, states: Vec<Vec<State>>) -> Result<Vec<Vec<State>>, Box<Failed>> {
        let builds = self.trees.iter().zip(states).enumerate();
        let complete =
            builds.map(
                |(build, (trees, states))| match trees.builder.complete(*trees, &states) {
                    Ok(()) => Ok(states.iter().map(|it| trees.settled(it)).collect()),
                    Err(error) => Err(Box::new(Failed {
                        build,
                        error,
                        remains: trees.deferred.take(),
                        states: states.into_iter().map(Some).collect(),
                    })),
                },
            );
        complete.collect()
    }

    fn is_settled_by_disbelief(&self, failed: &Failed) -> bool {
        let builder = self.trees[failed.build].builder;
        builder.is_settled_by_disbelief(&failed.error)
    }

    /// Writes down what the next build can use.
    fn remember(&self) {
        for Trees { builder, plan, .. } in &self.trees {
            for context in builder.named_contexts.values().chain([builder.context]) {
                context.save(builder.session);
            }
            builder.memory.save(plan, builder.session);
        }
    }
}
