//! Whose commands can be executed here: this machine's, and those that the kernel has an
//! interpreter for.
//!
//! Knows: `binfmt_misc`, and how programs of each architecture begin.
//! Does not know: how a command is executed: the kernel starts the interpreter by itself. It must
//! have opened it when it was registered (flag `F`), for it is not in the tree of an image.
//!
//! Linux, Documentation/admin-guide/binfmt-misc.rst; ELF, "ELF Header".

use std::{fmt, fs, io, path::Path};

use rbuild_dockerfile::Diagnostic;
use rbuild_oci::Platform;
use rbuild_plan::{Op, Plan};

use crate::{failure::Failure, report, subject::Subject};

/// Where the kernel tells of its interpreters.
const REGISTERED: &str = "/proc/sys/fs/binfmt_misc";

/// An interpreter of programs that begin in a certain way.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Interpreter {
    path: String,
    is_enabled: bool,
    /// Whether it is found in every tree.
    is_open: bool,
    magic: Vec<u8>,
    mask: Vec<u8>,
}

impl Interpreter {
    /// Understands a file below [`REGISTERED`]; `None` for an interpreter of files with an
    /// extension, or of what is not at their start.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let is_enabled = lines.next()? == "enabled";
        let (mut path, mut is_open, mut magic, mut mask) = (None, false, None, None);
        for line in lines {
            match line.split_once(' ')? {
                ("interpreter", value) => path = Some(value.to_owned()),
                ("flags:", value) => is_open = value.contains('F'),
                ("offset", "0") => {}
                ("magic", value) => magic = Some(bytes(value)?),
                ("mask", value) => mask = Some(bytes(value)?),
                _ => return None,
            }
        }
        let magic = magic?;
        Some(Self {
            path: path?,
            is_enabled,
            is_open,
            mask: mask.unwrap_or_else(|| vec![0xff; magic.len()]),
            magic,
        })
    }

    /// Whether it is for programs that begin with `start`.
    fn is_for(&self, start: &[u8]) -> bool {
        let parts = self.magic.iter().zip(&self.mask).zip(start);
        self.magic.len() <= start.len()
            && self.mask.len() == self.magic.len()
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

/// Architectures whose programs can be told apart: whether they have 64 bits, whether they are
/// little-endian, and their machine.
const ARCHITECTURES: [(&str, (bool, bool, u16)); 13] = [
    ("386", (false, true, 3)),
    ("amd64", (true, true, 62)),
    ("arm", (false, true, 40)),
    ("arm64", (true, true, 183)),
    ("loong64", (true, true, 258)),
    ("mips", (false, false, 8)),
    ("mips64", (true, false, 8)),
    ("mips64le", (true, true, 8)),
    ("mipsle", (false, true, 8)),
    ("ppc64", (true, false, 21)),
    ("ppc64le", (true, true, 21)),
    ("riscv64", (true, true, 243)),
    ("s390x", (true, false, 22)),
];

/// How a program for `architecture` begins, up to its machine; `None` if that is not known.
fn start_of_program(architecture: &str) -> Option<[u8; 20]> {
    let known = ARCHITECTURES.iter().find(|(name, _)| *name == architecture);
    let (_, (is_wide, is_little, machine)) = *known?;
    let mut start = [0; 20];
    start[..4].copy_from_slice(b"\x7fELF");
    start[4] = if is_wide { 2 } else { 1 };
    start[5] = if is_little { 1 } else { 2 };
    start[6] = 1;
    for (at, value) in [(16, 2_u16), (18, machine)] {
        let value = match is_little {
            true => value.to_le_bytes(),
            false => value.to_be_bytes(),
        };
        start[at..at + 2].copy_from_slice(&value);
    }
    Some(start)
}

/// Why commands for a platform cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Lack {
    /// The kernel knows no such programs.
    Interpreter,
    /// Somebody has switched this interpreter off.
    Enabled(String),
    /// This interpreter is looked for in the tree of the image, where it is not.
    Open(String),
    /// What the kernel knows cannot be seen here.
    Sight,
    /// They are for another system.
    System,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interpreter => f.write_str("the kernel has no interpreter for them"),
            Self::Enabled(path) => write!(f, "their interpreter `{path}` is disabled"),
            Self::Open(path) => write!(
                f,
                "their interpreter `{path}` is registered without the flag F"
            ),
            Self::Sight => {
                write!(
                    f,
                    "whether the kernel can is not to be seen in `{REGISTERED}`"
                )
            }
            Self::System => f.write_str("they are for another system"),
        }
    }
}

