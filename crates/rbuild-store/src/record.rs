//! Small files with one value each: read whole, written whole.

use std::{
    fs::File,
    io::{self, Read, Write},
};

use rbuild_sys::{Dir, Errno, Error, Result};
use serde::{Serialize, de::DeserializeOwned};

/// No record is larger, in bytes: a manifest has 4 MiB, a configuration 8 MiB, as JSON strings.
const SIZE_LIMIT: u64 = 64 << 20;

/// The content of the file `name`; `None` if there is none, or it is not a regular file.
///
/// # Errors
/// Every other failure to open or read it.
pub fn read_bytes(dir: &Dir, name: &[u8]) -> Result<Option<Vec<u8>>> {
    let file = match dir.read(name) {
        Ok(file) => file,
        Err(error) if is_miss(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    let read = file.take(SIZE_LIMIT).read_to_end(&mut bytes);
    on(read, "read", name)?;
    Ok(Some(bytes))
}

/// The value in the file `name`; `None` if there is none or it is damaged (fault 23).
///
/// # Errors
/// As [`read_bytes`].
pub fn read<T: DeserializeOwned>(dir: &Dir, name: &[u8]) -> Result<Option<T>> {
    let bytes = read_bytes(dir, name)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// `value` as the bytes of a record.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).expect("records have string keys and no bad values");
    bytes.push(b'\n');
    bytes
}

/// Creates the file `name`, which does not exist yet.
///
/// # Errors
/// As [`Dir::create`] and write(2).
pub fn create(dir: &Dir, name: &[u8], bytes: &[u8]) -> Result<File> {
    let mut file = dir.create(name, 0o600)?;
    on(file.write_all(bytes), "write", name)?;
    Ok(file)
}

/// The directory `name`, created if it is missing.
///
/// # Errors
/// As [`Dir::mkdir`] and [`Dir::child`].
pub fn ensure_dir(dir: &Dir, name: &[u8]) -> Result<Dir> {
    match dir.child(name) {
        Err(error) if error.is(Errno::NOENT) => {}
        answer => return answer,
    }
    match dir.mkdir(name, 0o700) {
        Err(error) if !error.is(Errno::EXIST) => return Err(error),
        _ => {}
    }
    dir.child(name)
}

/// Forces the names in `dir` to disk.
///
/// # Errors
/// As fsync(2).
pub fn sync_names(dir: &Dir) -> Result<()> {
    let file = File::from(std::os::fd::OwnedFd::from(dir.try_clone()?));
    on(file.sync_all(), "fsync", b"")
}

/// Names the call and operand of a failed operation on an open file.
pub fn on<T>(result: io::Result<T>, call: &'static str, operand: &[u8]) -> Result<T> {
    result.map_err(|source| Error {
        call,
        operand: String::from_utf8_lossy(operand).into_owned(),
        source,
    })
}

/// Whether `error` says that there is no object of the wanted kind.
pub fn is_miss(error: &Error) -> bool {
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::INVAL]
        .into_iter()
        .any(|errno| error.is(errno))
}
