//! The `rbuild` program: what was typed → what is done. Only here: the environment, printing,
//! exit codes.

mod advice;
mod amount;
mod bottoms;
mod cli;
mod command;
mod contexts;
mod destination;
mod dockerfile;
mod failure;
mod find;
mod image_filter;
mod output;
mod progress;
mod registry;
mod report;
mod secrets;
mod settings;
mod signals;
mod target;
mod template;
mod terminal;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match command::execute(cli) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
