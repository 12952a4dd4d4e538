//! The files of `/etc` that describe the machine: their content, and their places in a tree.
//!
//! They are attached over files of the tree, which therefore must exist. Where one does not,
//! an empty placeholder is made for the time of the run.
//!
//! Invariant: a placeholder is removed through the handle of its directory and only if it is
//! still the same, empty file: never by path (CVE-2024-23652).

use std::{
    fmt,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rbuild_sys::{Dir, Error, FileKind, OFlags, Stat, Timestamp, file_stat, set_file_mtime};

/// One of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtcFile {
    /// hosts(5).
    Hosts,
    /// resolv.conf(5): the host's, as the network is.
    ResolvConf,
    /// hostname(5).
    Hostname,
}

impl EtcFile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hosts, Self::ResolvConf, Self::Hostname];

    /// Name in `/etc`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hosts => "hosts",
            Self::ResolvConf => "resolv.conf",
            Self::Hostname => "hostname",
        }
    }

    /// Path in the image.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Hosts => "/etc/hosts",
            Self::ResolvConf => "/etc/resolv.conf",
            Self::Hostname => "/etc/hostname",
        }
    }

    /// The content for a machine called `hostname` that uses the name servers in `resolv_conf`.
    pub(crate) fn content(self, hostname: &str, resolv_conf: &[u8]) -> Vec<u8> {
        match self {
            Self::Hosts => format!(
                "127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback {hostname}\n"
            )
            .into_bytes(),
            Self::ResolvConf => resolv_conf.to_vec(),
            Self::Hostname => format!("{hostname}\n").into_bytes(),
        }
    }
}

impl fmt::Display for EtcFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a file is attached in one tree. Dropping it removes the placeholder, if there is one.
pub(crate) struct Target {
    pub(crate) file: EtcFile,
    place: OwnedFd,
    _placeholder: Option<Placeholder>,
}

/// An empty file that was not in the tree.
struct Placeholder {
    parent: Dir,
    name: Vec<u8>,
    stat: Stat,
    /// Of the directory: before the placeholder, and with it.
    mtimes: (Timestamp, Timestamp),
}

/// Follows at most so many symlinks, as the kernel does.
const MAX_LINKS: usize = 40;

impl Target {
    /// Finds `file` in `tree`, or makes a placeholder where its symlinks lead to. `None` if that
    /// is something else, or in a directory that does not exist, or cannot be written.
    pub(crate) fn locate(tree: &Dir, file: EtcFile) -> Option<Self> {
        if let Ok(place) = tree.resolve(file.path().as_bytes(), OFlags::PATH) {
            let stat = file_stat(&place).ok()?;
            return (stat.kind == FileKind::File).then_some(Self {
                file,
                place,
                _placeholder: None,
            });
        }
        let (parent, name) = end_of_links(tree, file.path().as_bytes())?;
        let placeholder = Placeholder::make(parent, name).ok()?;
        let place = tree.resolve(file.path().as_bytes(), OFlags::PATH).ok()?;
        let found = file_stat(&place).ok()?;
        (found.ino == placeholder.stat.ino).then_some(Self {
            file,
            place,
            _placeholder: Some(placeholder),
        })
    }

    /// What to attach over.
    pub(crate) fn place(&self) -> BorrowedFd<'_> {
        self.place.as_fd()
    }
}

/// The directory and the name that `path` leads to, where nothing is.
fn end_of_links(tree: &Dir, path: &[u8]) -> Option<(Dir, Vec<u8>)> {
    let mut path = path.to_vec();
    for _ in 0..MAX_LINKS {
        let (parent, name) = tree.resolve_parent(&path).ok()?;
        let name = name?.to_vec();
        match Error::absent(parent.stat(&name)).ok()? {
            None => return Some((parent, name)),
            Some(stat) if stat.kind == FileKind::Symlink => {
                let text = parent.read_link(&name).ok()?;
                let here = path.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
                path = match text.first() {
                    Some(b'/') => text,
                    _ => [&path[..here], &text].concat(),
                };
            }
            Some(_) => return None,
        }
    }
    None
}

impl Placeholder {
    fn make(parent: Dir, name: Vec<u8>) -> Result<Self, Error> {
        let before = parent.stat_self()?.mtime;
        let stat = file_stat(parent.create(&name, 0o644)?)?;
        let with = parent.stat_self()?.mtime;
        Ok(Self {
            parent,
            name,
            stat,
            mtimes: (before, with),
        })
    }

    fn remove(&self) -> Result<(), Error> {
        let untouched = self.parent.stat_self()?.mtime == self.mtimes.1;
        let Some(now) = Error::absent(self.parent.stat(&self.name))? else {
            return Ok(());
        };
        let same = (now.kind, now.ino, now.dev, now.size);
        if same == (FileKind::File, self.stat.ino, self.stat.dev, 0) {
            self.parent.unlink(&self.name)?;
            if untouched {
                set_file_mtime(&self.parent, self.mtimes.0)?;
            }
        }
        Ok(())
    }
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        // What cannot be removed stays as an empty file in the layer.
        let _ = self.remove();
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, path::Path};

    use rbuild_sys::Dir;

    use super::{EtcFile, Target};

    /// What becomes of resolv.conf in a tree made by `make`: whether a placeholder was needed,
    /// and whether the tree was the same afterwards; `None` if there was no place.
    fn located(make: impl FnOnce(&Path)) -> Option<(bool, bool)> {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir(temp.path().join("etc")).unwrap();
        make(temp.path());
        let listing = || {
            let etc = temp.path().join("etc");
            let names = |dir: &Path| fs::read_dir(dir).map(Iterator::count).ok();
            let run = temp.path().join("run");
            (
                etc.metadata().unwrap().modified().unwrap(),
                names(&etc),
                names(&run),
            )
        };
        let before = listing();
        let tree = Dir::open(temp.path()).unwrap();
        let target = Target::locate(&tree, EtcFile::ResolvConf)?;
        let placeholder = listing() != before;
        drop(target);
        Some((placeholder, listing() == before))
    }

    #[test]
    fn a_file_is_used_as_it_is() {
        let file = |root: &Path| fs::write(root.join("etc/resolv.conf"), "x").unwrap();
        assert_eq!(located(file), Some((false, true)));
    }

    #[test]
    fn a_missing_file_is_made_and_removed_again() {
        assert_eq!(located(|_| {}), Some((true, true)));
    }

    #[test]
    fn a_dangling_link_is_followed_inside_of_the_tree() {
        let link = |text: &'static str| {
            move |root: &Path| {
                fs::create_dir(root.join("run")).unwrap();
                symlink(text, root.join("etc/resolv.conf")).unwrap();
            }
        };
        assert_eq!(located(link("../run/resolv.conf")), Some((true, true)));
        assert_eq!(located(link("/run/resolv.conf")), Some((true, true)));
        assert_eq!(located(link("../../../../run/r")), Some((true, true)));
        assert_eq!(located(link("/run/missing/resolv.conf")), None);
        assert_eq!(located(link("resolv.conf")), None);
    }

    #[test]
    fn something_else_is_no_place() {
        let dir = |root: &Path| fs::create_dir(root.join("etc/resolv.conf")).unwrap();
        assert_eq!(located(dir), None);
    }
}
