//! What can be typed: every command, flag and its help text has its one home here.
//!
//! Spellings are buildah's and podman's (cli.md section 2). Knows nothing of what they do.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::amount;

/// Build container images from Dockerfiles: no daemon, no root, no container runtime.
///
/// The stages of a multi-stage Dockerfile run as trees stacked on trees in one process; only the
/// last stage (or --target) becomes an image.
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
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Build an image from a Dockerfile
    #[command(name = "bud", visible_alias = "build")]
    Build(Box<BuildArgs>),
    /// Run a command in an image, in the foreground
    Run(RunArgs),
    /// List the images in the store
    #[command(visible_alias = "ls")]
    Images(ImagesArgs),
    /// Show an image's configuration as JSON
    Inspect(InspectArgs),
    /// Give an image another name
    Tag(TagArgs),
    /// Remove names, and images that have no name left
    Rmi(RmiArgs),
    /// Fetch an image from a registry or an OCI layout
    Pull(PullArgs),
    /// Send an image to a registry or an OCI layout
    Push(PushArgs),
    /// Log in to a registry
    Login(LoginArgs),
    /// Forget the login for a registry
    Logout(LogoutArgs),
    /// Make an image from a root file system
    Import(ImportArgs),
    /// Delete what no image needs: results of steps, images without a name, leftovers
    Prune(PruneArgs),
    /// Show what the store's disk space is used for
    Df(DfArgs),
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
    /// The stage to plan for
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
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

const BUILD_NOTES: &str = "\
A step whose instruction, parent and input files are as before is not executed again. Stages that
the result does not need are neither executed nor pulled. Base images come from the store, else from
a registry; `FROM oci:DIR[:TAG]` takes one from an OCI layout.

With SOURCE_DATE_EPOCH in the environment the same input gives the same image, byte for byte.

Exit status: 0, 1 if the build failed, 2 for a wrong command line, 128 + N after signal N.

Examples:
  rbuild bud -t app .
  rbuild bud -f Dockerfile.multi --target builder --build-arg VERSION=1.2 -t app:builder .
  rbuild bud -o type=local,dest=out .        the files of the result, in a directory
  generate-dockerfile | rbuild bud -f - .";

/// Build an image from a Dockerfile.
#[derive(Args, Debug)]
#[command(after_help = BUILD_NOTES)]
pub struct BuildArgs {
    /// Directory that COPY takes files from
    #[arg(default_value = ".", value_name = "CONTEXT")]
    pub context: PathBuf,
    /// Read the instructions from FILE; `-` is standard input
    /// [default: Containerfile, Dockerfile or dockerfile in CONTEXT]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Check the Dockerfile and build nothing; exit status 1 when there are findings
    #[arg(long, conflicts_with_all = ["tag", "output", "iidfile"])]
    pub check: bool,
    /// Name of the result: NAME[:TAG]; repeatable
    #[arg(short, long, value_name = "NAME")]
    pub tag: Vec<String>,
    /// Stop after the stage with that name or number
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Value of an ARG; without `=` it is taken from the environment; repeatable
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// Another place that FROM, COPY --from and RUN --mount=from can name:
    /// `NAME=DIR`, `NAME=docker-image://REF` or `NAME=oci-layout://DIR[:TAG]`; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub build_context: Vec<String>,
    /// Set a variable of the image's environment, not of RUN's; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Remove a variable from the image's environment; repeatable
    #[arg(long, value_name = "NAME")]
    pub unsetenv: Vec<String>,
    /// Remove a label from the image, also one of its base; repeatable
    #[arg(long, value_name = "KEY")]
    pub unsetlabel: Vec<String>,
    /// Add a label to the image; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// The network of RUN instructions that do not say
    #[arg(long, value_enum, default_value_t = NetworkMode::Host, value_name = "MODE")]
    pub network: NetworkMode,
    /// Give RUN --mount=type=secret,id=ID the content of FILE or of variable VAR:
    /// `id=ID[,src=FILE|,env=VAR]`; repeatable
    #[arg(long, value_name = "SPEC")]
    pub secret: Vec<String>,
    /// Give RUN --mount=type=ssh the agent behind SOCKET: `ID[=SOCKET]`
    /// [default SOCKET: $SSH_AUTH_SOCK]; repeatable
    #[arg(long, value_name = "SPEC")]
    pub ssh: Vec<String>,
    /// Build for this platform; only that of this machine for now
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// Execute every step, even if its result is known
    #[arg(long)]
    pub no_cache: bool,
    /// Put all new layers into one
    #[arg(long)]
    pub squash: bool,
    /// Print only the image's id
    #[arg(short, long)]
    pub quiet: bool,
    /// Write the image's id to FILE
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// Also write the result elsewhere: `type=oci,dest=FILE` (an OCI archive) or
    /// `type=local,dest=DIR` (its files); repeatable
    #[arg(short, long, value_name = "SPEC")]
    pub output: Vec<String>,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// A command's network.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkMode {
    /// That of this machine.
    Host,
    /// None but a loopback interface.
    None,
}

