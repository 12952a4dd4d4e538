//! A stage, instruction by instruction: configuration, ARGs in scope, history, steps.
//!
//! Knows: what each instruction does to the stage. `RUN` and the commands are in
//! [`crate::run`], `COPY` in [`crate::copy`].
//! Does not know: other stages.
//!
//! Invariant: an instruction sees the variables from before it (V1). An instruction
//! with an error is reported and leaves the stage as it was, so that the ones after
//! it are checked too.
//!
//! Spec: dockerfile.md 1.6–1.9, 1.16.

use rbuild_dockerfile::Diagnostic;
use rbuild_dockerfile::ast::{ArgPair, Instruction, Kind, Pair, Span, Word};
use rbuild_dockerfile::lint::check_port;
use rbuild_oci::{Empty, ImagePath};

use crate::args::{Args, Givers};
use crate::graph::{History, Stage, StageId, Step, StepId, Tree};
use crate::inputs::Inputs;
use crate::op::{Op, Source, Workdir};
use crate::trigger::{Foreign, Trigger};
use crate::variables::{Certainty, Variables};
use crate::{copy, entitlement, history, port, signal, title};

/// What all stages of a plan share.
pub(crate) struct Context<'a> {
    /// Escape character of the file.
    pub escape: char,
    /// The source text.
    pub text: &'a str,
    /// What the plan is made from.
    pub inputs: &'a Inputs,
    /// ARGs from before the first `FROM`.
    pub globals: &'a Args,
}

/// One stage while its instructions are folded into it.
pub(crate) struct Fold<'a> {
    /// What all stages share.
    pub context: &'a Context<'a>,
    /// The stage so far.
    pub stage: Stage,
    /// ARGs in scope so far.
    pub args: Args,
    /// Whether all variables are known.
    pub certainty: Certainty,
    /// A `CMD` was seen in this stage: `ENTRYPOINT` then keeps it (M2).
    pub cmd_is_ours: bool,
    steps: &'a mut Vec<Step>,
    id: StageId,
    found: Vec<Diagnostic>,
    /// What steps are called and where they are, if that is not in the file.
    foreign: Option<Foreign>,
}

impl<'a> Fold<'a> {
    /// A stage before its first instruction.
    pub(crate) fn new(
        context: &'a Context<'a>,
        id: StageId,
        (stage, args): (Stage, Args),
        steps: &'a mut Vec<Step>,
    ) -> Self {
        Self {
            context,
            stage,
            args,
            certainty: Certainty::Complete,
            cmd_is_ours: false,
            steps,
            id,
            found: Vec::new(),
            foreign: None,
        }
    }

    /// The stage, the ARGs in its scope, and what was wrong with it.
    pub(crate) fn finish(self) -> (Stage, Args, Vec<Diagnostic>) {
        (self.stage, self.args, self.found)
    }

    /// Applies one instruction. `source` says what its `from` with that number names: `COPY`
    /// has number 0, mounts are counted.
    pub(crate) fn instruction(
        &mut self,
        instruction: &Instruction,
        source: &dyn Fn(usize) -> Source,
    ) {
        let span = &instruction.span;
        let refused = entitlement::refusals(instruction, &self.context.inputs.allowed);
        if !refused.is_empty() {
            self.found.extend(refused);
            return;
        }
        // `None` means that an error was reported.
        let _: Option<()> = match &instruction.kind {
            Kind::Arg(pairs) => self.arg(pairs),
            Kind::Env(pairs) => self.env(pairs),
            Kind::Label(pairs) => self.label(pairs),
            Kind::Workdir(path) => self.workdir(path, span),
            Kind::User(user) => self.user(user),
            Kind::Expose(words) => self.expose(words),
            Kind::Stopsignal(signal) => self.stopsignal(signal),
            Kind::Volume(paths) => self.volume(paths),
            Kind::Shell(argv) => self.shell(argv),
            Kind::Cmd(command) => self.cmd(command),
            Kind::Entrypoint(command) => self.entrypoint(command),
            Kind::Run(run) => self.run(run, source, span),
            Kind::Copy(copy) => self.copy(copy, &source(0), span),
            Kind::Add(add) => self.add(add, span),
            Kind::Healthcheck(check) => self.healthcheck(check),
            Kind::Maintainer(name) => self.maintainer(&name.value),
            Kind::Onbuild(onbuild) => self.onbuild(&onbuild.text.value),
        };
    }

    /// Applies an instruction of the base; else as [`Self::instruction`].
    pub(crate) fn trigger(&mut self, trigger: &Trigger, source: &dyn Fn(usize) -> Source) {
        let before = self.found.len();
        self.foreign.clone_from(&trigger.foreign);
        self.instruction(&trigger.instruction, source);
        self.foreign = None;
        let problems = self.found.split_off(before);
        let problems = problems.into_iter().map(|it| trigger.blamed(it));
        self.found.extend(problems);
    }

