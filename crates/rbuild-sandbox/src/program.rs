//! Makes a list of system calls of the ops of one command: every string and descriptor that
//! the child needs, before there is a child.

use std::{
    ffi::CString,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rbuild_sys::{Exec, Filter, Handle, Made, Step};

use crate::{
    error::Error,
    etc_files::EtcFile,
    mount_point::MountPoint,
    mount_source::Source,
    ops::{Fixture, Op, Place, limits},
    spec::Spec,
};

/// The descriptors that the ops of one command refer to.
pub(crate) struct Handles<'a> {
    /// The network to join, if the command has one that it shares.
    pub(crate) network: Option<BorrowedFd<'a>>,
    /// The list of processes of the command's control group, if it has one.
    pub(crate) control_group: Option<BorrowedFd<'a>>,
    /// What restricts the scope of commands, if the kernel can.
    pub(crate) scope: Option<BorrowedFd<'a>>,
    /// 0, 1 and 2 of the child.
    pub(crate) stdio: [OwnedFd; 3],
    /// For each op that attaches a mount made by the parent: that mount.
    pub(crate) mounts: Vec<Option<OwnedFd>>,
    /// Where the files of `/etc` go.
    pub(crate) etc: Vec<(EtcFile, MountPoint)>,
    /// For each mount of the spec: what it shows, and where.
    pub(crate) asked: Vec<(Source, MountPoint)>,
}

/// Translates `ops` one to one, so that the index of a step is the index of its op.
pub(crate) fn program<'a>(
    spec: &'a Spec<'_>,
    ops: &'a [Op],
    (handles, filter): (&'a Handles<'a>, Option<&'a Filter>),
) -> Result<Vec<Step<'a>>, Error> {
    let scope = Scope {
        spec,
        ops,
        handles,
        filter,
    };
    let steps = ops.iter().enumerate();
    steps.map(|(index, op)| scope.step(index, op)).collect()
}

struct Scope<'a, 'root> {
    spec: &'a Spec<'root>,
    ops: &'a [Op],
    handles: &'a Handles<'a>,
    /// There is one if an op installs it.
    filter: Option<&'a Filter>,
}

