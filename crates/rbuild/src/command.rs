//! What each command does: the only place where the crates meet.

mod build;
mod cache;
mod call;
mod df;
mod dump;
mod exists;
mod hand_over;
mod history;
mod images;
mod import;
mod info;
mod inspect;
mod load;
mod login;
mod logout;
mod manifest;
mod prune;
mod pull;
mod push;
mod run;
mod save;
mod store;
mod tag;
mod unshare;

use std::process::ExitCode;

use crate::{
    cli::{Cli, Command},
    failure::Failure,
};

/// Does what was asked for.
///
/// # Errors
/// [`Failure`] carries the exit status.
pub fn execute(cli: Cli) -> Result<ExitCode, Failure> {
    let global = &cli.global;
    match cli.command {
        Command::Build(args) => build::execute(global, &args),
        Command::Check(args) => call::check(&args),
        Command::Plan(args) => build::plan(global, *args),
        Command::Run(args) => run::execute(global, &args),
        Command::Unshare(args) => unshare::execute(global, &args),
        Command::Images(args) => images::execute(global, &args),
        Command::Inspect(args) => inspect::execute(global, &args),
        Command::History(args) => history::execute(global, &args),
        Command::Exists(args) => exists::execute(global, &args),
        Command::Tag(args) => tag::add(global, &args),
        Command::Untag(args) => tag::take(global, &args),
        Command::Rmi(args) => tag::remove(global, &args),
        Command::Pull(args) => pull::execute(global, &args),
        Command::Push(args) => push::execute(global, &args),
        Command::Manifest(args) => manifest::execute(global, &args),
        Command::Save(args) => save::execute(global, &args),
        Command::Load(args) => load::execute(global, &args),
        Command::Login(args) => login::execute(&args),
        Command::Logout(args) => logout::execute(&args),
        Command::Import(args) => import::execute(global, &args),
        Command::Export(args) => save::files(global, &args),
        Command::Prune(args) => prune::execute(global, &args),
        Command::Df(args) => df::execute(global, &args),
        Command::Cache(args) => cache::execute(global, &args),
        Command::Store(args) => store::execute(global, &args),
        Command::Info => info::execute(global),
        Command::Util(args) => dump::execute(&args),
    }
}
