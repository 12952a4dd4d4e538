//! What a name in `FROM`, `--from`, `from=` and `--after` stands for.
//!
//! Knows: contexts come before stages, and stages before images (F5); only earlier stages
//! can be used (F10).
//! Does not know: what instructions do, nor what is inside of an image.
//!
//! Spec: dockerfile.md 1.5, C23; traps T15, T17, T19.

use rbuild_dockerfile::Diagnostic;
use rbuild_dockerfile::ast::{Dockerfile, Span, Spanned, Stage};
use rbuild_dockerfile::lint::rules;
use rbuild_dockerfile::suggest::did_you_mean;
use rbuild_oci::{Location, Platform, Reference};

use crate::contexts;
use crate::inputs::{ContextKind, ImageRef, Inputs};

/// A name in the file and what it stands for.
#[derive(Clone)]
pub(crate) struct Named {
    /// What it stands for.
    pub origin: Origin,
    /// Where it was written.
    pub span: Span,
}

impl Named {
    /// If it is an image, the one for `platform` is meant.
    pub(crate) fn settle(&mut self, platform: &Platform) {
        if let Origin::Image(image) = &mut self.origin {
            image.platform.clone_from(platform);
        }
    }
}

/// Where files come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nowhere: `scratch`.
    Scratch,
    /// An image.
    Image(ImageRef),
    /// An earlier stage, by its position in the file.
    Stage(usize),
    /// A named context of files, by its key in [`Inputs::contexts`].
    Files(String),
}

/// The names that can be used.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a> {
    /// Stages have names.
    pub file: &'a Dockerfile,
    /// Contexts have names.
    pub inputs: &'a Inputs,
}

/// A name, expanded, and where it was written.
pub(crate) type Name = Spanned<String>;

