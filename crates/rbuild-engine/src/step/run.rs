//! RUN: a command in a tree, and who it runs as.

use std::{os::fd::AsFd, sync::Arc};

use rbuild_plan::{self as plan, Run, Security};
use rbuild_sandbox::{
    Cancel, CapabilitySet, Error as SandboxError, Exit, Network, Sandbox, Spec, Stdio, Stream,
    Traces,
    users::{Accounts, Identity},
};
use rbuild_sys::{Dir, Error as SysError};

use super::{StepError, copy::Owner, mounts};
use crate::{lines::Lines, work::Work};

/// Name of the machine that a command sees.
pub const HOSTNAME: &str = "rbuild";

/// Runs a command in a tree. The one seam between the loop and the machine: the sandbox in
/// production, something that edits the tree in tests.
pub trait Runner: Sync {
    /// Runs the command; tells `output` what it writes, in pieces.
    ///
    /// # Errors
    /// If it could not be run at all.
    fn run(
        &self,
        spec: &Spec<'_>,
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<Exit, SandboxError>;

    /// Ends the commands that run, and all that will: the build has failed.
    fn stop(&self) {}

    /// Whether commands are not to be run any more.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// The sandbox, and what ends its commands early.
#[derive(Clone)]
pub struct Confined<'a> {
    /// Where commands run.
    pub sandbox: &'a Sandbox,
    /// Ends them.
    pub cancel: Cancel,
    /// What commands get that are to have a private network.
    pub private: Private,
}

/// What commands get that are to have a private network.
#[derive(Clone)]
pub enum Private {
    /// That, or they fail.
    Strict,
    /// The builder's network where there is none to be had; the closure is told the reason each
    /// time.
    OrHost(Arc<dyn Fn(&SandboxError) + Send + Sync>),
}

impl<'a> Confined<'a> {
    /// Runs commands in `sandbox` until it is cancelled.
    ///
    /// # Errors
    /// When descriptors run out.
    pub fn new(sandbox: &'a Sandbox, private: Private) -> Result<Self, SysError> {
        Ok(Self {
            sandbox,
            cancel: Cancel::new()?,
            private,
        })
    }
}

impl Runner for Confined<'_> {
    fn run(
        &self,
        spec: &Spec<'_>,
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<Exit, SandboxError> {
        if let (Network::Private, Private::OrHost(tell)) = (spec.network, &self.private)
            && let Err(reason) = self.sandbox.start_private_network()
        {
            tell(&reason);
            let spec = Spec {
                network: Network::Host,
                ..spec.clone()
            };
            return self.sandbox.run(&spec, &self.cancel, output);
        }
        self.sandbox.run(spec, &self.cancel, output)
    }

    fn stop(&self) {
        self.cancel.cancel();
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

/// What became of a command.
pub(crate) struct Ran {
    /// [`StepError::Status`] if it did not exit with 0, [`StepError::Full`] if the disk may be
    /// why; [`StepError::Timeout`].
    pub outcome: Result<(), StepError>,
    /// To be erased from the tree's changes when the tree is unmounted.
    pub traces: Traces,
}

/// Runs `command` in `tree`; tells `output` each line that it writes, without the newline.
///
/// # Errors
/// If it could not be run: [`StepError::User`], [`StepError::Sandbox`] and those of its mounts.
pub(crate) fn run<'a>(
    work: &Work<'a>,
    tree: &Dir,
    command: &'a Run,
    output: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Ran, StepError> {
    let mut lines = Lines::default();
    let runner = work.builder.runner;
    let exit = with_spec(work, tree, command, |spec| {
        runner.run(&spec, &mut |stream, piece| lines.add(stream, piece, output))
    })?;
    lines.finish(output);
    let outcome = match (exit.status, exit.timed_out) {
        (0, None) => Ok(()),
        // The tree still has what the command wrote.
        (status, None) if rbuild_sys::file_system(tree).is_ok_and(|disk| disk.is_full) => {
            Err(StepError::Full { status })
        }
        (status, None) => Err(StepError::Status { status }),
        (_, Some(limit)) => Err(StepError::Timeout { limit }),
    };
    Ok(Ran {
        outcome,
        traces: exit.traces,
    })
}

/// Runs a shell in `tree` as `command` was to be run there: with its mounts, variables and user,
/// in its directory. `stdio` connects it with the user. Returns how it ended.
///
/// # Errors
/// As [`run`].
pub(crate) fn shell<'a>(
    work: &Work<'a>,
    tree: &Dir,
    command: &'a Run,
    stdio: Stdio<'_>,
) -> Result<Exit, StepError> {
    let runner = work.builder.runner;
    with_spec(work, tree, command, |spec| {
        let spec = Spec {
            argv: vec![shell_of(&command.argv)],
            env: with_terminal(spec.env),
            stdio,
            timeout: None,
            ..spec
        };
        runner.run(&spec, &mut |_, _| ())
    })
}

/// The shell that `argv` calls with `-c`, or the one that everybody has.
fn shell_of(argv: &[String]) -> String {
    let called = match argv {
        [shell, .., flag, _script] if flag == "-c" => Some(shell),
        _ => None,
    };
    called.map_or_else(|| "/bin/sh".to_owned(), Clone::clone)
}

/// `env` with the type of the terminal that programs in it have, unless it says one.
pub fn with_terminal(mut env: Vec<String>) -> Vec<String> {
    if !env.iter().any(|variable| variable.starts_with("TERM=")) {
        env.push("TERM=xterm".to_owned());
    }
    env
}

/// Gives `then` all that the sandbox needs to run `command` in `tree`.
fn with_spec<'a, T>(
    work: &Work<'a>,
    tree: &Dir,
    command: &'a Run,
    then: impl FnOnce(Spec<'_>) -> Result<T, SandboxError>,
) -> Result<T, StepError> {
    let identity = identity(tree, &command.user)?;
    let opened = mounts::open(work, command, &identity)?;
    let variables = command.env.iter().chain(&command.proxy_env);
    let variables = variables.map(|(name, value)| format!("{name}={value}"));
    let secrets = mounts::variables(work.builder, command)?;
    let devices = work.builder.devices.iter().cloned();
    let spec = Spec {
        root: tree.as_fd(),
        argv: command.argv.clone(),
        env: environment(variables.chain(secrets), &identity),
        cwd: command.cwd.clone(),
        identity,
        capabilities: match command.security {
            Security::Sandbox => work.builder.capabilities,
            Security::Insecure => CapabilitySet::ALL,
        },
        hostname: HOSTNAME.to_owned(),
        stdio: Stdio::Capture,
        mounts: devices.chain(mounts::for_sandbox(&opened)).collect(),
        network: match command.network {
            plan::Network::Private => Network::Private,
            plan::Network::None => Network::None,
            plan::Network::Host => Network::Host,
        },
        security: match command.security {
            Security::Sandbox => rbuild_sandbox::Security::Sandbox,
            Security::Insecure => rbuild_sandbox::Security::Insecure,
        },
        timeout: work.builder.timeout,
    };
    then(spec).map_err(StepError::Sandbox)
}

/// `variables` and, if they have none, the user's `HOME` (T48). What is no `NAME=value` is left
/// out (CVE-2026-57231).
pub fn environment(variables: impl Iterator<Item = String>, identity: &Identity) -> Vec<String> {
    let mut env: Vec<String> = variables
        .filter(|variable| variable.contains('='))
        .collect();
    if !env.iter().any(|variable| variable.starts_with("HOME=")) {
        env.push(format!("HOME={}", identity.home));
    }
    env
}

/// Who `user` (as written after `USER`) is in `tree`.
///
/// # Errors
/// [`StepError::User`].
pub fn identity(tree: &Dir, user: &str) -> Result<Identity, StepError> {
    let find = || Accounts::read(tree)?.identity(user);
    find().map_err(|source| StepError::User {
        user: user.to_owned(),
        source,
    })
}

/// Who `--chown=owner` means in `tree` (C20).
///
/// # Errors
/// [`StepError::User`].
pub fn chown(tree: &Dir, owner: &str) -> Result<Owner, StepError> {
    let find = || Accounts::read(tree)?.owner(owner);
    let (uid, gid) = find().map_err(|source| StepError::User {
        user: owner.to_owned(),
        source,
    })?;
    Ok(Owner::Fixed { uid, gid })
}
