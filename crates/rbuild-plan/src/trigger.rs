//! `ONBUILD`: instructions that a base gives to what is based on it.
//!
//! Knows: where triggers come from, and how what is wrong with them is told.
//! Does not know: what an instruction does ([`crate::fold`]).
//!
//! Spec: dockerfile.md 1.14; trap T22.

use rbuild_dockerfile::ast::{self, Instruction, Kind, Span};
use rbuild_dockerfile::{Diagnostic, Severity, parse_trigger};

/// An instruction that runs right after `FROM`.
pub(crate) struct Trigger {
    /// What is to be done.
    pub instruction: Instruction,
    /// Where it comes from if that is not this file; else its spans are in the file.
    pub foreign: Option<Foreign>,
}

/// Text that is not in the file, and the place in the file that it is told at.
#[derive(Clone)]
pub(crate) struct Foreign {
    /// The text.
    pub text: String,
    /// Where its image is named.
    pub span: Span,
}

/// The triggers of an image that is named at `span`, whose configuration has `texts`. What is
/// wrong with one goes to `found`.
pub(crate) fn of_image(texts: &[String], span: &Span, found: &mut Vec<Diagnostic>) -> Vec<Trigger> {
    let mut triggers = Vec::new();
    for text in texts {
        let foreign = Foreign {
            text: text.clone(),
            span: span.clone(),
        };
        let (mut instructions, problems) = parse_trigger(text);
        let failed = problems.iter().any(|it| it.severity == Severity::Error);
        let problems = problems.into_iter().filter(|it| it.rule.is_none());
        found.extend(problems.map(|problem| foreign.blamed(problem)));
        if failed {
            continue;
        }
        match instructions.pop() {
            Some(instruction) if instructions.is_empty() => {
                let foreign = Some(foreign);
                triggers.push(Trigger {
                    instruction,
                    foreign,
                });
            }
            _ => {
                let message = "this is not one instruction";
                found.push(foreign.blamed(Diagnostic::error(span.clone(), message)));
            }
        }
    }
    triggers
}

/// The triggers that `stage` has for stages that are based on it.
pub(crate) fn of_stage(stage: &ast::Stage) -> Vec<Trigger> {
    let trigger = |instruction: &Instruction| match &instruction.kind {
        Kind::Onbuild(onbuild) => Some(Trigger {
            instruction: (*onbuild.instruction).clone(),
            foreign: None,
        }),
        _ => None,
    };
    stage.instructions.iter().filter_map(trigger).collect()
}

impl Foreign {
    /// The text on one line.
    fn line(&self) -> String {
        self.text.replace('\n', "\\n")
    }

    /// `diagnostic`, whose place is in the text, at the place in the file.
    pub(crate) fn blamed(&self, diagnostic: Diagnostic) -> Diagnostic {
        Diagnostic {
            span: self.span.clone(),
            message: format!("in `ONBUILD {}`: {}", self.line(), diagnostic.message),
            ..diagnostic
        }
    }
}

impl Trigger {
    /// `diagnostic`, at a place in the file.
    pub(crate) fn blamed(&self, diagnostic: Diagnostic) -> Diagnostic {
        match &self.foreign {
            Some(foreign) => foreign.blamed(diagnostic),
            None => diagnostic,
        }
    }
}