/// What is missing for commands for `wanted` on `ours`, where the kernel has `interpreters`; `None`:
/// nobody knows which.
fn lack(wanted: &Platform, ours: &Platform, interpreters: Option<&[Interpreter]>) -> Option<Lack> {
    if wanted.os != ours.os {
        return Some(Lack::System);
    }
    let (its, our) = (&*wanted.architecture, &*ours.architecture);
    if its == our || matches!((our, its), ("amd64", "386") | ("arm64", "arm")) {
        return None;
    }
    let Some(interpreters) = interpreters else {
        return Some(Lack::Sight);
    };
    let Some(start) = start_of_program(its) else {
        return Some(Lack::Interpreter);
    };
    // The kernel takes the first that fits; which that is, the files do not say.
    let fitting: Vec<_> = interpreters.iter().filter(|it| it.is_for(&start)).collect();
    if fitting.iter().any(|it| it.is_enabled && it.is_open) {
        return None;
    }
    let enabled = fitting.iter().find(|it| it.is_enabled);
    Some(match (enabled, fitting.first()) {
        (Some(it), _) => Lack::Open(it.path.clone()),
        (None, Some(it)) => Lack::Enabled(it.path.clone()),
        (None, None) => Lack::Interpreter,
    })
}

/// The kernel's interpreters, as `directory` tells of them; `None` where it does not.
fn interpreters(directory: &Path) -> Option<Vec<Interpreter>> {
    if !directory.join("status").exists() {
        return None;
    }
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let parsed = texts.filter_map(|text| Interpreter::parse(&text));
    Some(parsed.collect())
}

/// The platforms whose commands can be executed here, this machine's own first.
pub fn executed() -> Vec<Platform> {
    let interpreters = interpreters(Path::new(REGISTERED));
    let ours = Platform::default();
    let all = ARCHITECTURES.map(|(name, _)| Platform::new(&ours.os, name, None));
    let others = all.into_iter().filter(|it| {
        it.architecture != ours.architecture && lack(it, &ours, interpreters.as_deref()).is_none()
    });
    [ours.clone()].into_iter().chain(others).collect()
}

