//! Control groups of version 2: one for a build, and in it one for each command. Only where
//! somebody asks for limits: without, a build stays in the group that it was started in.
//!
//! ```text
//! GROUP            given to this user, without processes of its own: cgroups(7), "Cgroups v2
//!   rbuild-PID       delegation" and "no internal processes" rule
//!     builder          this process and its helpers, if they were in GROUP itself
//!     run-N            a command and all that it started
//! ```
//!
//! Invariant: commands are never in a group without its limits; what is left of the groups when
//! this process ends, however that is, a process that waits for it removes.

pub(crate) mod limits;
pub(crate) mod location;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use rbuild_sys::{Lifeline, after_death};

use crate::{
    control_group::{
        limits::{ControlLimits, Need, Setting, required, used},
        location::{Location, Occupancy, Seen},
    },
    error::Error,
};

/// That commands have control groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlRequest {
    /// What each command may use.
    pub limits: ControlLimits,
    /// The group in which to make them, as in `/proc/self/cgroup`; `None`: our own.
    pub parent: Option<String>,
}

/// The control groups of a build.
#[derive(Debug)]
pub(crate) struct ControlGroup {
    division: Division,
    next: AtomicU64,
    /// The process that removes them.
    _sweeper: Lifeline,
}

/// A group in which those of commands are made.
#[derive(Debug)]
struct Division {
    /// Itself.
    home: PathBuf,
    /// For each command; only those that are possible here.
    settings: Vec<Setting>,
    /// A lock on `home`, which tells other builds that this one lives.
    _alive: File,
}

/// Whether the builder has to leave the group that is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moved {
    Yes,
    No,
}

/// The control group of one command. Dropping it ends what is in it, and removes it.
#[derive(Debug)]
pub(crate) struct Leaf {
    dir: PathBuf,
    procs: File,
}

/// The list of processes of a group; who writes a number, or 0 for himself, moves it there.
const PROCS: &str = "cgroup.procs";
const CONTROLLERS: &str = "cgroup.controllers";
/// Those that are in force in the groups below.
const ENABLED: &str = "cgroup.subtree_control";

/// How long processes may take to leave a group after they were killed.
const PATIENCE: Duration = Duration::from_secs(2);

impl ControlGroup {
    /// Makes the group of the build. To be called before there are other threads and processes:
    /// this process moves.
    ///
    /// # Errors
    /// Why that is not possible, or which limit is not: each has its own.
    pub(crate) fn start(request: &ControlRequest) -> Result<Self, Error> {
        let groups = own_groups();
        let location = Location::find(&seen(&groups, &mounts()), request.parent.as_deref())?;
        let (group, home) = (location.group.clone(), home_in(&location.group));
        // First, so that there is no moment in which nobody would remove what is there.
        let sweeper = after_death(move || sweep(&group, &home))
            .map_err(|source| Error::Guardian { source })?;
        let settings = request.limits.settings();
        let division = Division::make(&location, settings, &groups, sweeper.id())?;
        Ok(Self {
            division,
            next: AtomicU64::new(0),
            _sweeper: sweeper,
        })
    }

    /// A new group for a command, with the limits.
    pub(crate) fn leaf(&self) -> Result<Leaf, Error> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.division.leaf(&format!("run-{number}"))
    }
}

impl Division {
    /// `own` is `/proc/self/cgroup`. If it fails, `sweeper` removes what was made.
    fn make(
        location: &Location,
        mut settings: Vec<Setting>,
        own: &str,
        sweeper: u32,
    ) -> Result<Self, Error> {
        let group = &location.group;
        let _lock = lock(group).map_err(not_ours(group))?;
        let available = words(group, CONTROLLERS);
        if let Some(&missing) = required(&settings).iter().find(|it| !has(&available, it)) {
            return Err(no_controller(missing, group, own));
        }
        settings.retain(|it| has(&available, it.controller()));
        let moved = divisible(location, Some(sweeper))?;
        remove_dead(group);
        let home = home_in(group);
        fs::create_dir(&home).map_err(not_ours(group))?;
        let made = Self {
            _alive: lock(&home).map_err(not_ours(&home))?,
            home,
            settings,
        };
        match moved {
            Moved::Yes => made.move_builder(sweeper).map_err(not_ours(group))?,
            // Who moves a process must have the right to move it in all of what is around.
            Moved::No => {
                let common = &location.common;
                drop(opened(common, PROCS).map_err(not_ours(common))?);
            }
        }
        for dir in [group, &made.home] {
            made.enable(dir).map_err(not_ours(dir))?;
        }
        made.leaf("trial")?;
        Ok(made)
    }

