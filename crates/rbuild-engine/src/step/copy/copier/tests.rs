//! A tree that is large enough for several threads.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use rbuild_context::{Filter, Selection, sources};
use rbuild_layer::{Form, PackOptions, pack};
use rbuild_sys::Dir;

use super::{Copier, Owner, Terms, Tree};

/// Directories of many files and of few, in one another, with hard links between them; each has a
/// time of its own.
fn source(top: &Path) {
    for (number, (dir, files)) in [
        ("a", 300),
        ("a/b", 3),
        ("a/b/c", 150),
        ("a/d", 0),
        ("e", 70),
    ]
    .into_iter()
    .enumerate()
    {
        fs::create_dir(top.join(dir)).unwrap();
        for file in 0..files {
            let path = top.join(format!("{dir}/{file:03}"));
            fs::write(&path, format!("{dir} {file}").repeat(file)).unwrap();
            age(&path, number * 1000 + file);
        }
    }
    fs::hard_link(top.join("a/005"), top.join("a/b/other")).unwrap();
    fs::hard_link(top.join("a/005"), top.join("e/last")).unwrap();
    for (number, dir) in ["a/b/c", "a/b", "a/d", "a", "e", ""]
        .into_iter()
        .enumerate()
    {
        age(&top.join(dir), number);
    }
}

/// Makes the file `path` one of long ago.
fn age(path: &Path, seconds: usize) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds as u64);
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

fn packed(tree: &Dir) -> Vec<u8> {
    let mut archive = Vec::new();
    pack(&[tree], &PackOptions::new(Form::Plain), &mut archive).unwrap();
    archive
}

#[test]
fn any_number_of_threads_copies_a_tree_with_its_times_and_hard_links() {
    let temp = tempfile::tempdir().unwrap();
    let dir = |name: &str| {
        let path = temp.path().join(name);
        fs::create_dir_all(&path).unwrap();
        Dir::open(&path).unwrap()
    };
    let (from, empty) = (dir("from"), dir("empty"));
    source(&temp.path().join("from"));
    let expected = packed(&from);
    for threads in [1, 2, 3, 64] {
        let to = dir(&format!("to{threads}"));
        let mut copier = Copier::new(Terms {
            tree: Tree {
                below: &empty,
                changes: &to,
            },
            owner: Owner::AsInSource,
            mode: None,
            destination: "",
            into_directory: true,
            threads,
        });
        let source = sources(&from, b"", &Selection::default())
            .unwrap()
            .remove(0);
        copier.contents(&source, Filter::default(), b"").unwrap();
        to.set_mode(b".", from.stat_self().unwrap().mode).unwrap();
        assert!(packed(&to) == expected, "with {threads} threads");
    }
}
