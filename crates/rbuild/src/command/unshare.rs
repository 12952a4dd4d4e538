//! `rbuild unshare`: a command of the host in the user namespace of builds.

use std::{
    ffi::OsString,
    io::ErrorKind,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode},
};

use crate::{
    cli::{Global, UnshareArgs},
    failure::Failure,
    settings,
};

/// Becomes the command.
///
/// # Errors
/// 126 if it cannot be executed, 127 if it is not there, 1 if there is no user namespace.
pub fn execute(global: &Global, args: &UnshareArgs) -> Result<ExitCode, Failure> {
    let store = std::path::absolute(settings::store_path(global)?)?;
    rbuild_sandbox::enter_unguarded()?;
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let words: Vec<OsString> = args.command.iter().map(OsString::from).collect();
    let (program, arguments) = match words.split_first() {
        Some((program, arguments)) => (program, arguments),
        None => (&shell, &[][..]),
    };
    let error = Command::new(program)
        .args(arguments)
        .env("RBUILD_STORE", &store)
        .exec();
    let (status, why) = match error.kind() {
        ErrorKind::NotFound => (127, "is not there".to_owned()),
        _ => (126, format!("cannot be executed: {error}")),
    };
    let program = Path::new(program).display();
    Err(Failure::message(format!("`{program}` {why}")).with_status(status))
}
