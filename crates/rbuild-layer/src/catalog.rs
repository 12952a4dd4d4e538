//! An archive on disk whose members are read in any order: what is where in it.
//!
//! Knows: names, places and sizes of members. Does not know: what they mean.
//!
//! Invariant: a name leads to bytes of this file or to nothing. Links are followed by their text
//! alone, within the archive; no name of a member ever reaches the file system.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek},
    os::unix::fs::FileExt,
};

use crate::{
    archive::Archive,
    error::{Error, Result, shown},
    header::Type,
    unpack_options::Limits,
};

/// Members of an archive of images: some for each layer of each image.
const MEMBERS_LIMIT: u64 = 100_000;
/// Links that are followed from one name.
const LINKS_LIMIT: usize = 8;

/// What is in an archive.
#[derive(Debug)]
pub struct Catalog {
    file: File,
    members: BTreeMap<Vec<u8>, Member>,
}

#[derive(Debug)]
enum Member {
    File { offset: u64, size: u64 },
    Link(Vec<u8>),
}

/// Bytes of a file, such as those of one member.
#[derive(Debug)]
pub struct Section<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Catalog {
    /// Reads the headers of the uncompressed archive `file`, from its start.
    ///
    /// # Errors
    /// [`Error::Damaged`], also when it is cut; [`Error::Refused`] for a name that two members
    /// have, [`Error::Limit`] for more members than any honest archive of images has.
    pub fn of(mut file: File) -> Result<Self> {
        file.rewind().map_err(Error::Read)?;
        let mut members = BTreeMap::new();
        let mut input = &file;
        let mut archive = Archive::new(&mut input, Limits::default());
        while let Some(member) = archive.next()? {
            if members.len() as u64 >= MEMBERS_LIMIT {
                return Err(Error::Limit {
                    path: shown(&member.path),
                    limit: "members",
                    allowed: MEMBERS_LIMIT,
                });
            }
            let path = plain(&member.path);
            if member.is_sparse {
                return Err(Error::Refused {
                    path: shown(&member.path),
                    why: "has holes that are left out",
                });
            }
            let entry = match member.kind {
                Type::File => Member::File {
                    offset: archive.offset(),
                    size: member.size,
                },
                Type::Symlink => Member::Link(beside(&path, &member.link)),
                Type::HardLink => Member::Link(plain(&member.link)),
                _ => continue,
            };
            if members.insert(path, entry).is_some() {
                return Err(Error::Refused {
                    path: shown(&member.path),
                    why: "is there twice",
                });
            }
        }
        Ok(Self { file, members })
    }

    /// Whether there is a file `path`.
    pub fn has(&self, path: &str) -> bool {
        self.open(path).is_some()
    }

    /// Whether there is anything in a directory `path`.
    pub fn has_below(&self, path: &str) -> bool {
        let start = [&plain(path.as_bytes())[..], b"/"].concat();
        let mut after = self.members.range(start.clone()..);
        after
            .next()
            .is_some_and(|(name, _)| name.starts_with(&start))
    }

    /// The bytes of the file `path`; `None` if there is no such file.
    pub fn open(&self, path: &str) -> Option<Section<'_>> {
        let mut path = plain(path.as_bytes());
        for _ in 0..=LINKS_LIMIT {
            match self.members.get(&path)? {
                Member::File { offset, size } => {
                    return Some(Section::new(&self.file, *offset, *size));
                }
                Member::Link(target) => path.clone_from(target),
            }
        }
        None
    }
}

impl<'a> Section<'a> {
    /// The `size` bytes of `file` from `offset` on.
    pub fn new(file: &'a File, offset: u64, size: u64) -> Self {
        Self {
            file,
            offset,
            left: size,
        }
    }

    /// Bytes that were not read yet.
    pub fn size(&self) -> u64 {
        self.left
    }
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

/// `path` without `.`, doubled slashes and those at its ends. A `..` stays: nothing that is asked
/// for has one.
fn plain(path: &[u8]) -> Vec<u8> {
    let parts = path.split(|&b| b == b'/');
    let parts: Vec<&[u8]> = parts
        .filter(|part| !part.is_empty() && *part != b".")
        .collect();
    parts.join(&b'/')
}

/// What `target` means in a symbolic link at `path`; above the archive's root there is nothing.
fn beside(path: &[u8], target: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = match target {
        [b'/', ..] => Vec::new(),
        _ => path.split(|&b| b == b'/').collect(),
    };
    parts.pop();
    for part in target.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join(&b'/')
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::Catalog;
    use crate::Error;

    enum Entry {
        File(&'static str),
        Link(&'static str),
        Hard(&'static str),
    }
    use Entry::{File, Hard, Link};

    fn tar(entries: &[(&str, Entry)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, entry) in entries {
            let mut header = tar::Header::new_ustar();
            // As bytes: the crate refuses names that we want to refuse ourselves.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            let (kind, target, content) = match entry {
                File(content) => (tar::EntryType::Regular, "", *content),
                Link(target) => (tar::EntryType::Symlink, *target, ""),
                Hard(target) => (tar::EntryType::Link, *target, ""),
            };
            header.set_entry_type(kind);
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn catalog(bytes: &[u8]) -> Result<Catalog, Error> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Catalog::of(file)
    }

    /// What `path` leads to.
    #[track_caller]
    fn check(entries: &[(&str, Entry)], path: &str, expected: Option<&str>) {
        let catalog = catalog(&tar(entries)).unwrap();
        let mut text = String::new();
        let found = catalog.open(path).map(|mut section| {
            section.read_to_string(&mut text).unwrap();
            &text[..]
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn members_are_found_by_name_in_any_order() {
        let entries = [("a", File("1")), ("./d//b", File("22")), ("c", File(""))];
        check(&entries, "d/b", Some("22"));
        check(&entries, "a", Some("1"));
        check(&entries, "c", Some(""));
        check(&entries, "d", None);
        let catalog = catalog(&tar(&entries)).unwrap();
        assert!(catalog.has_below("d") && !catalog.has_below("a"));
    }

    #[test]
    fn links_lead_to_members_only() {
        let entries = [
            ("x/layer.tar", File("bytes")),
            ("y/layer.tar", Link("../x/layer.tar")),
            ("hard", Hard("x/layer.tar")),
            ("out", Link("../../../etc/passwd")),
            ("absolute", Link("/etc/passwd")),
            ("loop", Link("loop")),
        ];
        check(&entries, "y/layer.tar", Some("bytes"));
        check(&entries, "hard", Some("bytes"));
        for nothing in ["out", "absolute", "loop", "../x/layer.tar", "/etc/passwd"] {
            check(&entries, nothing, None);
        }
    }

    #[test]
    fn a_name_that_two_members_have_is_refused() {
        let error = catalog(&tar(&[("a", File("1")), ("./a", File("2"))])).unwrap_err();
        assert_eq!(error.to_string(), "archive entry `./a` is there twice");
    }

    #[test]
    fn a_cut_archive_is_damaged() {
        let whole = tar(&[("a", File("some content"))]);
        for end in [100, 513, 520] {
            let error = catalog(&whole[..end]).unwrap_err();
            assert!(matches!(error, Error::Damaged { .. }), "{end}: {error}");
        }
    }
}
