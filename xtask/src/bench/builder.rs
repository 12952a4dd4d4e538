//! The builders and how each is told the same thing.
//!
//! The peers run rootless with their native overlay. Where crun or runc
//! cannot run (a host with a hybrid cgroup tree, for example) they get
//! `--isolation chroot`, which is also their fastest.

use std::path::{Path, PathBuf};
use std::process::Command;

use rbuild_testkit::{Account, Base, Output, Scratch};

use super::Phase;
use crate::error::{Error, run};
use crate::packages::path_of;

/// Who builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builder {
    /// Ours.
    Rbuild,
    /// `buildah bud --layers`.
    Buildah(Isolation),
    /// `podman build`.
    Podman(Isolation),
}

/// How a peer runs RUN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Through an OCI runtime, its default.
    Rootless,
    /// Without one.
    Chroot,
}

impl Isolation {
    fn name(self) -> &'static str {
        match self {
            Self::Rootless => "rootless",
            Self::Chroot => "chroot",
        }
    }
}

impl Builder {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rbuild => "rbuild",
            Self::Buildah(Isolation::Rootless) => "buildah",
            Self::Buildah(Isolation::Chroot) => "buildah (chroot)",
            Self::Podman(Isolation::Rootless) => "podman",
            Self::Podman(Isolation::Chroot) => "podman (chroot)",
        }
    }
}

/// The builders that can run a RUN step here; says why others cannot.
pub fn able(surroundings: &Surroundings) -> Vec<Builder> {
    let mut builders = vec![Builder::Rbuild];
    for (program, with) in [
        ("buildah", Builder::Buildah as fn(Isolation) -> Builder),
        ("podman", Builder::Podman as fn(Isolation) -> Builder),
    ] {
        if path_of(program).is_none() {
            eprintln!("{program}: not installed, left out");
            continue;
        }
        let tries = [Isolation::Rootless, Isolation::Chroot].map(with);
        match tries
            .into_iter()
            .find(|builder| surroundings.try_out(*builder))
        {
            Some(builder) => builders.push(builder),
            None => eprintln!("{program}: cannot run a RUN step here, left out"),
        }
    }
    builders
}

/// Where all of them build: one user, one disk, a store each.
pub struct Surroundings {
    /// The user's directory.
    pub scratch: Scratch,
    account: Account,
    binary: PathBuf,
}

impl Surroundings {
    /// Copies the rbuild binary to where the user can reach it.
    pub fn new(account: &Account, scratch: Scratch, binary: &Path) -> Result<Self, Error> {
        let copy = scratch.path().join("rbuild");
        run(Command::new("cp").arg(binary).arg(&copy))?;
        scratch.dir("runtime")?;
        Ok(Self {
            scratch,
            account: account.clone(),
            binary: copy,
        })
    }

    /// The command that builds the context `name` to an image of that name.
    pub fn build(&self, builder: Builder, name: &str, phase: Phase) -> Command {
        let mut command = self.builder(builder);
        match builder {
            Builder::Rbuild => command.arg("bud"),
            Builder::Buildah(isolation) => {
                command.args(["bud", "--layers", "--isolation", isolation.name()])
            }
            Builder::Podman(isolation) => {
                command.args(["build", "--layers", "--isolation", isolation.name()])
            }
        };
        if phase == Phase::Cold {
            command.arg("--no-cache");
        }
        let tag = format!("bench/{name}");
        command
            .args(["--quiet", "--tag", &tag])
            .arg(self.scratch.path().join(name));
        command
    }

    /// Gives a builder the base image in `archive` under its usual name.
    pub fn import(&self, builder: Builder, base: Base, archive: &Path) -> Result<(), Error> {
        if builder == Builder::Rbuild {
            let mut command = self.builder(builder);
            return run(command.arg("import").arg(archive).arg(base.image()));
        }
        let context = self.scratch.dir("import")?;
        run(Command::new("cp")
            .arg(archive)
            .arg(context.join("base.tar")))?;
        self.scratch
            .file("import/Dockerfile", "FROM scratch\nADD base.tar /\n")?;
        let tag = format!("localhost/{}", base.image());
        let mut command = self.builder(builder);
        run(command
            .args(["build", "--quiet", "--tag", &tag])
            .arg(context))
    }

    /// Can this builder run a step? A statically linked shell is enough.
    fn try_out(&self, builder: Builder) -> bool {
        let Some(busybox) = path_of("busybox") else {
            return false;
        };
        let dockerfile = "FROM scratch\nCOPY busybox /bin/sh\nRUN true\n";
        let copied = self.scratch.file("try/Dockerfile", dockerfile).is_ok()
            && run(Command::new("cp")
                .arg(busybox)
                .arg(self.scratch.path().join("try")))
            .is_ok();
        let output = Output::of(&mut self.build(builder, "try", Phase::Cold));
        copied && output.is_ok_and(|output| output.status == 0)
    }

    /// The builder with its store, up to the subcommand.
    fn builder(&self, builder: Builder) -> Command {
        let path = |name: &str| self.scratch.path().join(name);
        let program = match builder {
            Builder::Rbuild => self.binary.as_os_str(),
            Builder::Buildah(_) => "buildah".as_ref(),
            Builder::Podman(_) => "podman".as_ref(),
        };
        let mut command = self.account.command(program);
        command
            .current_dir(self.scratch.path())
            .env("XDG_RUNTIME_DIR", path("runtime"));
        match builder {
            Builder::Rbuild => command.arg("--root").arg(path("store")),
            Builder::Buildah(_) | Builder::Podman(_) => command
                .args(["--storage-driver", "overlay", "--root"])
                .arg(path(peer_store(builder)))
                .arg("--runroot")
                .arg(path(peer_store(builder)).join("run")),
        };
        command
    }
}

/// Each peer has its own store: in a common one the second would find the
/// first one's layers.
fn peer_store(builder: Builder) -> &'static str {
    if matches!(builder, Builder::Podman(_)) {
        "podman"
    } else {
        "buildah"
    }
}
