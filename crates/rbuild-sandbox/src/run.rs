//! Runs one command: sets it up, passes on what it writes, waits for it, ends it when asked.

use std::{
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use rbuild_sys::{self as sys, Dir, Ended, Errno, NetworkNamespace, SpawnError, spawn};

use crate::{
    capability::CapabilitySet,
    control_group::{ControlGroup, Leaf},
    ending::{Cancel, Running},
    error::Error,
    etc_files::EtcFile,
    mount::{Mount, Shape, order},
    mount_point::{MountPoint, MountPoints, Parents},
    mount_source::Source,
    ops::{Fixture, Op, ops},
    program::{Handles, program},
    resource_limit::ResourceLimit,
    sandbox::Sandbox,
    spec::{Network, Spec},
    stdio::descriptors,
    traces::Traces,
};

/// Which of its two outputs a command wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit status; 128 + n if signal n killed it, as in a shell.
    pub status: u8,
    /// How much time it had, if it was killed because that was over.
    pub timed_out: Option<Duration>,
    /// Whether processes of it were killed because it had more memory than it may have.
    pub out_of_memory: bool,
    /// Files of `/etc` that found no place in the tree and were not to be seen.
    pub without: Vec<EtcFile>,
    /// What mount points may have left among the tree's changes: to be erased when the tree is
    /// unmounted.
    pub traces: Traces,
}

impl Sandbox {
    /// Runs `spec` until it ends, calling `output` with what it writes, as it comes: pieces of
    /// at most 64 KiB, not lines. Nothing that the command started is left afterwards.
    /// A cancelled command ends as killed: with status 137.
    ///
    /// # Errors
    /// When the command could not be started; what it does itself is in [`Exit`].
    pub fn run(
        &self,
        spec: &Spec<'_>,
        cancel: &Cancel,
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<Exit, Error> {
        let may_mount = spec.capabilities.contains(CapabilitySet::SYS_ADMIN);
        match self.interpreters().filter(|_| may_mount) {
            Some(interpreters) => interpreters.guarded(|| self.run_alone(spec, cancel, output)),
            None => self.run_alone(spec, cancel, output),
        }
    }

    /// The same; what it does to interpreters stays.
    fn run_alone(
        &self,
        spec: &Spec<'_>,
        cancel: &Cancel,
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<Exit, Error> {
        let failed = |source| Error::Run {
            program: spec.program().to_owned(),
            source,
        };
        let mut points = MountPoints::new(tree(spec).map_err(failed)?);
        let etc: Vec<_> = self
            .provided
            .iter()
            .filter_map(|&file| {
                let point = points.locate(file.path(), Shape::File, Parents::Require);
                Some((file, point.ok()?))
            })
            .collect();
        let placed: Vec<_> = etc.iter().map(|(file, _)| *file).collect();
        let network = match spec.network {
            Network::Private => Some(self.private_network()?),
            Network::Host | Network::None => None,
        };
        let leaf = self.control_group.as_ref().map(ControlGroup::leaf);
        let leaf = leaf.transpose()?;
        let ops = ops(spec, &self.around(spec.network), &placed);
        let mounts = ops
            .iter()
            .map(|op| self.mount(op, spec.network))
            .collect::<Result<Vec<_>, _>>()?;
        enter_devices(&mut points, &ops, &mounts).map_err(failed)?;
        let (stdio, ours) = descriptors(spec, terminals(&ops, &mounts)).map_err(failed)?;
        let asked = self.asked(spec, &mut points)?;
        let handles = Handles {
            network,
            control_group: leaf.as_ref().map(Leaf::procs),
            scope: self.scope(),
            stdio,
            mounts,
            etc,
            asked,
        };
        let child = {
            let steps = program(spec, &ops, (&handles, self.filter()))?;
            let network = match spec.network {
                Network::Host | Network::Private => NetworkNamespace::Shared,
                Network::None => NetworkNamespace::New,
            };
            spawn(&self.guardian, network, &steps).map_err(|error| explain(spec, &ops, error))?
        };
        // What was attached is the command's now. Pipes end when all copies are closed.
        let Handles {
            stdio,
            mounts,
            etc,
            asked,
            ..
        } = handles;
        drop((stdio, mounts, etc));
        let ending = Running::new(child, cancel, spec.timeout)
            .and_then(|running| ours.follow(running, output))
            .map_err(failed)?;
        drop(asked);
        let absent = |file: &EtcFile| !placed.contains(file);
        Ok(Exit {
            status: match ending.ended {
                Ended::Exited(status) => status,
                Ended::Killed(signal) => 128_u8.saturating_add(signal),
            },
            timed_out: spec.timeout.filter(|_| ending.timed_out),
            out_of_memory: leaf.is_some_and(|leaf| leaf.ran_out_of_memory()),
            without: self.provided.iter().copied().filter(absent).collect(),
            traces: points.remove(),
        })
    }

    /// What the mounts of `spec` show and where they go, in the order of the spec.
    fn asked(
        &self,
        spec: &Spec<'_>,
        points: &mut MountPoints,
    ) -> Result<Vec<(Source, MountPoint)>, Error> {
        let mut found: Vec<_> = spec.mounts.iter().map(|_| None).collect();
        for index in order(&spec.mounts) {
            let mount = &spec.mounts[index];
            let source = self.source(mount)?;
            let point = place(points, mount, &source)?;
            found[index] = Some((source, point));
        }
        Ok(found.into_iter().flatten().collect())
    }
}

/// A handle of our own on the tree.
fn tree(spec: &Spec<'_>) -> Result<Dir, sys::Error> {
    duplicate(spec.root).map(Dir::from_fd)
}

fn duplicate(fd: impl AsFd) -> Result<OwnedFd, sys::Error> {
    fd.as_fd()
        .try_clone_to_owned()
        .map_err(|source| sys::Error {
            call: "dup",
            operand: String::new(),
            source,
        })
}

/// The mount at /dev/pts.
fn terminals<'a>(ops: &[Op], mounts: &'a [Option<OwnedFd>]) -> Option<&'a OwnedFd> {
    let mut attached = ops.iter().zip(mounts);
    attached.find_map(|(op, mount)| match op {
        Op::Attach(Fixture::Pts, _) => mount.as_ref(),
        _ => None,
    })
}

