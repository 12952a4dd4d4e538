//! Software bill of materials: the packages that an image's package databases list.
//!
//! Knows: where dpkg and apk keep their databases, and how much of them is read.
//! Does not know: packages of languages (pip, npm…), which have no database in one place.
//!
//! Invariant: an image's files are opened inside of its tree, and nothing in them is an error: what
//! cannot be understood is left out.

mod apk;
mod dpkg;
mod package;
mod release;
mod spdx;

use std::io::Read;

use rbuild_oci::{ImageConfig, Name};
use rbuild_store::ImageRecord;
use rbuild_sys::{Dir, Errno};
use serde_json::Value;

use crate::Error;
use package::Package;
use release::Release;

/// No more is read of a database, in bytes: that of 10,000 packages has 15 MiB.
const DATABASE_LIMIT: u64 = 64 << 20;
/// No more is read of the file that names the distribution, in bytes.
const RELEASE_LIMIT: u64 = 64 << 10;
/// No more files of `status.d` are read.
const FILES_LIMIT: usize = 4096;

const DPKG: &[u8] = b"var/lib/dpkg/status";
const DPKG_FILES: &[u8] = b"var/lib/dpkg/status.d";
const APK: [&[u8]; 2] = [b"lib/apk/db/installed", b"usr/lib/apk/db/installed"];
const RELEASES: [&[u8]; 2] = [b"etc/os-release", b"usr/lib/os-release"];

/// The packages of `image`, whose files are `tree`, as a document of SPDX 2.3. Same image in, same
/// document out.
///
/// # Errors
/// [`Error::Select`] if a database is there and cannot be read.
pub fn sbom(image: &ImageRecord, name: Option<&Name>, tree: &Dir) -> Result<Value, Error> {
    let config: ImageConfig = serde_json::from_str(&image.config).unwrap_or_default();
    let subject = spdx::Subject {
        name: name.map_or("", Name::as_str),
        image: image.id(),
        created: config.created.as_deref().unwrap_or("1970-01-01T00:00:00Z"),
    };
    let mut release = Release::default();
    for path in RELEASES.iter().rev() {
        if let Some(text) = read(tree, path, RELEASE_LIMIT)? {
            release = Release::parse(&text);
        }
    }
    Ok(spdx::document(subject, &release, &packages(tree)?))
}

/// All packages, sorted, each once.
fn packages(tree: &Dir) -> Result<Vec<Package>, Error> {
    let mut found = Vec::new();
    if let Some(text) = read(tree, DPKG, DATABASE_LIMIT)? {
        found.extend(dpkg::parse(&text));
    }
    if let Some(files) = present(tree.resolve_dir(DPKG_FILES), DPKG_FILES)? {
        let entries = files.entries().map_err(cannot(DPKG_FILES))?;
        let mut left = DATABASE_LIMIT;
        let records = entries
            .iter()
            .filter(|entry| !entry.name.ends_with(b".md5sums"));
        for entry in records.take(FILES_LIMIT) {
            if let Some(text) = read(&files, &entry.name, left)? {
                left -= text.len() as u64;
                found.extend(dpkg::parse(&text));
            }
        }
    }
    for path in APK {
        if let Some(text) = read(tree, path, DATABASE_LIMIT)? {
            found.extend(apk::parse(&text));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// The first `limit` bytes of the file that `path` leads to within `tree`; `None` if there is no regular file.
fn read(tree: &Dir, path: &[u8], limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let Some(file) = present(tree.resolve_file(path), path)? else {
        return Ok(None);
    };
    let mut text = Vec::new();
    let shown = String::from_utf8_lossy(path).into_owned();
    file.take(limit)
        .read_to_end(&mut text)
        .map_err(Error::file("read", shown))?;
    Ok(Some(text))
}

/// What was opened; `None` if there is nothing of that kind, however the image's links lead there.
fn present<T>(opened: rbuild_sys::Result<T>, path: &[u8]) -> Result<Option<T>, Error> {
    const ABSENT: [Errno; 7] = [
        Errno::NOENT,
        Errno::NOTDIR,
        Errno::LOOP,
        Errno::INVAL,
        Errno::NXIO,
        Errno::XDEV,
        Errno::NAMETOOLONG,
    ];
    match opened {
        Ok(found) => Ok(Some(found)),
        Err(error) if ABSENT.iter().any(|errno| error.is(*errno)) => Ok(None),
        Err(error) => Err(cannot(path)(error)),
    }
}

fn cannot(path: &[u8]) -> impl FnOnce(rbuild_sys::Error) -> Error {
    let path = String::from_utf8_lossy(path).into_owned();
    move |source| Error::Select { path, source }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, path::Path};

    use rbuild_sys::Dir;

    use super::packages;

    /// Names of the packages of a tree that `fill` made.
    #[track_caller]
    fn check(fill: impl Fn(&Path), expected: &[&str]) {
        let temp = tempfile::tempdir().unwrap();
        for dir in ["var/lib/dpkg/status.d", "lib/apk/db", "etc"] {
            fs::create_dir_all(temp.path().join(dir)).unwrap();
        }
        fill(temp.path());
        let found = packages(&Dir::open(temp.path()).unwrap()).unwrap();
        let found: Vec<String> = found.into_iter().map(|package| package.name).collect();
        assert_eq!(found, expected);
    }

    fn write(root: &Path, path: &str, text: &str) {
        fs::write(root.join(path), text).unwrap();
    }

    #[test]
    fn all_databases_count_and_a_package_counts_once() {
        check(
            |root| {
                let a = "Package: a\nVersion: 1\n";
                write(root, "var/lib/dpkg/status", a);
                write(root, "var/lib/dpkg/status.d/a", a);
                write(root, "var/lib/dpkg/status.d/b", "Package: b\nVersion: 1\n");
                write(
                    root,
                    "var/lib/dpkg/status.d/c.md5sums",
                    "Package: c\nVersion: 1\n",
                );
                write(root, "lib/apk/db/installed", "P:d\nV:1\n");
            },
            &["a", "b", "d"],
        );
    }

    #[test]
    fn links_of_an_image_lead_nowhere_else() {
        let outside = tempfile::tempdir().unwrap();
        write(outside.path(), "status", "Package: host\nVersion: 1\n");
        write(outside.path(), "installed", "P:host\nV:1\n");
        check(
            |root| {
                let status = outside.path().join("status");
                symlink(&status, root.join("var/lib/dpkg/status")).unwrap();
                fs::remove_dir(root.join("lib/apk/db")).unwrap();
                symlink(outside.path(), root.join("lib/apk/db")).unwrap();
            },
            &[],
        );
    }

    #[test]
    fn what_is_no_file_is_no_database() {
        check(
            |root| {
                fs::create_dir(root.join("var/lib/dpkg/status")).unwrap();
                let fifo = root.join("lib/apk/db/installed");
                let made = std::process::Command::new("mkfifo").arg(fifo).status();
                assert!(made.unwrap().success());
                symlink("loop", root.join("var/lib/dpkg/status.d/loop")).unwrap();
            },
            &[],
        );
    }
}