    /// Makes the stage what a named context is: a copy of its files. `FROM` is at `span`.
    pub(crate) fn files(&mut self, name: &str, span: &Span) {
        let text = format!("FROM {name}");
        self.foreign = Some(Foreign {
            text: text.clone(),
            span: span.clone(),
        });
        self.push_step(Op::Copy(Box::new(copy::all_of(name))), span, text);
        self.foreign = None;
    }

    /// Kept for those who build on the image (O1).
    fn onbuild(&mut self, text: &str) -> Option<()> {
        let triggers = &mut self.stage.config.config.on_build;
        triggers.get_or_insert_default().push(text.to_owned());
        Some(())
    }

    /// `word` as this point of the stage understands it; `None` after an error.
    pub(crate) fn expand(&mut self, word: &Word) -> Option<String> {
        variables(self.context, &self.stage, (&self.args, self.certainty))
            .expand(word, &mut self.found)
    }

    /// The body of a heredoc as this point of the stage understands it; `None` after an error.
    pub(crate) fn expand_body(&mut self, body: &Word) -> Option<String> {
        variables(self.context, &self.stage, (&self.args, self.certainty))
            .expand_body(body, &mut self.found)
    }

    /// All of `words`; `None` after an error in any of them.
    pub(crate) fn expand_all(&mut self, words: &[Word]) -> Option<Vec<String>> {
        let expanded: Vec<_> = words.iter().map(|word| self.expand(word)).collect();
        expanded.into_iter().collect()
    }

    /// Reports an error.
    pub(crate) fn fail<T>(&mut self, diagnostic: Diagnostic) -> Option<T> {
        self.found.push(diagnostic);
        None
    }

    /// Reports what is no error.
    pub(crate) fn warn(&mut self, finding: Diagnostic) {
        self.found.push(finding);
    }

    /// The working directory so far; `/` if the base image says nothing or nonsense.
    pub(crate) fn cwd(&self) -> ImagePath {
        let path = &self.stage.config.config.working_dir;
        ImagePath::root().join(path).unwrap_or_else(ImagePath::root)
    }

    /// Appends the step of the instruction at `span`, with its history entry.
    pub(crate) fn push_step(&mut self, op: Op, span: &Span, created_by: String) {
        let index = u32::try_from(self.steps.len())
            .expect("a step takes bytes of a file that is in memory");
        let id = StepId(index);
        let (span, title) = match &self.foreign {
            Some(Foreign { text, span }) => (span, title::of(text, &(0..text.len()), '\\')),
            None => {
                let Context { text, escape, .. } = self.context;
                (span, title::of(text, span, *escape))
            }
        };
        self.steps.push(Step {
            stage: self.id,
            span: span.clone(),
            title,
            parent: std::mem::replace(&mut self.stage.tree, Tree::Step(id)),
            op,
        });
        self.stage.history.push(History {
            created_by,
            step: Some(id),
        });
    }

    /// Appends a history entry that has no layer.
    pub(crate) fn push_history(&mut self, created_by: String) {
        self.stage.history.push(History {
            created_by,
            step: None,
        });
    }

    fn arg(&mut self, pairs: &[ArgPair]) -> Option<()> {
        let givers = Givers {
            given: &self.context.inputs.build_args,
            globals: self.context.globals,
        };
        let variables = variables(self.context, &self.stage, (&self.args, self.certainty));
        let values = givers.values(pairs, &variables, &mut self.found);
        // Names only: values may be secrets, and history travels with the image (G5).
        let names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
        let created_by = format!("ARG {}", names.join(" "));
        for (name, value) in values {
            self.args.set(&name, value);
        }
        self.push_history(created_by);
        Some(())
    }

    fn env(&mut self, pairs: &[Pair]) -> Option<()> {
        let pairs = self.pairs(pairs)?;
        self.push_history(history::pairs("ENV", &pairs));
        for (name, value) in pairs {
            self.stage.config.set_env(&name, &value);
        }
        Some(())
    }

    fn label(&mut self, pairs: &[Pair]) -> Option<()> {
        let pairs = self.pairs(pairs)?;
        self.push_history(history::pairs("LABEL", &pairs));
        self.stage.config.config.labels.extend(pairs);
        Some(())
    }

    /// Expands keys and values (V9); all before any takes effect (V1).
    fn pairs(&mut self, pairs: &[Pair]) -> Option<Vec<(String, String)>> {
        let expanded: Vec<_> = pairs.iter().map(|pair| self.pair(pair)).collect();
        expanded.into_iter().collect()
    }