/// Refuses a build of which a RUN is for a platform whose commands cannot be executed here: each is
/// shown at its line.
///
/// # Errors
/// If there is one.
pub fn refuse_foreign(subject: &Subject) -> Result<(), Failure> {
    let interpreters = interpreters(Path::new(REGISTERED));
    let ours = Platform::default();
    let mut found: Vec<Diagnostic> = Vec::new();
    for variant in &subject.variants {
        let is_fine = |it: &Platform| lack(it, &ours, interpreters.as_deref());
        for diagnostic in foreign(&variant.plan, &is_fine) {
            if !found.contains(&diagnostic) {
                found.push(diagnostic);
            }
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    report::diagnostics(&found, &subject.source, &mut io::stderr().lock());
    Err(Failure::said(1))
}

/// An error for each stage of `plan` with a RUN that `lack` has an objection to.
fn foreign(plan: &Plan, lack: &dyn Fn(&Platform) -> Option<Lack>) -> Vec<Diagnostic> {
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for step in &plan.steps {
        if !matches!(step.op, Op::Run(_)) || seen.contains(&step.stage) {
            continue;
        }
        let platform = &plan.stage(step.stage).platform;
        let Some(lack) = lack(platform) else { continue };
        seen.push(step.stage);
        let message = format!("commands for `{platform}` cannot be executed here: {lack}");
        let error = Diagnostic::error(step.span.clone(), message);
        found.push(match lack {
            Lack::System => error,
            Lack::Enabled(_) => {
                error.with_hint("`echo 1` into its file in /proc/sys/fs/binfmt_misc enables it")
            }
            Lack::Sight => error.with_hint(
                "as root: `mount -t binfmt_misc none /proc/sys/fs/binfmt_misc`; in a container it \
                 is mounted from outside. And install `qemu-user-static`",
            ),
            Lack::Interpreter | Lack::Open(_) => error.with_hint(
                "install `qemu-user-static` on this machine, or compile in a stage \
                 `FROM --platform=$BUILDPLATFORM`",
            ),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use rbuild_oci::Platform;

    use super::{Interpreter, Lack, interpreters, lack};

    /// As Debian's qemu-user-static registers it.
    const ARM64: &str = "enabled
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: POCF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
";
    const S390X: &str = "enabled
interpreter /usr/bin/qemu-s390x-static
flags: F
offset 0
magic 7f454c4602020100000000000000000000020016
mask ffffffffffffff00fffffffffffffffffffeffff
";
    const JAR: &str = "enabled
interpreter /usr/bin/jexec
flags:
extension .jar
";

    #[track_caller]
    fn check(wanted: &str, registered: &[&str], expected: Option<&Lack>) {
        let ours = Platform::new("linux", "amd64", None);
        let interpreters: Vec<_> = registered
            .iter()
            .filter_map(|text| Interpreter::parse(text))
            .collect();
        let found = lack(&wanted.parse().unwrap(), &ours, Some(&interpreters));
        assert_eq!(found.as_ref(), expected, "{wanted} with {registered:?}");
    }

    #[test]
    fn commands_of_this_machine_need_nothing() {
        check("linux/amd64", &[], None);
        check("linux/amd64/v3", &[], None);
        check("linux/386", &[], None);
    }

    #[test]
    fn commands_of_others_need_an_interpreter_that_is_open() {
        check("linux/arm64", &[JAR, S390X, ARM64], None);
        check("linux/s390x", &[JAR, S390X, ARM64], None);
        check("linux/arm64", &[JAR, S390X], Some(&Lack::Interpreter));
        check("linux/arm/v7", &[ARM64], Some(&Lack::Interpreter));
        check("linux/sparc64", &[ARM64], Some(&Lack::Interpreter));
        check("windows/amd64", &[ARM64], Some(&Lack::System));
        let path = "/usr/libexec/qemu-binfmt/aarch64-binfmt-P".to_owned();
        let closed = ARM64.replace("POCF", "POC");
        check("linux/arm64", &[&closed], Some(&Lack::Open(path.clone())));
        let disabled = ARM64.replace("enabled", "disabled");
        check("linux/arm64", &[&disabled], Some(&Lack::Enabled(path)));
        check("linux/arm64", &[&disabled, ARM64], None);
    }

    #[test]
    fn what_cannot_be_seen_is_not_relied_on() {
        let ours = Platform::new("linux", "amd64", None);
        let arm = Platform::new("linux", "arm64", None);
        assert_eq!(lack(&arm, &ours, None), Some(Lack::Sight));
        assert_eq!(lack(&ours, &ours, None), None);
        assert_eq!(interpreters("/no/such/place".as_ref()), None);
    }

    #[test]
    fn what_is_no_interpreter_of_programs_is_left_out() {
        for text in [
            "",
            "enabled\n",
            JAR,
            "enabled\ninterpreter /x\nflags: F\noffset 0\nmagic 7f4\n",
            "enabled\ninterpreter /x\nflags: F\noffset 4\nmagic 7f45\n",
        ] {
            assert_eq!(Interpreter::parse(text), None, "{text}");
        }
        let whole = "enabled\ninterpreter /x y\nflags: \noffset 0\nmagic 7f45\n";
        let found = Interpreter::parse(whole).unwrap();
        assert_eq!((found.path.as_str(), found.mask), ("/x y", vec![0xff; 2]));
    }
}
