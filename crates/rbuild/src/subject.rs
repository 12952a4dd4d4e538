//! What is built: the first half of the pipeline, from a context to a plan.
//!
//! Knows: that findings are told before anything is executed.
//! Does not know: what becomes of the plan.

use std::{collections::BTreeMap, io, path::Path};

use rbuild_dockerfile::{Diagnostic, Dockerfile, parse};
use rbuild_engine::{BuildContext, Caching, Memory};
use rbuild_plan::{Inputs, Plan};

use crate::{
    advice,
    cli::BuildArgs,
    contexts::Opener,
    dockerfile,
    failure::Failure,
    order::Order,
    planning::{Resolved, Search, planned},
    report,
    source::Source,
    unseen,
};

/// What is built.
pub struct Subject {
    pub file: Dockerfile,
    pub source: Source,
    pub plan: Box<Plan>,
    pub resolved: Resolved,
    pub context: BuildContext,
    /// What `--build-context` names.
    pub contexts: BTreeMap<String, BuildContext>,
    /// Which results of earlier builds count.
    pub caching: Caching,
    /// What is remembered of them.
    pub memory: Memory,
}

impl Subject {
    /// From the context to the plan; tells what checks have found.
    ///
    /// # Errors
    /// The user's mistakes and images that cannot be had are reported with their lines.
    pub fn prepared(
        args: &BuildArgs,
        order: &Order,
        opener: &Opener<'_>,
        search: Search<'_, '_>,
    ) -> Result<Self, Failure> {
        let context = opener.main(&args.input.context)?;
        let source = dockerfile::read(&args.input.file, &context, opener.fetcher.http)?;
        let (file, parsed) = understood(&source, &order.inputs)?;
        let (plan, resolved) = planned(&file, &source, order.inputs.clone(), search)?;
        let ignore_file = args.input.ignorefile.as_deref();
        let context = opener.open(context, ignore_file, source.path.as_deref())?;
        let contexts = order.contexts.open(&plan, opener)?;
        let missed = unseen::in_contexts(&file, &plan, Some(&context), &contexts);
        let planned = [missed, plan.warnings.clone()].concat();
        let found = advice::findings(&file, &source.text, parsed, planned);
        advise((&file, &source), &found)?;
        Ok(Self {
            caching: order.caching.for_plan(&file, &plan)?,
            memory: memory(&args.input.context, &source),
            file,
            source,
            plan,
            resolved,
            context,
            contexts,
        })
    }
}

/// What is remembered of builds of `source` with the context `context`.
fn memory(context: &str, source: &Source) -> Memory {
    let canonical = |path: &str| {
        let path = Path::new(path);
        let found = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        found.into_os_string().into_encoded_bytes()
    };
    let mut name = canonical(context);
    for file in source.names() {
        name.push(0);
        name.extend(canonical(file));
    }
    Memory::of(&name)
}

/// The instructions, and what the parser found.
fn understood(source: &Source, inputs: &Inputs) -> Result<(Dockerfile, Vec<Diagnostic>), Failure> {
    let (mut file, parsed) = parse(&source.text);
    advice::obey(&mut file, &inputs.build_args)?;
    advice::refuse(&file, &parsed, source)?;
    Ok((file, parsed))
}

/// Tells what checks have found.
///
/// # Errors
/// If a finding is not tolerated.
pub fn advise((file, source): (&Dockerfile, &Source), found: &[Diagnostic]) -> Result<(), Failure> {
    report::diagnostics(found, source, &mut io::stderr().lock());
    advice::tolerate(file, found)
}
