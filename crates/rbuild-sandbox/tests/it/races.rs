//! Somebody swaps components of paths while mounts are set up: another command that has the same
//! cache, or whoever may write in the context.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use rbuild_oci::ImagePath;
use rbuild_sandbox::{BindAccess, CacheAccess, Mount, MountKind};
use rbuild_sys::Dir;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::world::{Wish, World};

/// So many set-ups are raced against.
const ROUNDS: usize = 150;

/// A directory that takes turns with a link out of the tree, under the same name.
struct Swapped {
    name: PathBuf,
    double: PathBuf,
}

impl Swapped {
    /// `name` in `dir`, a directory for now; its double leads to `outside`.
    fn new(dir: &Path, name: &str, outside: &Path) -> Self {
        let swapped = Self {
            name: dir.join(name),
            double: dir.join(format!("{name}.link")),
        };
        fs::create_dir_all(&swapped.name).unwrap();
        symlink(outside, &swapped.double).unwrap();
        swapped
    }

    /// Swaps until `done`; at every moment there is something of that name.
    fn swap(&self, done: &AtomicBool) {
        while !done.load(Ordering::Relaxed) {
            let exchange = RenameFlags::EXCHANGE;
            renameat_with(CWD, &self.name, CWD, &self.double, exchange).unwrap();
            thread::yield_now();
        }
    }

    /// Runs commands with `mounts` while it swaps; returns what those wrote that could start.
    fn against<'a>(
        &self,
        world: &World,
        script: &str,
        mounts: &dyn Fn() -> Vec<Mount<'a>>,
    ) -> Vec<String> {
        let done = AtomicBool::new(false);
        let argv = ["/bin/sh", "-c", script];
        thread::scope(|scope| {
            scope.spawn(|| self.swap(&done));
            let ran = (0..ROUNDS).filter_map(|_| {
                let ran = world.run(&Wish {
                    argv: &argv,
                    mounts: mounts(),
                    ..Wish::default()
                });
                Some(ran.ok()?.stdout)
            });
            let said = ran.collect();
            done.store(true, Ordering::Relaxed);
            said
        })
    }
}

fn at<'a>(target: &str, kind: MountKind<'a>) -> Mount<'a> {
    Mount {
        target: ImagePath::root().join(target).unwrap(),
        kind,
    }
}

fn cache(dir: &Dir) -> MountKind<'_> {
    MountKind::Cache {
        dir,
        access: CacheAccess::ReadWrite,
    }
}

/// A directory of the host that no command may reach.
fn victim(place: &Path) -> PathBuf {
    let victim = place.join("victim");
    fs::create_dir_all(victim.join("deep")).unwrap();
    fs::write(victim.join("token"), "outside\n").unwrap();
    fs::write(victim.join("deep/token"), "outside\n").unwrap();
    victim
}

/// A mount inside of a mount, on the way to which there is a directory, or a link out of it.
pub fn targets(place: &Path) {
    let world = World::new(place);
    let victim = victim(place);
    let before = listed(&victim);
    for directory in ["outer", "inner"] {
        fs::create_dir(place.join(directory)).unwrap();
    }
    let open = |name: &str| Dir::open(&place.join(name)).unwrap();
    let (outer, inner) = (open("outer"), open("inner"));
    let swapped = Swapped::new(&place.join("outer"), "x", &victim);
    let mounts = || vec![at("/c", cache(&outer)), at("/c/x/deep/new", cache(&inner))];
    let script = "echo mark > /c/x/deep/new/mark; cat /c/x/token";
    let said = swapped.against(&world, script, &mounts);
    assert!(!said.concat().contains("outside"), "{said:?}");
    assert_eq!(listed(&victim), before, "nothing was made outside");
}

/// The source of a bind, on the way to which there is a directory, or a link out of the tree.
pub fn sources(place: &Path) {
    let world = World::new(place);
    let victim = victim(place);
    fs::create_dir(place.join("context")).unwrap();
    let swapped = Swapped::new(&place.join("context"), "x", &victim);
    fs::create_dir(place.join("context/x/deep")).unwrap();
    fs::write(place.join("context/x/deep/token"), "inside\n").unwrap();
    let context = Dir::open(&place.join("context")).unwrap();
    let mounts = || {
        let kind = MountKind::Bind {
            source: &context,
            path: ImagePath::root().join("x/deep").unwrap(),
            access: BindAccess::ReadOnly,
        };
        vec![at("/m", kind)]
    };
    let said = swapped.against(&world, "cat /m/token", &mounts);
    assert!(said.iter().any(|one| one == "inside\n"), "some worked");
    assert!(said.iter().all(|one| one == "inside\n"), "{said:?}");
}

/// Names below `dir`, sorted.
fn listed(dir: &Path) -> Vec<PathBuf> {
    let mut names = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path.clone());
            }
            names.push(path);
        }
    }
    names.sort();
    names
}
