//! A victim is first put aside: renamed to `.NAME` where it is. Only when nobody has taken a lease
//! meanwhile does it go to the trash.
//!
//! Everybody who misses an object looks for it here and puts it back: a session whose lease came
//! too late for the pruner to see finds its layer nevertheless, and what a killed pruner put
//! aside is not lost. An object that is aside is complete; one in the trash may not be.

use std::time::{SystemTime, UNIX_EPOCH};

use rbuild_sys::{Dir, Errno, FileKind, Timestamp};

use crate::{
    Store,
    error::{Context, Result},
};

/// Directories whose entries can be aside; those of blobs have one level more.
const PLACES: [&str; 2] = ["layers", "images"];

/// Puts `name` of `dir` aside; `false` if it is not there.
///
/// # Errors
/// As renameat2(2).
pub fn put(dir: &Dir, name: &[u8]) -> rbuild_sys::Result<bool> {
    let moved = dir.rename_new(dir, name, &hidden(name));
    Ok(rbuild_sys::Error::absent(moved)?.is_some())
}

/// Puts `name` back. If there is a new one already, the old one stays aside.
///
/// # Errors
/// As renameat2(2).
pub fn restore(dir: &Dir, name: &[u8]) -> rbuild_sys::Result<bool> {
    match dir.rename_new(dir, &hidden(name), name) {
        Err(error) if error.is(Errno::EXIST) || error.is(Errno::NOENT) => Ok(false),
        answer => answer.map(|()| true),
    }
}

/// Moves `name`, which is aside, to `trash`; `false` if somebody put it back.
///
/// # Errors
/// As renameat2(2).
pub fn trash(dir: &Dir, name: &[u8], trash: &Dir, new: &[u8]) -> rbuild_sys::Result<bool> {
    let moved = trash.rename_new(dir, &hidden(name), new);
    Ok(rbuild_sys::Error::absent(moved)?.is_some())
}

/// Opens the directory `name` of `dir` for use: puts it back if it is aside, and notes the time.
///
/// # Errors
/// As [`Dir::child`]; `NOENT` if it is really missing.
pub fn open(dir: &Dir, name: &[u8]) -> rbuild_sys::Result<Dir> {
    let opened = match dir.child(name) {
        // Put back, or put there by somebody else: look again in either case.
        Err(error) if error.is(Errno::NOENT) => {
            let _ = restore(dir, name);
            dir.child(name)
        }
        answer => answer,
    }?;
    touch(dir, name);
    Ok(opened)
}

/// What `read` finds of `name`; when it is missing, it is put back and read once more.
///
/// # Errors
/// Those of `read`.
pub fn read<T>(
    dir: &Dir,
    name: &[u8],
    read: impl Fn(&Dir, &[u8]) -> rbuild_sys::Result<Option<T>>,
) -> rbuild_sys::Result<Option<T>> {
    match read(dir, name)? {
        // Put back, or put there by somebody else: look again in either case.
        None => {
            let _ = restore(dir, name);
            read(dir, name)
        }
        found => Ok(found),
    }
}

/// Notes that `name` is used now. Only an ordering hint: failing is fine.
pub fn touch(dir: &Dir, name: &[u8]) {
    let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else {
        return;
    };
    let now = Timestamp {
        seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
        nanoseconds: now.subsec_nanos(),
    };
    let _ = dir.set_mtime(name, now);
}

/// Puts back all that a killed pruner left aside. What has a successor goes to the trash.
pub fn restore_all(store: &Store) -> Result<()> {
    let what = || "what a killed prune put aside".to_owned();
    for place in PLACES {
        restore_in(store, place).removing(what)?;
    }
    let blobs = store.subdirectory("blobs/sha256").removing(what)?;
    let fan = blobs.map_or(Ok(Vec::new()), |dir| dir.entries());
    for entry in fan.removing(what)? {
        if entry.kind == FileKind::Directory {
            let name = String::from_utf8_lossy(&entry.name);
            restore_in(store, &format!("blobs/sha256/{name}")).removing(what)?;
        }
    }
    Ok(())
}

fn restore_in(store: &Store, place: &str) -> rbuild_sys::Result<()> {
    let Some(dir) = store.subdirectory(place)? else {
        return Ok(());
    };
    for entry in dir.entries()? {
        let Some(name) = entry.name.strip_prefix(b".") else {
            continue;
        };
        if !restore(&dir, name)? {
            let bin = store.make_subdirectory("trash")?;
            trash(&dir, name, &bin, &super::remove::trash_name()?)?;
        }
    }
    Ok(())
}

fn hidden(name: &[u8]) -> Vec<u8> {
    [b".", name].concat()
}