    /// Moves this process and `sweeper` out of the group that is divided.
    fn move_builder(&self, sweeper: u32) -> io::Result<()> {
        let builder = builder_in(&self.home);
        fs::create_dir(&builder)?;
        write(&builder, PROCS, "0")?;
        write(&builder, PROCS, &sweeper.to_string())
    }

    /// Puts the controllers in force in the groups below `dir`.
    fn enable(&self, dir: &Path) -> io::Result<()> {
        let enabled = words(dir, ENABLED);
        let wanted = used(&self.settings);
        let wanted = wanted.iter().filter(|it| !has(&enabled, it));
        let text: Vec<_> = wanted.map(|it| format!("+{it}")).collect();
        match text.is_empty() {
            true => Ok(()),
            false => write(dir, ENABLED, &text.join(" ")),
        }
    }

    fn leaf(&self, name: &str) -> Result<Leaf, Error> {
        let dir = self.home.join(name);
        fs::create_dir(&dir).map_err(not_ours(&self.home))?;
        let leaf = Leaf {
            procs: opened(&dir, PROCS).map_err(not_ours(&dir))?,
            dir,
        };
        for setting in &self.settings {
            match write(&leaf.dir, setting.file, &setting.value) {
                Err(source) if setting.need == Need::Required => {
                    return Err(Error::ControlLimit {
                        file: setting.file,
                        value: setting.value.clone(),
                        source,
                    });
                }
                _ => {}
            }
        }
        Ok(leaf)
    }
}

/// The group of this process's build in `group`.
fn home_in(group: &Path) -> PathBuf {
    group.join(format!("{PREFIX}{}", process::id()))
}

/// The group of the builder itself, if it had to leave the one that is divided.
fn builder_in(home: &Path) -> PathBuf {
    home.join("builder")
}

/// Removes what there is of `home`, in `group`; its builder has ended, or is about to. Other builds
/// that are in the same group keep it divided, and remove what is left.
fn sweep(group: &Path, home: &Path) {
    let Ok(_lock) = lock(group) else { return };
    let builder = builder_in(home);
    for leaf in children(home) {
        if leaf != builder {
            remove_killed(&leaf);
        }
    }
    if builder.exists() {
        remove_dead(group);
        if children(group).iter().any(|it| it != home) {
            return;
        }
        // A group with processes cannot have controllers in force below.
        for dir in [home, group] {
            let enabled = words(dir, ENABLED).into_iter();
            let text: Vec<_> = enabled.map(|it| format!("-{it}")).collect();
            let _ = write(dir, ENABLED, &text.join(" "));
        }
        let _ = write(group, PROCS, "0");
        // Who is still there is about to exit: to be killed would change the exit status.
        remove_empty(&builder);
    }
    let _ = fs::remove_dir(home);
}

impl Leaf {
    /// Who writes 0 to it moves there.
    pub(crate) fn procs(&self) -> BorrowedFd<'_> {
        self.procs.as_fd()
    }

    /// Whether the kernel has ended a process in it because there was no memory left for it.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.dir.join("memory.events"));
        events.is_ok_and(|text| killed_for_memory(&text))
    }
}

impl Drop for Leaf {
    fn drop(&mut self) {
        remove_killed(&self.dir);
    }
}

/// The controllers that limits could use here.
///
/// # Errors
/// Why there can be none.
pub(crate) fn controllers() -> Result<Vec<String>, Error> {
    let groups = own_groups();
    let location = Location::find(&seen(&groups, &mounts()), None)?;
    let mut found = words(&location.group, CONTROLLERS);
    found.retain(|it| ["cpu", "cpuset", "memory", "pids"].contains(&it.as_str()));
    if found.is_empty() {
        return Err(no_controller("memory", &location.group, &groups));
    }
    opened(&location.group, PROCS).map_err(not_ours(&location.group))?;
    divisible(&location, None)?;
    Ok(found)
}

fn own_groups() -> String {
    fs::read_to_string("/proc/self/cgroup").unwrap_or_default()
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()
}

