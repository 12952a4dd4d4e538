//! The interpreters that the host's kernel has, as `binfmt_misc` tells of them.
//!
//! Linux, Documentation/admin-guide/binfmt-misc.rst.

use std::{fs, path::Path};

use rbuild_sandbox::Interpreter;

use super::architecture::Architecture;

/// Where the kernel tells of its interpreters.
pub const REGISTERED: &str = "/proc/sys/fs/binfmt_misc";

/// An interpreter of programs that begin in a certain way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    pub interpreter: Interpreter,
    pub is_enabled: bool,
}

impl Registered {
    /// Understands a file below [`REGISTERED`]; `None` for an interpreter of files with an
    /// extension, or of what is not at their start.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let is_enabled = lines.next()? == "enabled";
        let (mut program, mut flags, mut magic, mut mask) = (None, "", None, None);
        for line in lines {
            match line.split_once(' ')? {
                ("interpreter", value) => program = Some(value.into()),
                ("flags:", value) => flags = value,
                ("offset", "0") => {}
                ("magic", value) => magic = Some(bytes(value)?),
                ("mask", value) => mask = Some(bytes(value)?),
                _ => return None,
            }
        }
        let magic = magic?;
        let interpreter = Interpreter {
            program: program?,
            flags: flags.to_owned(),
            mask: mask.unwrap_or_else(|| vec![0xff; magic.len()]),
            magic,
        };
        Some(Self {
            interpreter,
            is_enabled,
        })
    }

    /// Whether it is found in every tree: the kernel has opened it.
    pub fn is_open(&self) -> bool {
        self.interpreter.flags.contains('F')
    }

    /// Whether it is for programs of `architecture`.
    pub fn is_for(&self, architecture: &Architecture) -> bool {
        let (start, own) = (architecture.magic(), &self.interpreter);
        let parts = own.magic.iter().zip(&own.mask).zip(start);
        own.magic.len() <= start.len()
            && own.mask.len() == own.magic.len()
            && parts
                .into_iter()
                .all(|((magic, mask), byte)| magic & mask == byte & mask)
    }
}

/// The bytes of hexadecimal digits.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let pair = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    match rest {
        [] => pairs.iter().map(pair).collect(),
        _ => None,
    }
}

/// The kernel's interpreters, as `directory` tells of them; `None` where it does not.
pub fn registered(directory: &Path) -> Option<Vec<Registered>> {
    let status = fs::read_to_string(directory.join("status")).ok()?;
    if status.trim() == "disabled" {
        return Some(Vec::new());
    }
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let parsed = texts.filter_map(|text| Registered::parse(&text));
    Some(parsed.collect())
}

#[cfg(test)]
mod tests {
    use super::{Registered, registered};

    #[test]
    fn what_cannot_be_seen_is_not_known() {
        assert_eq!(registered("/no/such/place".as_ref()), None);
    }

    #[test]
    fn what_is_no_interpreter_of_programs_is_left_out() {
        for text in [
            "",
            "enabled\n",
            "enabled\ninterpreter /usr/bin/jexec\nflags:\nextension .jar\n",
            "enabled\ninterpreter /x\nflags: F\noffset 0\nmagic 7f4\n",
            "enabled\ninterpreter /x\nflags: F\noffset 4\nmagic 7f45\n",
        ] {
            assert_eq!(Registered::parse(text), None, "{text}");
        }
        let whole = "enabled\ninterpreter /x y\nflags: \noffset 0\nmagic 7f45\n";
        let found = Registered::parse(whole).unwrap();
        assert_eq!(found.interpreter.program.to_str(), Some("/x y"));
        assert_eq!(found.interpreter.mask, vec![0xff; 2]);
        assert!(!found.is_open());
    }
}