    fn pair(&mut self, pair: &Pair) -> Option<(String, String)> {
        let key = self.expand(&pair.key);
        let value = self.expand(&pair.value);
        let key = key?;
        if key.is_empty() {
            let message = format!("`{}` is empty, but a name is needed", pair.key.value);
            return self.fail(Diagnostic::error(pair.key.span.clone(), message));
        }
        Some((key, value?))
    }

    /// Each `WORKDIR` but `/` is a step: the directory exists from then on (W2, W3).
    fn workdir(&mut self, word: &Word, span: &Span) -> Option<()> {
        let text = self.expand(word)?;
        let Some(path) = self.cwd().join(&text) else {
            let message = "a path cannot have a NUL in it";
            return self.fail(Diagnostic::error(word.span.clone(), message));
        };
        path.as_str()
            .clone_into(&mut self.stage.config.config.working_dir);
        let created_by = format!("WORKDIR {path}");
        if path.is_root() {
            self.push_history(created_by);
        } else {
            let user = self.stage.config.config.user.clone();
            self.push_step(Op::Workdir(Workdir { path, user }), span, created_by);
        }
        Some(())
    }

    /// The author, not expanded (E9).
    fn maintainer(&mut self, name: &str) -> Option<()> {
        self.push_history(format!("MAINTAINER {name}"));
        self.stage.config.author = Some(name.to_owned());
        Some(())
    }

    fn user(&mut self, word: &Word) -> Option<()> {
        let user = self.expand(word)?;
        self.push_history(format!("USER {user}"));
        self.stage.config.config.user = user;
        Some(())
    }

    /// The ports of one instruction, sorted as written, ranges taken apart (E3).
    fn expose(&mut self, words: &[Word]) -> Option<()> {
        let mut specs = Vec::new();
        for word in words {
            let variables = variables(self.context, &self.stage, (&self.args, self.certainty));
            let texts = variables.expand_words(word, &mut self.found)?;
            if word.value.contains('$') {
                // Ports without variables were looked at with the text.
                let ports = texts.iter();
                self.found
                    .extend(ports.flat_map(|port| check_port(port, &word.span)));
            }
            specs.extend(texts.into_iter().map(|text| (text, word)));
        }
        specs.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut ports = Vec::new();
        for (text, word) in specs {
            match port::parse(&text) {
                Some(some) => ports.extend(some),
                None => {
                    let message = format!("`{text}` is not a port");
                    let hint = "ports are written `80`, `80/udp` or `8000-8010/tcp`";
                    let diagnostic = Diagnostic::error(word.span.clone(), message);
                    return self.fail(diagnostic.with_hint(hint));
                }
            }
        }
        self.push_history(history::go_list("EXPOSE", &ports));
        let set = ports.into_iter().map(|port| (port, Empty {}));
        self.stage.config.config.exposed_ports.extend(set);
        Some(())
    }

    fn stopsignal(&mut self, word: &Word) -> Option<()> {
        let text = self.expand(word)?;
        if !signal::is_signal(&text) {
            let message = format!("`{text}` is not a signal");
            return self.fail(Diagnostic {
                hint: signal::did_you_mean(&text),
                ..Diagnostic::error(word.span.clone(), message)
            });
        }
        self.push_history(format!("STOPSIGNAL {text}"));
        self.stage.config.config.stop_signal = Some(text);
        Some(())
    }

    /// Paths are stored as given, not cleaned (E8).
    fn volume(&mut self, words: &[Word]) -> Option<()> {
        let paths = self.expand_all(words)?;
        if let Some(empty) = paths.iter().position(String::is_empty) {
            let word = &words[empty];
            let message = format!("`{}` is empty, but a path is needed", word.value);
            return self.fail(Diagnostic::error(word.span.clone(), message));
        }
        self.push_history(history::go_list("VOLUME", &paths));
        let set = paths.into_iter().map(|path| (path, Empty {}));
        self.stage.config.config.volumes.extend(set);
        Some(())
    }

    fn shell(&mut self, argv: &[String]) -> Option<()> {
        self.push_history(history::go_list("SHELL", argv));
        self.stage.config.config.shell = Some(argv.to_vec());
        Some(())
    }
}

/// What `$name` means at this point. Takes its parts, so that findings can be added meanwhile.
fn variables<'a>(
    context: &Context<'_>,
    stage: &'a Stage,
    (args, certainty): (&'a Args, Certainty),
) -> Variables<'a> {
    Variables {
        escape: context.escape,
        env: &stage.config.config.env,
        args,
        certainty,
    }
}
