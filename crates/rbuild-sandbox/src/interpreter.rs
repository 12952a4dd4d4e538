//! Interpreters: what the kernel starts in place of a program that the processor does not
//! understand, for commands of this process alone.
//!
//! A user namespace may have a `binfmt_misc` of its own, which its processes are then looked up in
//! instead of the host's. It is attached nowhere: nobody sees it, and it ends with its descriptor.
//! Only a command that may mount can change it: what that has done is undone afterwards.
//! `docs/adr/0012-interpreters.md`.
//!
//! Does not know: which programs need which, nor which commands may mount.
//!
//! Invariant: nothing is ever registered for processes outside of our user namespace.
//!
//! Linux, Documentation/admin-guide/binfmt-misc.rst.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    os::fd::AsRawFd,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
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
    /// The file system: a file for each that is registered, called by its number.
    dir: Dir,
    all: Vec<Interpreter>,
    changes: Mutex<Changes>,
}

/// Who may change what is registered, and what is to be there afterwards.
#[derive(Debug, Default)]
struct Changes {
    /// So many commands that may do so are running.
    running: usize,
    /// The file of each of ours: no other one ever has its number.
    files: BTreeMap<Vec<u8>, u64>,
}

/// Files that are no interpreters.
const CONTROLS: [&[u8]; 2] = [b"register", b"status"];

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
        let interpreters = Self {
            dir: Dir::from_fd(mount),
            all: all.to_vec(),
            changes: Mutex::default(),
        };
        interpreters.complete(&mut interpreters.changes())?;
        Ok(interpreters)
    }

    /// Calls `run`, which runs a command that may change what is registered; undoes that when it has
    /// ended, or when the last such command has of those that run at the same time.
    pub(crate) fn guarded<T>(&self, run: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.changes().running += 1;
        let ran = run();
        let mut changes = self.changes();
        changes.running -= 1;
        if changes.running == 0 {
            let undone = self.remove_others(&changes);
            undone.map_err(|source| Error::OtherInterpreters { source })?;
            self.complete(&mut changes)?;
        }
        ran
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what is not ours, and lets count what is.
    fn remove_others(&self, changes: &Changes) -> Result<(), sys::Error> {
        for entry in self.dir.entries()? {
            let name = &entry.name[..];
            if CONTROLS.contains(&name) {
                continue;
            }
            let is_ours = changes.files.get(name) == Some(&self.dir.stat(name)?.ino);
            self.write(name, if is_ours { "1" } else { "-1" })?;
        }
        self.write(b"status", "1")
    }

    /// Registers those that are missing.
    fn complete(&self, changes: &mut Changes) -> Result<(), Error> {
        for (number, interpreter) in self.all.iter().enumerate() {
            let name = number.to_string().into_bytes();
            let file = || {
                if sys::Error::absent(self.dir.stat(&name))?.is_none() {
                    register(&self.dir, number, interpreter)?;
                }
                Ok(self.dir.stat(&name)?.ino)
            };
            let file = file().map_err(|source| Error::Interpreter {
                program: interpreter.program.clone(),
                source,
            })?;
            changes.files.insert(name, file);
        }
        Ok(())
    }

    fn write(&self, name: &[u8], text: &str) -> Result<(), sys::Error> {
        let written = self.dir.write(name)?.write_all(text.as_bytes());
        written.map_err(|source| sys::Error {
            call: "write",
            operand: String::from_utf8_lossy(name).into_owned(),
            source,
        })
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
