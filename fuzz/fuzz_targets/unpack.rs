//! An archive is unpacked within its tree or refused: what is beside the tree stays as it is.
//!
//! The tree has links out of it before. What came out of it packs, and unpacks to the same again.
//!
//! A run costs what its files cost. So the room with the canary is made once, and only the trees
//! are made and removed by each run; it is to be on a tmpfs, `run.sh` sees to that.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_layer::{
    Form, Limits, Ownership, PackOptions, RootEntry, UnpackOptions, Whiteouts, pack, unpack,
};
use rbuild_sys::Dir;
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

const CANARY: &str = "sings";

fn options(whiteouts: Whiteouts, owner: (u32, u32)) -> UnpackOptions {
    let (uid, gid) = owner;
    UnpackOptions {
        ownership: Ownership::Fixed { uid, gid },
        root: RootEntry::Ignored,
        limits: Limits {
            entries: 64,
            size: 1 << 20,
            header: 1 << 16,
            path: 1 << 12,
            xattr: 1 << 10,
        },
        ..UnpackOptions::new(whiteouts)
    }
}

/// What is beside the trees, and stays as it is.
struct Room {
    path: PathBuf,
    dir: Dir,
    owner: (u32, u32),
    outside: Outside,
}

static ROOM: LazyLock<Room> = LazyLock::new(|| {
    let path = tempfile::tempdir().expect("a temporary directory").keep();
    let canary = path.join("canary");
    fs::write(&canary, CANARY).expect("it is written");
    // A link that is made through the tree shows in the number of its names.
    fs::hard_link(&canary, path.join("second")).expect("a link");
    let owner = fs::metadata(&path).expect("it is there");
    Room {
        dir: Dir::open(&path).expect("it is there"),
        owner: (owner.uid(), owner.gid()),
        outside: Outside::of(&path),
        path,
    }
});

impl Room {
    /// A new directory in it.
    fn tree(&self, name: &str) -> Dir {
        self.dir.mkdir(name.as_bytes(), 0o755).expect("it is made");
        self.dir.child(name.as_bytes()).expect("it is there")
    }

    /// Removes the trees of this run.
    fn clear(&self) {
        for name in TREES {
            self.dir.remove_all(name.as_bytes()).expect("we may");
        }
    }
}

/// The trees of a run.
const TREES: [&str; 2] = ["tree", "copy"];

/// The names beside the trees, and all that can be seen of the canary but when it was read.
#[derive(Debug, PartialEq, Eq)]
struct Outside {
    names: Vec<std::ffi::OsString>,
    text: Vec<u8>,
    canary: [i64; 7],
}

impl Outside {
    fn of(room: &Path) -> Self {
        let entries = fs::read_dir(room).expect("it is there").flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.retain(|name| TREES.iter().all(|tree| name != tree));
        names.sort();
        let canary = room.join("canary");
        let seen = fs::symlink_metadata(&canary).expect("it lives");
        Self {
            names,
            text: fs::read(&canary).expect("it lives"),
            canary: fields(&seen),
        }
    }
}

fn fields(seen: &Metadata) -> [i64; 7] {
    [
        seen.mode().into(),
        seen.uid().into(),
        seen.gid().into(),
        seen.nlink().cast_signed(),
        seen.ino().cast_signed(),
        seen.ctime(),
        seen.ctime_nsec(),
    ]
}

fuzz_target!(|input: &[u8]| {
    let Some((first, tar)) = input.split_first() else {
        return;
    };
    let room = &*ROOM;
    room.clear();
    let tree = room.tree("tree");
    let is_layer = first % 2 == 0;
    if first % 4 < 2 {
        // What an earlier layer, or the user, left there.
        let at = room.path.join("tree");
        symlink("..", at.join("up")).expect("a link");
        symlink("../canary", at.join("out")).expect("a link");
        symlink(&room.path, at.join("abs")).expect("a link");
    }
    let whiteouts = match is_layer {
        true => Whiteouts::Overlay,
        false => Whiteouts::Literal,
    };
    let options = options(whiteouts, room.owner);
    let unpacked = unpack(&mut &tar[..], &tree, &options);
    assert_eq!(Outside::of(&room.path), room.outside);
    if unpacked.is_err() || !is_layer {
        return;
    }
    let mut packed = Vec::new();
    if pack(&[&tree], &PackOptions::new(Form::Overlay), &mut packed).is_err() {
        return;
    }
    let copy = room.tree("copy");
    let limits = Limits {
        entries: 1 << 10,
        ..options.limits
    };
    let again = UnpackOptions { limits, ..options };
    unpack(&mut &packed[..], &copy, &again).expect("what we packed is unpacked");
    let mut second = Vec::new();
    pack(&[&copy], &PackOptions::new(Form::Overlay), &mut second).expect("and packed");
    assert!(packed == second, "the tree is another one");
});
