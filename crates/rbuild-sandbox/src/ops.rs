//! What happens between clone and exec, as data. Pure; golden-tested through [`dump`].
//!
//! Order matters: `proc` is made while the host's is still in sight, as the kernel wants to see
//! that nothing of it was hidden; everything is attached below handles that rbuild made, so
//! that no symlink of an image is followed; capabilities go last. sandbox.md.

use std::fmt;

use rbuild_oci::ImagePath;
use rbuild_sys::{MountLimits, Resource};

use crate::{
    capability::CapabilitySet,
    confinement::NewPrivileges,
    etc_files::EtcFile,
    mount::order,
    resource_limit::ResourceLimit,
    spec::{Network, Security, Spec, Stdio},
};

/// One step, carried out in the child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Signals as in a fresh process.
    ResetSignals,
    /// A session without a terminal.
    NewSession,
    /// Descriptor 0 becomes the terminal of the session.
    ControllingTerminal,
    /// Standard descriptor 0, 1 or 2 as [`Stdio`] says.
    Descriptor(i32),
    /// How soon the kernel ends the command when memory runs out: -1000 to 1000.
    OutOfMemoryScore(i32),
    /// Enter the control group of the command.
    JoinControlGroup,
    /// See no control groups but that one and those below.
    OwnControlGroups,
    /// Enter the network that commands share.
    JoinNetwork,
    /// Which groups may ping without privileges: those from 0 to this one.
    PingGroups(u32),
    /// Make a mount that depends on the child's own namespaces.
    Make(Fixture),
    /// The tree becomes `/`.
    EnterRoot,
    /// Put a mount in its place.
    Attach(Fixture, Place),
    /// Put a mount of the spec in its place.
    Mount {
        /// Which of [`Spec::mounts`].
        index: usize,
        /// As after `type=`.
        kind: &'static str,
        /// As in the spec.
        target: ImagePath,
        /// What it forbids.
        limits: MountLimits,
    },
    /// Make a part of /proc read-only.
    Freeze(&'static str),
    /// Switch on the only network interface.
    LoopbackUp,
    /// Name of the machine.
    Hostname(String),
    /// Permission bits that new files do not get.
    Umask(u32),
    /// Soft and hard limit of a resource.
    ResourceLimit(Resource, u64, u64),
    /// Leave the keys of the user behind.
    SessionKeyring,
    /// From now on setuid programs have no effect.
    NoNewPrivileges,
    /// From now on abstract sockets and processes outside are out of reach.
    Scope,
    /// From now on dangerous system calls fail.
    Filter,
    /// Enter it.
    WorkingDirectory(ImagePath),
    /// Capabilities that no program can ever gain back are all but these.
    Bounding(CapabilitySet),
    /// Supplementary groups.
    Groups(Vec<u32>),
    /// Group.
    Group(u32),
    /// What root can do.
    Capabilities(CapabilitySet),
    /// User.
    User(u32),
    /// Nothing but the standard descriptors survives the next step.
    CloseOnExec,
    /// Execute the first of these paths that exists.
    Exec(Vec<String>),
}

/// A mount of the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fixture {
    /// A new instance for the pid namespace.
    Proc,
    /// A new instance for the ipc namespace.
    Mqueue,
    /// The host's tree: it belongs to the network namespace, which is the host's.
    Sys(Writes),
    /// A new instance for the network namespace.
    OwnSys(Writes),
    /// The control group of the command, and those below.
    ControlGroups,
    /// A small tmpfs with the places of devices.
    Dev,
    /// A new devpts.
    Pts,
    /// A tmpfs for shm_open(3).
    Shm,
    /// A device of the host.
    Device(&'static str),
    /// `/dev/null` in place of a file that says too much.
    Null,
    /// An empty directory in place of one that says too much.
    Empty,
    /// A file of `/etc` that rbuild provides.
    Etc(EtcFile),
}

/// Whether a mount of the kernel's own files can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// Nobody can.
    Forbidden,
    /// As the kernel says.
    Allowed,
}

