//! Which stages are needed, and what `FROM` and `COPY --from` mean.
//!
//! Knows: names, numbers and platforms of stages; what a stage needs.
//! Does not know: what instructions do, nor what is inside of an image.
//!
//! Invariant: a stage depends only on stages before it, so going backwards from
//! the target meets each needed stage after all that need it. Stages that the
//! target does not need are not looked at: neither resolved nor complained about.
//!
//! Spec: dockerfile.md 1.5, C23; traps T15–T19.

use std::collections::{BTreeMap, BTreeSet};

use rbuild_dockerfile::Diagnostic;
use rbuild_dockerfile::ast::{Dockerfile, Kind, Span, Spanned, Stage};
use rbuild_oci::{Platform, Reference};

use crate::args::{self, Args};
use crate::inputs::Inputs;
use crate::variables::Variables;
use rbuild_dockerfile::suggest::did_you_mean;

/// The part of the file that the target needs.
pub(crate) struct Graph {
    /// Needed stages in file order; the target is the last.
    pub stages: Vec<Linked>,
    /// What `FROM` sees, and stages on request (A1).
    pub globals: Args,
}

/// A stage with its names resolved.
pub(crate) struct Linked {
    /// Position in the file.
    pub index: usize,
    /// What `FROM` names.
    pub base: Named,
    /// What `COPY --from` names, by the position of the instruction in its stage.
    pub copies: BTreeMap<usize, Named>,
}

/// A name in the file and what it stands for.
#[derive(Clone)]
pub(crate) struct Named {
    /// What it stands for.
    pub origin: Origin,
    /// Where it was written.
    pub span: Span,
}

/// Where files come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nowhere: `scratch`.
    Scratch,
    /// An image, by its reference as written, expanded.
    Image(String),
    /// An earlier stage, by its position in the file.
    Stage(usize),
}

/// Links the stages that the target needs; what is wrong with them goes to `found`.
/// `None` if there is no such target.
pub(crate) fn link(
    file: &Dockerfile,
    inputs: &Inputs,
    found: &mut Vec<Diagnostic>,
) -> Option<Graph> {
    let target = target(file, inputs).map_err(|it| found.push(it)).ok()?;
    let name = file.stages[target].name.as_ref();
    let automatic = Args::automatic(inputs, name.map_or("default", |name| &name.value));
    found.extend(args::unused(file, inputs, &automatic));
    let globals = args::globals(file, inputs, automatic, found);

    let mut linker = Linker {
        file,
        platform: &inputs.platform,
        globals: &globals,
        found,
    };
    let mut stages = Vec::new();
    let mut needed = BTreeSet::from([target]);
    while let Some(index) = needed.pop_last() {
        let Some(linked) = linker.stage(index) else {
            continue;
        };
        needed.extend(linked.origins().filter_map(|named| match named.origin {
            Origin::Stage(earlier) => Some(earlier),
            Origin::Scratch | Origin::Image(_) => None,
        }));
        stages.push(linked);
    }
    stages.reverse();
    Some(Graph { stages, globals })
}

impl Graph {
    /// All places that name the image `reference`.
    pub(crate) fn places_of(&self, reference: &str) -> impl Iterator<Item = (&Linked, &Named)> {
        self.names().filter(
            move |(_, named)| matches!(&named.origin, Origin::Image(image) if image == reference),
        )
    }

    /// References of images that `inputs` does not have yet, each once, in file order.
    pub(crate) fn missing(&self, inputs: &Inputs) -> Vec<String> {
        let mut missing: Vec<String> = Vec::new();
        for (_, named) in self.names() {
            if let Origin::Image(image) = &named.origin
                && !inputs.bases.contains_key(image)
                && !missing.contains(image)
            {
                missing.push(image.clone());
            }
        }
        missing
    }

    fn names(&self) -> impl Iterator<Item = (&Linked, &Named)> {
        self.stages
            .iter()
            .flat_map(|linked| linked.origins().map(move |named| (linked, named)))
    }
}

impl Linked {
    fn origins(&self) -> impl Iterator<Item = &Named> {
        std::iter::once(&self.base).chain(self.copies.values())
    }
}

/// Names of the stages before position `end`.
pub(crate) fn names_before(file: &Dockerfile, end: usize) -> impl Iterator<Item = &str> {
    file.stages[..end].iter().filter_map(name_of)
}

/// Position of the target: the last stage of that name, else the one of that number,
/// else, if none is asked for, the last one (F11).
fn target(file: &Dockerfile, inputs: &Inputs) -> Result<usize, Diagnostic> {
    let count = file.stages.len();
    let Some(wanted) = &inputs.target else {
        let nothing =
            || Diagnostic::error(0..0, "there is no `FROM`, so there is nothing to build");
        return count.checked_sub(1).ok_or_else(nothing);
    };
    let number = || wanted.parse().ok().filter(|&number| number < count);
    last_named(&file.stages, wanted)
        .or_else(number)
        .ok_or_else(|| {
            let message = format!("no stage named `{wanted}`: {}", listed(file));
            Diagnostic {
                hint: did_you_mean(wanted, names_before(file, count)),
                ..Diagnostic::error(0..0, message)
            }
        })
}

/// The choices for `--target`, in words.
fn listed(file: &Dockerfile) -> String {
    let names: Vec<String> = file
        .stages
        .iter()
        .enumerate()
        .map(|(index, stage)| match name_of(stage) {
            Some(name) => format!("`{name}`"),
            None => format!("`{index}`"),
        })
        .collect();
    match names.as_slice() {
        [] => "there are no stages".to_owned(),
        [only] => format!("the only stage is {only}"),
        all => format!("the stages are {}", all.join(", ")),
    }
}

