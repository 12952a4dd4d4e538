//! Who is `USER x`, who owns `--chown=x`? Pure, apart from [`Accounts::read`].
//!
//! dockerfile.md E5 and C20. A string of digits is a number, never a name: an image cannot make
//! user 1000 another one by naming an account so.

use std::io::Read;

use rbuild_sys::{self as sys, Dir};

/// Larger files of accounts are refused; in bytes.
const MAX_FILE: u64 = 16 << 20;
/// Longer lines are skipped, as lines that make no sense are.
const MAX_LINE: usize = 64 << 10;

/// The account files of an image.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// `/etc/passwd`; empty if there is none.
    pub passwd: Vec<u8>,
    /// `/etc/group`; empty if there is none.
    pub group: Vec<u8>,
}

/// As whom a command runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups, without the primary one.
    pub groups: Vec<u32>,
    /// Home directory as in `/etc/passwd`; `/` if there is no entry.
    pub home: String,
}

/// A user or a group that is not there.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// Neither a number nor a name in the file.
    #[error("no {kind} named `{name}` in `{file}`")]
    Unknown {
        /// `user` or `group`.
        kind: &'static str,
        /// As written.
        name: String,
        /// The image's file.
        file: &'static str,
    },

    /// A number that no id can have.
    #[error("`{text}` is not a {kind} number: they go from 0 to 4294967294")]
    Number {
        /// `user` or `group`.
        kind: &'static str,
        /// As written.
        text: String,
    },

    /// The file cannot be read, or is too large.
    #[error("cannot read `{file}` of the image")]
    Read {
        /// Which.
        file: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

impl Identity {
    /// User 0, group 0.
    pub fn root() -> Self {
        Self {
            uid: 0,
            gid: 0,
            groups: Vec::new(),
            home: "/root".to_owned(),
        }
    }
}

impl Accounts {
    /// Reads both files, following symlinks inside `root`.
    ///
    /// # Errors
    /// [`UserError::Read`] if one is not a regular file, or larger than 16 MiB.
    pub fn read(root: &Dir) -> Result<Self, UserError> {
        let read = |file: &'static str| {
            let error = |source| UserError::Read { file, source };
            let found = sys::Error::absent(root.resolve_file(file.as_bytes()));
            let Some(opened) = found.map_err(|e| error(e.source))? else {
                return Ok(Vec::new());
            };
            let mut text = Vec::new();
            opened
                .take(MAX_FILE + 1)
                .read_to_end(&mut text)
                .map_err(error)?;
            if text.len() as u64 > MAX_FILE {
                return Err(error(std::io::ErrorKind::FileTooLarge.into()));
            }
            Ok(text)
        };
        Ok(Self {
            passwd: read("/etc/passwd")?,
            group: read("/etc/group")?,
        })
    }

    /// Resolves the argument of `USER`: `user`, `user:group`, or nothing for root.
    ///
    /// # Errors
    /// [`UserError`] for a name that is not in the files or a number that is no id.
    pub fn identity(&self, user: &str) -> Result<Identity, UserError> {
        let (user, group) = split(user);
        let entry = match number("user", user)? {
            Some(uid) => self
                .account(|account| account.uid == uid)
                .unwrap_or(Account {
                    name: b"",
                    uid,
                    gid: 0,
                    home: b"/",
                }),
            None if user.is_empty() => {
                return self.identity(&format!("0:{}", group.unwrap_or_default()));
            }
            None => self.named(user)?,
        };
        let (gid, groups) = match group {
            Some(group) => (self.gid(group)?, Vec::new()),
            None => (entry.gid, self.memberships(&entry)),
        };
        Ok(Identity {
            uid: entry.uid,
            gid,
            groups,
            home: String::from_utf8_lossy(entry.home).into_owned(),
        })
    }

    /// Resolves the value of `--chown`: a number without a group is its own group, `root` and
    /// numbers need no files.
    ///
    /// # Errors
    /// As [`Accounts::identity`].
    pub fn owner(&self, owner: &str) -> Result<(u32, u32), UserError> {
        let (user, group) = split(owner);
        let (uid, own_gid) = match number("user", user)? {
            Some(uid) => (uid, uid),
            None if user == "root" => (0, 0),
            None => self.named(user).map(|account| (account.uid, account.gid))?,
        };
        match group {
            None => Ok((uid, own_gid)),
            Some("root") => Ok((uid, 0)),
            Some(group) => Ok((uid, self.gid(group)?)),
        }
    }

    /// The name of the first account with the number `uid`.
    pub fn name(&self, uid: u32) -> Option<String> {
        let account = self.account(|account| account.uid == uid)?;
        Some(String::from_utf8_lossy(account.name).into_owned())
    }

    fn named(&self, name: &str) -> Result<Account<'_>, UserError> {
        self.account(|account| account.name == name.as_bytes())
            .ok_or_else(|| UserError::Unknown {
                kind: "user",
                name: name.to_owned(),
                file: "/etc/passwd",
            })
    }

    fn account(&self, wanted: impl Fn(&Account<'_>) -> bool) -> Option<Account<'_>> {
        lines(&self.passwd).filter_map(Account::parse).find(wanted)
    }

    fn gid(&self, group: &str) -> Result<u32, UserError> {
        if let Some(gid) = number("group", group)? {
            return Ok(gid);
        }
        lines(&self.group)
            .filter_map(Group::parse)
            .find(|entry| entry.name == group.as_bytes())
            .map(|entry| entry.gid)
            .ok_or_else(|| UserError::Unknown {
                kind: "group",
                name: group.to_owned(),
                file: "/etc/group",
            })
    }

    /// Groups that list `account` as a member, sorted, without its primary one.
    fn memberships(&self, account: &Account<'_>) -> Vec<u32> {
        let is_member = |group: &Group<'_>| {
            let mut members = group.members.split(|&b| b == b',');
            !account.name.is_empty() && members.any(|member| member == account.name)
        };
        let mut groups: Vec<u32> = lines(&self.group)
            .filter_map(Group::parse)
            .filter(|group| group.gid != account.gid && is_member(group))
            .map(|group| group.gid)
            .collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

/// A line of passwd(5).
struct Account<'a> {
    name: &'a [u8],
    uid: u32,
    gid: u32,
    home: &'a [u8],
}

/// A line of group(5).
struct Group<'a> {
    name: &'a [u8],
    gid: u32,
    members: &'a [u8],
}

