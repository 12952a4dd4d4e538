//! Extended attributes of open files, and of names in a directory, symlinks not followed. xattr(7).

use std::os::fd::{AsFd, AsRawFd};

use rustix::{
    fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr, lgetxattr, llistxattr, lsetxattr},
    io::{Errno, Result as Answer},
};

use crate::{
    Dir,
    error::{Context, Error, Result},
};

/// The kernel allows no longer list of names and no longer value, in bytes.
const LONGEST: usize = 1 << 16;

/// Name and value of an attribute.
pub type Xattr = (Vec<u8>, Vec<u8>);

impl Dir {
    /// All attributes of `name` (empty: of this directory itself), sorted by name.
    /// A file system without attributes has none.
    ///
    /// # Errors
    /// As listxattr(2).
    pub fn xattrs(&self, name: &[u8]) -> Result<Vec<Xattr>> {
        let path = self.proc_path(name);
        all(
            name,
            |names| llistxattr(&path[..], names),
            |key, value| lgetxattr(&path[..], key, value),
        )
    }

    /// The attribute `key` of `name`; `None` if it has none.
    ///
    /// # Errors
    /// As getxattr(2).
    pub fn xattr(&self, name: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>> {
        let path = self.proc_path(name);
        one(name, |value| lgetxattr(&path[..], key, value))
    }

    /// Sets the attribute `key` of `name` (empty: of this directory itself).
    ///
    /// # Errors
    /// `OPNOTSUPP` where the file system has none, `PERM` where we may not.
    pub fn set_xattr(&self, name: &[u8], key: &[u8], value: &[u8]) -> Result<()> {
        let operand = || [name, b" ", key].concat();
        lsetxattr(&self.proc_path(name)[..], key, value, XattrFlags::empty())
            .map_err(|errno| Error::new("lsetxattr", operand(), errno))
    }

    /// There is no `getxattrat` before Linux 6.13: a path through our own descriptor does the same.
    fn proc_path(&self, name: &[u8]) -> Vec<u8> {
        let mut path = format!("/proc/self/fd/{}/", self.as_fd().as_raw_fd()).into_bytes();
        path.extend_from_slice(if name.is_empty() { b"." } else { name });
        path
    }
}

/// All attributes of an open file (not one opened with `O_PATH`), sorted by name. A file system
/// without attributes has none.
///
/// # Errors
/// As listxattr(2).
pub fn file_xattrs(fd: impl AsFd) -> Result<Vec<Xattr>> {
    let fd = fd.as_fd();
    all(
        b"",
        |names| flistxattr(fd, names),
        |key, value| fgetxattr(fd, key, value),
    )
}

/// Sets the attribute `key` of an open file.
///
/// # Errors
/// `OPNOTSUPP` where the file system has none, `PERM` where we may not.
pub fn set_file_xattr(fd: impl AsFd, key: &[u8], value: &[u8]) -> Result<()> {
    fsetxattr(fd, key, value, XattrFlags::empty()).on("fsetxattr", key)
}

/// All attributes that `list` names, with the values that `get` returns for them.
fn all(
    operand: &[u8],
    list: impl Fn(&mut [u8]) -> Answer<usize>,
    get: impl Fn(&[u8], &mut [u8]) -> Answer<usize>,
) -> Result<Vec<Xattr>> {
    let mut short = [0; 1024];
    let mut long = Vec::new();
    let names = match list(&mut short) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Ok(count) => &short[..count],
        Err(Errno::RANGE) => {
            long.resize(LONGEST, 0);
            let count = list(&mut long).on("listxattr", operand)?;
            &long[..count]
        }
        Err(errno) => return Err(Error::new("listxattr", operand, errno)),
    };
    let mut found = Vec::new();
    for key in names.split(|&b| b == 0).filter(|key| !key.is_empty()) {
        if let Some(value) = one(operand, |value| get(key, value))? {
            found.push((key.to_vec(), value));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The value that `get` returns; `None` if there is none.
fn one(operand: &[u8], get: impl Fn(&mut [u8]) -> Answer<usize>) -> Result<Option<Vec<u8>>> {
    let mut value = vec![0; 256];
    loop {
        match get(&mut value) {
            Ok(count) => {
                value.truncate(count);
                return Ok(Some(value));
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
            Err(Errno::RANGE) if value.len() < LONGEST => value.resize(LONGEST, 0),
            Err(errno) => return Err(Error::new("getxattr", operand, errno)),
        }
    }
}
