//! What this host can do, found by doing it. For `rbuild info`.

use std::{fs::File, path::Path};

use rbuild_sys::{
    self as sys, Dir, Exec, Made, MountLimits, NetworkNamespace, SpawnError, Step, in_child,
    landlock_scope, new_mount, spawn,
};

use crate::{
    control_group::controllers,
    enter::{Ids, enter, is_full_root, status_field, subordinate_ids, sysctl},
    interpreter::Interpreters,
    private_network::PrivateNetwork,
    program::ping_groups,
};

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It works.
    Works,
    /// It does not, for this reason.
    Fails(String),
}

/// The host, as seen by this user.
#[derive(Clone, Debug)]
pub struct Host {
    /// Kernel release, as `uname -r` prints it.
    pub kernel: String,
    /// Whether [`enter`] works: namespaces and ids.
    pub namespaces: Probe,
    /// Which ids there are; `None` if there are none but one's own.
    pub ids: Option<Ids>,
    /// Whether an overlay with `userxattr` works in the directory that was asked about.
    pub overlay: Probe,
    /// Whether a new /proc can be mounted.
    pub proc: Probe,
    /// Whether setuid programs have no effect.
    pub no_new_privileges: bool,
    /// sysctl `user.max_user_namespaces`.
    pub max_user_namespaces: Option<u64>,
    /// Which kind of control groups there is: `v1`, `v2`, `hybrid` or `none`.
    pub cgroup: &'static str,
    /// The controllers with which commands can be limited, or why there are none.
    pub limits: Result<Vec<String>, String>,
    /// Whether /dev/fuse can be opened.
    pub fuse: Probe,
    /// Whether commands can have a network of their own with a way out.
    pub private_network: Probe,
    /// Whether programs for other machines can be executed by interpreters of a build's own.
    pub interpreters: Probe,
    /// Whether they can be kept from abstract sockets of the host's network.
    pub scope: Probe,
}

impl Host {
    /// Tries everything; `dir` is where trees are going to be. Takes some 50 ms.
    ///
    /// # Errors
    /// When there is more than one thread, or no process can be started.
    pub fn probe(dir: &Path) -> Result<Self, sys::Error> {
        let answers = in_child(|| in_namespaces(dir))?;
        let answer = |name: &str| {
            let mut lines = answers.lines().filter_map(|line| line.split_once('\t'));
            match lines.find(|(key, _)| *key == name) {
                Some((_, "")) => Probe::Works,
                Some((_, reason)) => Probe::Fails(reason.to_owned()),
                None => Probe::Fails("not tried: no namespaces".to_owned()),
            }
        };
        let ids = if is_full_root() {
            Some(Ids::All)
        } else {
            subordinate_ids().ok()
        };
        Ok(Self {
            kernel: sysctl("kernel/osrelease").unwrap_or_default(),
            namespaces: answer("namespaces"),
            ids,
            overlay: answer("overlay"),
            proc: answer("proc"),
            no_new_privileges: status_field("NoNewPrivs").as_deref() == Some("1"),
            max_user_namespaces: sysctl("user/max_user_namespaces").and_then(|n| n.parse().ok()),
            cgroup: cgroup_kind(),
            limits: controllers().map_err(|error| error.to_string()),
            fuse: open("/dev/fuse"),
            private_network: answer("private network"),
            interpreters: answer("interpreters"),
            scope: scope(),
        })
    }
}

/// Lines `question<TAB>reason`; no reason: it works.
fn in_namespaces(dir: &Path) -> String {
    let entered = match enter() {
        Ok(entered) => entered,
        Err(error) => return line("namespaces", Err(&error)),
    };
    let steps = [
        Step::NewMount {
            kind: c"proc".to_owned(),
            limits: MountLimits::INERT,
            made: Made::First,
        },
        // There is no such program: a failure here means that the step before worked.
        Step::Exec(Exec::new(Vec::new(), Vec::new(), Vec::new())),
    ];
    let proc = match spawn(&entered.guardian, NetworkNamespace::Shared, &steps) {
        Err(SpawnError::Step { index: 0, errno }) => Err(std::io::Error::from(errno)),
        Err(SpawnError::Start(error)) => Err(error.source),
        Ok(_) | Err(SpawnError::Step { .. }) => Ok(()),
    };
    let overlay = try_overlay(dir);
    let interpreters = Interpreters::register(&entered.ids, &[]).map(drop);
    let network = PrivateNetwork::start(&entered.guardian, &ping_groups(0)).map(drop);
    [
        line("namespaces", Ok(&())),
        line("proc", proc.as_ref().map_err(|e| e as _)),
        line("overlay", overlay.as_ref().map_err(|e| e as _)),
        line("private network", network.as_ref().map_err(|e| e as _)),
        line("interpreters", interpreters.as_ref().map_err(|e| e as _)),
    ]
    .concat()
}

fn line(name: &str, result: Result<&(), &(dyn std::error::Error + 'static)>) -> String {
    let Err(error) = result else {
        return format!("{name}\t\n");
    };
    let chain = std::iter::successors(Some(error), |error| error.source());
    let reasons: Vec<String> = chain.map(ToString::to_string).collect();
    format!(
        "{name}\t{}\n",
        reasons.join(": ").replace(['\n', '\t'], " ")
    )
}

/// Mounts an overlay on a directory of its own below `dir`, and does there what fails without
/// `userxattr`: a directory in place of one that was deleted.
fn try_overlay(dir: &Path) -> Result<(), sys::Error> {
    let name = format!("overlay-probe-{}", std::process::id());
    let top = Dir::open(dir)?;
    top.mkdir(name.as_bytes(), 0o700)?;
    let tried = overlay_below(&top.child(name.as_bytes())?, &dir.join(&name));
    top.remove_all(name.as_bytes())?;
    tried
}

fn overlay_below(probe: &Dir, path: &Path) -> Result<(), sys::Error> {
    for name in ["lower", "upper", "work"] {
        probe.mkdir(name.as_bytes(), 0o700)?;
    }
    probe.child(b"lower")?.mkdir(b"old", 0o700)?;
    let of = |name| path.join(name).to_string_lossy().into_owned();
    let (lower, upper, work) = (of("lower"), of("upper"), of("work"));
    let options = [
        ("userxattr", None),
        ("lowerdir", Some(lower.as_str())),
        ("upperdir", Some(upper.as_str())),
        ("workdir", Some(work.as_str())),
    ];
    let tree = Dir::from_fd(new_mount("overlay", &options, MountLimits::default())?);
    tree.rmdir(b"old")?;
    tree.mkdir(b"old", 0o700)
}

fn scope() -> Probe {
    match landlock_scope() {
        Ok(Some(_)) => Probe::Works,
        Ok(None) => Probe::Fails("the kernel has no Landlock of ABI 6".to_owned()),
        Err(error) => Probe::Fails(error.to_string()),
    }
}

fn open(path: &str) -> Probe {
    let opened = File::options().read(true).write(true).open(path);
    opened.map_or_else(|error| Probe::Fails(error.to_string()), |_| Probe::Works)
}

fn cgroup_kind() -> &'static str {
    let exists = |path: &str| Path::new("/sys/fs/cgroup").join(path).exists();
    match (
        exists("cgroup.controllers"),
        exists("unified"),
        exists("memory"),
    ) {
        (true, ..) => "v2",
        (_, true, _) => "hybrid",
        (.., true) => "v1",
        _ => "none",
    }
}
