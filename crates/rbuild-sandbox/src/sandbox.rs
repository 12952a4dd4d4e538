//! What all commands of a build share, and the mounts of one command.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use rbuild_sys::{
    self as sys, Depth, Dir, Exec, FileKind, Filter, Guardian, Made, MountLimits, NetworkNamespace,
    SpawnError, Step, clone_mount, file_stat, landlock_scope, limit_mount, new_mount, spawn,
};

use crate::{
    confinement::{Confinement, SystemCalls},
    control_group::ControlGroup,
    enter::{Entered, Ids},
    error::Error,
    etc_files::{EtcFile, Reach},
    interpreter::{Interpreter, Interpreters},
    ops::{Calls, ControlGroups, DEVICES, Fixture, Op, Surroundings, Writes, limits},
    private_network::PrivateNetwork,
    program::ping_groups,
    spec::Network,
};

/// Able to run commands, from any thread and several at a time.
#[derive(Debug)]
pub struct Sandbox {
    pub(crate) guardian: Guardian,
    /// Whose processes commands are.
    ids: Ids,
    /// What the kernel executes programs of other machines by, if it was told.
    interpreters: OnceLock<Interpreters>,
    around: Surroundings,
    /// Whether the kernel lets us mount a /sys; found out when a command needs it.
    own_sys: OnceLock<bool>,
    /// The network of commands that have not the builder's; started when the first needs it.
    private_network: OnceLock<Result<PrivateNetwork, Arc<Error>>>,
    /// What keeps commands in the builder's network from its abstract sockets, if the kernel can.
    scope: Option<OwnedFd>,
    /// Where each command has a control group of its own, if it has.
    pub(crate) control_group: Option<ControlGroup>,
    system_calls: SystemCalls,
    /// Files of `/etc` that cover the image's.
    pub(crate) provided: Vec<EtcFile>,
    /// Bytes in `/dev/shm` at most.
    shm_size: u64,
    /// A private tmpfs: `empty/` and the files of `/etc`; secrets and sockets until they are
    /// mounted.
    pub(crate) shared: Dir,
    /// For names in `shared` that were not used before.
    next: AtomicU64,
    pub(crate) dev: Dir,
    sys: Dir,
}

/// /proc: files that tell of the host or give it away; the list of the common runtimes and ours.
const HIDDEN_FILES: [&str; 10] = [
    "interrupts",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "latency_stats",
    "sched_debug",
    "timer_list",
    "timer_stats",
];
const HIDDEN_DIRS: [&str; 2] = ["acpi", "scsi"];
const FROZEN: [&str; 6] = ["asound", "bus", "fs", "irq", "sys", "sysrq-trigger"];
/// /sys: also the host's cgroups, which are not the command's.
const HIDDEN_SYS: [&str; 8] = [
    "dev/block",
    "devices/virtual/powercap",
    "firmware",
    "fs/cgroup",
    "fs/selinux",
    "kernel/debug",
    "kernel/security",
    "kernel/tracing",
];

/// More than anybody's resolv.conf.
const MAX_RESOLV_CONF: u64 = 64 << 10;

impl Sandbox {
    /// Prepares what commands share. `scratch` is an empty directory; from now on a private
    /// tmpfs covers it, which nobody outside of this process sees and which ends with it.
    ///
    /// # Errors
    /// [`Error::Prepare`] names what the host lacks.
    pub fn new(entered: Entered, scratch: &Dir, confinement: &Confinement) -> Result<Self, Error> {
        let open = |path: &str| Dir::open(Path::new(path)).map_err(prepare(path));
        let (proc, dev, sys) = (open("/proc")?, open("/dev")?, open("/sys")?);
        let (shared, provided) =
            shared_files(scratch, confinement).map_err(prepare("shared files"))?;
        let scope = landlock_scope().map_err(prepare("a Landlock scope"))?;
        let around = Surroundings {
            scopes: scope.is_some(),
            last_group: last_group(&entered.ids),
            control_groups: match entered.control_group {
                Some(_) => ControlGroups::OfCommand,
                None => ControlGroups::OfBuilder,
            },
            ..surroundings(confinement, &proc, &sys)
        };
        Ok(Self {
            guardian: entered.guardian,
            ids: entered.ids,
            interpreters: OnceLock::new(),
            control_group: entered.control_group,
            around,
            private_network: OnceLock::new(),
            scope,
            own_sys: OnceLock::new(),
            system_calls: confinement.system_calls.clone(),
            provided,
            shm_size: confinement.shm_size,
            shared,
            next: AtomicU64::new(0),
            dev,
            sys,
        })
    }