/// Where a mount is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A name in the root of the tree.
    Root(&'static str),
    /// A path below [`Fixture::Proc`].
    Proc(String),
    /// A path below [`Fixture::Sys`] or [`Fixture::OwnSys`].
    Sys(String),
    /// A name in [`Fixture::Dev`].
    Dev(&'static str),
    /// Over a file of the tree that was found beforehand.
    Etc(EtcFile),
}

/// What the host has, as far as it matters to what is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Files below /proc to hide.
    pub hidden_files: Vec<String>,
    /// Directories below /proc to hide.
    pub hidden_dirs: Vec<String>,
    /// Directories below /proc to make read-only.
    pub frozen: Vec<&'static str>,
    /// Directories below /sys to hide.
    pub hidden_sys: Vec<String>,
    /// Files below /sys to hide.
    pub hidden_sys_files: Vec<String>,
    /// Whether a /sys for a network namespace of one's own can be mounted.
    pub own_sys: bool,
    /// The hard limit on open files; `None` if there is none.
    pub open_files: Option<u64>,
    /// How soon the kernel ends commands when memory runs out; `None` if it is not known how soon
    /// it ends us.
    pub out_of_memory_score: Option<i32>,
    /// The last group that the user namespace has.
    pub last_group: u32,
    /// Whether the kernel can keep commands from abstract sockets of the network that they are in.
    pub scopes: bool,
    /// Which control group a command is in.
    pub control_groups: ControlGroups,
    /// Limits that were asked for.
    pub limits: Vec<ResourceLimit>,
    /// Whether setuid programs work.
    pub new_privileges: NewPrivileges,
    /// Which system calls there are.
    pub calls: Calls,
}

/// Which control group a command is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ControlGroups {
    /// The builder's.
    #[default]
    OfBuilder,
    /// One of its own.
    OfCommand,
}

/// Whether system calls are filtered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Calls {
    /// Dangerous ones fail.
    #[default]
    Filtered,
    /// The kernel alone decides.
    All,
}

/// The devices of every sandbox, with their numbers.
pub(crate) const DEVICES: [(&str, (u32, u32)); 6] = [
    ("null", (1, 3)),
    ("zero", (1, 5)),
    ("full", (1, 7)),
    ("random", (1, 8)),
    ("urandom", (1, 9)),
    ("tty", (5, 0)),
];

/// select(2) cannot handle more, and old programs close every possible descriptor in a loop.
const OPEN_FILES_SOFT: u64 = 1024;
const OPEN_FILES_HARD: u64 = 524_288;

/// What the mount forbids.
pub(crate) fn limits(mount: Fixture) -> MountLimits {
    let no_suid_exec = MountLimits {
        no_suid: true,
        no_exec: true,
        ..MountLimits::default()
    };
    match mount {
        Fixture::Proc | Fixture::Mqueue | Fixture::Shm => MountLimits::INERT,
        Fixture::Sys(Writes::Allowed) | Fixture::OwnSys(Writes::Allowed) => MountLimits::INERT,
        Fixture::Sys(_)
        | Fixture::OwnSys(_)
        | Fixture::Empty
        | Fixture::Etc(_)
        | Fixture::ControlGroups => MountLimits::READ_ONLY,
        Fixture::Dev | Fixture::Pts | Fixture::Device(_) => no_suid_exec,
        Fixture::Null => MountLimits {
            read_only: true,
            ..no_suid_exec
        },
    }
}

