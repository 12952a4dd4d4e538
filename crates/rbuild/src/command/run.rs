//! `rbuild run`: a command in an image, in the foreground, in the sandbox of RUN.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    process::ExitCode,
};

use rbuild_engine::{Confined, HOSTNAME, Runner, environment, identity, with_terminal};
use rbuild_oci::{DEFAULT_PATH, ImageConfig, ImagePath};
use rbuild_sandbox::{Console, Input, Sandbox, Security, Spec, Stdio};
use rbuild_snapshot::{prepare, writable};
use rbuild_sys::{Dir, Upper};

use crate::{
    cli::{Global, RunArgs},
    confine::{Insecure, confines},
    containers_conf::ContainersConf,
    emulation,
    failure::Failure,
    find::find_for,
    network, report, settings, signals,
};

/// The status of podman and docker when the container could not be started.
const NOT_STARTED: u8 = 125;

/// Runs it; what it writes to the image's files is gone afterwards. Ends with its status.
///
/// # Errors
/// 125 if it cannot be started, 126 if the program cannot be executed, 127 if it is not there.
pub fn execute(global: &Global, args: &RunArgs) -> Result<ExitCode, Failure> {
    let signals = signals::hold()?;
    let console = console(args)?;
    // The command is the user's own, not a Dockerfile's.
    let confine = ContainersConf::configured()?.confine(&args.confine);
    let confines = confines(&confine, Insecure::Allowed)
        .map_err(|failure| failure.with_status(NOT_STARTED))?;
    let entered = rbuild_sandbox::enter_limited(confines.control.as_ref())
        .map_err(|error| Failure::from(error).with_status(NOT_STARTED))?;
    let store = settings::store(global)?;
    let session = store.begin()?;
    let image = find_for(&store, &args.image, args.platform.as_ref())?;
    let config: ImageConfig = serde_json::from_str(&image.record.config)?;
    let argv = argv(&config, args)?;

    let staged = session.new_layer()?;
    let bottoms = crate::bottoms::make(&session)?;
    let sandbox = Sandbox::new(entered, &bottoms.scratch, &confines.confinement)?;
    if let Some(platform) = config.platform() {
        emulation::enable_or_note(&platform, &sandbox);
    }
    let mut dirs = Vec::new();
    for layer in image.record.layers.iter().rev() {
        let gone = || {
            Failure::message(format!(
                "layer {} of `{}` is not in the store any more",
                layer.layer, args.image
            ))
        };
        dirs.push(session.layer(&layer.layer)?.ok_or_else(gone)?.diff);
    }
    let below: Vec<&Dir> = dirs.iter().collect();
    prepare(&staged.diff, below.first().copied())?;
    let upper = Upper {
        changes: &staged.diff,
        work: &staged.work,
    };
    let tree = writable(&below, &bottoms.below.skeleton, upper)?;

    let runner = Confined::new(&sandbox, network::private(args.network))?;
    signals::watch(signals, [runner.cancel.clone()]);
    let user = args.user.as_ref().unwrap_or(&config.config.user);
    let identity =
        identity(&tree, user).map_err(|error| Failure::from(error).with_status(NOT_STARTED))?;
    let directory = args.workdir.as_ref().unwrap_or(&config.config.working_dir);
    let env = environment(variables(&config, &args.env).into_iter(), &identity);
    let spec = Spec {
        root: tree.as_fd(),
        argv,
        env: match console {
            Some(_) => with_terminal(env),
            None => env,
        },
        cwd: ImagePath::root()
            .join(directory)
            .ok_or_else(|| Failure::message("the directory has a NUL in it"))?,
        identity,
        capabilities: confines.capabilities,
        hostname: HOSTNAME.to_owned(),
        stdio: match (&console, args.interactive) {
            (Some(console), _) => Stdio::Terminal(console),
            (None, true) => Stdio::Inherit(Input::Builders),
            (None, false) => Stdio::Inherit(Input::Nothing),
        },
        mounts: confines.devices.clone(),
        network: network::of_command(args.network),
        security: Security::Sandbox,
        timeout: args.timeout,
    };
    let exit = runner.run(&spec, &mut |_, _| ()).map_err(|error| {
        let status = error.exit_status().unwrap_or(NOT_STARTED);
        Failure::from(error).with_status(status)
    })?;
    if exit.out_of_memory {
        report::note("the command needs more memory than it may have: --memory gives it more");
    }
    Ok(ExitCode::from(signals::status().unwrap_or(exit.status)))
}

/// The user's side of `-t`: standard output and, with `-i`, standard input.
fn console(args: &RunArgs) -> Result<Option<Console>, Failure> {
    if !args.tty {
        return Ok(None);
    }
    let own = |fd: &dyn AsFd| -> io::Result<OwnedFd> { fd.as_fd().try_clone_to_owned() };
    let typed = args.interactive.then(|| own(&io::stdin())).transpose()?;
    Ok(Some(Console::new(typed, own(&io::stdout())?)?))
}

/// `ENTRYPOINT` and, behind it, the command or `CMD`; a given entrypoint drops `CMD`.
fn argv(config: &ImageConfig, args: &RunArgs) -> Result<Vec<String>, Failure> {
    let image = &config.config;
    let mut argv = match &args.entrypoint {
        Some(program) if program.is_empty() => Vec::new(),
        Some(program) => vec![program.clone()],
        None => image.entrypoint.clone().unwrap_or_default(),
    };
    match (&args.command[..], &args.entrypoint) {
        ([], None) => argv.extend(image.cmd.clone().unwrap_or_default()),
        (command, _) => argv.extend(command.iter().cloned()),
    }
    if argv.is_empty() {
        return Err(
            Failure::message(format!("`{}` says no command to run", args.image))
                .with_hint("add one: rbuild run NAME COMMAND")
                .with_status(NOT_STARTED),
        );
    }
    Ok(argv)
}

/// The image's variables with those of `--env` set.
fn variables(config: &ImageConfig, flags: &[String]) -> Vec<String> {
    let mut config = config.clone();
    if config.env("PATH").is_none() {
        config.set_env("PATH", DEFAULT_PATH);
    }
    for flag in flags {
        match flag.split_once('=') {
            Some((name, value)) => config.set_env(name, value),
            None => drop(std::env::var(flag).map(|value| config.set_env(flag, &value))),
        }
    }
    config.config.env
}
