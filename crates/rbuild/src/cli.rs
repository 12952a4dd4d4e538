//! What can be typed: every command, flag and its help text has its one home here.
//!
//! Spellings are buildah's and podman's (cli.md section 2). Knows nothing of what they do.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use rbuild_oci::Platform;
use rbuild_plan::Extent;

mod attest;
mod build;
mod cache;
mod check;
mod confine;
mod description;
mod images;
mod limits;
mod manifest;
mod plan;
mod registry;
mod store;

use crate::amount;

pub use attest::*;
pub use build::*;
pub use cache::*;
pub use check::*;
pub use confine::*;
pub use description::*;
pub use images::*;
pub use limits::*;
pub use manifest::*;
pub use plan::*;
pub use registry::*;
pub use store::*;

/// Build container images from Dockerfiles: no daemon, no root, no container runtime.
///
/// The stages of a multi-stage Dockerfile run as trees stacked on trees in one process; only the
/// last stage (or each --target) becomes an image.
#[derive(Parser, Debug)]
#[command(name = "rbuild", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  rbuild bud -f Dockerfile.multi -t mygoapp:multi .   build an image
  rbuild run mygoapp:multi                            run it, in the same sandbox as RUN
  rbuild push mygoapp:multi docker://registry.example/mygoapp:1.0
  rbuild info                                         what this machine can do, and why not

Files: images and cache live in $XDG_DATA_HOME/rbuild (see --root). `rbuild COMMAND --help` says more.";

/// Options that every command takes, before or after its name.
#[derive(Args, Debug)]
pub struct Global {
    /// Keep images and cache in DIR [env: RBUILD_STORE] [default: $XDG_DATA_HOME/rbuild, or
    /// ~/.local/share/rbuild]
    #[arg(long, global = true, value_name = "DIR", display_order = 900)]
    pub root: Option<PathBuf>,
    /// When what is written to the store must survive a crash of the machine [env: RBUILD_SYNC]
    /// [default: commit]
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        display_order = 901
    )]
    pub sync: Option<Sync>,
}

/// When what is written must survive a crash of the machine.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// As soon as a command says that it is done.
    Commit,
    /// Some time later, which is faster; for machines that are thrown away.
    None,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Build an image from a Dockerfile
    #[command(name = "bud", visible_alias = "build")]
    Build(Box<BuildArgs>),
    /// Say what is wrong with a Dockerfile, and build nothing
    Check(FileCheckArgs),
    /// Tell which steps of a build would be executed, and why, and build nothing
    Plan(Box<PlanArgs>),
    /// Run a command in an image, in the foreground
    Run(Box<RunArgs>),
    /// Run a command of this machine in the user namespace of builds: it can read and remove what
    /// their users own
    Unshare(UnshareArgs),
    /// List the images in the store
    #[command(visible_alias = "ls")]
    Images(ImagesArgs),
    /// Show an image's configuration as JSON
    Inspect(InspectArgs),
    /// Show how an image was made
    History(HistoryArgs),
    /// Tell by the exit status whether the store has an image
    Exists(ExistsArgs),
    /// Give an image another name
    Tag(TagArgs),
    /// Take names away from an image
    Untag(UntagArgs),
    /// Remove names, and images that have no name left
    Rmi(RmiArgs),
    /// Fetch an image from a registry, an archive or a directory
    Pull(PullArgs),
    /// Send an image to a registry, an archive or a directory
    Push(PushArgs),
    /// Make lists of images for several platforms, and push them
    Manifest(ManifestArgs),
    /// Write images to an archive, with their names
    Save(SaveArgs),
    /// Take images from an archive, with their names
    Load(LoadArgs),
    /// Log in to a registry
    Login(LoginArgs),
    /// Forget the login for a registry
    Logout(LogoutArgs),
    /// Make an image from a root file system
    Import(ImportArgs),
    /// Write the files of an image as a tar
    Export(ExportArgs),
    /// Delete what no image needs: results of steps, images without a name, leftovers
    Prune(PruneArgs),
    /// Show what the store's disk space is used for
    Df(DfArgs),
    /// Look after what RUN --mount=type=cache keeps
    Cache(CacheArgs),
    /// Look after the store itself
    Store(StoreArgs),
    /// Say what this machine can do, and what rbuild uses
    Info,
    /// For contributors
    #[command(hide = true)]
    Util(UtilArgs),
}

