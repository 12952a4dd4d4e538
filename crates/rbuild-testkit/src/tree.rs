//! A directory tree as text, one line per file:
//!
//! ```text
//! /etc/passwd f 0644 0:0 12 "root:x:0:0:\n"
//! /bin/sh l 0777 0:0 -> busybox
//! ```
//!
//! Owners are the ones that an image has: the tree is read by `tar` inside
//! the account's user namespace, where subordinate ids are 1, 2, 3…

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::process::Stdio;

use sha2::{Digest, Sha256};
use tar::{Archive, EntryType};

use crate::{Account, Error};

/// Longest content, in bytes, that is printed instead of its digest.
const PRINTED: usize = 64;

/// Every file of a root file system by its absolute path; the root is `/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<String, Entry>);

/// One file; times are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is, and its content.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner and group as in the image.
    pub owner: (u64, u64),
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file: size in bytes, and its content or the digest of it.
    File(u64, String),
    /// A symbolic link and its target.
    Link(String),
    /// Anything else, as tar(5) numbers it.
    Special(u8),
}

impl Tree {
    /// Reads the tree below `root` as `account` sees it from inside its user
    /// namespace. The second name of a hard-linked file has the content too.
    ///
    /// # Errors
    /// [`Error::Failed`] if `tar` cannot read it all.
    pub fn read(account: &Account, root: &Path) -> Result<Self, Error> {
        let program = |source| Error::Program {
            program: "tar".to_owned(),
            source,
        };
        let mut tar = account
            .inside("tar")
            .args([
                "--hard-dereference",
                "--format=pax",
                "--numeric-owner",
                "-C",
            ])
            .arg(root)
            .args(["-cf", "-", "."])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(program)?;
        let mut stdout = tar.stdout.take().expect("piped above");
        let tree = Self::from_tar(&mut stdout).map_err(program);
        // What follows the end of the archive; unread it would be a SIGPIPE.
        io::copy(&mut stdout, &mut io::sink()).map_err(program)?;
        let output = tar.wait_with_output().map_err(program)?;
        if output.status.success() {
            return tree;
        }
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(Error::Failed {
            program: "tar".to_owned(),
            stderr,
        })
    }

    /// Reads a tree from a tar archive; a later entry replaces an earlier one.
    ///
    /// # Errors
    /// Whatever reading the archive says.
    pub fn from_tar(archive: impl Read) -> io::Result<Self> {
        let mut tree = Self::default();
        for entry in Archive::new(archive).entries()? {
            let mut entry = entry?;
            let path = absolute(&entry.path_bytes());
            let header = entry.header();
            let mode = header.mode()? & 0o7777;
            let owner = (header.uid()?, header.gid()?);
            let kind = match header.entry_type() {
                EntryType::Directory => Kind::Directory,
                EntryType::Symlink => {
                    Kind::Link(text(&entry.link_name_bytes().unwrap_or_default()))
                }
                EntryType::Link => {
                    let target = absolute(&entry.link_name_bytes().unwrap_or_default());
                    tree.0
                        .get(&target)
                        .map_or(Kind::Special(b'1'), |entry| entry.kind.clone())
                }
                EntryType::Regular | EntryType::Continuous => {
                    let mut content = Vec::new();
                    entry.read_to_end(&mut content)?;
                    Kind::File(content.len() as u64, shown(&content))
                }
                other => Kind::Special(other.as_byte()),
            };
            tree.0.insert(path, Entry { kind, mode, owner });
        }
        Ok(tree)
    }

    /// What is here and not, or not the same, in `base`.
    pub fn since(&self, base: &Self) -> Self {
        let changed = self
            .0
            .iter()
            .filter(|(path, entry)| base.0.get(*path) != Some(entry));
        Self(
            changed
                .map(|(path, entry)| (path.clone(), entry.clone()))
                .collect(),
        )
    }

    /// The paths of `base` that are not here.
    pub fn lost(&self, base: &Self) -> Vec<String> {
        base.0
            .keys()
            .filter(|path| !self.0.contains_key(*path))
            .cloned()
            .collect()
    }

    /// Every path, in order.
    pub fn paths(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (
            path,
            Entry {
                kind,
                mode,
                owner: (uid, gid),
            },
        ) in &self.0
        {
            let attributes = format!("{mode:04o} {uid}:{gid}");
            match kind {
                Kind::Directory => writeln!(f, "{path} d {attributes}")?,
                Kind::File(size, content) => writeln!(f, "{path} f {attributes} {size} {content}")?,
                Kind::Link(target) => writeln!(f, "{path} l {attributes} -> {target}")?,
                Kind::Special(kind) => writeln!(f, "{path} {} {attributes}", char::from(*kind))?,
            }
        }
        Ok(())
    }
}

/// `./a/b/` → `/a/b`.
fn absolute(path: &[u8]) -> String {
    let path = text(path);
    format!(
        "/{}",
        path.trim_start_matches("./")
            .trim_start_matches('.')
            .trim_matches('/')
    )
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Short text as a literal, everything else by its digest.
fn shown(content: &[u8]) -> String {
    match std::str::from_utf8(content) {
        Ok(text) if text.len() <= PRINTED => format!("{text:?}"),
        _ => {
            let digest = Sha256::digest(content);
            let start: String = digest
                .iter()
                .take(6)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!("sha256:{start}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Output, Scratch};

    #[test]
    fn a_tree_is_printed_in_order_with_owners_of_the_image() {
        let account = Account::current().unwrap();
        let scratch = Scratch::new(&account).unwrap();
        let root = scratch.dir("root").unwrap();
        scratch.file("root/b/.hidden", "x\n").unwrap();
        scratch.file("root/a", vec![7; 100]).unwrap();
        std::os::unix::fs::symlink("a", root.join("c")).unwrap();
        std::fs::hard_link(root.join("a"), root.join("d")).unwrap();
        let chmod = Output::of(
            std::process::Command::new("chmod")
                .arg("-R")
                .arg("u=rwX,go=rX")
                .arg(&root),
        );
        assert_eq!(chmod.unwrap().status, 0);
        let expected = expect_test::expect![[r#"
            / d 0755 0:0
            /a f 0644 0:0 100 sha256:d876885b7f40
            /b d 0755 0:0
            /b/.hidden f 0644 0:0 2 "x\n"
            /c l 0777 0:0 -> a
            /d f 0644 0:0 100 sha256:d876885b7f40
        "#]];
        expected.assert_eq(&Tree::read(&account, &root).unwrap().to_string());
    }

    #[test]
    fn since_names_what_was_added_and_lost_what_was_removed() {
        let entry = |mode| Entry {
            kind: Kind::Directory,
            mode,
            owner: (0, 0),
        };
        let old = Tree(
            [
                ("/a".to_owned(), entry(0o755)),
                ("/b".to_owned(), entry(0o755)),
            ]
            .into(),
        );
        let new = Tree(
            [
                ("/a".to_owned(), entry(0o700)),
                ("/c".to_owned(), entry(0o755)),
            ]
            .into(),
        );
        assert_eq!(new.since(&old).paths(), ["/a", "/c"]);
        assert_eq!(new.lost(&old), ["/b"]);
    }
}