fn seen<'a>(groups: &'a str, mounts: &'a str) -> Seen<'a> {
    Seen { groups, mounts }
}

/// Whether this process, and its sweeper, have to leave the group so that it can be divided.
fn divisible(location: &Location, sweeper: Option<u32>) -> Result<Moved, Error> {
    let group = &location.group;
    // The root of all groups is the only one without a type, and may have processes.
    if !group.join("cgroup.type").exists() {
        return Ok(Moved::No);
    }
    let (moved, ours) = match location.occupancy {
        Occupancy::Own => (Moved::Yes, [Some(process::id()), sweeper]),
        Occupancy::Others => (Moved::No, [None, None]),
    };
    let ours = ours.map(|id| id.map(|id| id.to_string()));
    let mut all = words(group, PROCS).into_iter();
    match all.all(|id| ours.contains(&Some(id))) {
        true => Ok(moved),
        false => Err(Error::GroupInUse {
            group: group.clone(),
        }),
    }
}

/// Whether `memory.events` tells of a process that was killed.
fn killed_for_memory(events: &str) -> bool {
    let mut counts = events.lines().filter_map(|it| it.strip_prefix("oom_kill "));
    counts.any(|count| count.trim() != "0")
}

/// What the names of builds begin with.
const PREFIX: &str = "rbuild-";

/// Removes what builds have left that are over: nobody holds the lock, and there is no process.
fn remove_dead(group: &Path) {
    for home in children(group) {
        let name = home.file_name().unwrap_or_default().to_string_lossy();
        let events = fs::read_to_string(home.join("cgroup.events")).unwrap_or_default();
        let empty = events.lines().any(|line| line == "populated 0");
        let dead = || File::open(&home).is_ok_and(|dir| dir.try_lock().is_ok());
        if name.starts_with(PREFIX) && empty && dead() {
            for leaf in children(&home) {
                let _ = fs::remove_dir(leaf);
            }
            let _ = fs::remove_dir(home);
        }
    }
}

/// Ends what is in the group `dir`, and removes it.
fn remove_killed(dir: &Path) {
    // From Linux 5.14 on; before, what is there was killed with its pid namespace.
    let _ = write(dir, "cgroup.kill", "1");
    remove_empty(dir);
}

/// Removes the group `dir` when the last process has left it.
fn remove_empty(dir: &Path) {
    let start = Instant::now();
    while fs::remove_dir(dir).is_err_and(|error| error.kind() == ErrorKind::ResourceBusy)
        && start.elapsed() < PATIENCE
    {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Of `group`: keeps other builds from dividing it at the same time.
fn lock(group: &Path) -> io::Result<File> {
    let dir = File::open(group)?;
    dir.lock()?;
    Ok(dir)
}

/// The groups in `dir`.
fn children(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let dirs = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    dirs.map(|entry| entry.path()).collect()
}

/// The words of a file; none if it cannot be read.
fn words(dir: &Path, file: &str) -> Vec<String> {
    let text = fs::read_to_string(dir.join(file)).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

fn has(words: &[String], word: &str) -> bool {
    words.iter().any(|it| it == word)
}

fn no_controller(controller: &'static str, group: &Path, own: &str) -> Error {
    Error::NoController {
        controller,
        group: group.to_owned(),
        version_1: is_of_version_1(own, controller),
    }
}

/// Whether `controller` is bound to a hierarchy of version 1; `own` is `/proc/self/cgroup`.
fn is_of_version_1(own: &str, controller: &str) -> bool {
    let lists = own.lines().filter_map(|line| line.split(':').nth(1));
    lists
        .flat_map(|list| list.split(','))
        .any(|it| it == controller)
}

fn opened(dir: &Path, file: &str) -> io::Result<File> {
    // The kernel's directories make no files: what is not there cannot be opened.
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(false)
        .open(dir.join(file))
}

/// Writes all of `text` at once, as these files want it.
fn write(dir: &Path, file: &str, text: &str) -> io::Result<()> {
    opened(dir, file)?.write_all(text.as_bytes())
}

fn not_ours(group: &Path) -> impl FnOnce(io::Error) -> Error {
    let group = group.to_owned();
    move |source| Error::GroupNotOurs { group, source }
}

#[cfg(test)]
mod tests;
