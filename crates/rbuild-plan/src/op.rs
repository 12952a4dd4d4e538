//! What a step does, with all variables replaced and all defaults filled in.
//!
//! Knows: nothing but values; who carries it out looks nothing up but files.
//!
//! Spec: dockerfile.md 1.9-1.12.

use rbuild_oci::{ImagePath, ModeChange};

use crate::graph::Tree;

/// What a step does.
#[derive(Clone, Debug)]
pub enum Op {
    /// Runs a command.
    Run(Box<Run>),
    /// Copies files in: `COPY` and `ADD`.
    Copy(Box<Copy>),
    /// Creates the working directory.
    Workdir(Workdir),
}

/// A command and all that it sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Program and arguments; the program is looked up in `PATH` of `env` inside the tree.
    pub argv: Vec<String>,
    /// The complete environment, in order, without proxies; `HOME` is added by the engine (R2).
    pub env: Vec<(String, String)>,
    /// Which of `env` are ARGs, by name.
    pub args: Vec<String>,
    /// Proxy variables: in the environment, but neither in the key nor in history (A7).
    pub proxy_env: Vec<(String, String)>,
    /// Working directory.
    pub cwd: ImagePath,
    /// `USER` verbatim; empty means root.
    pub user: String,
    /// A file that exists while the command runs and is its program: the body of a heredoc that
    /// starts with `#!` (H6).
    pub script: Option<Script>,
    /// What is mounted while the command runs, in order.
    pub mounts: Vec<Mount>,
    /// Which network it has.
    pub network: Network,
    /// How it is confined.
    pub security: Security,
    /// Which nodes of the host's `/dev` it has besides those of every command.
    pub devices: Vec<Device>,
    /// Limits of resources, `NAME=SOFT:HARD`, in order.
    pub ulimits: Vec<String>,
}

/// A program from the Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Where it is, mode 0755; the same as `argv[0]`.
    pub path: ImagePath,
    /// Its bytes.
    pub body: String,
}

/// The network of a command (R5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// One with a way out, apart from the host's where that is possible.
    #[default]
    Private,
    /// Only a loopback device.
    None,
    /// That of the host.
    Host,
}

/// How a command is confined (R6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// As every command is.
    #[default]
    Sandbox,
    /// By namespaces alone.
    Insecure,
}

/// A node of the host's `/dev` (R7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Where it is below `/dev`, on the host and for the command.
    pub path: ImagePath,
    /// It is an error if there is none; else it is left out.
    pub required: bool,
}

/// `RUN --mount` (R8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where; never the root.
    pub target: ImagePath,
    /// What.
    pub kind: MountKind,
}

/// The kinds of mounts, and what each is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// Files of the context or of another tree.
    Bind {
        /// Where they are from.
        source: Source,
        /// Path below its root, cleaned, without leading `/`; empty is the root.
        path: String,
        /// Writes are discarded.
        access: Access,
    },
    /// A directory that outlives the build.
    Cache(CacheMount),
    /// An empty directory.
    Tmpfs {
        /// Upper bound in bytes; `None` leaves it to the sandbox.
        size: Option<u64>,
    },
    /// A file that only this command sees.
    Secret(Secret),
    /// The user's ssh agent.
    Ssh {
        /// Which: `default` if not said.
        id: String,
        /// Its owner and mode.
        node: Node,
        /// It is an error if there is none.
        required: bool,
    },
}

/// `--mount=type=cache`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheMount {
    /// Its name in the store.
    pub id: String,
    /// What two commands do that want it at the same time.
    pub sharing: Sharing,
    /// What a new one starts with, and the path there; `None`: nothing.
    pub seed: Option<(Source, String)>,
    /// Owner and mode of a new one; `None` for an id that was not given: that of the command.
    pub mode: u32,
    /// User of a new one; `None`: who runs the command.
    pub uid: Option<u32>,
    /// Group of a new one; `None`: who runs the command.
    pub gid: Option<u32>,
    /// Whether it can be written.
    pub access: Access,
}

