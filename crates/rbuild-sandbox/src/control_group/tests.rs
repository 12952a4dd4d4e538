//! What is written where, in directories that look like the kernel's.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
};

use super::{
    ControlLimits, Division, Error, Location, Occupancy, builder_in, children, killed_for_memory,
    limits::Processes, lock,
};

/// No number of a process.
const SWEEPER: u32 = 4_711_000;

/// A group of this process, with these controllers, and this is what `/proc/self/cgroup` says.
struct Group {
    dir: tempfile::TempDir,
    own: &'static str,
}

impl Group {
    fn new(controllers: &str) -> Self {
        let it = Self {
            dir: tempfile::tempdir().unwrap(),
            own: "0::/here\n",
        };
        it.put("cgroup.controllers", controllers);
        it.put("cgroup.type", "domain\n");
        it.put("cgroup.subtree_control", "");
        it.put("cgroup.procs", &format!("{}\n{SWEEPER}\n", process::id()));
        it
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.dir.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        let path = self.dir.path().join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| format!("{}: {error}", path.display()))
    }

    fn divided(&self, limits: &ControlLimits, occupancy: Occupancy) -> Result<Division, Error> {
        let group = self.dir.path().to_owned();
        let location = Location {
            common: group.clone(),
            group,
            occupancy,
        };
        Division::make(&location, limits.settings(), self.own, SWEEPER)
    }
}

fn memory() -> ControlLimits {
    ControlLimits {
        memory: Some(4096),
        ..ControlLimits::default()
    }
}

fn home() -> PathBuf {
    format!("rbuild-{}", process::id()).into()
}

fn within(path: &str) -> String {
    home().join(path).to_str().unwrap().to_owned()
}

#[test]
fn the_builder_leaves_its_group_and_each_command_has_one_with_the_limits() {
    let group = Group::new("cpu memory pids\n");
    let division = group.divided(&memory(), Occupancy::Own).unwrap();
    // Whoever moved last.
    let last = group.read(&within("builder/cgroup.procs"));
    assert_eq!(last, SWEEPER.to_string());
    let enabled = [
        group.read("cgroup.subtree_control"),
        group.read(&within("cgroup.subtree_control")),
    ];
    assert_eq!(enabled, ["+memory +pids", "+memory +pids"]);
    let leaf = division.leaf("run-0").unwrap();
    let files = ["memory.max", "memory.swap.max", "pids.max"];
    let written = files.map(|file| fs::read_to_string(leaf.dir.join(file)).unwrap());
    assert_eq!(written, ["4096", "4096", "32768"]);
    drop(leaf);
    assert_eq!(group.read(&within("run-0/cgroup.kill")), "1");
}

#[test]
fn in_another_group_the_builder_stays_where_it_is() {
    let group = Group::new("memory\n");
    group.put("cgroup.procs", "");
    let division = group.divided(&memory(), Occupancy::Others).unwrap();
    assert!(!builder_in(&division.home).exists());
    // Processes cannot be counted here, and nobody said how many there may be.
    assert_eq!(group.read("cgroup.subtree_control"), "+memory");
}

#[test]
fn controllers_that_are_in_force_stay_so() {
    let group = Group::new("memory pids\n");
    group.put("cgroup.subtree_control", "memory pids\n");
    let _division = group.divided(&memory(), Occupancy::Own).unwrap();
    assert_eq!(group.read("cgroup.subtree_control"), "memory pids\n");
}

#[test]
fn what_is_not_possible_is_told_with_its_reason_and_leaves_nothing() {
    let refused = |group: &Group, limits: &ControlLimits, occupancy| {
        let error = group.divided(limits, occupancy).unwrap_err();
        assert_eq!(children(group.dir.path()), <[&Path; 0]>::default());
        let place = group.dir.path().to_str().unwrap();
        let hint = error.hint().expect("there is something to try");
        (error.to_string().replace(place, "GROUP"), hint)
    };
    let group = Group::new("cpu\n");
    let (why, hint) = refused(&group, &memory(), Occupancy::Own);
    let no_controller = "the control group `GROUP` has no controller `memory`: it ";
    assert_eq!(why, format!("{no_controller}was not given to this user"));
    assert!(
        hint.contains("systemd-run --user --scope -p Delegate=yes"),
        "{hint}"
    );

    let group = Group {
        own: "4:cpu,memory:/\n0::/\n",
        ..Group::new("hugetlb\n")
    };
    let (why, hint) = refused(&group, &memory(), Occupancy::Own);
    assert_eq!(
        why,
        format!("{no_controller}belongs to version 1 on this machine")
    );
    assert!(
        hint.contains("systemd.unified_cgroup_hierarchy=1"),
        "{hint}"
    );

    let group = Group::new("memory\n");
    group.put("cgroup.procs", &format!("{}\n1\n", process::id()));
    let (why, _) = refused(&group, &memory(), Occupancy::Own);
    assert_eq!(
        why,
        "there are other processes in the control group `GROUP`: it cannot be divided"
    );
    let (why, _) = refused(&group, &memory(), Occupancy::Others);
    assert!(why.contains("other processes"), "{why}");

    let group = Group::new("memory pids\n");
    fs::remove_dir_all(group.dir.path()).unwrap();
    let error = group.divided(&memory(), Occupancy::Own).unwrap_err();
    assert!(matches!(error, Error::GroupNotOurs { .. }), "{error:?}");
}

#[test]
fn the_root_of_all_groups_may_have_processes() {
    let group = Group::new("pids\n");
    fs::remove_file(group.dir.path().join("cgroup.type")).unwrap();
    group.put("cgroup.procs", "1\n2\n");
    let limits = ControlLimits {
        processes: Processes::Limited(7),
        ..ControlLimits::default()
    };
    let division = group.divided(&limits, Occupancy::Own).unwrap();
    assert!(!builder_in(&division.home).exists());
}

#[test]
fn builds_that_are_over_are_removed_and_others_are_not() {
    let group = Group::new("memory\n");
    for (name, events) in [
        ("rbuild-1", "populated 0\nfrozen 0\n"),
        ("rbuild-2", "populated 1\nfrozen 0\n"),
        ("rbuild-3", "populated 0\nfrozen 0\n"),
        ("other", "populated 0\nfrozen 0\n"),
    ] {
        fs::create_dir(group.dir.path().join(name)).unwrap();
        group.put(&format!("{name}/cgroup.events"), events);
    }
    // Unlike the kernel's, this directory is not empty: that it is tried is seen by its leaves.
    for name in ["rbuild-1", "rbuild-2", "rbuild-3"] {
        fs::create_dir(group.dir.path().join(name).join("run-3")).unwrap();
    }
    // Its builder is in another group.
    let _alive = lock(&group.dir.path().join("rbuild-3")).unwrap();
    let _division = group.divided(&memory(), Occupancy::Own).unwrap();
    let left = [
        "rbuild-1/run-3",
        "rbuild-2/run-3",
        "rbuild-3/run-3",
        "other",
    ];
    let left = left.map(|name| group.dir.path().join(name).exists());
    assert_eq!(left, [false, true, true, true]);
}

#[test]
fn a_process_that_was_killed_for_memory_is_counted() {
    let events =
        |count| format!("low 0\nhigh 0\nmax 12\noom 1\noom_kill {count}\noom_group_kill 0\n");
    assert!(killed_for_memory(&events(2)));
    assert!(!killed_for_memory(&events(0)) && !killed_for_memory(""));
}
