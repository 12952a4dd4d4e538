//! `--on-failure`: what is done with the files of a RUN that failed, before they are thrown away.
//!
//! Knows: the user and the terminal. Does not know: how a tree is opened ([`Remains`]).
//!
//! Spec: cli.md 2.5, wishes 4 and 5.

use std::{fs::File, io, path::PathBuf};

use rbuild_engine::{BaseTree, Builder, Failed, Remains, State};
use rbuild_export::{Annotations, Commit, Layers, Origin, Stamp, Telling, commit, write_path};
use rbuild_oci::{FileTimes, Format, ImageId, ImagePath};
use rbuild_plan::{Inheritance, Op, Stage, StepId};
use rbuild_sandbox::{Console, Stdio};
use rbuild_sys::is_terminal;

use crate::{
    commission::{base_image, built_layers},
    explanation::explain,
    failure::Failure,
    progress::Progress,
    report, settings, signals,
    source::Source,
    subject::Variant,
};

/// One `--on-failure`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Nothing.
    Fail,
    /// A shell among them.
    Shell,
    /// They become an image.
    Keep,
    /// Some are copied.
    Export {
        /// In the tree.
        path: ImagePath,
        /// Here.
        dest: PathBuf,
    },
}

impl OnFailure {
    /// Understands `fail`, `shell`, `keep` and `export=PATH[=DEST]`; DEST is the name of PATH if it
    /// is not given.
    ///
    /// # Errors
    /// What is wrong with `text`, for clap.
    pub fn parse(text: &str) -> Result<Self, String> {
        // A colon, as it was first proposed, is as good.
        match (text, text.split_once(['=', ':'])) {
            ("fail", _) => Ok(Self::Fail),
            ("shell", _) => Ok(Self::Shell),
            ("keep", _) => Ok(Self::Keep),
            (_, Some(("export", what))) => Self::export(what),
            _ => Err("it is `shell`, `keep`, `export=PATH[=DEST]` or `fail`".to_owned()),
        }
    }

    fn export(what: &str) -> Result<Self, String> {
        let (path, dest) = match what.split_once('=') {
            Some((path, dest)) => (path, Some(dest)),
            None => (what, None),
        };
        let absolute = Some(path).filter(|path| path.starts_with('/'));
        let path = absolute.and_then(|path| ImagePath::root().join(path));
        let path = path.ok_or("PATH is an absolute path in the image")?;
        let name = || path.as_str().rsplit('/').next().unwrap_or_default();
        match dest.unwrap_or_else(name) {
            "" => Err("it does not say where to".to_owned()),
            dest => Ok(Self::Export {
                dest: dest.into(),
                path,
            }),
        }
    }
}

/// `asked`, if it can be done here.
///
/// # Errors
/// If there is a shell, and nobody to use it.
pub fn possible(asked: &[OnFailure]) -> Result<Vec<OnFailure>, Failure> {
    if asked.contains(&OnFailure::Shell) && !is_terminal(io::stdin()) {
        return Err(Failure::message(
            "--on-failure=shell needs a terminal, and standard input is none",
        )
        .with_hint("--on-failure=keep makes an image of the files, to look at afterwards"));
    }
    if asked.len() > 1 && asked.contains(&OnFailure::Fail) {
        return Err(Failure::message(
            "--on-failure=fail means that nothing else is done",
        ));
    }
    Ok(asked.to_vec())
}

/// The terminal of the shell, if `asked` has one. To be called before other threads are started.
///
/// # Errors
/// If this process has no terminal.
pub fn console(asked: &[OnFailure]) -> Result<Option<Console>, Failure> {
    if !asked.contains(&OnFailure::Shell) {
        return Ok(None);
    }
    let open = || File::options().read(true).write(true).open("/dev/tty");
    let (typed, drawn) = (open()?, open()?);
    Ok(Some(Console::new(Some(typed.into()), drawn.into())?))
}

/// A build that failed in a RUN.
pub struct Aftermath<'a> {
    /// As before, but for the runner: that one was told to run nothing any more.
    pub builder: Builder<'a>,
    pub source: &'a Source,
    pub variant: &'a Variant,
    /// For a shell.
    pub console: Option<&'a Console>,
}

