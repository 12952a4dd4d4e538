//! Failures, whichever thread has them.

use std::{fs, path::Path, sync::Arc};

use rbuild_context::Visit;
use rbuild_sys::{Dir, Timestamp};

use super::{Crew, StepError, Stop, run};
use crate::step::{copy::folder::Folder, directory::New, place::Tree};

const FILES: usize = 400;

fn name(file: usize) -> String {
    format!("f{file:03}")
}

/// A directory with [`FILES`] files.
fn source(path: &Path) -> Dir {
    fs::create_dir(path).unwrap();
    (0..FILES).for_each(|file| fs::write(path.join(name(file)), "x").unwrap());
    Dir::open(path).unwrap()
}

/// A directory of a tree below `path` that has `files` already.
fn folder(path: &Path, files: &[usize]) -> Arc<Folder> {
    fs::create_dir_all(path.join("to/d")).unwrap();
    for &file in files {
        fs::write(path.join("to/d").join(name(file)), "").unwrap();
    }
    let [below, changes] = ["from", "to"].map(|name| Dir::open(&path.join(name)).unwrap());
    let tree = Tree {
        below: &below,
        changes: &changes,
    };
    let never = New {
        uid: 0,
        gid: 0,
        mode: 0o755,
    };
    Arc::new(Folder {
        place: tree.directory(b"d", never).unwrap(),
        path: b"d".to_vec(),
        mtime: Timestamp {
            seconds: 5,
            nanoseconds: 0,
        },
    })
}

fn add_all(crew: &mut Crew<'_, '_>, from: &Dir, to: &Arc<Folder>) -> Result<(), Stop> {
    for file in 0..FILES {
        let name = name(file);
        let stat = from.stat(name.as_bytes()).unwrap();
        let visit = Visit {
            dir: from,
            name: name.as_bytes(),
            relative: name.as_bytes(),
            stat: &stat,
        };
        let (uid, gid, mode) = (stat.uid, stat.gid, stat.mode);
        crew.add(to, &visit, New { uid, gid, mode })?;
    }
    Ok(())
}

/// What the copy of all files says where those of `in_the_way` are already, for each number of threads;
/// `walked` is what becomes of the walk after them.
#[track_caller]
fn check(in_the_way: &[usize], walked: impl Fn() -> Result<(), Stop>, expected: Result<(), &str>) {
    let temp = tempfile::tempdir().unwrap();
    let from = source(&temp.path().join("from"));
    for threads in [1, 2, 4, 64] {
        let to = folder(temp.path(), in_the_way);
        let copied = run(threads, |crew| {
            add_all(crew, &from, &to)?;
            walked()
        });
        let copied = copied.map_err(|error| error.to_string());
        assert_eq!(copied.as_ref().map_err(|text| &text[..]).copied(), expected);
        assert_eq!(
            Arc::strong_count(&to),
            1,
            "somebody still has the directory"
        );
        to.leave().unwrap();
        fs::remove_dir_all(temp.path().join("to")).unwrap();
    }
}

fn stumble() -> Result<(), Stop> {
    Err(Stop::Failed(StepError::OntoFile {
        path: "/d/g".to_owned(),
    }))
}

#[test]
fn all_files_are_copied() {
    check(&[], || Ok(()), Ok(()));
}

#[test]
fn the_failure_is_that_of_the_first_file_in_the_order_of_the_walk() {
    let first = Err("cannot write `/d/f070` in the image");
    check(&[70, 71, 200, 390], || Ok(()), first);
    check(&[70, 140, 399], stumble, first);
    check(&[399], stumble, Err("cannot write `/d/f399` in the image"));
}

#[test]
fn a_failure_of_the_walk_comes_after_those_of_the_files_before() {
    let failure = "`/d/g` is not a directory, so nothing can be put into it";
    check(&[], stumble, Err(failure));
}