/// How registries are talked to.
#[derive(Args, Debug)]
pub struct RegistryArgs {
    /// With `false`, plain http and unknown certificates are fine. More authorities to trust:
    /// --cert-dir, SSL_CERT_FILE, SSL_CERT_DIR
    /// [default: true, except for what registries.conf calls insecure]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub tls_verify: Option<bool>,
    /// Log in as USER; not used for mirrors, nor for short names that may mean several registries
    #[arg(long, value_name = "USER:PASSWORD")]
    pub creds: Option<String>,
    /// Take logins from FILE [env: REGISTRY_AUTH_FILE] [default:
    /// $XDG_RUNTIME_DIR/containers/auth.json, ~/.config/containers/auth.json, ~/.docker/config.json]
    #[arg(long, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
    /// Trust the authorities DIR/*.crt too, and show DIR/*.cert with its .key
    /// [default: HOST[:PORT] in ~/.config/containers/certs.d, /etc/containers/certs.d and
    /// /etc/docker/certs.d]
    #[arg(long, value_name = "DIR")]
    pub cert_dir: Option<PathBuf>,
    /// Try again so often what may work next time
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub retry: u32,
    /// Wait so long before that, e.g. 2s or 500ms; it doubles each time
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = amount::delay)]
    pub retry_delay: Duration,
}

/// Log in to a registry: checks the login there, and keeps it.
#[derive(Args, Debug)]
pub struct LoginArgs {
    /// HOST[:PORT], or HOST[:PORT]/NAMESPACE for a login of its own there
    #[arg(value_name = "REGISTRY")]
    pub registry: String,
    /// The user; asked for if it is not given
    #[arg(short, long, value_name = "USER")]
    pub username: Option<String>,
    /// The password; others on this machine can see it: better is --password-stdin
    #[arg(
        short,
        long,
        value_name = "PASSWORD",
        conflicts_with = "password_stdin"
    )]
    pub password: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    pub password_stdin: bool,
    /// Only print who is logged in
    #[arg(long)]
    pub get_login: bool,
    /// Keep the login in FILE [env: REGISTRY_AUTH_FILE] [default:
    /// $XDG_RUNTIME_DIR/containers/auth.json, else ~/.config/containers/auth.json]
    #[arg(long, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
    /// As for pull
    #[arg(long, value_name = "DIR")]
    pub cert_dir: Option<PathBuf>,
    /// With `false`, plain http and unknown certificates are fine
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub tls_verify: Option<bool>,
}

/// Forget a login.
#[derive(Args, Debug)]
pub struct LogoutArgs {
    /// As it was written for `login`
    #[arg(value_name = "REGISTRY", required_unless_present = "all")]
    pub registry: Option<String>,
    /// Forget all logins
    #[arg(short, long, conflicts_with = "registry")]
    pub all: bool,
    /// Remove the login from FILE [env: REGISTRY_AUTH_FILE] [default: as for login]
    #[arg(long, value_name = "FILE")]
    pub authfile: Option<PathBuf>,
}

const RUN_NOTES: &str = "\
The command gets the sandbox of RUN (docker's default capabilities, the host's network) and the
terminal. What it writes is gone when it ends; so are the processes it leaves behind.

Exit status: that of the command; 125 if it cannot be started, 126 if the program cannot be executed,
127 if it is not there.";

/// Run a command in an image, in the foreground.
#[derive(Args, Debug)]
#[command(after_help = RUN_NOTES)]
pub struct RunArgs {
    /// Remove what the command wrote when it ends; always so, accepted for podman's users
    #[arg(long)]
    pub rm: bool,
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
    /// The image
    #[arg(value_name = "NAME")]
    pub image: String,
    /// Command and arguments [default: the image's CMD]
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<String>,
}

/// List the images in the store.
#[derive(Args, Debug)]
pub struct ImagesArgs {
    /// Show only images of this name
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Print each image by a template: {{.Repository}} {{.Tag}} {{.ID}} {{.Digest}} {{.Created}}
    /// {{.CreatedAt}} {{.Size}} {{.Name}}
    #[arg(long, value_name = "TEMPLATE")]
    pub format: Option<String>,
    /// Print only ids
    #[arg(short, long)]
    pub quiet: bool,
    /// Do not shorten ids
    #[arg(long)]
    pub no_trunc: bool,
    /// Leave the headings out
    #[arg(short, long)]
    pub noheading: bool,
}

