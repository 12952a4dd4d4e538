//! The `rbuild` program: what was typed → what is done. Only here: the environment, printing,
//! exit codes.

mod advice;
mod ahead;
mod allowance;
mod amount;
mod answer;
mod attest;
mod attributes;
mod bottoms;
mod caching;
mod cli;
mod command;
mod commission;
mod confine;
mod containers_conf;
mod contexts;
mod delivery;
mod description;
mod destination;
mod dockerfile;
mod emulation;
mod exchange;
mod explanation;
mod failure;
mod fetched;
mod find;
mod forecast;
mod image_filter;
mod image_list;
mod limits;
mod listeners;
mod metadata;
mod network;
mod on_failure;
mod order;
mod output;
mod planning;
mod platforms;
mod progress;
mod registry;
mod report;
mod secrets;
mod settings;
mod short_names;
mod signals;

mod source;
mod storage_tool;
mod subject;
mod target;
mod targets;
mod template;
mod terminal;
mod unseen;
mod uploads;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match command::execute(cli) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
