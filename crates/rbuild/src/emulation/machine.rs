//! What commands for a platform can be executed by on this machine, and why not. Pure, but for
//! [`Machine::seen`].
//!
//! Does not know: who wants to execute them.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fmt,
    fs::File,
    path::{Path, PathBuf},
};

use rbuild_oci::Platform;
use rbuild_sandbox::Interpreter;

use super::{
    architecture::Architecture,
    qemu,
    registered::{REGISTERED, Registered, registered},
};

/// What commands can be executed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Means {
    /// The processor.
    Processor,
    /// An interpreter that the host's kernel has.
    Kernel,
    /// This program, once it is registered.
    Program(PathBuf),
}

/// Why commands for a platform cannot be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The kernel knows no such programs, and this is not to be found; `None`: nobody has one.
    Interpreter(Option<String>),
    /// Somebody has switched this interpreter off.
    Enabled(PathBuf),
    /// This interpreter is looked for in the tree of the image, where it is not.
    Open(PathBuf),
    /// What the kernel knows cannot be seen here, and this is not to be found.
    Sight(String),
    /// They are for another system.
    System,
    /// This program might interpret them, and cannot be registered.
    Refused {
        /// Which.
        program: PathBuf,
        /// The reasons.
        why: String,
        /// What to try.
        hint: Option<String>,
    },
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interpreter(None) => f.write_str("nobody has an interpreter for them"),
            Self::Interpreter(Some(name)) => {
                write!(
                    f,
                    "the kernel has no interpreter for them, and there is no static `{name}` in PATH"
                )
            }
            Self::Enabled(path) => write!(f, "their interpreter `{}` is disabled", path.display()),
            Self::Open(path) => write!(
                f,
                "their interpreter `{}` is registered without the flag F",
                path.display()
            ),
            Self::Sight(name) => write!(
                f,
                "no interpreter is to be seen in `{REGISTERED}`, and there is no static `{name}` in PATH"
            ),
            Self::System => f.write_str("they are for another system"),
            Self::Refused { program, why, .. } => {
                write!(
                    f,
                    "their interpreter `{}` is of no use: {why}",
                    program.display()
                )
            }
        }
    }
}

impl Lack {
    /// What to try.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::System => return None,
            Self::Refused { hint, .. } => return hint.clone(),
            Self::Enabled(_) => {
                format!("`echo 1` into its file in {REGISTERED} enables it")
            }
            Self::Interpreter(None) => {
                "compile in a stage `FROM --platform=$BUILDPLATFORM`".to_owned()
            }
            Self::Interpreter(Some(_)) | Self::Sight(_) | Self::Open(_) => {
                "install `qemu-user-static` on this machine, or put its program into PATH (from Linux \
                 6.7 on), or compile in a stage `FROM --platform=$BUILDPLATFORM`"
                    .to_owned()
            }
        })
    }
}

/// What there is on this machine.
pub struct Machine<'a> {
    pub ours: Platform,
    /// `None`: it cannot be seen.
    registered: Option<Vec<Registered>>,
    /// Finds the program that interprets an architecture's.
    program: &'a dyn Fn(&Architecture) -> Option<PathBuf>,
}

impl Machine<'_> {
    /// As it is: asks the kernel, and looks for programs when they are needed.
    pub fn seen() -> Self {
        Self {
            ours: Platform::default(),
            registered: registered(Path::new(REGISTERED)),
            program: &program,
        }
    }

    /// What commands for `wanted` can be executed by.
    ///
    /// # Errors
    /// What is missing for that.
    pub fn means(&self, wanted: &Platform) -> Result<Means, Lack> {
        if wanted.os != self.ours.os {
            return Err(Lack::System);
        }
        if is_native(wanted, &self.ours) {
            return Ok(Means::Processor);
        }
        let Some(its) = Architecture::named(&wanted.architecture) else {
            return Err(Lack::Interpreter(None));
        };
        // The kernel takes the first that fits; which that is, the files do not say.
        let all = self.registered.iter().flatten();
        let fitting: Vec<_> = all.filter(|it| it.is_for(its)).collect();
        if fitting.iter().any(|it| it.is_enabled && it.is_open()) {
            return Ok(Means::Kernel);
        }
        if let Some(program) = (self.program)(its) {
            return Ok(Means::Program(program));
        }
        let [name, _] = qemu::names(its);
        let path = |it: &Registered| it.interpreter.program.clone();
        let enabled = fitting.iter().find(|it| it.is_enabled);
        Err(match (enabled, fitting.first(), &self.registered) {
            (Some(it), _, _) => Lack::Open(path(it)),
            (None, Some(it), _) => Lack::Enabled(path(it)),
            (None, None, Some(_)) => Lack::Interpreter(Some(name)),
            (None, None, None) => Lack::Sight(name),
        })
    }

    /// The same for each of `platforms`, which need not be native.
    pub fn judged<'p>(&self, platforms: &'p BTreeSet<Platform>) -> Judged<'p> {
        let mut judged = Judged::default();
        for platform in platforms {
            match self.means(platform) {
                Ok(Means::Processor | Means::Kernel) => {}
                Ok(Means::Program(program)) => {
                    judged.programs.insert(platform, program);
                }
                Err(lack) => {
                    judged.lacks.insert(platform, lack);
                }
            }
        }
        judged
    }

    /// Leaves out what the kernel has and we could not register again.
    pub fn forget_unreachable(&mut self) {
        let is_there = |it: &mut Registered| File::open(&it.interpreter.program).is_ok();
        let all = self.registered.iter_mut();
        all.for_each(|all| all.retain_mut(is_there));
    }

    /// What is to be registered for `programs`: they, and what the kernel has and can be used, for
    /// it looks into one place only.
    pub fn interpreters(&self, programs: &BTreeMap<&Platform, PathBuf>) -> Vec<Interpreter> {
        let all = self.registered.iter().flatten();
        let usable = all.filter(|it| it.is_enabled && it.is_open());
        let mut all: Vec<Interpreter> = usable.map(|it| it.interpreter.clone()).collect();
        let own = programs.iter().filter_map(|(platform, program)| {
            let its = Architecture::named(&platform.architecture)?;
            Some(Interpreter {
                program: program.clone(),
                magic: its.magic().to_vec(),
                mask: its.mask().to_vec(),
                flags: qemu::FLAGS.to_owned(),
            })
        });
        for interpreter in own {
            // Variants of an architecture have the same one.
            if !all.contains(&interpreter) {
                all.push(interpreter);
            }
        }
        all
    }
}

/// What there is for platforms, but for those that need nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Judged<'p> {
    /// Whose commands cannot be executed.
    pub lacks: BTreeMap<&'p Platform, Lack>,
    /// What is to be registered for the others.
    pub programs: BTreeMap<&'p Platform, PathBuf>,
}

/// The static program in a directory of `PATH`, or a usual one, that interprets an architecture's.
fn program(its: &Architecture) -> Option<PathBuf> {
    let ours = Architecture::named(&Platform::default().architecture)?;
    let directories = qemu::directories(env::var_os("PATH").as_deref());
    qemu::emulator(its, &directories, &|path| qemu::is_static(path, ours))
}

/// Whether a processor of `ours` executes commands for `wanted` itself.
pub fn is_native(wanted: &Platform, ours: &Platform) -> bool {
    let (its, our) = (&*wanted.architecture, &*ours.architecture);
    wanted.os == ours.os
        && (its == our || matches!((our, its), ("amd64", "386") | ("arm64", "arm")))
}

#[cfg(test)]
mod tests;