/// Decides what the child does. `etc` are the files whose place in the tree was found.
pub fn ops(spec: &Spec<'_>, around: &Surroundings, etc: &[EtcFile]) -> Vec<Op> {
    let mut ops = vec![Op::ResetSignals];
    if around.control_groups == ControlGroups::OfCommand {
        ops.push(Op::JoinControlGroup);
    }
    ops.push(Op::OwnControlGroups);
    if !matches!(spec.stdio, Stdio::Inherit(_)) {
        ops.push(Op::NewSession);
    }
    ops.extend((0..=2).map(Op::Descriptor));
    if matches!(spec.stdio, Stdio::Terminal(_)) {
        ops.push(Op::ControllingTerminal);
    }
    ops.extend(around.out_of_memory_score.map(Op::OutOfMemoryScore));
    match spec.network {
        Network::Host => {}
        Network::Private => ops.push(Op::JoinNetwork),
        Network::None => ops.push(Op::PingGroups(around.last_group)),
    }
    ops.extend([Op::Make(Fixture::Proc), Op::Make(Fixture::Mqueue)]);
    let sys = sys(spec, around);
    if matches!(sys, Fixture::OwnSys(_)) {
        ops.push(Op::Make(sys));
    }
    if has_control_groups(spec, around) {
        ops.push(Op::Make(Fixture::ControlGroups));
    }
    ops.push(Op::EnterRoot);
    match spec.security {
        Security::Sandbox => kernel_files(&mut ops, sys, around),
        Security::Insecure => kernel_files(&mut ops, sys, &Surroundings::default()),
    }
    devices(&mut ops);
    ops.extend(
        etc.iter()
            .map(|&file| Op::Attach(Fixture::Etc(file), Place::Etc(file))),
    );
    ops.extend(order(&spec.mounts).into_iter().map(|index| {
        let mount = &spec.mounts[index];
        Op::Mount {
            index,
            kind: mount.kind.name(),
            target: mount.target.clone(),
            limits: mount.kind.limits(),
        }
    }));
    if spec.network == Network::None {
        ops.push(Op::LoopbackUp);
    }
    let hard = around.open_files.unwrap_or(u64::MAX).min(OPEN_FILES_HARD);
    ops.extend([
        Op::Hostname(spec.hostname.clone()),
        Op::Umask(0o022),
        // Before the limits: the descriptor that it takes may have a number above that of open files.
        Op::WorkingDirectory(spec.cwd.clone()),
        Op::ResourceLimit(Resource::Core, 0, 0),
        Op::ResourceLimit(Resource::OpenFiles, OPEN_FILES_SOFT.min(hard), hard),
    ]);
    let asked = around.limits.iter();
    ops.extend(asked.map(|limit| Op::ResourceLimit(limit.resource, limit.soft, limit.hard)));
    ops.push(Op::SessionKeyring);
    if around.new_privileges == NewPrivileges::Never {
        ops.push(Op::NoNewPrivileges);
    }
    if spec.security == Security::Sandbox && spec.network == Network::Host && around.scopes {
        ops.push(Op::Scope);
    }
    if spec.security == Security::Sandbox && around.calls == Calls::Filtered {
        ops.push(Op::Filter);
    }
    ops.extend([
        Op::Bounding(spec.capabilities),
        Op::Groups(spec.identity.groups.clone()),
        Op::Group(spec.identity.gid),
        Op::Capabilities(spec.capabilities),
        Op::User(spec.identity.uid),
        Op::CloseOnExec,
        Op::Exec(spec.candidates()),
    ]);
    ops
}

/// Which /sys the command sees: that of its own network, where the kernel lets us mount it.
pub(crate) fn sys(spec: &Spec<'_>, around: &Surroundings) -> Fixture {
    let writes = match spec.security {
        Security::Sandbox => Writes::Forbidden,
        Security::Insecure => Writes::Allowed,
    };
    match spec.network {
        Network::Private | Network::None if around.own_sys => Fixture::OwnSys(writes),
        Network::Private | Network::None | Network::Host => Fixture::Sys(writes),
    }
}

/// Whether the command sees its control group at [`CONTROL_GROUPS`]: programs look there for how
/// much memory they may have. The host's are never seen.
fn has_control_groups(spec: &Spec<'_>, around: &Surroundings) -> bool {
    around.control_groups == ControlGroups::OfCommand
        && spec.security == Security::Sandbox
        && around.hidden_sys.iter().any(|name| name == CONTROL_GROUPS)
}

/// Below /sys.
pub(crate) const CONTROL_GROUPS: &str = "fs/cgroup";

/// /proc and /sys, with what is hidden and what is read-only.
fn kernel_files(ops: &mut Vec<Op>, sys: Fixture, around: &Surroundings) {
    ops.push(Op::Attach(Fixture::Proc, Place::Root("proc")));
    ops.extend(around.frozen.iter().map(|&name| Op::Freeze(name)));
    let hide = |mount, names: &[String], place: fn(String) -> Place| {
        let names = names.iter().cloned();
        names
            .map(move |name| Op::Attach(mount, place(name)))
            .collect::<Vec<_>>()
    };
    ops.extend(hide(Fixture::Null, &around.hidden_files, Place::Proc));
    ops.extend(hide(Fixture::Empty, &around.hidden_dirs, Place::Proc));
    ops.push(Op::Attach(sys, Place::Root("sys")));
    ops.extend(hide(Fixture::Empty, &around.hidden_sys, Place::Sys));
    ops.extend(hide(Fixture::Null, &around.hidden_sys_files, Place::Sys));
    if ops.contains(&Op::Make(Fixture::ControlGroups)) {
        let place = Place::Sys(CONTROL_GROUPS.to_owned());
        ops.push(Op::Attach(Fixture::ControlGroups, place));
    }
}

