//! Interpreters: what the kernel starts in place of a program that the processor does not
//! understand, for commands of this process alone.
//!
//! A user namespace may have a `binfmt_misc` of its own, which its processes are then looked up in
//! instead of the host's. It is attached nowhere: nobody sees it, no command can change it, and it
//! ends with its descriptor. `docs/adr/0012-interpreters.md`.
//!
//! Does not know: which programs need which.
//!
//! Invariant: nothing is ever registered for processes outside of our user namespace.
//!
//! Linux, Documentation/admin-guide/binfmt-misc.rst.

use std::{
    fs::File,
    io::Write,
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
};

use rbuild_sys::{self as sys, Depth, Dir, MountLimits, clone_mount, limit_mount, new_mount};

use crate::{enter::Ids, error::Error};

/// A program by which the kernel executes others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// On the host.
    pub program: PathBuf,
    /// How the programs begin that it is for: 128 bytes at most.
    pub magic: Vec<u8>,
    /// Which bits of that count; as many bytes.
    pub mask: Vec<u8>,
    /// What it expects: letters of `P`, `O` and `C`. It is opened at once (`F`) in any case, for it
    /// is not in the tree of a command.
    pub flags: String,
}

/// The interpreters of our user namespace, as long as this lives.
#[derive(Debug)]
pub(crate) struct Interpreters {
    _mount: OwnedFd,
}

/// Nobody changes a program of the host by way of `/proc/PID/exe` of what it interprets
/// (CVE-2019-5736), not even one that is the user's own.
const UNCHANGEABLE: MountLimits = MountLimits {
    read_only: true,
    no_suid: true,
    no_dev: true,
    no_exec: false,
};

impl Interpreters {
    /// Registers `all`; where two are for the same programs, the later one counts.
    pub(crate) fn register(ids: &Ids, all: &[Interpreter]) -> Result<Self, Error> {
        if *ids == Ids::All {
            return Err(Error::InterpretersOfAll);
        }
        let prepare = |source| Error::NoInterpreters { source };
        let mount = new_mount("binfmt_misc", &[], MountLimits::INERT).map_err(prepare)?;
        let dir = Dir::from_fd(mount);
        for (number, interpreter) in all.iter().enumerate() {
            let registered = register(&dir, number, interpreter);
            registered.map_err(|source| Error::Interpreter {
                program: interpreter.program.clone(),
                source,
            })?;
        }
        Ok(Self { _mount: dir.into() })
    }
}

/// Registers one. The kernel opens it by the name of a descriptor, and keeps it open.
fn register(dir: &Dir, number: usize, interpreter: &Interpreter) -> Result<(), sys::Error> {
    let failed = |call| {
        let operand = interpreter.program.display().to_string();
        move |source| sys::Error {
            call,
            operand,
            source,
        }
    };
    let file = File::open(&interpreter.program).map_err(failed("open"))?;
    let copy = clone_mount(&file, b"", Depth::Mount)?;
    limit_mount(&copy, UNCHANGEABLE, Depth::Mount)?;
    let line = line(number, interpreter, copy.as_raw_fd());
    let written = dir.write(b"register")?.write_all(line.as_bytes());
    written.map_err(failed("write"))
}

/// What is written to `register`: colons between the fields, none in them.
fn line(number: usize, interpreter: &Interpreter, descriptor: i32) -> String {
    let escaped = |bytes: &[u8]| {
        let bytes = bytes.iter().map(|byte| format!("\\x{byte:02x}"));
        bytes.collect::<String>()
    };
    let flags = interpreter
        .flags
        .chars()
        .filter(|flag| "POC".contains(*flag));
    format!(
        ":{number}:M::{}:{}:/proc/self/fd/{descriptor}:{}F",
        escaped(&interpreter.magic),
        escaped(&interpreter.mask),
        flags.collect::<String>(),
    )
}

#[cfg(test)]
mod tests {
    use super::{Error, Ids, Interpreter, Interpreters, line};

    #[track_caller]
    fn check(magic: &[u8], mask: &[u8], flags: &str, expected: &str) {
        let interpreter = Interpreter {
            program: "/usr/bin/qemu:1".into(),
            magic: magic.to_vec(),
            mask: mask.to_vec(),
            flags: flags.to_owned(),
        };
        assert_eq!(line(3, &interpreter, 17), expected);
    }

    #[test]
    fn every_byte_is_escaped_and_the_program_is_a_descriptor() {
        check(
            b"\x7fELF:\n\0\xb7\\",
            b"\xff\xff\xff\xff\0\xfe\xff\xff\xff",
            "PC",
            ":3:M::\\x7f\\x45\\x4c\\x46\\x3a\\x0a\\x00\\xb7\\x5c:\
             \\xff\\xff\\xff\\xff\\x00\\xfe\\xff\\xff\\xff:/proc/self/fd/17:PCF",
        );
    }

    #[test]
    fn an_interpreter_is_opened_at_once_whatever_else_it_expects() {
        check(b"a", b"b", "", ":3:M::\\x61:\\x62:/proc/self/fd/17:F");
        check(
            b"a",
            b"b",
            "POCF",
            ":3:M::\\x61:\\x62:/proc/self/fd/17:POCF",
        );
    }

    #[test]
    fn root_registers_nothing_for_the_whole_machine() {
        let refused = Interpreters::register(&Ids::All, &[]);
        assert!(matches!(refused, Err(Error::InterpretersOfAll)));
    }
}
