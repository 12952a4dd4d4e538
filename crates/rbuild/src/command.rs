//! What each command does: the only place where the crates meet.

mod build;
mod cache;
mod call;
mod df;
mod dump;
mod exists;
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
    let root = cli.global.root.as_deref();
    match cli.command {
        Command::Build(args) => build::execute(root, &args),
        Command::Check(args) => call::check(&args),
        Command::Plan(args) => build::plan(root, *args),
        Command::Run(args) => run::execute(root, &args),
        Command::Unshare(args) => unshare::execute(root, &args),
        Command::Images(args) => images::execute(root, &args),
        Command::Inspect(args) => inspect::execute(root, &args),
        Command::History(args) => history::execute(root, &args),
        Command::Exists(args) => exists::execute(root, &args),
        Command::Tag(args) => tag::add(root, &args),
        Command::Untag(args) => tag::take(root, &args),
        Command::Rmi(args) => tag::remove(root, &args),
        Command::Pull(args) => pull::execute(root, &args),
        Command::Push(args) => push::execute(root, &args),
        Command::Manifest(args) => manifest::execute(root, &args),
        Command::Save(args) => save::execute(root, &args),
        Command::Load(args) => load::execute(root, &args),
        Command::Login(args) => login::execute(&args),
        Command::Logout(args) => logout::execute(&args),
        Command::Import(args) => import::execute(root, &args),
        Command::Export(args) => save::files(root, &args),
        Command::Prune(args) => prune::execute(root, &args),
        Command::Df(args) => df::execute(root, &args),
        Command::Cache(args) => cache::execute(root, &args),
        Command::Store(args) => store::execute(root, &args),
        Command::Info => info::execute(root),
        Command::Util(args) => dump::execute(&args),
    }
}