fn devices(ops: &mut Vec<Op>) {
    ops.push(Op::Attach(Fixture::Dev, Place::Root("dev")));
    let bind = |(name, _)| Op::Attach(Fixture::Device(name), Place::Dev(name));
    ops.extend(DEVICES.map(bind));
    ops.extend([
        Op::Attach(Fixture::Pts, Place::Dev("pts")),
        Op::Attach(Fixture::Shm, Place::Dev("shm")),
        Op::Attach(Fixture::Mqueue, Place::Dev("mqueue")),
    ]);
}

/// The ops as text, one per line.
pub fn dump(ops: &[Op]) -> String {
    ops.iter().map(|op| format!("{op}\n")).collect()
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ResetSignals => f.write_str("reset signals"),
            Self::ControllingTerminal => f.write_str("controlling terminal"),
            Self::NewSession => f.write_str("new session"),
            Self::Descriptor(number) => write!(f, "descriptor {number}"),
            Self::OutOfMemoryScore(score) => write!(f, "out of memory score {score}"),
            Self::Make(mount) => write!(f, "make {mount}"),
            Self::EnterRoot => f.write_str("enter root"),
            Self::Attach(mount, place) => {
                write!(f, "attach {mount} at {place}{}", Flags(limits(*mount)))
            }
            Self::Mount {
                kind,
                target,
                limits,
                ..
            } => write!(f, "mount {kind} at {target}{}", Flags(*limits)),
            Self::Freeze(name) => write!(f, "freeze /proc/{name}"),
            Self::JoinControlGroup => f.write_str("join control group"),
            Self::OwnControlGroups => f.write_str("own control groups"),
            Self::JoinNetwork => f.write_str("join network"),
            Self::PingGroups(last) => write!(f, "ping groups 0 {last}"),
            Self::LoopbackUp => f.write_str("loopback up"),
            Self::Hostname(name) => write!(f, "hostname {name}"),
            Self::Umask(mask) => write!(f, "umask {mask:04o}"),
            Self::ResourceLimit(resource, soft, hard) => {
                write!(f, "limit {resource:?} {soft} {hard}")
            }
            Self::SessionKeyring => f.write_str("session keyring"),
            Self::NoNewPrivileges => f.write_str("no new privileges"),
            Self::Scope => f.write_str("scope sockets and signals"),
            Self::Filter => f.write_str("filter system calls"),
            Self::WorkingDirectory(path) => write!(f, "working directory {path}"),
            Self::Bounding(set) => write!(f, "bounding {set}"),
            Self::Groups(groups) => write!(f, "groups {groups:?}"),
            Self::Group(gid) => write!(f, "group {gid}"),
            Self::Capabilities(set) => write!(f, "capabilities {set}"),
            Self::User(uid) => write!(f, "user {uid}"),
            Self::CloseOnExec => f.write_str("close on exec"),
            Self::Exec(candidates) => write!(f, "exec {}", candidates.join(" | ")),
        }
    }
}

impl fmt::Display for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proc => f.write_str("proc"),
            Self::Mqueue => f.write_str("mqueue"),
            Self::Sys(_) => f.write_str("sys"),
            Self::OwnSys(_) => f.write_str("sysfs"),
            Self::ControlGroups => f.write_str("cgroup2"),
            Self::Dev => f.write_str("dev"),
            Self::Pts => f.write_str("pts"),
            Self::Shm => f.write_str("shm"),
            Self::Device(name) => write!(f, "device {name}"),
            Self::Null => f.write_str("null"),
            Self::Empty => f.write_str("empty"),
            Self::Etc(file) => write!(f, "{file}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(name) => write!(f, "/{name}"),
            Self::Proc(path) => write!(f, "/proc/{path}"),
            Self::Sys(path) => write!(f, "/sys/{path}"),
            Self::Dev(name) => write!(f, "/dev/{name}"),
            Self::Etc(file) => write!(f, "{}", file.path()),
        }
    }
}

/// Limits as mount options, with a leading space.
struct Flags(MountLimits);

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = self.0;
        let all = [
            (limits.read_only, "ro"),
            (limits.no_suid, "nosuid"),
            (limits.no_dev, "nodev"),
            (limits.no_exec, "noexec"),
        ];
        let set = all.iter().filter(|(set, _)| *set).map(|(_, name)| *name);
        write!(f, " {}", set.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests;
