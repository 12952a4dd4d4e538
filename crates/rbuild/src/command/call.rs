//! `rbuild check` and `bud --call`: what a Dockerfile says, without a build.
//!
//! ```text
//! text → parse → survey → findings, outline or targets
//! ```
//!
//! Knows: that neither the sandbox nor the store nor a network is needed.
//! Does not know: how tables and JSON look ([`crate::answer`]).

use std::{io, path::Path, process::ExitCode};

use rbuild_dockerfile::{Diagnostic, Dockerfile, Severity, parse};
use rbuild_engine::BuildContext;
use rbuild_plan::{Inputs, Survey, outline, survey, targets};

use crate::{
    advice, answer,
    cli::{Call, CallFormat, FileCheckArgs, InputArgs, Question},
    contexts::{self, Contexts},
    dockerfile::{self, Source},
    failure::Failure,
    report::{self, print},
    settings, unseen,
};

/// What is asked about.
struct Subject<'a> {
    file: Option<&'a Path>,
    context: &'a Path,
    contexts: &'a [String],
    target: Option<&'a String>,
    build_args: &'a [String],
    platform: Option<&'a String>,
}

/// `rbuild check`.
///
/// # Errors
/// If there is no Dockerfile, or a flag is wrong.
pub fn check(args: &FileCheckArgs) -> Result<ExitCode, Failure> {
    let subject = Subject {
        file: args.file.as_deref(),
        context: &args.context,
        contexts: &args.build_context,
        target: args.target.as_ref(),
        build_args: &args.build_arg,
        platform: args.platform.as_ref(),
    };
    let call = Call {
        question: Question::Check,
        format: args.format,
    };
    subject.answer(call)
}

/// `bud --call`, `bud --check`.
///
/// # Errors
/// As [`check`].
pub fn instead_of_build(call: Call, args: &InputArgs) -> Result<ExitCode, Failure> {
    let subject = Subject {
        file: args.file.as_deref(),
        context: &args.context,
        contexts: &args.build_context,
        target: args.target.as_ref(),
        build_args: &args.build_arg,
        platform: args.platform.as_ref(),
    };
    subject.answer(call)
}

impl Subject<'_> {
    fn answer(&self, call: Call) -> Result<ExitCode, Failure> {
        let source = dockerfile::read(self.file, self.context)?;
        let (mut file, parsed) = parse(&source.text);
        let contexts = contexts::open(self.contexts)?;
        let mut inputs = self.inputs(&contexts)?;
        advice::obey(&mut file, &inputs.build_args)?;
        if call.question == Question::Check {
            let survey = survey(&file, &source.text, &inputs);
            let found = self.findings((&file, &source), parsed, (survey, &contexts))?;
            return tell(&found, &source, call.format);
        }
        refuse(&parsed, &source)?;
        let text = match (call.question, call.format) {
            (Question::Targets, CallFormat::Text) => answer::targets(&targets(&file)),
            (Question::Targets, CallFormat::Json) => answer::targets_json(&targets(&file)),
            (_, format) => {
                // Without a target, only the last stage is asked about.
                let last = file.stages.len().saturating_sub(1).to_string();
                inputs.target.get_or_insert(last);
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

    fn inputs(&self, contexts: &Contexts) -> Result<Inputs, Failure> {
        let platform = self.platform.map(|text| text.parse()).transpose()?;
        Ok(Inputs {
            build_args: settings::build_args(self.build_args),
            target: self.target.cloned(),
            platform: platform.unwrap_or_default(),
            contexts: contexts.kinds.clone(),
            ..Inputs::default()
        })
    }

    /// Everything that there is to say, errors too.
    fn findings(
        &self,
        (file, source): (&Dockerfile, &Source),
        parsed: Vec<Diagnostic>,
        (Survey { plan, mut found }, contexts): (Survey, &Contexts),
    ) -> Result<Vec<Diagnostic>, Failure> {
        let path = source.path.as_deref();
        let main = match self.context.is_dir() {
            true => Some(BuildContext::open(self.context, path, settings::now())?),
            false => None,
        };
        if let Some(plan) = &plan {
            let named = &contexts.files;
            found.extend(unseen::in_contexts(file, plan, main.as_ref(), named));
        }
        Ok(advice::findings(file, &source.text, parsed, found))
    }
}

/// Tells what was found; 1 if that is anything.
fn tell(found: &[Diagnostic], source: &Source, format: CallFormat) -> Result<ExitCode, Failure> {
    match format {
        CallFormat::Text => {
            let mut out = io::stderr().lock();
            report::diagnostics(found, &source.name, &source.text, &mut out);
            drop(out);
            advice::summary(found);
        }
        CallFormat::Json => print(&answer::findings_json(found, &source.name, &source.text))?,
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
    report::diagnostics(&errors, &source.name, &source.text, &mut out);
    Err(Failure::said(1))
}
