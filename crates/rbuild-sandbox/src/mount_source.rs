//! Makes what a command's mounts show: detached mounts, ready to be attached.
//!
//! Invariant: a source is opened inside its tree, once, by handle; what the handle is open on is
//! what is mounted, whatever the name means by then (CVE-2024-1753, CVE-2024-11218). Secrets are
//! in memory only.

use std::{
    ffi::OsStr,
    fs::File,
    io::Write,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
};

use rbuild_oci::ImagePath;
use rbuild_sys::{
    self as sys, Depth, Dir, Errno, FileKind, MountLimits, OFlags, Upper, attach_mount,
    clone_mount, copy_contents, file_stat, limit_mount, new_mount, overlay,
};

use crate::{
    agent::Forwarding,
    error::Error,
    mount::{BindAccess, FileOwner, Mount, MountKind, Shape},
    sandbox::Sandbox,
};

/// What is mounted, attached nowhere yet.
pub(crate) struct Source {
    pub(crate) mount: OwnedFd,
    pub(crate) shape: Shape,
    /// Must stay until the mount is attached.
    _name: Option<Name>,
    /// Serves the mount while it lives.
    _forwarding: Option<Forwarding>,
}

/// The name of a file in the builder's memory. Dropping it takes the name away; a mount of the
/// file stays. What has no name any more cannot be attached.
struct Name {
    dir: Dir,
    name: Vec<u8>,
}

impl Drop for Name {
    fn drop(&mut self) {
        // Nobody else sees the directory, and it ends with the builder.
        let _ = self.dir.unlink(&self.name);
    }
}

impl Sandbox {
    /// Makes what `mount` shows.
    pub(crate) fn source(&self, mount: &Mount<'_>) -> Result<Source, Error> {
        let failed = |source| Error::MakeMount {
            target: mount.target.to_string(),
            source,
        };
        let made = |shape, mount| Source {
            mount,
            shape,
            _name: None,
            _forwarding: None,
        };
        match &mount.kind {
            MountKind::Bind {
                source,
                path,
                access,
            } => {
                let found = find(source, path)?;
                let limits = mount.kind.limits();
                let bound = self.with_place(source, || found.bind(*access, limits));
                Ok(made(found.shape, bound.map_err(failed)?))
            }
            MountKind::Cache { dir, .. } => {
                let bound = bind(dir, Depth::Mount, mount.kind.limits());
                Ok(made(Shape::Directory, bound.map_err(failed)?))
            }
            MountKind::Tmpfs { size } => {
                let size = size.map(|size| size.to_string());
                let tmpfs = tmpfs(size.as_deref(), mount.kind.limits());
                Ok(made(Shape::Directory, tmpfs.map_err(failed)?))
            }
            MountKind::Device { path } => {
                let found = self.device_node(path)?;
                let bound = bind(&found, Depth::Mount, mount.kind.limits());
                Ok(made(Shape::File, bound.map_err(failed)?))
            }
            MountKind::Secret { content, owner } => {
                let (name, file) = self.secret(content.0, *owner).map_err(failed)?;
                Ok(Source {
                    _name: Some(name),
                    ..made(Shape::File, file)
                })
            }
            MountKind::Ssh { agent, owner } => self.forwarded(&mount.target, agent, *owner),
        }
    }

    /// Opens the device at `path` of the host's `/dev`; symlinks resolve inside.
    fn device_node(&self, path: &ImagePath) -> Result<OwnedFd, Error> {
        let shown = || format!("/dev{path}");
        let failed = |source| Error::Device {
            path: shown(),
            source,
        };
        let node = self
            .dev
            .resolve(path.relative().as_bytes(), OFlags::PATH)
            .map_err(failed)?;
        match file_stat(&node).map_err(failed)?.kind {
            FileKind::CharDevice | FileKind::BlockDevice => Ok(node),
            _ => Err(Error::NoDevice { path: shown() }),
        }
    }

    /// Does `make`, which needs the mount of `source` to be attached somewhere: before Linux
    /// 6.15 nothing can be cloned from one that is not. Then a place is found where nobody looks.
    fn with_place<T>(
        &self,
        source: &Dir,
        make: impl Fn() -> Result<T, sys::Error>,
    ) -> Result<T, sys::Error> {
        match make() {
            Err(error) if error.is(Errno::INVAL) => {
                let name = self.unused_name();
                self.shared.mkdir(&name, 0o700)?;
                match attach_mount(source, self.shared.child(&name)?) {
                    Ok(()) => make(),
                    // It has a place, so that is not the reason.
                    Err(_) => Err(error),
                }
            }
            answer => answer,
        }
    }

    /// A file in memory.
    fn secret(&self, content: &[u8], owner: FileOwner) -> Result<(Name, OwnedFd), sys::Error> {
        let name = self.name()?;
        let mut file = self.shared.create(&name.name, 0o600)?;
        file.write_all(content).map_err(|source| sys::Error {
            call: "write",
            operand: "secret".to_owned(),
            source,
        })?;
        let mount = self.named(&name, owner)?;
        Ok((name, mount))
    }