/// Lets `points` find what is below the mounts at /dev.
fn enter_devices(
    points: &mut MountPoints,
    ops: &[Op],
    mounts: &[Option<OwnedFd>],
) -> Result<(), sys::Error> {
    for (op, mount) in ops.iter().zip(mounts) {
        let path: &[&str] = match op {
            Op::Attach(Fixture::Dev, _) => &["dev"],
            Op::Attach(Fixture::Shm, _) => &["dev", "shm"],
            _ => continue,
        };
        if let Some(mount) = mount {
            let path = path.iter().map(|name| name.as_bytes().to_vec()).collect();
            points.enter(path, Dir::from_fd(duplicate(mount)?));
        }
    }
    Ok(())
}

/// Finds the place of `mount`, which shows `source`; what is located later can be inside of it.
fn place(
    points: &mut MountPoints,
    mount: &Mount<'_>,
    source: &Source,
) -> Result<MountPoint, Error> {
    let target = mount.target.to_string();
    let (shape, directory) = (source.shape, source.shape == Shape::Directory);
    let failed = |cause: sys::Error| match cause.errno() {
        Some(Errno::BUSY) => Error::ForbiddenTarget {
            target: target.clone(),
        },
        _ => Error::MountTarget {
            shape: if directory { "directory" } else { "file" },
            target: target.clone(),
            source: cause,
        },
    };
    let point = points
        .locate(mount.target.as_str(), shape, Parents::Make)
        .map_err(failed)?;
    let top = point.path.first().map(Vec::as_slice);
    if matches!(top, Some(b"proc" | b"sys")) {
        return Err(Error::ForbiddenTarget {
            target: target.clone(),
        });
    }
    if directory {
        let root = duplicate(&source.mount).map_err(failed)?;
        points.enter(point.path.clone(), Dir::from_fd(root));
    }
    Ok(point)
}

/// Says what a failed step means for the user.
fn explain(spec: &Spec<'_>, ops: &[Op], error: SpawnError) -> Error {
    let program = spec.program().to_owned();
    let (index, errno) = match error {
        SpawnError::Start(source) => return Error::Run { program, source },
        SpawnError::Step { index, errno } => (index, errno),
    };
    let source = std::io::Error::from(errno);
    match ops.get(index) {
        Some(Op::Exec(_)) if errno == Errno::NOENT => Error::NotFound { program },
        Some(Op::Exec(_)) => Error::NotExecutable { program, source },
        Some(Op::WorkingDirectory(path)) => Error::WorkingDirectory {
            path: path.to_string(),
            source,
        },
        Some(Op::User(id)) if errno == Errno::INVAL => Error::UnmappedId {
            kind: "user",
            id: *id,
            source,
        },
        Some(Op::Group(id)) if errno == Errno::INVAL => Error::UnmappedId {
            kind: "group",
            id: *id,
            source,
        },
        Some(&Op::ResourceLimit(resource, soft, hard)) if errno == Errno::PERM => {
            let limit = ResourceLimit {
                resource,
                soft,
                hard,
            };
            Error::ResourceLimit { limit, source }
        }
        Some(op) => Error::SetUp {
            op: op.to_string(),
            source,
        },
        None => Error::NotExecutable { program, source },
    }
}
