//! The builders and how each is told the same thing.
//!
//! The peers run rootless with their native overlay. Where crun or runc
//! cannot run (a host with a hybrid cgroup tree, for example) they get
//! `--isolation chroot`, which is also their fastest.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;

use rbuild_testkit::{Account, Base, Output, Scratch};

use super::Phase;
use super::disk::Disk;
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

    /// The program.
    pub fn program(self) -> &'static str {
        match self {
            Self::Rbuild => "rbuild",
            Self::Buildah(_) => "buildah",
            Self::Podman(_) => "podman",
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

/// Where all of them build: one user, and stores of each on disks of their own.
pub struct Surroundings {
    /// By the directory of a store; without those that cannot be had here.
    disks: BTreeMap<PathBuf, Disk>,
    /// The user's directory.
    pub scratch: Scratch,
    /// The user.
    pub account: Account,
    binary: PathBuf,
}

impl Surroundings {
    /// Copies the rbuild binary to where the user can reach it.
    pub fn new(account: &Account, scratch: Scratch, binary: &Path) -> Result<Self, Error> {
        let copy = scratch.path().join("rbuild");
        run(Command::new("cp").arg(binary).arg(&copy))?;
        scratch.dir("runtime")?;
        scratch.dir("data")?;
        let mut disks = BTreeMap::new();
        for storage in [Storage::Usual, Storage::Apart] {
            for program in ["rbuild", "buildah", "podman"] {
                let home = scratch.dir(&format!("{}/{program}", storage.directory()))?;
                match Disk::mount(&home, account) {
                    Ok(disk) => drop(disks.insert(home, disk)),
                    Err(error) => eprintln!("{program}: no disk of its own: {error}"),
                }
            }
        }
        Ok(Self {
            disks,
            scratch,
            account: account.clone(),
            binary: copy,
        })
    }

    /// The command that builds the context `name` to an image of that name.
    pub fn build(&self, builder: Builder, name: &str, phase: Phase) -> Command {
        self.build_in((builder, Storage::Usual), name, phase)
    }

    /// The same in one of the builder's stores.
    pub fn build_in(
        &self,
        (builder, storage): (Builder, Storage),
        name: &str,
        phase: Phase,
    ) -> Command {
        let mut command = self.builder(builder, storage);
        match builder {
            Builder::Rbuild => command.arg("bud"),
            Builder::Buildah(isolation) => {
                command.args(["bud", "--layers", "--isolation", isolation.name()])
            }
            Builder::Podman(isolation) => {
                command.args(["build", "--layers", "--isolation", isolation.name()])
            }
        };
        if builder != Builder::Rbuild {
            // What rbuild does without being told.
            let cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
            command.args(["--jobs", &cpus.to_string()]);
        }
        if phase == Phase::Cold {
            command.arg("--no-cache");
        }
        let tag = format!("bench/{name}");
        command
            .args(["--quiet", "--tag", &tag])
            .arg(self.scratch.path().join(name));
        command
    }

    /// The command that pushes the image of the context `name` to a registry, all of its layers
    /// compressed in that format.
    pub fn push(
        &self,
        (builder, storage): (Builder, Storage),
        (name, to): (&str, &str),
        format: &str,
    ) -> Command {
        let mut command = self.builder(builder, storage);
        command
            .args(["push", "--quiet", "--tls-verify=false"])
            .args(["--compression-format", format])
            .arg(format!("localhost/bench/{name}"))
            .arg(format!("docker://{to}"));
        command
    }

    /// Gives a builder the base image in `archive` under its usual name.
    pub fn import(
        &self,
        (builder, storage): (Builder, Storage),
        base: Base,
        archive: &Path,
    ) -> Result<(), Error> {
        let mut command = self.builder(builder, storage);
        if builder == Builder::Rbuild {
            return run(command.arg("import").arg(archive).arg(base.image()));
        }
        let context = self.scratch.dir("import")?;
        run(Command::new("cp")
            .arg(archive)
            .arg(context.join("base.tar")))?;
        self.scratch
            .file("import/Dockerfile", "FROM scratch\nADD base.tar /\n")?;
        let tag = format!("localhost/{}", base.image());
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

    /// Deletes the store apart of a builder, and what the peers remember of blobs in registries
    /// besides: with that they would mount a layer instead of compressing and sending it.
    pub fn forget(&self, builder: Builder) -> Result<(), Error> {
        let mut remove = self.account.inside("rm");
        let remove = remove.arg("-rf");
        run(remove.arg(self.scratch.path().join("data/containers/cache")))?;
        match self.disks.get(&self.home(builder, Storage::Apart)) {
            Some(disk) => {
                if let Builder::Podman(_) = builder {
                    // Its pause process would keep the old disk mounted, and find images there.
                    let mut podman = self.builder(builder, Storage::Apart);
                    run(podman.args(["system", "migrate"]))?;
                }
                disk.renew()
            }
            None => run(remove.arg(self.store(builder, Storage::Apart))),
        }
    }

    /// The user's command for `program`, in the scratch directory.
    pub fn command(&self, program: &OsStr) -> Command {
        let mut command = self.account.command(program);
        command
            .current_dir(self.scratch.path())
            .env("XDG_DATA_HOME", self.scratch.path().join("data"))
            .env("XDG_RUNTIME_DIR", self.scratch.path().join("runtime"));
        command
    }

    /// Where a builder keeps images.
    pub fn store(&self, builder: Builder, storage: Storage) -> PathBuf {
        self.home(builder, storage).join("store")
    }

    fn home(&self, builder: Builder, storage: Storage) -> PathBuf {
        let homes = self.scratch.path().join(storage.directory());
        homes.join(builder.program())
    }

    /// The builder with its store, up to the subcommand.
    pub fn builder(&self, builder: Builder, storage: Storage) -> Command {
        let store = self.store(builder, storage);
        let program = match builder {
            Builder::Rbuild => self.binary.as_os_str(),
            Builder::Buildah(_) | Builder::Podman(_) => builder.program().as_ref(),
        };
        let mut command = self.command(program);
        match builder {
            Builder::Rbuild => command.arg("--root").arg(store),
            Builder::Buildah(_) | Builder::Podman(_) => command
                .args(["--storage-driver", "overlay", "--root"])
                .arg(&store)
                .arg("--runroot")
                .arg(store.join("run")),
        };
        command
    }
}

/// Which of its stores a builder uses. Each builder has its own: in a common one the second would
/// find the first one's layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// The one with the base images.
    Usual,
    /// Another one.
    Apart,
}

impl Storage {
    /// Where in the scratch directory such stores are.
    fn directory(self) -> &'static str {
        match self {
            Self::Usual => "stores",
            Self::Apart => "apart",
        }
    }
}
