//! Where this process is among the control groups, by what the kernel says of it. Pure.
//! cgroups(7), "/proc files".

use std::path::{Path, PathBuf};

use crate::error::Error;

/// What the kernel says.
pub(crate) struct Seen<'a> {
    /// `/proc/self/cgroup`.
    pub(crate) groups: &'a str,
    /// `/proc/self/mountinfo`.
    pub(crate) mounts: &'a str,
}

/// A control group of version 2 that is to have those of commands below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// Its directory.
    pub(crate) group: PathBuf,
    /// The directory of the group that both this process and `group` are in.
    pub(crate) common: PathBuf,
    /// Whether this process is in `group` itself.
    pub(crate) occupancy: Occupancy,
}

/// Whether a control group is that of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occupancy {
    /// It is.
    Own,
    /// It is another one.
    Others,
}

impl Location {
    /// The group `parent`, as in `/proc/self/cgroup`, or the process's own.
    ///
    /// # Errors
    /// [`Error::NoControlGroups`], [`Error::GroupOutOfSight`] or [`Error::GroupName`].
    pub(crate) fn find(seen: &Seen<'_>, parent: Option<&str>) -> Result<Self, Error> {
        let versions = || match seen.groups.trim() {
            "" => "none",
            _ => "version 1 only",
        };
        let none = || Error::NoControlGroups { found: versions() };
        let own = seen.groups.lines().find_map(|it| it.strip_prefix("0::"));
        let own = own.ok_or_else(none)?;
        let mounts = mounts(seen.mounts);
        if mounts.is_empty() {
            return Err(none());
        }
        let wanted = match parent {
            None => own,
            Some(name) => checked(name)?,
        };
        let dir = |name: &str| {
            let found = mounts.iter().find_map(|mount| mount.dir(name));
            found.ok_or_else(|| Error::GroupOutOfSight {
                group: name.to_owned(),
            })
        };
        Ok(Self {
            group: dir(wanted)?,
            common: dir(&common(own, wanted))?,
            occupancy: match wanted.trim_end_matches('/') == own.trim_end_matches('/') {
                true => Occupancy::Own,
                false => Occupancy::Others,
            },
        })
    }
}

/// `name` as the name of a group: absolute, without `..`.
fn checked(name: &str) -> Result<&str, Error> {
    let fine = name.starts_with('/') && !name.split('/').any(|part| part == ".." || part == ".");
    fine.then_some(name).ok_or_else(|| Error::GroupName {
        group: name.to_owned(),
    })
}

/// The group that is around both.
fn common(one: &str, other: &str) -> String {
    let parts = |name: &str| -> Vec<String> {
        let parts = name.split('/').filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    };
    let (one, other) = (parts(one), parts(other));
    let pairs = one
        .iter()
        .zip(&other)
        .take_while(|(one, other)| one == other);
    let shared: Vec<&str> = pairs.map(|(part, _)| part.as_str()).collect();
    format!("/{}", shared.join("/"))
}

/// A mount of cgroup v2.
struct Mount {
    /// The group that it shows.
    root: String,
    /// Where it is.
    place: PathBuf,
}

impl Mount {
    /// The directory of the group `name`, if it is one that this mount shows.
    fn dir(&self, name: &str) -> Option<PathBuf> {
        let below = Path::new(name).strip_prefix(&self.root).ok()?;
        let mut parts = below.components();
        let inside = parts.all(|part| part.as_os_str() != "..");
        inside.then(|| match below.as_os_str().is_empty() {
            true => self.place.clone(),
            false => self.place.join(below),
        })
    }
}

/// The mounts of cgroup v2. proc_pid_mountinfo(5).
fn mounts(mountinfo: &str) -> Vec<Mount> {
    let of_line = |line: &str| {
        let (head, tail) = line.split_once(" - ")?;
        let mut head = head.split(' ').skip(3);
        let mount = Mount {
            root: unescaped(head.next()?),
            place: unescaped(head.next()?).into(),
        };
        tail.starts_with("cgroup2 ").then_some(mount)
    };
    mountinfo.lines().filter_map(of_line).collect()
}

/// Spaces, tabs, newlines and backslashes are octal numbers there.
fn unescaped(text: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (code, character)| {
        text.replace(code, character)
    })
}

#[cfg(test)]
mod tests {
    use super::{Location, Occupancy, Seen};

    const UNIFIED: &str = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
    const SESSION: &str = "0::/user.slice/user@1000.service/rbuild.scope\n";

    #[track_caller]
    fn check((groups, mounts): (&str, &str), parent: Option<&str>, expected: &str) {
        let shown = match Location::find(&Seen { groups, mounts }, parent) {
            Ok(found) => {
                let own = match found.occupancy {
                    Occupancy::Own => "own",
                    Occupancy::Others => "others",
                };
                format!("{own} {} {}", found.group.display(), found.common.display())
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn it_is_the_own_one_unless_another_is_named() {
        let scope = "/sys/fs/cgroup/user.slice/user@1000.service/rbuild.scope";
        check((SESSION, UNIFIED), None, &format!("own {scope} {scope}"));
        check(
            (SESSION, UNIFIED),
            Some("/user.slice/user@1000.service/builds/"),
            "others /sys/fs/cgroup/user.slice/user@1000.service/builds /sys/fs/cgroup/user.slice/user@1000.service",
        );
        check(
            (SESSION, UNIFIED),
            Some("/builds"),
            "others /sys/fs/cgroup/builds /sys/fs/cgroup",
        );
        check(
            ("0::/\n", UNIFIED),
            Some("/"),
            "own /sys/fs/cgroup /sys/fs/cgroup",
        );
    }

    #[test]
    fn a_part_of_the_tree_can_be_mounted_anywhere() {
        let mounts = "31 23 0:26 /a/b /my\\040groups rw - cgroup2 none rw\n";
        check(
            ("0::/a/b/c\n", mounts),
            None,
            "own /my groups/c /my groups/c",
        );
        check(
            ("0::/a\n", mounts),
            None,
            "the control group `/a` is not below any mounted part of cgroup v2",
        );
        check(
            ("0::/../x\n", UNIFIED),
            None,
            "the control group `/../x` is not below any mounted part of cgroup v2",
        );
    }

    #[test]
    fn without_version_2_there_is_nothing_to_limit_with() {
        let old = "30 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        let none = "limits need control groups of version 2, and this machine has ";
        check(
            ("4:memory:/\n", old),
            None,
            &format!("{none}version 1 only"),
        );
        check((SESSION, old), None, &format!("{none}version 1 only"));
        check(("", ""), None, &format!("{none}none"));
    }

    #[test]
    fn names_are_absolute() {
        for name in ["builds", "user.slice", "/a/../b", ""] {
            check(
                (SESSION, UNIFIED),
                Some(name),
                &format!(
                    "`{name}` is no control group: a name is like that of `/proc/self/cgroup`"
                ),
            );
        }
    }
}
