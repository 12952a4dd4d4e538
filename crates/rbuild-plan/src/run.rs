//! `RUN`, `CMD`, `ENTRYPOINT`: commands and what they see.
//!
//! Knows: the shell form, the environment of a build command.
//! Does not know: how a command is run; mounts are in [`crate::mount`], devices in
//! [`crate::device`].
//!
//! Invariant: a proxy that nobody declared is in `proxy_env` only, so it is neither
//! in a key nor in history (A7).
//!
//! Spec: dockerfile.md 1.8, 1.12 R1–R2, 1.16.

use rbuild_dockerfile::ast::{self, Command, RunForm, Span};

use rbuild_oci::ImagePath;

use crate::args;
use crate::fold::Fold;
use crate::history;
use crate::op::{Network, Op, Run, Script, Security, Source};
use crate::variables::env_value;

/// What runs the shell form when neither `SHELL` nor the base image say anything.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

impl Fold<'_> {
    pub(crate) fn cmd(&mut self, command: &Command) -> Option<()> {
        let argv = self.argv(command);
        self.push_history(history::go_quoted_list("CMD", &argv));
        let config = &mut self.stage.config.config;
        config.cmd = none_if_empty(argv);
        config.args_escaped = true; // M3
        self.cmd_is_ours = true;
        Some(())
    }

    /// Forgets an inherited `CMD`: it was written for another entry point (M2).
    pub(crate) fn entrypoint(&mut self, command: &Command) -> Option<()> {
        let argv = self.argv(command);
        self.push_history(history::go_quoted_list("ENTRYPOINT", &argv));
        let config = &mut self.stage.config.config;
        config.entrypoint = none_if_empty(argv);
        if !self.cmd_is_ours {
            config.cmd = None;
        }
        Some(())
    }

    pub(crate) fn run(
        &mut self,
        run: &ast::Run,
        source: &dyn Fn(usize) -> Source,
        span: &Span,
    ) -> Option<()> {
        let mounts = self.mounts(&run.mounts, source);
        let script = match &run.form {
            RunForm::Program(heredoc) => Some(script(heredoc)?),
            _ => None,
        };
        let argv = match (&run.form, &script) {
            (_, Some(script)) => vec![script.path.to_string()],
            (RunForm::Command(command), None) => self.argv(command),
            (form, None) => {
                let mut argv = self.shell_argv();
                argv.extend(form.shell_text());
                argv
            }
        };
        let devices = self.devices(&run.devices);
        let args = self.visible_args();
        let names: Vec<&str> = args.iter().map(|(name, _)| name.as_str()).collect();
        let created_by = history::run(&names, &argv);
        let names = args.iter().map(|(name, _)| name.clone()).collect();
        let env: Vec<_> = self.image_env().into_iter().chain(args).collect();
        let run = Run {
            argv,
            proxy_env: self.proxy_env(&env),
            env,
            args: names,
            cwd: self.cwd(),
            user: self.stage.config.config.user.clone(),
            script,
            mounts: mounts?,
            network: self.network(run),
            security: run
                .security
                .as_ref()
                .map_or(Security::Sandbox, |it| match it.value {
                    ast::Security::Sandbox => Security::Sandbox,
                    ast::Security::Insecure => Security::Insecure,
                }),
            devices: devices?,
            ulimits: self.context.inputs.ulimits.clone(),
        };
        self.push_step(Op::Run(Box::new(run)), span, created_by);
        Some(())
    }

    /// That of the instruction, else that of the build (R5).
    fn network(&self, run: &ast::Run) -> Network {
        match run.network.as_ref().map(|it| it.value) {
            None | Some(ast::Network::Default) => self.context.inputs.network,
            Some(ast::Network::None) => Network::None,
            Some(ast::Network::Host) => Network::Host,
        }
    }

    /// Program and arguments: shell text becomes one argument of the shell (M1, R1).
    fn argv(&self, command: &Command) -> Vec<String> {
        match command {
            Command::Exec(argv) => argv.value.clone(),
            Command::Shell(text) => {
                let mut argv = self.shell_argv();
                argv.push(text.value.clone());
                argv
            }
        }
    }

    fn shell_argv(&self) -> Vec<String> {
        let shell = self.stage.config.config.shell.clone();
        shell
            .filter(|argv| !argv.is_empty())
            .unwrap_or_else(|| DEFAULT_SHELL.map(str::to_owned).to_vec())
    }

    /// The image's `Env`, each name once, with its last value.
    fn image_env(&self) -> Vec<(String, String)> {
        let env = &self.stage.config.config.env;
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, _) in env.iter().filter_map(|entry| entry.split_once('=')) {
            if let Some(value) = env_value(env, name)
                && !pairs.iter().any(|(seen, _)| seen == name)
            {
                pairs.push((name.to_owned(), value.to_owned()));
            }
        }
        pairs
    }

    /// ARGs with a value that no `ENV` hides (A4, A5).
    fn visible_args(&self) -> Vec<(String, String)> {
        let env = &self.stage.config.config.env;
        let visible = self
            .args
            .values()
            .filter(|(name, _)| env_value(env, name).is_none());
        visible
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Proxies from the command line, unless `env` has them already.
    fn proxy_env(&self, env: &[(String, String)]) -> Vec<(String, String)> {
        args::proxies(&self.context.inputs.build_args)
            .filter(|(name, _)| !env.iter().any(|(set, _)| set == *name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

/// The program that the heredoc holds, where BuildKit puts it (H6). `None` cannot be: a name has
/// neither slashes nor a NUL.
fn script(heredoc: &ast::Heredoc) -> Option<Script> {
    let path = ImagePath::root()
        .join("/dev/pipes")?
        .join(&heredoc.name.value)?;
    Some(Script {
        path,
        body: heredoc.body.value.clone(),
    })
}

/// Docker stores an empty command as none (P15).
fn none_if_empty(argv: Vec<String>) -> Option<Vec<String>> {
    (!argv.is_empty()).then_some(argv)
}
