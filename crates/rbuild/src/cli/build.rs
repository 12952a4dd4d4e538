//! What can be typed after `rbuild bud`, in the groups of its help.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use rbuild_plan::Extent;

use super::{
    AttestArgs, CallArgs, ConfineArgs, DescriptionArgs, PolicyArgs, PullPolicy, RegistryArgs,
};
use crate::{amount, on_failure::OnFailure};

const BUILD_NOTES: &str = "\
CONTEXT is a directory, an archive (tar, also compressed), a git repository
(`https://HOST/REPO.git#BRANCH:DIR`, `git@HOST:REPO`, `github.com/OWNER/REPO`), a URL of an
archive, or `-`, an archive on standard input. A text in place of an archive is a Dockerfile that
builds without files. In a context that is not a directory, -f names a file in it, and no ignore
file counts but that of --ignorefile.

Several --target make several images in one build, which share what they have in common. -t names
the one that has no name of its own.

With several platforms, -t names a list of their images, which `rbuild manifest` knows, and outputs
are an index (registry, oci) or a directory for each (local, tar). A RUN for another architecture
needs an emulator: one that this machine's kernel has (binfmt_misc), or a static qemu-ARCH-static or
qemu-ARCH in PATH (Debian: qemu-user-static), which the build then registers for itself. Stages
without RUN, and those `FROM --platform=$BUILDPLATFORM`, need none.

A step whose instruction, parent and input files are as before is not executed again. Stages that
no target needs are neither executed nor pulled, unless --all-stages says so. Base images come from
the store, else from a registry; `FROM oci:DIR[:TAG]`, `oci-archive:`, `docker-archive:` and `dir:`
take one from files.

With --timestamp, --source-date-epoch or SOURCE_DATE_EPOCH in the environment the same input gives
the same image, byte for byte.

A step that is executed is shown with what changed since the last time: its files, its ARGs, its base.

Exit status: 0, 1 if the build failed, 2 for a wrong command line, 3 if --require-cached was not
met, 128 + N after signal N.

Examples:
  rbuild bud -t app .
  rbuild bud -f Dockerfile.multi --target builder --build-arg VERSION=1.2 -t app:builder .
  rbuild bud --target app=app:1 --target debug=app:1-debug --all-stages .
  rbuild bud -t app https://git.example/app.git#v1.2:docker
  rbuild bud --platform linux/amd64,linux/arm64 -t quay.io/me/app:1 -o type=registry .
  rbuild bud --push -t registry.example/app:1 .
  rbuild bud -o type=local,dest=out .        the files of the result, in a directory
  generate-dockerfile | rbuild bud -f - .";

/// Build an image from a Dockerfile.
#[derive(Args, Debug)]
#[command(after_help = BUILD_NOTES)]
pub struct BuildArgs {
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub call: CallArgs,
    /// Build nothing, but tell which steps would be executed, and why, as `rbuild plan` does
    #[arg(short = 'n', long, conflicts_with_all = ["check", "call", "output", "push", "iidfile", "digestfile", "metadata_file"])]
    pub dry_run: bool,
    /// Print only the image's id, warnings and errors
    #[arg(short, long)]
    pub quiet: bool,
    /// When a registry is asked for base images [default: missing; alone: always]
    #[arg(long, value_enum, value_name = "POLICY", num_args = 0..=1, require_equals = true,
          default_value_t = PullPolicy::Missing, default_missing_value = "always",
          hide_default_value = true)]
    pub pull: PullPolicy,
    #[command(flatten, next_help_heading = "The result")]
    pub result: ResultArgs,
    #[command(flatten, next_help_heading = "What is said of the result")]
    pub attest: AttestArgs,
    #[command(flatten, next_help_heading = "What the image says of itself")]
    pub description: DescriptionArgs,
    #[command(flatten, next_help_heading = "The steps")]
    pub steps: StepArgs,
    #[command(flatten, next_help_heading = "The sandbox of RUN")]
    pub confine: ConfineArgs,
    #[command(flatten, next_help_heading = "Registries")]
    pub registry: RegistryArgs,
    #[command(flatten, next_help_heading = "Registries")]
    pub signatures: PolicyArgs,
}