impl Names<'_> {
    /// What replaces stage `index`: a context of its name.
    pub(crate) fn replacement(&self, index: usize) -> Option<Named> {
        let name = self.file.stages[index].name.as_ref()?;
        self.context(name)
    }

    /// What `FROM` of stage `index` names: a context, an earlier stage, `scratch` or an
    /// image. A later stage of that name does not count: `FROM golang AS golang` is an
    /// image (T17).
    pub(crate) fn base(
        &self,
        index: usize,
        name: &Name,
        found: &mut Vec<Diagnostic>,
    ) -> Option<Named> {
        let stages = &self.file.stages;
        let earlier = || last_named(&stages[..index], &name.value);
        if let Some(named) = self.context(name).or_else(|| Some(stage(earlier()?, name))) {
            return Some(named);
        }
        if let Some(later) = last_named(&stages[index + 1..], &name.value) {
            let message = format!(
                "`{}` is taken as an image: the stage of that name comes later (stage {})",
                name.value,
                index + 1 + later
            );
            found.push(Diagnostic::warning(name.span.clone(), message));
        }
        found.extend(unpinned(name));
        let named = self.image(index, name);
        named.map_err(|it| found.push(it)).ok()
    }

    /// Whether `FROM` of stage `index` can name `text`: a context, an earlier stage, or what is
    /// written like an image.
    pub(crate) fn can_be_base(&self, index: usize, text: &str) -> bool {
        contexts::of_name(self.inputs, text).is_some()
            || last_named(&self.file.stages[..index], text).is_some()
            || !text.is_empty() && checked(text).is_ok()
    }

    /// What `--from` in stage `index` names: the number or the name of an earlier stage, a
    /// context or an image (C23).
    pub(crate) fn from(&self, index: usize, name: &Name) -> Result<Named, Diagnostic> {
        let number = name.value.parse::<usize>().ok();
        if number.is_none()
            && let Some(context) = self.context(name)
        {
            return Ok(context);
        }
        let stages = &self.file.stages;
        let earlier = || last_named(&stages[..index], &name.value);
        let any = || last_named(stages, &name.value);
        match number.or_else(earlier).or_else(any) {
            Some(number) => self.earlier(index, number, name),
            None => self.image(index, name),
        }
    }

    /// What `--after` of stage `index` names: an earlier stage (F1).
    pub(crate) fn after(&self, index: usize, name: &Name) -> Result<Named, Diagnostic> {
        let stages = &self.file.stages;
        let number = name.value.parse::<usize>().ok();
        let earlier = || last_named(&stages[..index], &name.value);
        let any = || last_named(stages, &name.value);
        match number.or_else(earlier).or_else(any) {
            Some(number) => self.earlier(index, number, name),
            None => {
                let message = format!("no stage named `{}`", name.value);
                Err(self.hinted(index, name, message))
            }
        }
    }

    fn earlier(&self, index: usize, number: usize, name: &Name) -> Result<Named, Diagnostic> {
        if number < index {
            return Ok(stage(number, name));
        }
        let (text, count) = (&name.value, self.file.stages.len());
        let message = if number == index {
            format!("stage `{text}` cannot use itself")
        } else if number < count {
            format!("stage `{text}` comes later: a stage can use only earlier ones")
        } else {
            format!("no stage number `{text}`: the last one is {}", count - 1)
        };
        Err(self.hinted(index, name, message))
    }

    fn context(&self, name: &Name) -> Option<Named> {
        let (key, kind) = contexts::of_name(self.inputs, &name.value)?;
        let origin = match kind {
            ContextKind::Files => Origin::Files(key.to_owned()),
            ContextKind::Image(reference) if reference == "scratch" => Origin::Scratch,
            ContextKind::Image(reference) | ContextKind::Layout(reference) => {
                self.image_called(reference)
            }
        };
        let span = name.span.clone();
        Some(Named { origin, span })
    }

    /// A name that is neither a context's nor a stage's.
    fn image(&self, index: usize, name: &Name) -> Result<Named, Diagnostic> {
        let (text, span) = (&name.value, name.span.clone());
        if text == "scratch" {
            let origin = Origin::Scratch;
            return Ok(Named { origin, span });
        }
        match checked(text) {
            Ok(_) => Ok(Named {
                origin: self.image_called(text),
                span,
            }),
            Err(error) => {
                let diagnostic = self.hinted(index, name, error.to_string());
                Err(match error.hint() {
                    Some(hint) => diagnostic.with_hint(hint),
                    None => diagnostic,
                })
            }
        }
    }

    /// For the target's platform, as long as nobody says another one.
    pub(crate) fn image_called(&self, name: &str) -> Origin {
        Origin::Image(ImageRef {
            name: name.to_owned(),
            platform: self.inputs.platform.clone(),
        })
    }

    fn hinted(&self, index: usize, name: &Name, message: String) -> Diagnostic {
        Diagnostic {
            hint: did_you_mean(&name.value, before(self.file, index)),
            ..Diagnostic::error(name.span.clone(), message)
        }
    }
}

fn stage(index: usize, name: &Name) -> Named {
    Named {
        origin: Origin::Stage(index),
        span: name.span.clone(),
    }
}

/// The reference that `text` is; `None` for files, whose path is the caller's business.
pub(crate) fn checked(text: &str) -> Result<Option<Reference>, rbuild_oci::Error> {
    let location: Location = text.parse()?;
    Ok(location.reference().cloned())
}

/// Reported where it is asked for: the check is experimental.
fn unpinned(name: &Name) -> Option<Diagnostic> {
    let text = &name.value;
    let reference = checked(text).ok().flatten()?;
    if text == "scratch" || reference.digest.is_some() {
        return None;
    }
    let message = format!("what `{text}` is may change from build to build");
    let diagnostic = Diagnostic::warning(name.span.clone(), message);
    let hint = format!("write `{text}@sha256:…`");
    Some(diagnostic.with_hint(hint).of_rule(rules::UNPINNED_BASE))
}

/// Names of the stages before position `end`.
pub(crate) fn before(file: &Dockerfile, end: usize) -> impl Iterator<Item = &str> {
    file.stages[..end].iter().filter_map(of_stage)
}

/// Position of the last of `stages` with that name, ignoring case (F2, T19).
pub(crate) fn last_named(stages: &[Stage], name: &str) -> Option<usize> {
    stages
        .iter()
        .rposition(|stage| of_stage(stage).is_some_and(|it| it.eq_ignore_ascii_case(name)))
}

/// What `stage` is called.
pub(crate) fn of_stage(stage: &Stage) -> Option<&str> {
    stage.name.as_ref().map(|name| name.value.as_str())
}
