//! One stage: its names expanded and resolved.
//!
//! Knows: what `FROM` sees (F4), and which ARGs a `from` sees; for which platform a stage is (F13).
//! Does not know: what the names stand for ([`crate::names`]), nor the order of stages.
//!
//! Spec: dockerfile.md F1, F4, F13, O3, 1.17; trap T12.

use std::collections::BTreeMap;

use rbuild_dockerfile::Diagnostic;
use rbuild_dockerfile::ast::{Instruction, Kind, Spanned, Stage, Word};
use rbuild_dockerfile::expand::expand;
use rbuild_dockerfile::lint::rules;
use rbuild_dockerfile::suggest::did_you_mean;
use rbuild_oci::Platform;

use crate::args::{Args, Givers};
use crate::names::{Name, Named, Names, Origin};
use crate::stages::Linked;
use crate::trigger::{self, Trigger};
use crate::variables::{Certainty, Variables};

/// Resolves the names in one stage after the other.
pub(crate) struct Linker<'a> {
    /// What can be named.
    pub names: Names<'a>,
    /// What `FROM` sees.
    pub globals: &'a Args,
    /// The same, as if no build arguments were given.
    pub defaults: &'a Args,
    /// What is wrong.
    pub found: &'a mut Vec<Diagnostic>,
}