    /// The program that decides about system calls, if one does.
    pub(crate) fn filter(&self) -> Option<&Filter> {
        match &self.system_calls {
            SystemCalls::Filtered(filter) => Some(filter),
            SystemCalls::All => None,
        }
    }

    pub(crate) fn unused_name(&self) -> Vec<u8> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("of-run-{number}").into_bytes()
    }

    /// Lets the kernel execute programs for other machines by `interpreters`, in commands of this
    /// process; those of the host count no more for them. Once; nothing of it is left afterwards.
    ///
    /// # Errors
    /// [`Error::InterpretersOfAll`] where there is no user namespace but the host's,
    /// [`Error::NoInterpreters`] before Linux 6.7, [`Error::Interpreter`] for one that cannot be executed.
    pub fn register(&self, interpreters: &[Interpreter]) -> Result<(), Error> {
        let registered = Interpreters::register(&self.ids, interpreters)?;
        // A second call that got so far had none to register: the first descriptor does for both.
        let _ = self.interpreters.set(registered);
        Ok(())
    }

    /// Makes sure that there is the network of commands with [`Network::Private`]: the first call
    /// starts it, the others wait until then.
    ///
    /// # Errors
    /// [`Error::NoPrivateNetwork`] with the reason, the same one each time.
    pub fn start_private_network(&self) -> Result<(), Error> {
        self.private_network().map(drop)
    }

    pub(crate) fn private_network(&self) -> Result<BorrowedFd<'_>, Error> {
        let start = || {
            let groups = ping_groups(self.around.last_group);
            PrivateNetwork::start(&self.guardian, &groups).map_err(Arc::new)
        };
        match self.private_network.get_or_init(start) {
            Ok(network) => Ok(network.namespace()),
            Err(reason) => Err(Error::NoPrivateNetwork(Arc::clone(reason))),
        }
    }

    /// What restricts the scope of commands, if the kernel can.
    pub(crate) fn scope(&self) -> Option<BorrowedFd<'_>> {
        self.scope.as_ref().map(AsFd::as_fd)
    }

    /// What the host has, for a command in `network`.
    pub(crate) fn around(&self, network: Network) -> Surroundings {
        Surroundings {
            own_sys: network != Network::Host && *self.own_sys.get_or_init(|| self.try_own_sys()),
            ..self.around.clone()
        }
    }

    /// Tries to mount a /sys in a network namespace: containers often forbid it.
    fn try_own_sys(&self) -> bool {
        let steps = [
            Step::NewMount {
                kind: c"sysfs".to_owned(),
                limits: limits(Fixture::OwnSys(Writes::Forbidden)),
                made: Made::Third,
            },
            // There is no such program: a failure here means that the step before worked.
            Step::Exec(Exec::new(Vec::new(), Vec::new(), Vec::new())),
        ];
        let tried = spawn(&self.guardian, NetworkNamespace::New, &steps);
        matches!(tried, Err(SpawnError::Step { index: 1, .. }))
    }

    /// The mount that `op` attaches for a command in `network`, if it is one that the parent makes.
    pub(crate) fn mount(&self, op: &Op, network: Network) -> Result<Option<OwnedFd>, Error> {
        let Op::Attach(mount, _) = op else {
            return Ok(None);
        };
        let made = match mount {
            Fixture::Proc | Fixture::Mqueue | Fixture::OwnSys(_) | Fixture::ControlGroups => {
                return Ok(None);
            }
            Fixture::Device(name) => return self.device(name).map(Some),
            Fixture::Null => self.restricted(&self.dev, "null", *mount),
            Fixture::Empty => self.restricted(&self.shared, "empty", *mount),
            Fixture::Etc(file) => {
                self.restricted(&self.shared, shared_name(*file, network.into()), *mount)
            }
            Fixture::Sys(_) => clone_mount(&self.sys, b"", Depth::Tree).and_then(|tree| {
                limit_mount(&tree, limits(*mount), Depth::Tree)?;
                Ok(tree)
            }),
            Fixture::Dev => device_directory(),
            Fixture::Pts => {
                let options = [
                    ("newinstance", None),
                    ("ptmxmode", Some("0666")),
                    ("mode", Some("0620")),
                ];
                new_mount("devpts", &options, limits(*mount))
            }
            Fixture::Shm => {
                let size = self.shm_size.to_string();
                let options = [("mode", Some("1777")), ("size", Some(size.as_str()))];
                new_mount("tmpfs", &options, limits(*mount))
            }
        };
        made.map(Some).map_err(prepare(&mount.to_string()))
    }

    /// A copy of `name` in `dir`, restricted as `mount` is to be.
    fn restricted(&self, dir: &Dir, name: &str, mount: Fixture) -> Result<OwnedFd, sys::Error> {
        let copy = clone_mount(dir, name.as_bytes(), Depth::Mount)?;
        limit_mount(&copy, limits(mount), Depth::Mount)?;
        Ok(copy)
    }

    fn device(&self, name: &'static str) -> Result<OwnedFd, Error> {
        let mount = Fixture::Device(name);
        let copy = self
            .restricted(&self.dev, name, mount)
            .map_err(prepare(name))?;
        let stat = file_stat(&copy).map_err(prepare(name))?;
        let expected = DEVICES.iter().find(|(device, _)| *device == name);
        let is_it = |(_, rdev): &(&str, _)| stat.kind == FileKind::CharDevice && stat.rdev == *rdev;
        match expected.is_some_and(is_it) {
            true => Ok(copy),
            false => Err(Error::NotTheDevice { name }),
        }
    }
}