/// Position of the last of `stages` with that name, ignoring case (F2, T19).
fn last_named(stages: &[Stage], name: &str) -> Option<usize> {
    stages
        .iter()
        .rposition(|stage| name_of(stage).is_some_and(|it| it.eq_ignore_ascii_case(name)))
}

fn name_of(stage: &Stage) -> Option<&str> {
    stage.name.as_ref().map(|name| name.value.as_str())
}

/// Resolves the names in one stage after the other.
struct Linker<'a> {
    file: &'a Dockerfile,
    platform: &'a Platform,
    globals: &'a Args,
    found: &'a mut Vec<Diagnostic>,
}

impl Linker<'_> {
    /// `None` if its base is wrong, which is reported.
    fn stage(&mut self, index: usize) -> Option<Linked> {
        let stage = &self.file.stages[index];
        self.check_platform(stage);
        let mut copies = BTreeMap::new();
        for (position, instruction) in stage.instructions.iter().enumerate() {
            if let Kind::Copy(copy) = &instruction.kind
                && let Some(from) = &copy.from
            {
                match self.copy_from(index, from) {
                    Ok(named) => drop(copies.insert(position, named)),
                    Err(diagnostic) => self.found.push(diagnostic),
                }
            }
        }
        let base = self.base(index)?;
        Some(Linked {
            index,
            base,
            copies,
        })
    }

    fn expand(&mut self, word: &Spanned<String>) -> Option<String> {
        let variables = Variables {
            escape: self.file.escape,
            env: &[],
            args: self.globals,
        };
        variables.expand(word, self.found)
    }

    /// Only this machine's platform can be built so far (F13).
    fn check_platform(&mut self, stage: &Stage) {
        let Some(word) = &stage.platform else { return };
        let Some(text) = self.expand(word) else {
            return;
        };
        let ours = self.platform.to_string();
        match text.parse::<Platform>() {
            Ok(wanted) if self.platform.matches(&wanted) => {}
            Ok(wanted) => {
                let message = format!("cannot build for `{wanted}` on this machine yet");
                let diagnostic = Diagnostic::error(word.span.clone(), message);
                self.found
                    .push(diagnostic.with_hint(format!("this machine is `{ours}`")));
            }
            Err(error) => self.found.push(Diagnostic {
                hint: did_you_mean(&text, [ours.as_str()]),
                ..Diagnostic::error(word.span.clone(), error.to_string())
            }),
        }
    }

    /// What `FROM` names: an earlier stage, `scratch` or an image (F5). A later stage of
    /// that name does not count: `FROM golang AS golang` is an image (T17).
    fn base(&mut self, index: usize) -> Option<Named> {
        let word = &self.file.stages[index].base;
        let text = self.expand(word)?;
        let span = word.span.clone();
        if text.is_empty() {
            let message = format!(
                "`{}` is empty: `FROM` needs an image or a stage",
                word.value
            );
            let diagnostic = Diagnostic::error(span, message)
                .with_hint("`FROM` sees only the `ARG`s before the first `FROM`");
            self.found.push(diagnostic);
            return None;
        }
        if let Some(earlier) = last_named(&self.file.stages[..index], &text) {
            return Some(Named {
                origin: Origin::Stage(earlier),
                span,
            });
        }
        if let Some(later) = last_named(&self.file.stages[index + 1..], &text) {
            let message = format!(
                "`{text}` is taken as an image: the stage of that name comes later (stage {})",
                index + 1 + later
            );
            self.found.push(Diagnostic::warning(span.clone(), message));
        }
        let named = self.image(index, text, span);
        named.map_err(|it| self.found.push(it)).ok()
    }

    /// What `--from` names: the number or the name of an earlier stage, or an image (C23).
    fn copy_from(&self, index: usize, from: &Spanned<String>) -> Result<Named, Diagnostic> {
        let (name, span) = (&from.value, from.span.clone());
        if name.contains('$') {
            let message = format!("cannot expand variables in `--from={name}`");
            return Err(Diagnostic::error(span, message)
                .with_hint("name a stage for it: `FROM image AS name`, where variables work"));
        }
        let stages = &self.file.stages;
        let number = name.parse::<usize>().ok();
        let earlier = last_named(&stages[..index], name);
        let Some(stage) = number.or(earlier).or_else(|| last_named(stages, name)) else {
            return self.image(index, name.clone(), span);
        };
        if stage < index {
            let origin = Origin::Stage(stage);
            return Ok(Named { origin, span });
        }
        let message = if stage == index {
            format!("stage `{name}` cannot copy from itself")
        } else if stage < stages.len() {
            format!("stage `{name}` comes later: a stage can copy only from earlier ones")
        } else {
            format!(
                "no stage number `{name}`: the last one is {}",
                stages.len() - 1
            )
        };
        Err(Diagnostic {
            hint: did_you_mean(name, names_before(self.file, index)),
            ..Diagnostic::error(span, message)
        })
    }

    /// A name that is not a stage's.
    fn image(&self, index: usize, text: String, span: Span) -> Result<Named, Diagnostic> {
        if text == "scratch" {
            let origin = Origin::Scratch;
            return Ok(Named { origin, span });
        }
        // A layout's path is the caller's business.
        let parsed = match text.strip_prefix("oci:") {
            Some(_) => Ok(()),
            None => {
                let name = text.strip_prefix("docker://").unwrap_or(&text);
                name.parse::<Reference>().map(drop)
            }
        };
        match parsed {
            Ok(()) => Ok(Named {
                origin: Origin::Image(text),
                span,
            }),
            Err(error) => Err(Diagnostic {
                hint: did_you_mean(&text, names_before(self.file, index)),
                ..Diagnostic::error(span, error.to_string())
            }),
        }
    }
}