impl<'a> Scope<'a, '_> {
    fn step(&self, index: usize, op: &'a Op) -> Result<Step<'a>, Error> {
        Ok(match op {
            Op::ResetSignals => Step::ResetSignals,
            Op::NewSession => Step::NewSession,
            Op::ControllingTerminal => Step::ControllingTerminal,
            Op::Descriptor(number) => Step::Descriptor {
                from: self.stdio(*number),
                to: *number,
            },
            Op::OutOfMemoryScore(score) => {
                Step::OutOfMemoryScore(text("a score", &score.to_string())?)
            }
            Op::Make(mount) => Step::NewMount {
                kind: text("the type of a mount", &mount.to_string())?,
                limits: limits(*mount),
                made: made(*mount),
            },
            Op::EnterRoot => Step::EnterRoot(self.spec.root),
            Op::Attach(mount, place) => {
                let (dir, path) = self.place(place);
                Step::Attach {
                    mount: self.mount(index, *mount),
                    dir,
                    path: text("a place", path)?,
                }
            }
            Op::Mount { index, .. } => {
                let (source, point) = &self.handles.asked[*index];
                Step::Attach {
                    mount: Handle::Open(source.mount.as_fd()),
                    dir: Handle::Open(point.place.as_fd()),
                    path: CString::default(),
                }
            }
            Op::JoinControlGroup => Step::JoinControlGroup(given(self.handles.control_group)),
            Op::OwnControlGroups => Step::OwnControlGroups,
            Op::JoinNetwork => Step::JoinNetwork(given(self.handles.network)),
            Op::PingGroups(last) => Step::PingGroups(text("groups", &ping_groups(*last))?),
            Op::LoopbackUp => Step::LoopbackUp,
            Op::NoNewPrivileges => Step::NoNewPrivileges,
            Op::Scope => Step::Scope(given(self.handles.scope)),
            Op::Filter => Step::Filter(given(self.filter)),
            Op::Freeze(name) => Step::Limit {
                dir: Handle::Made(made(Fixture::Proc)),
                name: text("a place", name)?,
                limits: rbuild_sys::MountLimits::READ_ONLY,
            },
            Op::Hostname(name) => Step::Hostname(text("the host name", name)?),
            Op::Umask(mask) => Step::Umask(*mask),
            Op::ResourceLimit(resource, soft, hard) => Step::ResourceLimit {
                resource: *resource,
                soft: *soft,
                hard: *hard,
            },
            Op::SessionKeyring => Step::SessionKeyring,
            Op::WorkingDirectory(path) => {
                Step::WorkingDirectory(text("the working directory", path.as_str())?)
            }
            Op::Bounding(set) => Step::Bounding(set.bits()),
            Op::Groups(groups) => Step::Groups(groups.clone()),
            Op::Group(gid) => Step::Group(*gid),
            Op::Capabilities(set) => Step::Capabilities(set.bits()),
            Op::User(uid) => Step::User(*uid),
            Op::CloseOnExec => Step::CloseOnExec,
            Op::Exec(candidates) => Step::Exec(Exec::new(
                texts("the program", candidates)?,
                texts("an argument", &self.spec.argv)?,
                texts("the environment", &self.spec.env)?,
            )),
        })
    }

    fn stdio(&self, number: i32) -> BorrowedFd<'a> {
        let [input, output, errors] = &self.handles.stdio;
        match number {
            0 => input.as_fd(),
            1 => output.as_fd(),
            _ => errors.as_fd(),
        }
    }

    /// The mount that op `index` attaches.
    fn mount(&self, index: usize, mount: Fixture) -> Handle<'a> {
        match self.handles.mounts.get(index) {
            Some(Some(open)) => Handle::Open(open.as_fd()),
            _ => Handle::Made(made(mount)),
        }
    }

    fn place(&self, place: &'a Place) -> (Handle<'a>, &'a str) {
        match place {
            Place::Root(name) => (Handle::Open(self.spec.root), name),
            Place::Proc(path) => (Handle::Made(made(Fixture::Proc)), path),
            Place::Sys(path) => (self.sys(), path),
            Place::Dev(name) => (self.attached(Fixture::Dev), name),
            Place::Etc(file) => {
                let found = self.handles.etc.iter().find(|(found, _)| found == file);
                let (_, point) = found.expect("there are ops for files with a place only");
                (Handle::Open(point.place.as_fd()), "")
            }
        }
    }

    fn sys(&self) -> Handle<'a> {
        let is_sys = |op: &Op| match op {
            Op::Attach(mount @ (Fixture::Sys(_) | Fixture::OwnSys(_)), _) => Some(*mount),
            _ => None,
        };
        let sys = self.ops.iter().find_map(is_sys);
        let sys = sys.expect("every command has a /sys");
        match self.ops.contains(&Op::Make(sys)) {
            true => Handle::Made(made(sys)),
            false => self.attached(sys),
        }
    }

    /// A mount of the parent's making that an earlier op attached.
    fn attached(&self, wanted: Fixture) -> Handle<'a> {
        let is_wanted = |op: &Op| matches!(op, Op::Attach(mount, _) if *mount == wanted);
        let index = self.ops.iter().position(is_wanted);
        let index = index.expect("`ops` attaches a mount before anything below it");
        self.mount(index, wanted)
    }
}

/// What an op refers to.
fn given<T>(handle: Option<T>) -> T {
    handle.expect("`ops` refers only to what the parent has, or has made for it")
}

/// Which of the child's own mounts it is.
fn made(mount: Fixture) -> Made {
    match mount {
        Fixture::Mqueue => Made::Second,
        Fixture::OwnSys(_) => Made::Third,
        Fixture::ControlGroups => Made::Fourth,
        _ => Made::First,
    }
}

/// The groups from 0 to `last`, as in `ping_group_range` of icmp(7).
pub(crate) fn ping_groups(last: u32) -> String {
    format!("0 {last}")
}

fn text(what: &'static str, text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::Nul { what })
}

fn texts(what: &'static str, texts: &[String]) -> Result<Vec<CString>, Error> {
    texts.iter().map(|one| text(what, one)).collect()
}
