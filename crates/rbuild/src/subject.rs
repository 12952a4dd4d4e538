//! What is built: the first half of the pipeline, from a context to a plan.
//!
//! Knows: that findings are told before anything is executed.
//! Does not know: what becomes of the plan.

use std::{collections::BTreeMap, io, path::Path};

use rbuild_dockerfile::{Diagnostic, Dockerfile, parse};
use rbuild_engine::{BuildContext, Caching, Memory};
use rbuild_export::Origins;
use rbuild_oci::Platform;
use rbuild_plan::{Inputs, Plan};

use crate::{
    advice,
    cli::BuildArgs,
    contexts::{Main, Opener},
    dockerfile::{self, STANDARD_INPUT},
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
    pub context: BuildContext,
    /// What `--build-context` names.
    pub contexts: BTreeMap<String, BuildContext>,
    /// Where all these come from.
    pub origins: Origins,
    /// At least one: for each platform.
    pub variants: Vec<Variant>,
}

/// What is built for one platform.
pub struct Variant {
    pub plan: Box<Plan>,
    pub resolved: Resolved,
    /// Which results of earlier builds count.
    pub caching: Caching,
    /// What is remembered of them.
    pub memory: Memory,
}

impl Subject {
    /// From the context to the plans; tells what checks have found.
    ///
    /// # Errors
    /// The user's mistakes and images that cannot be had are reported with their lines.
    pub fn prepared(
        args: &BuildArgs,
        order: &Order,
        opener: &Opener<'_>,
        mut search: Search<'_, '_>,
    ) -> Result<Self, Failure> {
        let context = opener.main(&args.input.context)?;
        let source = dockerfile::read(&args.input.file, &context, opener.fetcher.http)?;
        let (file, parsed) = understood(&source, &order.inputs)?;
        let mut origins = origins(&context, &source);
        let mut variants = Vec::new();
        for platform in &order.platforms.all {
            let inputs = order.platforms.inputs(&order.inputs, platform);
            let (plan, resolved) = planned(&file, &source, inputs, &mut search)?;
            variants.push(Variant {
                caching: order.caching.for_plan(&file, &plan)?,
                memory: memory(&args.input.context, &source, platform),
                plan,
                resolved,
            });
        }
        let ignore_file = args.input.ignorefile.as_deref();
        let context = opener.open(context, ignore_file, source.path.as_deref())?;
        let plans: Vec<&Plan> = variants.iter().map(|it| &*it.plan).collect();
        let contexts = order.contexts.open(&plans, opener, &mut origins)?;
        let mut planned: Vec<Diagnostic> = Vec::new();
        for plan in plans {
            let missed = unseen::in_contexts(&file, plan, Some(&context), &contexts);
            for finding in missed.into_iter().chain(plan.warnings.clone()) {
                if !planned.contains(&finding) {
                    planned.push(finding);
                }
            }
        }
        let found = advice::findings(&file, &source.text, parsed, planned);
        advise((&file, &source), &found)?;
        Ok(Self {
            file,
            source,
            context,
            contexts,
            origins,
            variants,
        })
    }
}

/// Where `context` and `source` come from.
fn origins(context: &Main, source: &Source) -> Origins {
    let main = context.material().cloned();
    let is_here = source.path.is_some() || source.names().any(|name| name == STANDARD_INPUT);
    let locals = [("context", main.is_none()), ("dockerfile", is_here)].into_iter();
    let locals = locals.filter(|(_, is_local)| *is_local);
    Origins {
        locals: locals.map(|(name, _)| name.to_owned()).collect(),
        main,
        ..Origins::default()
    }
}

/// What is remembered of builds of `source` with the context `context`, for `platform`.
fn memory(context: &str, source: &Source, platform: &Platform) -> Memory {
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
    if *platform != Platform::default() {
        name.extend(format!("\0\0{platform}").into_bytes());
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