/// For contributors.
#[derive(Args, Debug)]
pub struct UtilArgs {
    #[command(subcommand)]
    pub command: UtilCommand,
}

/// Looks into rbuild.
#[derive(Subcommand, Debug)]
pub enum UtilCommand {
    /// Print what a Dockerfile becomes on its way: each arrow of docs/architecture.md as text
    Dump(DumpArgs),
}

/// Print what a Dockerfile becomes on its way.
#[derive(Args, Debug)]
pub struct DumpArgs {
    /// The tree, the build graph, or the graph's cache keys
    #[arg(value_enum)]
    pub what: Dumped,
    /// The Dockerfile; `-` is standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Value of an ARG; repeatable
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// A stage to plan for; repeatable
    #[arg(long, value_name = "STAGE")]
    pub target: Vec<String>,
    /// Plan for all stages up to the last target
    #[arg(long)]
    pub all_stages: bool,
}

impl DumpArgs {
    /// What is planned besides the targets.
    pub fn extent(&self) -> Extent {
        match self.all_stages {
            true => Extent::All,
            false => Extent::Needed,
        }
    }
}

/// What can be printed.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dumped {
    /// What the parser makes of the text.
    Ast,
    /// What is going to be done. Base images are taken for empty ones: nothing is fetched.
    Plan,
    /// What the steps are remembered by, as if all files that are copied were empty.
    Keys,
}

const RUN_NOTES: &str = "\
The command gets the sandbox of RUN (docker's default capabilities, a network of its own), changed by
the flags below. What it writes is gone when it ends; so are the processes it leaves behind.
With -it it has a terminal: rbuild run -it NAME sh.
A command for another architecture needs an emulator on this machine, as a RUN does.

Exit status: that of the command, 128 + N after signal N, 137 after --timeout; 125 if it cannot be
started, 126 if the program cannot be executed, 127 if it is not there.";

/// Run a command in an image, in the foreground.
#[derive(Args, Debug)]
#[command(after_help = RUN_NOTES)]
pub struct RunArgs {
    /// Remove what the command wrote when it ends; always so, accepted for podman's users
    #[arg(long)]
    pub rm: bool,
    /// Let the command read this program's standard input
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the command a terminal of its own, shown on standard output
    #[arg(short, long)]
    pub tty: bool,
    /// End the command after so long: `90s`, `10m`; a number alone is seconds
    #[arg(long, value_name = "DURATION", value_parser = amount::delay)]
    pub timeout: Option<Duration>,
    /// Set an environment variable; repeatable
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Run as this user
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Run in this directory
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Run this instead of the image's entrypoint; empty means none
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// The network
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    pub network: NetworkMode,
    /// Of a list of images, run that for this platform; an image must be for it [default: this
    /// machine's, of a list]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<Platform>,
    /// The image, or a list of images
    #[arg(value_name = "NAME")]
    pub image: String,
    /// Command and arguments [default: the image's CMD]
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<String>,
    #[command(flatten, next_help_heading = "The sandbox")]
    pub confine: ConfineArgs,
}

/// Run a command of this machine in the user namespace of builds.
///
/// There, this user is root, and the ids that files of images belong to are numbers from 1 on. RBUILD_STORE names the
/// store. Nothing else is different: the command has this machine's files, network and processes.
#[derive(Args, Debug)]
pub struct UnshareArgs {
    /// Command and arguments [default: $SHELL, else /bin/sh]
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<String>,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command, Sync};

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_work_before_and_after_the_command() {
        for line in [
            "rbuild --root /s images",
            "rbuild images --root /s",
            "rbuild build --root /s .",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.global.root.as_deref(), Some("/s".as_ref()), "{line}");
        }
        let cli = Cli::try_parse_from("rbuild images --sync=none".split(' ')).unwrap();
        assert_eq!(cli.global.sync, Some(Sync::None));
    }

    #[test]
    fn the_command_of_run_may_have_flags() {
        let cli = Cli::try_parse_from("rbuild run --rm a:b ls --root -l".split(' ')).unwrap();
        let Command::Run(run) = cli.command else {
            unreachable!("it said run")
        };
        assert_eq!(run.command, ["ls", "--root", "-l"]);
    }
}