impl Linker<'_> {
    /// What is wrong with it is reported. A wrong base is taken for an image, and a wrong `from`
    /// for nothing, so that the rest can be looked at.
    pub(crate) fn stage(&mut self, index: usize) -> Linked {
        let target = &self.names.inputs.platform;
        if let Some(base) = self.names.replacement(index) {
            return Linked::replaced(index, base, target);
        }
        let stage = &self.names.file.stages[index];
        let platform = self.platform(stage).unwrap_or_else(|| target.clone());
        let mut base = self.base(index).unwrap_or_else(|| Named {
            origin: self.names.image_called(&stage.base.value),
            span: stage.base.span.clone(),
        });
        base.settle(&platform);
        let after = self.after(index);
        let triggers = self.triggers(&base);
        let froms = self.froms(index, &triggers);
        Linked {
            index,
            base,
            platform,
            replaced: false,
            after,
            triggers,
            froms,
        }
    }

    fn base(&mut self, index: usize) -> Option<Named> {
        let word = &self.names.file.stages[index].base;
        if let (0, Some(from)) = (index, &self.names.inputs.from) {
            let (value, span) = (from.clone(), word.span.clone());
            return self.names.base(index, &Name { value, span }, self.found);
        }
        let value = self.expand(word)?;
        if value.is_empty() {
            let message = format!(
                "`{}` is empty: `FROM` needs an image or a stage",
                word.value
            );
            let diagnostic = Diagnostic::error(word.span.clone(), message)
                .with_hint("`FROM` sees only the `ARG`s before the first `FROM`");
            self.found.push(diagnostic);
            return None;
        }
        self.check_default(index);
        let span = word.span.clone();
        self.names.base(index, &Name { value, span }, self.found)
    }

    fn after(&mut self, index: usize) -> Vec<Named> {
        let mut after = Vec::new();
        for name in &self.names.file.stages[index].after {
            match self.names.after(index, name) {
                Ok(named) => after.push(named),
                Err(diagnostic) => self.found.push(diagnostic),
            }
        }
        after
    }

    /// Those of an image that is not known yet are found the next time (O3).
    fn triggers(&mut self, base: &Named) -> Vec<Trigger> {
        match &base.origin {
            Origin::Image(reference) => match self.names.inputs.bases.get(reference) {
                Some(image) => {
                    let texts = image.config.config.on_build.as_deref().unwrap_or_default();
                    trigger::of_image(texts, &base.span, self.found)
                }
                None => Vec::new(),
            },
            Origin::Stage(parent) if self.names.replacement(*parent).is_none() => {
                trigger::of_stage(&self.names.file.stages[*parent])
            }
            Origin::Stage(_) | Origin::Scratch | Origin::Files(_) => Vec::new(),
        }
    }

    /// Each `from` in the stage, triggers first.
    fn froms(&mut self, index: usize, triggers: &[Trigger]) -> BTreeMap<(usize, usize), Named> {
        let own = &self.names.file.stages[index].instructions;
        let triggers = triggers.iter().map(|it| (&it.instruction, Some(it)));
        let all = triggers.chain(own.iter().map(|it| (it, None)));
        let givers = Givers {
            given: &self.names.inputs.build_args,
            globals: self.globals,
        };
        let mut scope = Args::default();
        let mut froms = BTreeMap::new();
        for (position, (instruction, trigger)) in all.enumerate() {
            if let Kind::Arg(pairs) = &instruction.kind {
                givers.declare(pairs, self.names.file.escape, &mut scope);
            }
            for (number, from) in written_froms(instruction) {
                let name = self.name_in(&scope, from);
                match name.and_then(|name| self.names.from(index, &name)) {
                    Ok(mut named) => {
                        if let Some(foreign) = trigger.and_then(|it| it.foreign.as_ref()) {
                            named.span = foreign.span.clone();
                        }
                        froms.insert((position, number), named);
                    }
                    Err(problem) => {
                        self.found.push(match trigger {
                            Some(trigger) => trigger.blamed(problem),
                            None => problem,
                        });
                        let span = from.span.clone();
                        let origin = Origin::Scratch;
                        froms.insert((position, number), Named { origin, span });
                    }
                }
            }
        }
        froms
    }

    /// `from` with variables replaced: ARGs in `scope`, and global ones (1.17).
    fn name_in(&self, scope: &Args, from: &Spanned<String>) -> Result<Name, Diagnostic> {
        let (text, span) = (&from.value, from.span.clone());
        if !text.contains('$') {
            return Ok(from.clone());
        }
        let value = |name: &str| {
            let value = scope.value(name).or_else(|| self.globals.value(name));
            value.map(str::to_owned)
        };
        let expanded = expand(text, self.names.file.escape, &value)
            .map_err(|error| Diagnostic::error(from.span_at(error.offset()), error.to_string()))?;
        match expanded.undefined.first() {
            None if !expanded.text.is_empty() => Ok(Name {
                value: expanded.text,
                span,
            }),
            None => {
                let message = format!("`{text}` is empty: a stage or an image is needed");
                Err(Diagnostic::error(span, message))
            }
            Some(name) => {
                let message = format!("`{name}` has no value that can be used in `{text}`");
                let hint = "here only `ARG`s count that have a value without the base image";
                Err(Diagnostic::error(span, message).with_hint(hint))
            }
        }
    }

    fn expand(&mut self, word: &Word) -> Option<String> {
        let mut found = Vec::new();
        let text = variables(self.names, self.globals).expand(word, &mut found);
        let renamed = found.into_iter().map(|it| match it.rule {
            Some(rules::UNDEFINED_VAR) => it.of_rule(rules::UNDEFINED_ARG_IN_FROM),
            _ => it,
        });
        self.found.extend(renamed);
        text
    }

    /// Whether `FROM` of stage `index` names something also without build arguments.
    fn check_default(&mut self, index: usize) {
        let word = &self.names.file.stages[index].base;
        if !word.value.contains('$') {
            return;
        }
        let text = variables(self.names, self.defaults).expand(word, &mut Vec::new());
        if text.is_some_and(|text| !self.names.can_be_base(index, &text)) {
            let message = format!("without build arguments, `{}` is no image", word.value);
            let warning = Diagnostic::warning(word.span.clone(), message)
                .with_hint("give the `ARG` a default with which it is one");
            self.found
                .push(warning.of_rule(rules::INVALID_DEFAULT_ARG_IN_FROM));
        }
    }

    /// What `FROM --platform` says (F13); `None` if it says nothing, or nothing that can be understood.
    fn platform(&mut self, stage: &Stage) -> Option<Platform> {
        let word = stage.platform.as_ref()?;
        let text = self.expand(word)?;
        let parsed = text.parse();
        let misspelt = |error: rbuild_oci::Error| {
            let inputs = self.names.inputs;
            let known = [&inputs.platform, &inputs.build_platform].map(ToString::to_string);
            self.found.push(Diagnostic {
                hint: did_you_mean(&text, known.iter().map(String::as_str)),
                ..Diagnostic::error(word.span.clone(), error.to_string())
            });
        };
        parsed.map_err(misspelt).ok()
    }
}

/// What `FROM` sees.
fn variables<'a>(names: Names<'_>, args: &'a Args) -> Variables<'a> {
    Variables {
        escape: names.file.escape,
        env: &[],
        args,
        certainty: Certainty::Complete,
    }
}

/// Each `from` of an instruction, with its number.
fn written_froms(instruction: &Instruction) -> Vec<(usize, &Spanned<String>)> {
    match &instruction.kind {
        Kind::Copy(copy) => copy.from.iter().map(|from| (0, from)).collect(),
        Kind::Run(run) => {
            let froms = run.mounts.iter().enumerate();
            froms
                .filter_map(|(number, mount)| Some((number, mount.from.as_ref()?)))
                .collect()
        }
        _ => Vec::new(),
    }
}
