//! What can be typed after `rbuild bud`, in the groups of its help.

use std::path::PathBuf;

use clap::Args;

use super::RegistryArgs;

const BUILD_NOTES: &str = "\
A step whose instruction, parent and input files are as before is not executed again. Stages that
the result does not need are neither executed nor pulled. Base images come from the store, else from
a registry; `FROM oci:DIR[:TAG]`, `oci-archive:`,
`docker-archive:` and `dir:` take one from files.

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
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten, next_help_heading = "The result")]
    pub result: ResultArgs,
    #[command(flatten, next_help_heading = "The steps")]
    pub steps: StepArgs,
    #[command(flatten, next_help_heading = "Registries")]
    pub registry: RegistryArgs,
}

/// What is built.
#[derive(Args, Debug)]
pub struct InputArgs {
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
    /// Build for this platform; only that of this machine for now
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// Print only the image's id
    #[arg(short, long)]
    pub quiet: bool,
}

/// What the image is like, and where it goes.
#[derive(Args, Debug)]
pub struct ResultArgs {
    /// Name of the result: NAME[:TAG]; repeatable
    #[arg(short, long, value_name = "NAME")]
    pub tag: Vec<String>,
    /// Add a label to the image; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Remove a label from the image, also one of its base; repeatable
    #[arg(long, value_name = "KEY")]
    pub unsetlabel: Vec<String>,
    /// Set a variable of the image's environment, not of RUN's; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Remove a variable from the image's environment; repeatable
    #[arg(long, value_name = "NAME")]
    pub unsetenv: Vec<String>,
    /// Put all new layers into one
    #[arg(long)]
    pub squash: bool,
    /// Also write the result elsewhere, `type=TYPE,dest=PATH`: `local` or just DIR (its files), `tar`
    /// or `-` (the same as a tar), `oci` and `docker` (archives; directories with tar=false),
    /// `registry` or `image` with push=true (name=HOST/NAME[:TAG]). dest=- is standard output; the
    /// id is not printed then. Also compression=gzip|zstd|uncompressed, compression-level=N,
    /// force-compression=true, oci-mediatypes=false; repeatable
    #[arg(short, long, value_name = "SPEC")]
    pub output: Vec<String>,
    /// Write the image's id to FILE
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
}

/// How the steps are executed.
#[derive(Args, Debug)]
pub struct StepArgs {
    /// Execute every step, even if its result is known
    #[arg(long)]
    pub no_cache: bool,
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
}

/// A command's network.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkMode {
    /// That of this machine.
    Host,
    /// None but a loopback interface.
    None,
}