impl<'a> Account<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|&b| b == b':');
        let name = fields.next()?;
        let (uid, gid) = (id(fields.nth(1)?)?, id(fields.next()?)?);
        let home = fields.nth(1).unwrap_or(b"");
        Some(Self {
            name,
            uid,
            gid,
            home: if home.is_empty() { b"/" } else { home },
        })
    }
}

impl<'a> Group<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|&b| b == b':');
        let name = fields.next()?;
        let gid = id(fields.nth(1)?)?;
        let members = fields.next().unwrap_or(b"");
        Some(Self { name, gid, members })
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split(|&b| b == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| line.len() <= MAX_LINE && !line.starts_with(b"#"))
}

/// `a:b` and `a:` and `a`; an empty group is no group.
fn split(user: &str) -> (&str, Option<&str>) {
    match user.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    }
}

/// `None` if `text` is a name; an error if it is a number out of range, or a signed one.
fn number(kind: &'static str, text: &str) -> Result<Option<u32>, UserError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    match id(text.as_bytes()) {
        Some(id) => Ok(Some(id)),
        None => Err(UserError::Number {
            kind,
            text: text.to_owned(),
        }),
    }
}

/// A decimal number from 0 to 4294967294, digits only.
fn id(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u32 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number != u32::MAX).then_some(number)
}

#[cfg(test)]
mod tests;