/// `--mount=type=secret`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// What the command line calls it.
    pub id: String,
    /// Whether there is a file.
    pub file: bool,
    /// The variable that holds it too.
    pub env: Option<String>,
    /// Owner and mode of the file.
    pub node: Node,
    /// Whether another content is a reason to run again (`cache=content`).
    pub counts: bool,
    /// It is an error if there is none; else the mount is left out.
    pub required: bool,
}

/// Owner and mode of something that is made for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// 0..=0o7777.
    pub mode: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Whether a mount can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only read.
    ReadOnly,
    /// Read and written.
    ReadWrite,
}

/// What commands do that want the same cache mount (R12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// They share it.
    Shared,
    /// The second gets another one.
    Private,
    /// The second waits.
    Locked,
}

/// Files to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Where [`Item::Path`]s are from.
    pub source: Source,
    /// What, in order.
    pub items: Vec<Item>,
    /// Where to, absolute.
    pub destination: ImagePath,
    /// The destination was written with a trailing `/` or `/.`, or is the working directory (C2).
    pub destination_is_dir: bool,
    /// `--chown=`, expanded, not empty.
    pub chown: Option<String>,
    /// `--chmod=`.
    pub chmod: Option<ModeChange>,
    /// `--link` (C22).
    pub link: bool,
    /// `--parents` (C24).
    pub parents: bool,
    /// `--exclude`, in order (C25).
    pub exclude: Vec<String>,
    /// What becomes of archives among the paths (X1).
    pub archives: Archives,
}

/// One thing to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A pattern below the source's root, cleaned: no leading `/`, no `..`; empty means the root
    /// itself (C1). With `--parents` a `./` in it is the pivot.
    Path(String),
    /// A file from the Dockerfile (H4).
    Inline {
        /// Its base name.
        name: String,
        /// Its bytes.
        content: String,
    },
    /// A file behind an `http` or `https` URL (X3).
    Url {
        /// As written, expanded.
        url: String,
        /// `sha256:…` that it must have.
        checksum: Option<String>,
        /// Whether it is unpacked if it is an archive.
        archives: Archives,
    },
    /// A git repository (X5).
    Git {
        /// As written, expanded: with fragment and query.
        url: String,
        /// Commit, or the start of its number, that it must be.
        checksum: Option<String>,
        /// `--keep-git-dir`; `None` leaves it to the URL.
        keep_git_dir: Option<bool>,
    },
}

/// What becomes of a file that is an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Archives {
    /// It is a file.
    Keep,
    /// It is unpacked.
    Unpack,
}

/// Where `COPY` and mounts take files from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The build context.
    Context,
    /// A named build context that is a directory of files.
    Named(String),
    /// A stage's or an image's tree.
    Tree(Tree),
}

/// A directory that must exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workdir {
    /// The directory.
    pub path: ImagePath,
    /// `USER` verbatim: the owner when it has to be created; empty means root (W2).
    pub user: String,
}

impl Source {
    /// The tree, if it is one.
    pub const fn tree(&self) -> Option<&Tree> {
        match self {
            Self::Tree(tree) => Some(tree),
            Self::Context | Self::Named(_) => None,
        }
    }
}

impl Op {
    /// The ids of secrets whose content counts.
    pub fn counted_secrets(&self) -> Vec<&str> {
        let Self::Run(run) = self else {
            return Vec::new();
        };
        let counted = run.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Secret(secret) if secret.counts => Some(secret.id.as_str()),
            _ => None,
        });
        counted.collect()
    }

    /// Where files come from: the source of a copy, those of mounts.
    pub fn sources(&self) -> Vec<&Source> {
        match self {
            Self::Copy(copy) => vec![&copy.source],
            Self::Run(run) => run.mounts.iter().filter_map(Mount::source).collect(),
            Self::Workdir(_) => Vec::new(),
        }
    }
}

impl Mount {
    /// Where its files come from, if it has any.
    pub const fn source(&self) -> Option<&Source> {
        match &self.kind {
            MountKind::Bind { source, .. } => Some(source),
            MountKind::Cache(CacheMount {
                seed: Some((source, _)),
                ..
            }) => Some(source),
            _ => None,
        }
    }
}
