//! Cargo, started from here: the same toolchain, the same target directory,
//! the workspace's root as working directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use rbuild_testkit::{rbuild_binary, target_dir};

use crate::error::{Error, run};

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a directory of the workspace")
}

/// `cargo args…` in the workspace.
pub fn cargo(args: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(workspace())
        .env("CARGO_TARGET_DIR", target_dir());
    command
}

/// Builds rbuild as it is shipped and returns the binary's path; with
/// `RBUILD_BIN` set, that binary is taken as it is.
pub fn release_binary() -> Result<PathBuf, Error> {
    if std::env::var_os("RBUILD_BIN").is_none() {
        run(&mut cargo(&["build", "--release", "--package", "rbuild"]))?;
    }
    Ok(rbuild_binary()?)
}
