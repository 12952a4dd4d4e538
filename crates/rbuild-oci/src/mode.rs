//! What `--chmod` does to a mode: a number, or clauses like `u=rwX,go=rX`.
//!
//! Knows: the language of chmod(1) with an umask of 0.
//! Does not know: files; whoever has one asks [`ModeChange::apply`] for its new mode.
//!
//! Spec: dockerfile.md 1.10, C21; POSIX chmod, "Extended description". As GNU does it, a
//! directory keeps setuid and setgid unless a clause names `s`; a number sets exactly its bits.

use std::{fmt, str::FromStr};

use crate::Error;

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const READ: u32 = 0o444;
const WRITE: u32 = 0o222;
const EXECUTE: u32 = 0o111;
/// Most clauses: a longer text is no honest mode.
const MAX_CLAUSES: usize = 1_000;

/// A change of permission bits, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModeChange {
    text: String,
    change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Exactly(u32),
    Clauses(Vec<Clause>),
}

/// One operator with what is around it; `u+r-w` is two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clause {
    /// The bits of those it is for.
    whose: u32,
    operator: Operator,
    permissions: Permissions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Set,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permissions {
    Bits {
        bits: u32,
        /// `X`: execution too, for directories and for what somebody may execute already.
        execute_if_any: bool,
    },
    /// Those that the owner, the group or others have: how far their bits are shifted left.
    Copied { shift: u32 },
}

impl ModeChange {
    /// The mode as a number, 0..=0o7777; `None` if it was written in clauses.
    pub fn octal(&self) -> Option<u32> {
        match self.change {
            Change::Exactly(mode) => Some(mode),
            Change::Clauses(_) => None,
        }
    }

    /// What becomes of `mode` (0..=0o7777). Never ask for symlinks: they have none.
    pub fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        match &self.change {
            Change::Exactly(mode) => *mode,
            Change::Clauses(clauses) => clauses
                .iter()
                .fold(mode, |mode, clause| clause.apply(mode, is_dir)),
        }
    }
}

impl Clause {
    fn apply(self, mode: u32, is_dir: bool) -> u32 {
        let named = match self.permissions {
            Permissions::Bits { bits, .. } => bits & self.whose,
            Permissions::Copied { .. } => 0,
        };
        let kept = if is_dir {
            (SETUID | SETGID) & !named
        } else {
            0
        };
        let bits = match self.permissions {
            Permissions::Bits {
                bits,
                execute_if_any: true,
            } if is_dir || mode & EXECUTE != 0 => bits | EXECUTE,
            Permissions::Bits { bits, .. } => bits,
            Permissions::Copied { shift } => ((mode >> shift) & 0o7) * EXECUTE,
        };
        let bits = bits & self.whose & !kept;
        match self.operator {
            Operator::Add => mode | bits,
            Operator::Remove => mode & !bits,
            Operator::Set => (mode & (!self.whose | kept)) | bits,
        }
    }
}

impl From<u32> for ModeChange {
    /// Sets exactly the bits `mode & 0o7777`.
    fn from(mode: u32) -> Self {
        let mode = mode & 0o7777;
        Self {
            text: format!("{mode:04o}"),
            change: Change::Exactly(mode),
        }
    }
}

impl fmt::Display for ModeChange {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for ModeChange {
    type Err = Error;

    /// # Errors
    /// [`Error::Mode`] with the rule that `text` breaks.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |why| Error::Mode {
            mode: text.to_owned(),
            why,
        };
        let change = if text.starts_with(|c: char| c.is_ascii_digit()) {
            Change::Exactly(octal(text).map_err(bad)?)
        } else {
            let mut clauses = Vec::new();
            for part in text.split(',') {
                parse_part(part, &mut clauses).map_err(bad)?;
                if clauses.len() > MAX_CLAUSES {
                    return Err(bad("it has more than 1000 clauses"));
                }
            }
            Change::Clauses(clauses)
        };
        Ok(Self {
            text: text.to_owned(),
            change,
        })
    }
}

fn octal(text: &str) -> Result<u32, &'static str> {
    if !text.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return Err("a number is octal");
    }
    let mode = u32::from_str_radix(text, 8).ok();
    mode.filter(|&mode| mode <= 0o7777)
        .ok_or("a number is at most `07777`")
}