/// What is built, or looked at.
#[derive(Args, Debug)]
pub struct InputArgs {
    /// What COPY takes files from: a directory, an archive, a git repository, a URL, or `-`
    #[arg(default_value = ".", value_name = "CONTEXT")]
    pub context: String,
    /// Read the instructions from FILE, which may also be in CONTEXT, or a URL; `-` is standard
    /// input; several continue each other
    /// [default: Containerfile, Dockerfile or dockerfile in CONTEXT]
    #[arg(short, long, value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// Hide from COPY what FILE says [default: FILE.dockerignore or FILE.containerignore beside
    /// the Dockerfile, .containerignore or .dockerignore in CONTEXT]
    #[arg(long, value_name = "FILE")]
    pub ignorefile: Option<PathBuf>,
    /// Make an image of the stage with that name or number, not of the last one; repeatable
    #[arg(long, value_name = "STAGE[=NAME]")]
    pub target: Vec<String>,
    /// Take IMAGE for what the first FROM names
    #[arg(long, value_name = "IMAGE")]
    pub from: Option<String>,
    /// Value of an ARG; without `=` it is taken from the environment; repeatable
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub build_arg: Vec<String>,
    /// Values of ARGs: a file of lines like those of --build-arg, which wins; `#` starts a comment;
    /// repeatable
    #[arg(long, value_name = "FILE")]
    pub build_arg_file: Vec<PathBuf>,
    /// Another place that FROM, COPY --from and RUN --mount=from can name: what CONTEXT can be but
    /// `-`, `NAME=docker-image://REF` or `NAME=oci-layout://DIR[:TAG]`; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub build_context: Vec<String>,
    /// Build for these platforms, several of which make a list of images; `local` is this machine;
    /// repeatable
    #[arg(long, value_name = "OS/ARCH[/VARIANT],…", value_delimiter = ',')]
    pub platform: Vec<String>,
    /// The same for one platform, in parts; what is missing is that of this machine
    #[arg(long, value_name = "OS", conflicts_with = "platform")]
    pub os: Option<String>,
    /// See --os
    #[arg(long, value_name = "ARCH", conflicts_with = "platform")]
    pub arch: Option<String>,
    /// See --os
    #[arg(long, value_name = "VARIANT", conflicts_with = "platform")]
    pub variant: Option<String>,
}

/// What the image is like, and where it goes.
#[derive(Args, Debug)]
pub struct ResultArgs {
    /// Name of the result: NAME[:TAG]; or a place that gets it: docker://HOST/NAME[:TAG],
    /// oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME], dir:DIR; repeatable
    #[arg(short, long, value_name = "NAME")]
    pub tag: Vec<String>,
    /// Add the result to the list of images NAME, made if it is missing; one for the same platform
    /// is replaced
    #[arg(long, value_name = "NAME")]
    pub manifest: Option<String>,
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
    /// `registry` or `image` with push=true (name=HOST/NAME[:TAG]; push-by-digest=true without a
    /// tag; registry.insecure=true trusts it as --tls-verify=false does). dest=- is standard output; the id is not printed then. Where only files are asked for,
    /// no image is made. Also compression=gzip|zstd|zstd:chunked|uncompressed, compression-level=N,
    /// force-compression=true, oci-mediatypes=false, rewrite-timestamp=BOOL, platform-split=BOOL,
    /// mode=delete (`local`: what else is in DIR is removed; below the current directory, or with
    /// --allow local.delete),
    /// annotation[-manifest|-manifest-descriptor|-index|-index-descriptor][[PLATFORM]].KEY=VALUE;
    /// repeatable
    #[arg(short, long, value_name = "SPEC")]
    pub output: Vec<String>,
    /// Send the result to the registries that its names say, as -o type=registry does: its layers
    /// leave while later steps still run
    #[arg(long)]
    pub push: bool,
    /// Send nothing to a registry; so it is anyway without --push and -o, accepted for kaniko's users
    #[arg(long, conflicts_with = "push")]
    pub no_push: bool,
    /// Keep the result in the store; so it is unless only files are asked for
    #[arg(long)]
    pub load: bool,
    /// Leave the results of the steps for --cache-from on other machines: NAME or
    /// type=registry,ref=NAME, type=local,dest=DIR[,tag=TAG], or type=inline, in the image itself.
    /// Also mode=min (only the layers of the targets) or max [default: max],
    /// compression=gzip|zstd|uncompressed, compression-level=N, ignore-error=true; repeatable
    #[arg(long, value_name = "SPEC")]
    pub cache_to: Vec<String>,
    /// Write the image's id, the digest of its configuration, to FILE
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
    /// Write the digest of the manifest to FILE that the first registry got, else the first layout or
    /// archive; with attestations, that of the list
    #[arg(long, value_name = "FILE", visible_alias = "digest-file")]
    pub digestfile: Option<PathBuf>,
    /// Write the image's id, names and the digest of its manifest to FILE, as JSON: as for
    /// --digestfile where that has one, else those of the store
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
}

