//! `rbuild check` and `bud --call`: what a Dockerfile says, without a build.
//!
//! ```text
//! text → parse → survey → findings, outline or targets
//! ```
//!
//! Knows: that neither the sandbox nor the store nor a network is needed.
//! Does not know: how tables and JSON look ([`crate::answer`]).

use std::{collections::BTreeMap, io, process::ExitCode};

use rbuild_context::ContextSpec;
use rbuild_dockerfile::{Diagnostic, Dockerfile, Severity, parse};
use rbuild_engine::{BuildContext, Ignoring};
use rbuild_http::{Backoff, Client};
use rbuild_plan::{Inputs, Survey, outline, survey, targets};

use crate::{
    advice, answer,
    cli::{Call, CallFormat, FileCheckArgs, InputArgs, Question},
    contexts::{self, Main, Named},
    dockerfile,
    failure::Failure,
    platforms::Platforms,
    report::{self, print},
    settings,
    source::Source,
    targets::understood,
    unseen,
};

/// `rbuild check`.
///
/// # Errors
/// If there is no Dockerfile, or a flag is wrong.
pub fn check(args: &FileCheckArgs) -> Result<ExitCode, Failure> {
    let call = Call {
        question: Question::Check,
        format: args.format,
    };
    answer(call, &args.input)
}

/// `bud --call`, `bud --check`, `check`.
///
/// # Errors
/// As [`check`].
pub fn answer(call: Call, args: &InputArgs) -> Result<ExitCode, Failure> {
    dockerfile::refuse_two_streams(&args.file, &args.context)?;
    let context = directory(&args.context)?;
    let http = Client::new(settings::http(Backoff::default()));
    let source = dockerfile::read(&args.file, &context, &http)?;
    let (mut file, parsed) = parse(&source.text);
    let contexts = Named::parse(&args.build_context)?;
    let mut inputs = inputs(args, &contexts)?;
    advice::obey(&mut file, &inputs.build_args)?;
    if call.question == Question::Check {
        let survey = survey(&file, &source.text, &inputs);
        let places = Places {
            main: opened(&context, args, &source)?,
            named: contexts.directories()?,
        };
        let found = findings((&file, &source), parsed, survey, &places);
        return tell(&found, &source, call.format);
    }
    refuse(&parsed, &source)?;
    let text = match (call.question, call.format) {
        (Question::Targets, CallFormat::Text) => answer::targets(&targets(&file)),
        (Question::Targets, CallFormat::Json) => answer::targets_json(&targets(&file)),
        (_, format) => {
            if inputs.targets.is_empty() {
                // Only the last stage is asked about.
                let last = file.stages.len().saturating_sub(1);
                inputs.targets.push(last.to_string());
            }
            let Survey { plan, found } = survey(&file, &source.text, &inputs);
            refuse(&found, &source)?;
            let Some(plan) = plan else {
                return Err(Failure::message("the Dockerfile has no stage"));
            };
            let outline = outline(&file, &plan, &inputs);
            match format {
                CallFormat::Text => answer::outline(&outline),
                CallFormat::Json => answer::outline_json(&outline),
            }
        }
    };
    print(text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// The context: nothing is fetched or unpacked for a question.
fn directory(context: &str) -> Result<Main, Failure> {
    let spec = ContextSpec::parse(context)?;
    match contexts::directory(&spec) {
        Some(path) => Ok(Main::Directory(path.into())),
        None => Err(Failure::message(format!(
            "questions are answered about directories only, and `{context}` is none"
        ))
        .with_hint("`-f -` reads the Dockerfile from standard input, `-f URL` fetches it")),
    }
}

/// Contexts that can be looked into.
struct Places {
    main: Option<BuildContext>,
    named: BTreeMap<String, BuildContext>,
}

fn opened(
    context: &Main,
    args: &InputArgs,
    source: &Source,
) -> Result<Option<BuildContext>, Failure> {
    let Main::Directory(path) = context else {
        return Ok(None);
    };
    let usual = Ignoring::Usual(source.path.as_deref());
    let ignoring = args.ignorefile.as_deref().map_or(usual, Ignoring::File);
    Ok(Some(BuildContext::open(path, ignoring, settings::now())?))
}

fn inputs(args: &InputArgs, contexts: &Named) -> Result<Inputs, Failure> {
    let platforms = Platforms::of(args)?;
    let targets = understood(&args.target, &[])?;
    Ok(Inputs {
        build_args: settings::build_args(
            settings::proxies(),
            &args.build_arg_file,
            &args.build_arg,
        )?,
        targets: targets.into_iter().filter_map(|it| it.stage).collect(),
        from: args.from.clone(),
        platform: platforms.all[0].clone(),
        choice: platforms.choice,
        contexts: contexts.kinds.clone(),
        ..Inputs::default()
    })
}

/// Everything that there is to say, errors too.
fn findings(
    (file, source): (&Dockerfile, &Source),
    parsed: Vec<Diagnostic>,
    Survey { plan, mut found }: Survey,
    places: &Places,
) -> Vec<Diagnostic> {
    if let Some(plan) = &plan {
        let (main, named) = (places.main.as_ref(), &places.named);
        found.extend(unseen::in_contexts(file, plan, main, named));
    }
    advice::findings(file, &source.text, parsed, found)
}

/// Tells what was found; 1 if that is anything.
fn tell(found: &[Diagnostic], source: &Source, format: CallFormat) -> Result<ExitCode, Failure> {
    match format {
        CallFormat::Text => {
            let mut out = io::stderr().lock();
            report::diagnostics(found, source, &mut out);
            drop(out);
            advice::summary(found);
        }
        CallFormat::Json => print(&answer::findings_json(found, source))?,
    }
    Ok(advice::verdict(found))
}

/// A file with errors has no outline.
fn refuse(found: &[Diagnostic], source: &Source) -> Result<(), Failure> {
    let errors = found.iter().filter(|it| it.severity == Severity::Error);
    let errors: Vec<Diagnostic> = errors.cloned().collect();
    if errors.is_empty() {
        return Ok(());
    }
    let mut out = io::stderr().lock();
    report::diagnostics(&errors, source, &mut out);
    Err(Failure::said(1))
}