/// What is between two commas: who, then operators with permissions.
fn parse_part(part: &str, clauses: &mut Vec<Clause>) -> Result<(), &'static str> {
    let end = part.find(['+', '-', '=']);
    let end = end.ok_or("a clause has `+`, `-` or `=` in it")?;
    let (who, mut rest) = part.split_at(end);
    let mut whose = 0;
    for letter in who.bytes() {
        whose |= match letter {
            b'u' => SETUID | 0o700,
            b'g' => SETGID | 0o070,
            b'o' => STICKY | 0o007,
            b'a' => 0o7777,
            _ => return Err("before the operator there are `u`, `g`, `o` and `a`"),
        };
    }
    if whose == 0 {
        whose = 0o7777; // the umask is 0
    }
    while let Some(operator) = rest.chars().next() {
        let operator = match operator {
            '+' => Operator::Add,
            '-' => Operator::Remove,
            _ => Operator::Set,
        };
        let after = &rest[1..];
        let end = after.find(['+', '-', '=']).unwrap_or(after.len());
        let (letters, next) = after.split_at(end);
        clauses.push(Clause {
            whose,
            operator,
            permissions: permissions(letters)?,
        });
        rest = next;
    }
    Ok(())
}

fn permissions(letters: &str) -> Result<Permissions, &'static str> {
    let shift = match letters {
        "u" => Some(6),
        "g" => Some(3),
        "o" => Some(0),
        _ => None,
    };
    if let Some(shift) = shift {
        return Ok(Permissions::Copied { shift });
    }
    let (mut bits, mut execute_if_any) = (0, false);
    for letter in letters.bytes() {
        match letter {
            b'r' => bits |= READ,
            b'w' => bits |= WRITE,
            b'x' => bits |= EXECUTE,
            b'X' => execute_if_any = true,
            b's' => bits |= SETUID | SETGID,
            b't' => bits |= STICKY,
            _ => return Err("after the operator there are `rwxXst`, or one of `u`, `g` and `o`"),
        }
    }
    Ok(Permissions::Bits {
        bits,
        execute_if_any,
    })
}

#[cfg(test)]
mod tests {
    use super::ModeChange;

    /// Every triple was checked against chmod(1); `tests/it` runs it.
    #[track_caller]
    fn check(text: &str, file: [u32; 2], dir: [u32; 2]) {
        let change: ModeChange = text.parse().unwrap();
        assert_eq!(change.to_string(), text);
        let (found_file, found_dir) = (change.apply(file[0], false), change.apply(dir[0], true));
        assert_eq!(
            (format!("{found_file:o}"), format!("{found_dir:o}")),
            (format!("{:o}", file[1]), format!("{:o}", dir[1])),
            "`{text}`"
        );
    }

    #[test]
    fn a_number_is_the_mode() {
        check("755", [0o4644, 0o755], [0o2700, 0o755]);
        check("04755", [0o644, 0o4755], [0o700, 0o4755]);
        check("0", [0o644, 0], [0o700, 0]);
    }

    #[test]
    fn clauses_follow_one_another() {
        check("u=rwX,go=rX", [0o600, 0o644], [0o700, 0o755]);
        check("u=rwX,go=rX", [0o711, 0o755], [0o000, 0o755]);
        check("+x", [0o644, 0o755], [0o644, 0o755]);
        check("u+x,g=u", [0o604, 0o774], [0o604, 0o774]);
        check("go-rwx+r", [0o777, 0o744], [0o777, 0o744]);
        check("a=,u=r", [0o777, 0o400], [0o777, 0o400]);
        check("u=", [0o777, 0o077], [0o777, 0o077]);
        check("-x,+X", [0o755, 0o644], [0o755, 0o755]);
    }

    #[test]
    fn setuid_setgid_and_sticky() {
        check("u+s,g+s", [0o755, 0o6755], [0o755, 0o6755]);
        check("+t", [0o755, 0o1755], [0o755, 0o1755]);
        check("o+s", [0o755, 0o755], [0o755, 0o755]);
        check("ug=rwx", [0o6755, 0o775], [0o6755, 0o6775]);
        check("u=rwxs", [0o2755, 0o6755], [0o755, 0o4755]);
        check("a-s", [0o6755, 0o755], [0o6755, 0o755]);
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for text in [
            "",
            "8",
            "10000",
            "07778",
            "u",
            "rwx",
            "u+q",
            "k+x",
            "u+x,",
            ",u+x",
            "+gu",
            "-1",
            "u=7",
            "u=rw go=r",
            "７",
            "755,u+x",
            "999999999999999999",
        ] {
            let parsed = text.parse::<ModeChange>();
            assert!(parsed.is_err(), "`{text}`: {parsed:?}");
        }
        assert!("u+x,".repeat(5_000).parse::<ModeChange>().is_err());
    }

    #[test]
    fn only_numbers_have_a_number() {
        assert_eq!("0755".parse::<ModeChange>().unwrap().octal(), Some(0o755));
        assert_eq!("u=rwx".parse::<ModeChange>().unwrap().octal(), None);
        assert_eq!(ModeChange::from(0o644).to_string(), "0644");
    }
}