/// What there is on this host, and how much of it commands see.
fn surroundings(confinement: &Confinement, proc: &Dir, sys: &Dir) -> Surroundings {
    let hidden = |(top, dir): (&str, &Dir), usual: &[&str], fits: fn(&sys::Stat) -> bool| {
        let usual = usual.iter().copied();
        let mut names: Vec<&str> = usual
            .filter(|name| !confinement.unmasked.has(top, name))
            .collect();
        names.extend(masked_below(&confinement.masked, top, &names));
        names.retain(|name| {
            dir.resolve_stat(name.as_bytes())
                .is_ok_and(|stat| fits(&stat))
        });
        names.into_iter().map(str::to_owned).collect()
    };
    let (directory, other) = (sys::Stat::is_dir, |stat: &sys::Stat| !stat.is_dir());
    let (proc, sys) = (("/proc", proc), ("/sys", sys));
    let mut frozen = FROZEN.to_vec();
    frozen.retain(|name| !confinement.unmasked.has("/proc", name));
    frozen.retain(|name| proc.1.resolve_stat(name.as_bytes()).is_ok());
    Surroundings {
        hidden_files: hidden(proc, &HIDDEN_FILES, other),
        hidden_dirs: hidden(proc, &HIDDEN_DIRS, directory),
        frozen,
        hidden_sys: hidden(sys, &HIDDEN_SYS, directory),
        hidden_sys_files: hidden(sys, &[], other),
        last_group: 0,
        control_groups: ControlGroups::OfBuilder,
        scopes: false,
        open_files: sys::open_files_limit(),
        out_of_memory_score: out_of_memory_score(),
        own_sys: false,
        limits: confinement.limits.clone(),
        new_privileges: confinement.new_privileges,
        calls: match confinement.system_calls {
            SystemCalls::Filtered(_) => Calls::Filtered,
            SystemCalls::All => Calls::All,
        },
    }
}

fn prepare(what: &str) -> impl FnOnce(sys::Error) -> Error {
    move |source| Error::Prepare {
        what: what.to_owned(),
        source,
    }
}