impl Aftermath<'_> {
    /// Tells why the build failed, and does with what is left what was asked for.
    pub fn of(&self, failed: Failed, asked: &[OnFailure], progress: &Progress) -> Failure {
        let failure = explain(failed.error, &self.variant.plan, self.source, progress);
        // Who interrupts a build is not interested.
        let remains = failed.remains.filter(|_| signals::status().is_none());
        let Some(remains) = remains else {
            return failure;
        };
        match self.see_to(remains, &failed.states, asked) {
            Ok(()) => failure,
            Err(another) => another,
        }
    }

    /// Files are copied first, an image is made last.
    fn see_to(
        &self,
        remains: Remains,
        states: &[Option<State>],
        asked: &[OnFailure],
    ) -> Result<(), Failure> {
        for one in asked {
            if let OnFailure::Export { path, dest } = one {
                write_path(&remains.tree(&self.builder)?, path, dest)?;
                report::note(&format!("copied `{path}` to `{}`", dest.display()));
            }
        }
        if let Some(console) = self.console {
            report::note("a shell in the tree of the RUN that failed; `exit` ends it");
            remains.shell(&self.builder, &self.variant.plan, Stdio::Terminal(console))?;
        }
        if asked.contains(&OnFailure::Keep) {
            let id = self.keep(remains, states)?.0.hex();
            let id = &id[..12];
            report::note(&format!("kept as image {id}: rbuild run -it {id} sh"));
        }
        Ok(())
    }

    /// Makes `remains` an image without a name, which runs as the RUN did.
    fn keep(&self, remains: Remains, states: &[Option<State>]) -> Result<ImageId, Failure> {
        let Variant { plan, resolved, .. } = self.variant;
        let step = remains.step;
        let session = self.builder.session;
        let kept = remains.keep(session)?;
        let stage = self.stage_at(step);
        let added = |id: StepId| match id == step {
            true => Some(kept),
            false => states[id.0 as usize].as_ref()?.added,
        };
        let none = Default::default();
        let place = (&**plan, plan.step(step).stage);
        if let Some(base) = plan.base_image(place.1) {
            let bring = |base: &BaseTree| self.builder.supplies.bring_image(&base.image);
            resolved.trees.get(base).map(bring).transpose()?;
        }
        let base = base_image(self.builder.store, place, resolved)?;
        let base = base.as_ref();
        let request = Commit {
            stage: &stage,
            base: base.map(|(image, name)| Origin { image, name: *name }),
            layers: &built_layers(&stage.history, added),
            grouping: Layers::PerStep,
            epoch: None,
            files: FileTimes::Kept,
            telling: Telling::Told,
            format: Format::Oci,
            annotations: Annotations {
                set: &none,
                unset: &[],
                of_base: Inheritance::Kept,
                created: Stamp::Written,
            },
            cache: &[],
            now: settings::now(),
            names: &[],
        };
        Ok(commit(self.builder.store, session, &request)?)
    }

    /// The stage of the RUN `step` as if it ended there, with what the RUN's command had.
    fn stage_at(&self, step: StepId) -> Stage {
        let plan = &self.variant.plan;
        let mut stage = plan.stage(plan.step(step).stage).clone();
        let end = stage.history.iter().position(|it| it.step == Some(step));
        stage.history.truncate(end.map_or(0, |end| end + 1));
        if let Op::Run(run) = &plan.step(step).op {
            let config = &mut stage.config.config;
            let variables = run.env.iter();
            config.env = variables
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            config.user.clone_from(&run.user);
            config.working_dir = run.cwd.to_string();
            config.entrypoint = None;
            config.cmd = Some(vec!["/bin/sh".to_owned()]);
        }
        stage
    }
}

#[cfg(test)]
mod tests {
    use rbuild_oci::ImagePath;

    use super::OnFailure;

    #[test]
    fn an_export_goes_to_a_file_of_the_same_name_unless_it_says_where() {
        for (text, path, dest) in [
            ("export=/src/report.xml", "/src/report.xml", "report.xml"),
            ("export=/a/../out/=here/it", "/out", "here/it"),
            ("export:/out=x", "/out", "x"),
        ] {
            let expected = OnFailure::Export {
                path: ImagePath::root().join(path).unwrap(),
                dest: dest.into(),
            };
            assert_eq!(OnFailure::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for text in ["", "export", "export=", "export=rel", "export=/", "shell=x"] {
            assert!(OnFailure::parse(text).is_err(), "{text}");
        }
    }
}
