//! What a build would do, found out without doing it.
//!
//! Knows: that the key of a step which would be executed follows from what it reads, so that the
//! steps after it can be looked up all the same.
//! Does not know: what an executed step would write; who reads that is left in doubt.

use rbuild_plan::{Plan, Reason, Source, StageId, StepId, Tree};

use crate::{
    Error,
    build::{Builder, State},
    deferred::Deferred,
    renewed::Renewed,
    trees::Trees,
    work::{Found, Work},
};

/// What a build would do with a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// Its result is known.
    Cached,
    /// It would be executed.
    Executed(Reason),
    /// That cannot be told yet.
    Unknown(Doubt),
}

/// Why nothing can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The base image of that name is not here.
    Base(String),
    /// It depends on the files that this step would make.
    Files(StepId),
}

/// A state that a build would lead to.
#[derive(Clone)]
struct Expected {
    state: State,
    /// The first step whose layer is not there yet.
    missing: Option<StepId>,
    /// Whether the step is known, and only its files are gone.
    is_gone: bool,
}

type Expectation = Result<Expected, Doubt>;

impl Builder<'_> {
    /// What a build of `plan` would do with each step. Nothing is executed or recorded; what ADD
    /// names is fetched, as its content is in the key, and so are imported layers that are read.
    ///
    /// # Errors
    /// [`Error::Step`] if a step could not even start: a file that it copies is missing.
    pub fn forecast(&self, plan: &Plan) -> Result<Vec<Forecast>, Error> {
        loop {
            match self.foresee_all(plan) {
                Err(error) if self.is_settled_by_disbelief(&error) => {}
                foreseen => return foreseen,
            }
        }
    }

    fn foresee_all(&self, plan: &Plan) -> Result<Vec<Forecast>, Error> {
        let trees = Trees {
            builder: self,
            plan,
            deferred: &Deferred::default(),
            renewed: &Renewed::default(),
        };
        let mut expected: Vec<Expectation> = Vec::with_capacity(plan.steps.len());
        let mut forecasts = Vec::with_capacity(plan.steps.len());
        for id in (0..).map(StepId).take(plan.steps.len()) {
            let (forecast, expectation) = self.foresee(trees, id, &expected)?;
            forecasts.push(forecast);
            expected.push(expectation);
        }
        let is_gone = |expected: &Expectation| expected.as_ref().is_ok_and(|it| it.is_gone);
        let gone: Vec<bool> = expected.iter().map(is_gone).collect();
        want(plan, &gone, &mut forecasts);
        Ok(forecasts)
    }

    fn foresee(
        &self,
        trees: Trees<'_>,
        id: StepId,
        before: &[Expectation],
    ) -> Result<(Forecast, Expectation), Error> {
        let plan = trees.plan;
        let step = plan.step(id);
        let sources = step.op.sources().into_iter().filter_map(Source::tree);
        let mut missing = None;
        for (is_source, tree) in sources
            .map(|tree| (true, tree))
            .chain([(false, &step.parent)])
        {
            match self.expected(plan, tree, before) {
                Ok(expected) if is_source => missing = missing.or(expected.missing),
                Ok(_) => {}
                Err(doubt) => return Ok(self.doubtful(step.stage, doubt)),
            }
        }
        let state = |tree: &Tree| {
            let expected = self.expected(plan, tree, before);
            expected.expect("doubts were looked for").state
        };
        let work = Work::new(trees, id, &state);
        let below = self.expected(plan, &step.parent, before);
        let below = below.ok().and_then(|below| below.missing);
        let expected = |state, missing, is_gone| {
            Ok(Expected {
                state,
                missing,
                is_gone,
            })
        };
        Ok(match self.look(&work, missing)? {
            Looked::Hit(state) => (Forecast::Cached, expected(state, below, false)),
            Looked::Gone(state) => {
                let missing = Some(below.unwrap_or(id));
                (Forecast::Cached, expected(state, missing, true))
            }
            Looked::Miss(why, state) => {
                let missing = Some(below.unwrap_or(id));
                (Forecast::Executed(why), expected(state, missing, false))
            }
            Looked::Unseen(doubt) => self.doubtful(step.stage, doubt),
        })
    }

    /// A step of `stage` that cannot be looked up; some are executed in any case.
    fn doubtful(&self, stage: StageId, doubt: Doubt) -> (Forecast, Expectation) {
        let forecast = match self.caching.refreshed.has(stage) {
            true => Forecast::Executed(Reason::Asked),
            false => Forecast::Unknown(doubt.clone()),
        };
        (forecast, Err(doubt))
    }

    /// As the build looks a step up; `missing` is a step that it would read files of.
    fn look(&self, work: &Work<'_>, missing: Option<StepId>) -> Result<Looked, Error> {
        let definition = work.definition()?;
        let absence = match work.defined(&definition)? {
            Found::Hit(state, _) => return Ok(Looked::Hit(state)),
            Found::Known(state, _) => return Ok(Looked::Gone(state)),
            Found::Miss(absence) => absence,
        };
        if let Some(step) = missing {
            return Ok(Looked::Unseen(Doubt::Files(step)));
        }
        let reading = work.read()?;
        let content = work.content_key(definition, &reading);
        for known in [content].into_iter().chain(work.alone(&reading)) {
            if let Found::Hit(state, _) = work.lookup(&known)? {
                let key = content;
                return Ok(Looked::Hit(State { key, ..state }));
            }
        }
        let account = work.account(reading);
        let why = work.explain(absence, &account);
        Ok(Looked::Miss(why, work.expected_state(content)))
    }

    fn expected(&self, plan: &Plan, tree: &Tree, before: &[Expectation]) -> Expectation {
        match tree {
            Tree::Step(id) => before[id.0 as usize].clone(),
            Tree::Image(_) | Tree::Empty => {
                let doubt = || match tree {
                    Tree::Image(image) => Doubt::Base(image.name.clone()),
                    Tree::Empty | Tree::Step(_) => unreachable!("the empty tree is always here"),
                };
                let state = self.state(plan, tree, &|_| None).ok_or_else(doubt)?;
                Ok(Expected {
                    state,
                    missing: None,
                    is_gone: false,
                })
            }
        }
    }
}

/// Steps whose files are `gone` are executed if the targets consist of them, or a step reads them
/// that is executed.
fn want(plan: &Plan, gone: &[bool], forecasts: &mut [Forecast]) {
    let mut wanted = vec![false; forecasts.len()];
    for &target in &plan.targets {
        let history = plan.stage(target).history.iter();
        let steps = history.filter_map(|entry| entry.step);
        steps.for_each(|step| wanted[step.0 as usize] = true);
    }
    // Edges point backwards: who wants a step comes after it.
    for (index, step) in plan.steps.iter().enumerate().rev() {
        if gone[index] && wanted[index] {
            forecasts[index] = Forecast::Executed(Reason::Deleted);
        }
        let sources = step.op.sources().into_iter().filter_map(Source::tree);
        let read: Vec<&Tree> = match (&forecasts[index], wanted[index]) {
            (Forecast::Executed(_), _) => sources.chain([&step.parent]).collect(),
            (_, true) => vec![&step.parent],
            (_, false) => Vec::new(),
        };
        for tree in read {
            if let Tree::Step(below) = tree {
                wanted[below.0 as usize] = true;
            }
        }
    }
}

/// What came of looking a step up.
enum Looked {
    Hit(State),
    Gone(State),
    /// Why, and the state that executing it would lead to, without its layer.
    Miss(Reason, State),
    Unseen(Doubt),
}