    /// A socket that leads to `agent`.
    fn forwarded(
        &self,
        target: &ImagePath,
        agent: &Path,
        owner: FileOwner,
    ) -> Result<Source, Error> {
        let failed = |source| Error::MakeMount {
            target: target.to_string(),
            source,
        };
        let unreachable = |source| Error::Agent {
            path: agent.to_owned(),
            source,
        };
        UnixStream::connect(agent).map_err(unreachable)?;
        let name = self.name().map_err(failed)?;
        let dir = format!("/proc/self/fd/{}", name.dir.as_fd().as_raw_fd());
        let path = Path::new(&dir).join(OsStr::from_bytes(&name.name));
        let listener = UnixListener::bind(path).map_err(unreachable)?;
        let socket = self.named(&name, owner).map_err(failed)?;
        Ok(Source {
            mount: socket,
            shape: Shape::File,
            _name: Some(name),
            _forwarding: Some(Forwarding::start(listener, agent).map_err(unreachable)?),
        })
    }

    fn name(&self) -> Result<Name, sys::Error> {
        Ok(Name {
            dir: self.shared.try_clone()?,
            name: self.unused_name(),
        })
    }

    /// A mount of the file `name`, which belongs to `owner` from now on.
    fn named(&self, name: &Name, owner: FileOwner) -> Result<OwnedFd, sys::Error> {
        self.shared.set_owner(&name.name, owner.uid, owner.gid)?;
        self.shared.set_mode(&name.name, owner.mode)?;
        let mount = clone_mount(&self.shared, &name.name, Depth::Mount)?;
        limit_mount(&mount, MountLimits::READ_ONLY, Depth::Mount)?;
        Ok(mount)
    }
}

/// What a bind mount shows.
struct Found {
    file: OwnedFd,
    shape: Shape,
}

/// Finds `path` in `source`.
fn find(source: &Dir, path: &ImagePath) -> Result<Found, Error> {
    let failed = |cause| Error::MountSource {
        path: path.to_string(),
        source: cause,
    };
    let file = source
        .resolve(path.relative().as_bytes(), OFlags::PATH)
        .map_err(failed)?;
    let shape = match file_stat(&file).map_err(failed)?.kind {
        FileKind::Directory => Shape::Directory,
        FileKind::File => Shape::File,
        _ => {
            return Err(Error::MountSourceKind {
                path: path.to_string(),
            });
        }
    };
    Ok(Found { file, shape })
}

impl Found {
    fn bind(&self, access: BindAccess<'_>, limits: MountLimits) -> Result<OwnedFd, sys::Error> {
        match (access, self.shape) {
            (BindAccess::ReadOnly, _) => bind(&self.file, Depth::Tree, limits),
            (BindAccess::Discard(upper), Shape::Directory) => {
                let tree = overlay(&[&self.dir()?], Some(self.like(upper)?))?;
                limit_mount(&tree, limits, Depth::Mount)?;
                Ok(tree.into())
            }
            (BindAccess::Discard(upper), Shape::File) => {
                self.copy_to(upper.changes)?;
                let copy = clone_mount(upper.changes, COPY, Depth::Mount)?;
                limit_mount(&copy, limits, Depth::Mount)?;
                Ok(copy)
            }
        }
    }

    fn dir(&self) -> Result<Dir, sys::Error> {
        let same = self.file.try_clone().map_err(|source| sys::Error {
            call: "dup",
            operand: String::new(),
            source,
        })?;
        Dir::from_fd(same).resolve_dir(b"")
    }

    /// Gives the top of `upper` the metadata that the top of the overlay is to have.
    fn like<'a>(&self, upper: Upper<'a>) -> Result<Upper<'a>, sys::Error> {
        let stat = file_stat(&self.file)?;
        sys::set_file_owner(upper.changes, stat.uid, stat.gid)?;
        sys::set_file_mode(upper.changes, stat.mode)?;
        sys::set_file_mtime(upper.changes, stat.mtime)?;
        Ok(upper)
    }

    /// Copies the file into `dir`.
    fn copy_to(&self, dir: &Dir) -> Result<(), sys::Error> {
        let stat = file_stat(&self.file)?;
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let from = File::open(&path).map_err(|source| sys::Error {
            call: "open",
            operand: path,
            source,
        })?;
        // A copy of an earlier try is in the way.
        sys::Error::absent(dir.unlink(COPY))?;
        let to = dir.create(COPY, 0o600)?;
        copy_contents(&from, &to, &stat)?;
        dir.set_owner(COPY, stat.uid, stat.gid)?;
        dir.set_mode(COPY, stat.mode)?;
        dir.set_mtime(COPY, stat.mtime)
    }
}

/// Name of a copied file among the changes.
const COPY: &[u8] = b"file";

/// A copy of the mount of `what`, with `limits`.
fn bind(what: impl AsFd, depth: Depth, limits: MountLimits) -> Result<OwnedFd, sys::Error> {
    let copy = clone_mount(what, b"", depth)?;
    limit_mount(&copy, limits, depth)?;
    Ok(copy)
}

fn tmpfs(size: Option<&str>, limits: MountLimits) -> Result<OwnedFd, sys::Error> {
    let size = size.map(|size| ("size", Some(size)));
    let options = [("mode", Some("1777"))].into_iter().chain(size);
    new_mount("tmpfs", &options.collect::<Vec<_>>(), limits)
}
