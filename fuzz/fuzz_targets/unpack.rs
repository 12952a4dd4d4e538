//! An archive is unpacked within its tree or refused: what is beside the tree stays as it is.
//!
//! The tree has links out of it before. What came out of it packs, and unpacks to the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_layer::{
    Form, Limits, Ownership, PackOptions, RootEntry, UnpackOptions, Whiteouts, pack, unpack,
};
use rbuild_sys::Dir;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

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

/// The names beside the tree, and what the canary has.
fn outside(root: &Path) -> (Vec<std::ffi::OsString>, String, u32) {
    let entries = fs::read_dir(root).expect("it is there").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.sort();
    let canary = root.join("canary");
    let mode = fs::symlink_metadata(&canary).expect("it lives").mode();
    (names, fs::read_to_string(&canary).expect("it lives"), mode)
}

fuzz_target!(|input: &[u8]| {
    let Some((first, tar)) = input.split_first() else {
        return;
    };
    let temp = tempfile::tempdir().expect("a temporary directory");
    fs::write(temp.path().join("canary"), CANARY).expect("it is written");
    let tree = temp.path().join("tree");
    fs::create_dir(&tree).expect("it is made");
    let owner = fs::metadata(&tree).expect("it is there");
    let owner = (owner.uid(), owner.gid());
    let is_layer = first % 2 == 0;
    if first % 4 < 2 {
        // What an earlier layer, or the user, left there.
        symlink("..", tree.join("up")).expect("a link");
        symlink("../canary", tree.join("out")).expect("a link");
        symlink(temp.path(), tree.join("abs")).expect("a link");
        fs::hard_link(temp.path().join("canary"), temp.path().join("second")).expect("a link");
    }
    let before = outside(temp.path());
    let whiteouts = match is_layer {
        true => Whiteouts::Overlay,
        false => Whiteouts::Literal,
    };
    let dir = Dir::open(&tree).expect("it is there");
    let unpacked = unpack(&mut &tar[..], &dir, &options(whiteouts, owner));
    assert_eq!(outside(temp.path()), before);
    if unpacked.is_err() || !is_layer {
        return;
    }
    let mut packed = Vec::new();
    if pack(&[&dir], &PackOptions::new(Form::Overlay), &mut packed).is_err() {
        return;
    }
    let copy = temp.path().join("copy");
    fs::create_dir(&copy).expect("it is made");
    let copy = Dir::open(&copy).expect("it is there");
    let limits = Limits {
        entries: 1 << 10,
        ..options(whiteouts, owner).limits
    };
    let again = UnpackOptions {
        limits,
        ..options(whiteouts, owner)
    };
    unpack(&mut &packed[..], &copy, &again).expect("what we packed is unpacked");
    let mut second = Vec::new();
    pack(&[&copy], &PackOptions::new(Form::Overlay), &mut second).expect("and packed");
    assert!(packed == second, "the tree is another one");
});