/// The names below `top` of those of `paths` that are there, and not in what is `hidden` anyway.
fn masked_below<'a>(paths: &'a [String], top: &str, hidden: &[&str]) -> Vec<&'a str> {
    let below = |path: &'a String| path.strip_prefix(top)?.strip_prefix('/');
    let inside = |name: &str| {
        let mut outer = hidden.iter().filter_map(|outer| name.strip_prefix(outer));
        outer.any(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let names = paths.iter().filter_map(below);
    names.filter(|name| !inside(name)).collect()
}

/// The highest of the groups from 0 on that the user namespace has without a gap.
fn last_group(ids: &Ids) -> u32 {
    match ids {
        // What the kernel takes at most for the groups that may ping.
        Ids::All => i32::MAX.unsigned_abs(),
        Ids::Subordinate { gids, .. } => u32::try_from(gids.count()).unwrap_or(u32::MAX),
    }
}

/// Commands go before the builder, and before what else the user has.
fn out_of_memory_score() -> Option<i32> {
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").ok()?;
    let own: i32 = own.trim().parse().ok()?;
    Some(own.saturating_add(100).min(1000))
}

/// Covers `scratch` with a tmpfs that has what commands share; also says which files of `/etc`
/// are among it.
fn shared_files(
    scratch: &Dir,
    confinement: &Confinement,
) -> Result<(Dir, Vec<EtcFile>), sys::Error> {
    let options = [("mode", Some("0755")), ("size", Some("64m"))];
    let tmpfs = new_mount("tmpfs", &options, MountLimits::INERT)?;
    sys::attach_mount(&tmpfs, scratch)?;
    let dir = Dir::from_fd(tmpfs);
    dir.mkdir(b"empty", 0o755)?;
    dir.set_mode(b"empty", 0o755)?;
    let resolv_conf = host_resolv_conf();
    let mut provided = Vec::new();
    let write = |file: EtcFile, reach| {
        let content = file.content(confinement, (&resolv_conf, reach));
        content.map(|content| write_shared(&dir, shared_name(file, reach), &content))
    };
    for file in EtcFile::ALL {
        if let Some(written) = write(file, Reach::Machine) {
            written?;
            provided.push(file);
        }
    }
    write(EtcFile::ResolvConf, Reach::Outside).transpose()?;
    Ok((dir, provided))
}

/// The name in the tmpfs of what `file` is for commands that reach so far.
fn shared_name(file: EtcFile, reach: Reach) -> &'static str {
    match (file, reach) {
        (EtcFile::ResolvConf, Reach::Outside) => "resolv.conf-outside",
        _ => file.name(),
    }
}

fn write_shared(dir: &Dir, name: &str, content: &str) -> Result<(), sys::Error> {
    let mut file = dir.create(name.as_bytes(), 0o644)?;
    file.write_all(content.as_bytes())
        .map_err(|source| sys::Error {
            call: "write",
            operand: name.to_owned(),
            source,
        })?;
    dir.set_mode(name.as_bytes(), 0o644)
}

/// The host's resolv.conf; empty if there is none.
fn host_resolv_conf() -> String {
    let mut text = Vec::new();
    if let Ok(file) = File::open("/etc/resolv.conf") {
        // What was read so far is better than nothing.
        let _ = file.take(MAX_RESOLV_CONF).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// A tmpfs with an empty file for each device, directories and links.
fn device_directory() -> Result<OwnedFd, sys::Error> {
    let options = [
        ("mode", Some("0755")),
        ("size", Some("64k")),
        ("nr_inodes", Some("512")),
    ];
    let dir = Dir::from_fd(new_mount("tmpfs", &options, limits(Fixture::Dev))?);
    for (name, _) in DEVICES {
        dir.create(name.as_bytes(), 0o666)?;
    }
    for name in ["pts", "shm", "mqueue"] {
        dir.mkdir(name.as_bytes(), 0o755)?;
    }
    for (name, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("core", "/proc/kcore"),
    ] {
        dir.symlink(target.as_bytes(), name.as_bytes())?;
    }
    Ok(dir.into())
}
