//! What can go wrong around a command, and what to try then.

use std::{io, path::PathBuf, sync::Arc};

use rbuild_sys as sys;

use crate::resource_limit::ResourceLimit;

/// A command could not be run, or the process cannot become able to run any.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No range of subordinate ids is ours.
    #[error(
        "no subordinate ids for user `{user}`: no line in `/etc/subuid` and `/etc/subgid`, and nothing from `getsubids`"
    )]
    NoSubids {
        /// Name, or number if there is no name.
        user: String,
    },

    /// `user.max_user_namespaces` is zero or used up.
    #[error("no user namespace left to make: sysctl `user.max_user_namespaces` is {limit}")]
    NamespaceLimit {
        /// What the sysctl says.
        limit: String,
        /// The kernel's answer.
        source: sys::Error,
    },

    /// AppArmor allows user namespaces to programs with a profile only.
    #[error("AppArmor forbids user namespaces for this program")]
    AppArmor {
        /// The failure that it caused.
        source: sys::EnterError,
    },

    /// A seccomp filter, such as a container's, forbids user namespaces.
    #[error("user namespaces are forbidden by a seccomp filter around this process")]
    Seccomp {
        /// The kernel's answer.
        source: sys::Error,
    },

    /// User namespaces are forbidden for some other reason.
    #[error("cannot enter a user namespace")]
    Namespace {
        /// What failed.
        source: sys::EnterError,
    },

    /// `newuidmap` or `newgidmap` is not installed.
    #[error("`{program}` is not installed")]
    NoMapProgram {
        /// Which.
        program: String,
    },

    /// Setuid programs do not work here.
    #[error("`newuidmap` has no effect: NoNewPrivs is 1 in `/proc/self/status`")]
    NoNewPrivileges {
        /// What the program said.
        source: sys::EnterError,
    },

    /// `newuidmap` or `newgidmap` refused.
    #[error("cannot map the ids {ids}")]
    Map {
        /// The ranges that were asked for.
        ids: String,
        /// What the program said.
        source: sys::EnterError,
    },

    /// The process that ends commands with the builder cannot be started.
    #[error("cannot start the guardian process")]
    Guardian {
        /// The kernel's answer.
        source: sys::Error,
    },

    /// Limits were asked for, and the kernel has nothing to limit with.
    #[error("limits need control groups of version 2, and this machine has {found}")]
    NoControlGroups {
        /// What there is.
        found: &'static str,
    },

    /// The group is not in what is mounted.
    #[error("the control group `{group}` is not below any mounted part of cgroup v2")]
    GroupOutOfSight {
        /// As in `/proc/self/cgroup`.
        group: String,
    },

    /// That is no name of a group.
    #[error("`{group}` is no control group: a name is like that of `/proc/self/cgroup`")]
    GroupName {
        /// As written.
        group: String,
    },

    /// A limit needs a controller that the group does not have.
    #[error(
        "the control group `{}` has no controller `{controller}`: it {}",
        .group.display(),
        if *.version_1 { "belongs to version 1 on this machine" } else { "was not given to this user" }
    )]
    NoController {
        /// As in `memory`.
        controller: &'static str,
        /// Its directory.
        group: PathBuf,
        /// Whether that controller belongs to cgroup v1 on this machine.
        version_1: bool,
    },

    /// A group with processes cannot have groups with limits below it.
    #[error(
        "there are other processes in the control group `{}`: it cannot be divided",
        .group.display()
    )]
    GroupInUse {
        /// Its directory.
        group: PathBuf,
    },

    /// The group belongs to somebody else.
    #[error("cannot have control groups in `{}`", .group.display())]
    GroupNotOurs {
        /// Its directory.
        group: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },

    /// The kernel does not take a limit.
    #[error("cannot set the limit `{file}` to `{value}`")]
    ControlLimit {
        /// The file of the control group.
        file: &'static str,
        /// What it was to be.
        value: String,
        /// The kernel's answer.
        source: io::Error,
    },

    /// Something that all commands share is not to be had.
    #[error("cannot prepare {what} for the sandbox")]
    Prepare {
        /// What, as in `/dev`.
        what: String,
        /// The kernel's answer.
        source: sys::Error,
    },

    /// `/dev` of the host has something else in place of a device.
    #[error("`/dev/{name}` of the host is not the device of that name")]
    NotTheDevice {
        /// Which.
        name: &'static str,
    },

    /// Interpreters would be everybody's.
    #[error("what root registers would count for others too")]
    InterpretersOfAll,

    /// The user namespace cannot have interpreters of its own.
    #[error("cannot mount a `binfmt_misc` of the build's own")]
    NoInterpreters {
        /// The kernel's answer.
        source: sys::Error,
    },

    /// The kernel does not take an interpreter.
    #[error("cannot register the interpreter `{}`", .program.display())]
    Interpreter {
        /// Which.
        program: PathBuf,
        /// The kernel's answer.
        source: sys::Error,
    },

    /// There is no network but the host's, or none.
    #[error("cannot have a private network")]
    NoPrivateNetwork(#[source] Arc<Self>),

    /// What connects a private network is not installed.
    #[error("`pasta` is not installed")]
    NoPasta,

    /// The device that a private network is made with cannot be opened.
    #[error("cannot open `/dev/net/tun`")]
    NoTun {
        /// The kernel's answer.
        source: io::Error,
    },

    /// `pasta` ended, or was too slow.
    #[error("`pasta` cannot connect a network: {said}")]
    Pasta {
        /// Its last words.
        said: String,
    },

    /// A seccomp profile is not JSON, or not of the form.
    #[error("cannot read the seccomp profile")]
    ProfileSyntax(#[source] serde_json::Error),

    /// A seccomp profile asks for something that does not exist.
    #[error("the seccomp profile's `{call}` {problem}")]
    ProfileRule {
        /// The first system call of the rule, or a key of the profile.
        call: String,
        /// What is wrong with it.
        problem: String,
    },

    /// A seccomp profile has too many rules.
    #[error("the seccomp profile makes a program of {length} instructions, the kernel takes 4096")]
    ProfileSize {
        /// In instructions.
        length: usize,
    },

    /// A text of the specification holds a NUL.
    #[error("a NUL byte in {what}")]
    Nul {
        /// Where.
        what: &'static str,
    },

    /// The source of a bind mount cannot be found.
    #[error("cannot find `{path}` in the source of a mount")]
    MountSource {
        /// In the source.
        path: String,
        /// The kernel's answer.
        source: sys::Error,
    },

    /// The source of a bind mount is something that is not mounted.
    #[error("`{path}` in the source of a mount is neither a file nor a directory")]
    MountSourceKind {
        /// In the source.
        path: String,
    },

    /// A device of the host cannot be found.
    #[error("cannot find the device `{path}`")]
    Device {
        /// On the host.
        path: String,
        /// The kernel's answer.
        source: sys::Error,
    },

    /// It is something else.
    #[error("`{path}` is not a device")]
    NoDevice {
        /// On the host.
        path: String,
    },

    /// What a mount shows cannot be made.
    #[error("cannot make what is mounted at `{target}`")]
    MakeMount {
        /// In the image.
        target: String,
        /// The kernel's answer.
        source: sys::Error,
    },

    /// A mount would hide the whole tree, or what the kernel says.
    #[error("nothing can be mounted at `{target}`")]
    ForbiddenTarget {
        /// In the image.
        target: String,
    },

    /// A mount has no place.
    #[error("cannot mount a {shape} at `{target}`")]
    MountTarget {
        /// `directory` or `file`.
        shape: &'static str,
        /// In the image.
        target: String,
        /// The kernel's answer.
        source: sys::Error,
    },

    /// The agent does not answer, or cannot be forwarded.
    #[error("cannot forward the agent's socket `{path}`")]
    Agent {
        /// On the host.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },

    /// A step of the set-up failed in the child.
    #[error("cannot set up the sandbox: {op}")]
    SetUp {
        /// The step, as in a dump.
        op: String,
        /// The kernel's answer.
        source: io::Error,
    },

    /// A limit is above that of this user.
    #[error("cannot set the limit {limit}")]
    ResourceLimit {
        /// Which.
        limit: ResourceLimit,
        /// The kernel's answer.
        source: io::Error,
    },

    /// The working directory cannot be entered.
    #[error("cannot enter the working directory `{path}`")]
    WorkingDirectory {
        /// In the image.
        path: String,
        /// The kernel's answer.
        source: io::Error,
    },

    /// A user or group is outside of what is mapped.
    #[error("{kind} {id} is not mapped in the user namespace")]
    UnmappedId {
        /// `user` or `group`.
        kind: &'static str,
        /// Its number.
        id: u32,
        /// The kernel's answer.
        source: io::Error,
    },

    /// There is no such program. Shells call it status 127.
    #[error("command `{program}` not found")]
    NotFound {
        /// As written.
        program: String,
    },

    /// The program cannot be executed. Shells call it status 126.
    #[error("cannot execute `{program}`")]
    NotExecutable {
        /// As written.
        program: String,
        /// The kernel's answer.
        source: io::Error,
    },

    /// No process could be started, or its output could not be read.
    #[error("cannot run `{program}`")]
    Run {
        /// As written.
        program: String,
        /// The kernel's answer.
        source: sys::Error,
    },
}

impl Error {
    /// The status by which a shell reports it; `None` where a shell has none.
    pub fn exit_status(&self) -> Option<u8> {
        match self {
            Self::NotFound { .. } => Some(127),
            Self::NotExecutable { .. } => Some(126),
            _ => None,
        }
    }

    /// What the user, or the administrator, can try.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoSubids { user } => format!(
                "ask the administrator: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
            ),
            Self::NamespaceLimit { .. } => {
                "ask the administrator: sysctl user.max_user_namespaces=28633".to_owned()
            }
            Self::AppArmor { .. } => {
                "ask the administrator for a profile with the rule `userns,`, or: sysctl kernel.apparmor_restrict_unprivileged_userns=0".to_owned()
            }
            Self::Seccomp { .. } => {
                "run the surrounding container with a filter that allows `unshare` and `mount`".to_owned()
            }
            Self::Namespace { .. } => {
                "a chroot, a hardened service (RestrictNamespaces=) or sysctl kernel.unprivileged_userns_clone=0 can forbid them".to_owned()
            }
            Self::NoMapProgram { .. } => {
                "ask the administrator to install `uidmap` (Debian) or `shadow-utils` (Fedora)".to_owned()
            }
            Self::NoNewPrivileges { .. } => {
                "start the build outside of the service or container that sets NoNewPrivileges".to_owned()
            }
            Self::Map { .. } => {
                "look for overlapping lines in /etc/subuid and /etc/subgid, and whether newuidmap is setuid".to_owned()
            }
            Self::NoControlGroups { .. } | Self::NoController { version_1: true, .. } => {
                "ask the administrator to boot with systemd.unified_cgroup_hierarchy=1; `--ulimit as=` and `nproc=` work without control groups".to_owned()
            }
            Self::NoController { .. } | Self::GroupInUse { .. } | Self::GroupNotOurs { .. } => {
                "start the build alone in a group that is this user's: systemd-run --user --scope -p Delegate=yes rbuild ...".to_owned()
            }
            Self::InterpretersOfAll => {
                "register it for all, as `qemu-user-static` does when it is installed, or build as a user without privileges".to_owned()
            }
            Self::NoInterpreters { .. } => {
                "a build can have its own from Linux 6.7 on; else ask the administrator to install `qemu-user-static`, which registers its programs for all".to_owned()
            }
            Self::Interpreter { .. } => {
                "it must be executable, in a file system that is not mounted with `noexec`".to_owned()
            }
            Self::NoPrivateNetwork(reason) => match &**reason {
                Self::NoPasta => {
                    "ask the administrator to install `passt`, or give commands another network with --network=host or --network=none"
                }
                Self::NoTun { .. } => {
                    "ask the administrator: chmod 666 /dev/net/tun; or give commands another network with --network=host or --network=none"
                }
                _ => "--network=host and --network=none need no `pasta`",
            }
            .to_owned(),
            Self::ResourceLimit { .. } => {
                "the hard limit of this shell, as `ulimit -H` shows it, is the highest".to_owned()
            }
            Self::UnmappedId { .. } => {
                "a larger range in /etc/subuid and /etc/subgid maps more ids".to_owned()
            }
            _ => return None,
        })
    }
}