/// Show an image's configuration as JSON.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// Images, by name or id
    #[arg(required = true, value_name = "NAME")]
    pub images: Vec<String>,
}

/// Give an image another name.
#[derive(Args, Debug)]
pub struct TagArgs {
    /// The image, by name or id
    #[arg(value_name = "NAME")]
    pub image: String,
    /// Its new names
    #[arg(required = true, value_name = "NEW")]
    pub names: Vec<String>,
}

/// Remove names, and images that have no name left.
#[derive(Args, Debug)]
pub struct RmiArgs {
    /// Images, by name or id
    #[arg(value_name = "NAME", required_unless_present = "all")]
    pub images: Vec<String>,
    /// Remove all images
    #[arg(short, long)]
    pub all: bool,
    /// Remove an image given by id even if it has several names
    #[arg(short, long)]
    pub force: bool,
}

/// Fetch an image from a registry or an OCI layout.
#[derive(Args, Debug)]
pub struct PullArgs {
    /// NAME[:TAG][@DIGEST], docker://NAME or oci:DIR[:TAG]
    #[arg(value_name = "NAME")]
    pub image: String,
    /// Print only the image's id
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

/// Send an image to a registry or an OCI layout.
#[derive(Args, Debug)]
pub struct PushArgs {
    /// The image, by name or id
    #[arg(value_name = "NAME")]
    pub image: String,
    /// docker://HOST/NAME[:TAG] or oci:DIR[:TAG] [default: docker://NAME]
    #[arg(value_name = "DESTINATION")]
    pub destination: Option<String>,
    /// Write the digest of the manifest to FILE
    #[arg(long, value_name = "FILE")]
    pub digestfile: Option<PathBuf>,
    /// Print nothing
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub registry: RegistryArgs,
}

const IMPORT_NOTES: &str = "\
Example:
  mmdebstrap --variant=minbase bookworm | rbuild import - debian:12 --change 'CMD [\"bash\"]'";

/// Make an image from a root file system.
#[derive(Args, Debug)]
#[command(after_help = IMPORT_NOTES)]
pub struct ImportArgs {
    /// A tar (plain, gzip or zstd), `-` for standard input, or a directory
    #[arg(value_name = "ROOTFS")]
    pub source: PathBuf,
    /// NAME[:TAG] of the image
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Apply a Dockerfile instruction: ENV, CMD, ENTRYPOINT, WORKDIR, USER, LABEL, EXPOSE, VOLUME,
    /// STOPSIGNAL, SHELL; repeatable
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub change: Vec<String>,
    /// Print only the image's id
    #[arg(short, long)]
    pub quiet: bool,
}

/// Delete what no image needs: results of steps, images without a name, leftovers of killed builds.
///
/// Images with names stay, and so does what running builds use.
#[derive(Args, Debug)]
pub struct PruneArgs {
    /// Forget all results of steps, also those that named images consist of
    #[arg(short, long)]
    pub all: bool,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Only delete what was not used since (`until=24h`, `until=2026-01-31T00:00:00Z`), or images
    /// with or without a label (`label=KEY[=VALUE]`, `label!=KEY[=VALUE]`); repeatable
    #[arg(long, value_name = "FILTER")]
    pub filter: Vec<String>,
    /// Stop when the store needs no more than SIZE; the least recently used goes first
    #[arg(long, value_name = "SIZE")]
    pub max_used_space: Option<String>,
    /// Stop when SIZE is free on the file system; the least recently used goes first
    #[arg(long, value_name = "SIZE")]
    pub min_free_space: Option<String>,
    /// Keep what was used within DURATION: 90s, 24h, 7d
    #[arg(long, value_name = "DURATION")]
    pub keep_duration: Option<String>,
    /// Only say what would be deleted, and why
    #[arg(long)]
    pub dry_run: bool,
}

/// Show what the store's disk space is used for.
#[derive(Args, Debug)]
pub struct DfArgs {
    /// List every object, the largest first
    #[arg(short, long)]
    pub verbose: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = DfFormat::Table, value_name = "FORMAT")]
    pub format: DfFormat,
}

/// How `df` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DfFormat {
    /// Columns, for people.
    Table,
    /// One object, sizes in bytes.
    Json,
}

/// Look after the store itself.
#[derive(Args, Debug)]
pub struct StoreArgs {
    #[command(subcommand)]
    pub command: StoreCommand,
}

/// What to do with the store.
#[derive(Subcommand, Debug)]
pub enum StoreCommand {
    /// Read everything and say what is damaged
    Check(CheckArgs),
}

/// Read everything and say what is damaged.
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Delete what is damaged, and forget the names that led there
    #[arg(long)]
    pub repair: bool,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command};

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
