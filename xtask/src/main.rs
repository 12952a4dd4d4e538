//! `cargo xtask`: what this repository does to itself. A table of contents;
//! each task is the file of its name.
//!
//! Knows: cargo, the distribution's package manager, the command line of rbuild.
//! Does not know: any crate of rbuild but the test kit.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for a terminal"
)]

mod bases;
mod bench;
mod cargo;
mod ci;
mod demo;
mod devices;
mod error;
mod foreign;
mod packages;
mod privilege;
mod release;
mod test;
mod tidy;
mod torture;
mod users;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::Error;

/// What this repository can do to itself.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the Go example as an unprivileged user, show the sizes, run the result.
    ///
    /// Installs what the system lacks (as root or with `sudo -n`; else prints
    /// what is missing), makes two base images from distribution packages,
    /// and needs no network but the package mirror.
    Demo,
    /// Prepare this machine for every test, then do what `ci` does.
    ///
    /// Installs the packages that tests need, makes the test users and the
    /// base images, builds the release binary; then nothing may be skipped.
    Test,
    /// Check format, lints, house rules and all tests; change nothing.
    ///
    /// Tests that cannot run here fail (RBUILD_TEST_REQUIRE=1).
    Ci,
    /// Check the rules of docs/style.md that a machine can check.
    Tidy,
    /// Kill rbuild at every system call, at a thousand moments, and with less and less room.
    ///
    /// What `ci` tries a sample of; takes about ten minutes.
    Torture,
    /// Measure rbuild against buildah and podman, interleaved.
    ///
    /// Prints a markdown table of medians; peers that are not installed or
    /// cannot run here are left out, and the reason is said.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Demo => demo::run(),
        Task::Test => test::run(),
        Task::Ci => ci::run(),
        Task::Tidy => tidy::run(),
        Task::Torture => torture::run(),
        Task::Bench(args) => bench::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// Prints `error` and its causes, one per line.
fn report(error: &Error) {
    eprintln!("error: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        eprintln!("  caused by: {error}");
        cause = error.source();
    }
}