/// How the steps are executed.
#[derive(Args, Debug)]
pub struct StepArgs {
    /// Also execute the stages that no target needs, up to the last target; they must succeed
    #[arg(long)]
    pub all_stages: bool,
    /// With `false`, the same as --all-stages
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_value_t = true, default_missing_value = "true",
          action = clap::ArgAction::Set)]
    pub skip_unused_stages: bool,
    /// Execute up to N steps at the same time, of all platforms together, when they do not need each
    /// other; the result does not depend on it; 0: no limit [default: the CPUs that this process may
    /// use]
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,
    /// Execute every step, even if its result is known
    #[arg(long)]
    pub no_cache: bool,
    /// Execute every step of these stages, by name or number, even if its result is known;
    /// repeatable
    #[arg(long, value_name = "STAGE,…", value_delimiter = ',')]
    pub no_cache_filter: Vec<String>,
    /// Execute steps whose results are older: 90s, 24h, 7d; 0 is the same as --no-cache
    #[arg(long, value_name = "DURATION")]
    pub cache_ttl: Option<String>,
    /// Execute nothing, or nothing of STAGE: if the result of a step is not known, say why, and
    /// end with status 3; repeatable
    #[arg(long, value_name = "STAGE", num_args = 0..=1, require_equals = true,
          default_missing_value = "", conflicts_with = "no_cache")]
    pub require_cached: Vec<String>,
    /// Take results of steps that other machines have left: NAME or type=registry,ref=NAME (also an
    /// image with an inline cache), type=local,src=DIR[,tag=TAG|,digest=DIGEST]. What is not there,
    /// or damaged, is executed; repeatable
    #[arg(long, value_name = "SPEC")]
    pub cache_from: Vec<String>,
    /// End a RUN that takes longer, and fail: `500ms`, `90s`, `10m`, `1h`
    #[arg(long, value_name = "DURATION", value_parser = amount::delay)]
    pub timeout: Option<Duration>,
    /// What to do with the files of a RUN that failed: `shell`, a shell among them, with the RUN's
    /// mounts, variables and user; `keep`, make them an image without a name, whose id is told;
    /// `export=PATH[=DEST]`, copy PATH out of them, here or to DEST; `fail`, nothing; repeatable
    #[arg(long, value_name = "WHAT", value_parser = OnFailure::parse)]
    pub on_failure: Vec<OnFailure>,
    /// The network of RUN instructions that do not say
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    pub network: NetworkMode,
    /// Take the proxies of the environment into RUN: `http_proxy` and its like
    /// [default: true, unless containers.conf says otherwise]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true")]
    pub http_proxy: Option<bool>,
    /// Let the Dockerfile have what a stranger's should not: `RUN --network=host` (allowed with
    /// --network=host anyway), `RUN --security=insecure` (and --security-opt seccomp=unconfined),
    /// `RUN --device=/dev/NODE`; and an -o with mode=delete a directory that is not below the current
    /// one; repeatable
    #[arg(long, value_enum, value_name = "WHAT")]
    pub allow: Vec<Allowed>,
    /// Give RUN --mount=type=secret,id=ID the content of FILE or of variable VAR:
    /// `id=ID[,src=FILE|,env=VAR]`; repeatable
    #[arg(long, value_name = "SPEC")]
    pub secret: Vec<String>,
    /// Give RUN --mount=type=ssh the agent behind SOCKET: `ID[=SOCKET]`
    /// [default SOCKET: $SSH_AUTH_SOCK]; repeatable
    #[arg(long, value_name = "SPEC")]
    pub ssh: Vec<String>,
}

impl StepArgs {
    /// What is built besides the targets.
    pub fn extent(&self) -> Extent {
        match self.all_stages || !self.skip_unused_stages {
            true => Extent::All,
            false => Extent::Needed,
        }
    }
}

/// What a build needs consent for.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// The network of this machine.
    #[value(name = "network.host")]
    NetworkHost,
    /// All system calls and capabilities that the user namespace has.
    #[value(name = "security.insecure")]
    SecurityInsecure,
    /// Devices of this machine, as far as this user may open them.
    #[value(name = "device")]
    Device,
    /// What else is in the directory of an `-o type=local,mode=delete`.
    #[value(name = "local.delete", alias = "buildx.local.delete")]
    LocalDelete,
}

/// A command's network.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkMode {
    /// `private` where this machine has what it takes, else `host`.
    #[default]
    Default,
    /// One of its own, with a way out through `pasta`; this machine's loopback interface and
    /// abstract sockets are not reachable.
    #[value(alias = "pasta")]
    Private,
    /// That of this machine.
    Host,
    /// None but a loopback interface.
    None,
}
