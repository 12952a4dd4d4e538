//! Extended attributes of names in a directory, symlinks not followed. xattr(7).

use std::os::fd::{AsFd, AsRawFd};

use rustix::{
    fs::{XattrFlags, lgetxattr, llistxattr, lsetxattr},
    io::Errno,
};

use crate::{
    Dir,
    error::{Context, Error, Result},
};

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
        let mut names = [0_u8; 4096];
        let count = match llistxattr(&path[..], &mut names[..]) {
            Ok(count) => count,
            Err(Errno::OPNOTSUPP) => 0,
            Err(Errno::RANGE) => return self.xattrs_of(&path, name, &long_list(&path, name)?),
            Err(errno) => return Err(Error::new("llistxattr", name, errno)),
        };
        self.xattrs_of(&path, name, &names[..count])
    }

    /// The attribute `key` of `name`; `None` if it has none.
    ///
    /// # Errors
    /// As getxattr(2).
    pub fn xattr(&self, name: &[u8], key: &[u8]) -> Result<Option<Vec<u8>>> {
        let path = self.proc_path(name);
        let mut value = vec![0; 256];
        loop {
            match lgetxattr(&path[..], key, &mut value[..]) {
                Ok(count) => {
                    value.truncate(count);
                    return Ok(Some(value));
                }
                Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
                Err(Errno::RANGE) if value.len() < 1 << 16 => value.resize(1 << 16, 0),
                Err(errno) => return Err(Error::new("lgetxattr", name, errno)),
            }
        }
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

    fn xattrs_of(&self, path: &[u8], name: &[u8], list: &[u8]) -> Result<Vec<Xattr>> {
        let mut found = Vec::new();
        for key in list.split(|&b| b == 0).filter(|key| !key.is_empty()) {
            let mut value = vec![0; 256];
            match lgetxattr(path, key, &mut value[..]) {
                Ok(count) => value.truncate(count),
                Err(Errno::NODATA) => continue,
                Err(Errno::RANGE) => match self.xattr(name, key)? {
                    Some(long) => value = long,
                    None => continue,
                },
                Err(errno) => return Err(Error::new("lgetxattr", name, errno)),
            }
            found.push((key.to_vec(), value));
        }
        found.sort_unstable();
        Ok(found)
    }
}

fn long_list(path: &[u8], name: &[u8]) -> Result<Vec<u8>> {
    let mut names = vec![0; 1 << 16];
    let count = llistxattr(path, &mut names[..]).on("llistxattr", name)?;
    names.truncate(count);
    Ok(names)
}
