//! Entering namespaces with the whole process, in place.
//!
//! `newuidmap` must run outside of the new user namespace but act on us: a forked helper
//! stays outside and runs it. user_namespaces(7), newuidmap(1).
//!
//! Invariant: called while the process has one thread, or not at all.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
};

use rustix::io::Errno;

use crate::{
    error::{Error, Result},
    mounts::make_mounts_private,
    process::{fork, reap, thread_count},
};

/// `count` ids from `inside` on, as seen in the namespace, are those from `outside` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdMapping {
    /// First id inside.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many, at least 1.
    pub count: u32,
}

/// Why [`enter_user_namespace`] failed: each has another remedy.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// The kernel refused the namespaces.
    #[error("cannot make a user namespace")]
    Namespace(#[source] Error),

    /// There is no such program.
    #[error("cannot run `{program}`")]
    NoProgram {
        /// `newuidmap` or `newgidmap`.
        program: String,
    },

    /// The program did not map the ids.
    #[error("`{program}` failed: {message}")]
    Map {
        /// `newuidmap` or `newgidmap`.
        program: String,
        /// What it said.
        message: String,
    },

    /// The ids are mapped, but the process cannot become root of the namespace.
    #[error("cannot become root of the user namespace")]
    Root(#[source] Error),
}

/// Enters a new user namespace and a new mount namespace, as their root; mounts are private.
///
/// # Errors
/// After an error the process is of no further use.
pub fn enter_user_namespace(
    uids: &[IdMapping],
    gids: &[IdMapping],
) -> std::result::Result<(), EnterError> {
    single_thread().map_err(EnterError::Namespace)?;
    let io = |source| {
        EnterError::Namespace(Error {
            call: "pipe",
            operand: String::new(),
            source,
        })
    };
    let (mut go, mut start) = std::io::pipe().map_err(io)?;
    let (mut answer, mut report) = std::io::pipe().map_err(io)?;
    let target = std::process::id();
    let outside = move || {
        let mut word = [0];
        let started = go.read_exact(&mut word).is_ok() && word == [1];
        let told = match started.then(|| map_both(target, uids, gids)) {
            None | Some(Ok(())) => return 0,
            Some(Err((program, message))) => write!(report, "{program}\n{message}"),
        };
        1 + u8::from(told.is_err())
    };
    // SAFETY: there is one thread, as `single_thread` counted.
    let helper = unsafe { fork(outside) }.map_err(EnterError::Namespace)?;
    let entered = unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS);
    // The helper holds a copy of each end, so no pipe ends by itself: it must be told.
    start.write_all(&[entered.is_ok().into()]).map_err(io)?;
    drop(start);
    let mut text = String::new();
    answer.read_to_string(&mut text).map_err(io)?;
    reap(helper).map_err(EnterError::Namespace)?;
    entered.map_err(EnterError::Namespace)?;
    if let Some((program, message)) = text.split_once('\n') {
        let program = program.to_owned();
        return Err(match message {
            "" => EnterError::NoProgram { program },
            said => EnterError::Map {
                program,
                message: said.trim().to_owned(),
            },
        });
    }
    become_root()
        .and_then(|()| make_mounts_private())
        .map_err(EnterError::Root)
}

/// Enters a new mount namespace with private mounts; for those who are root already.
///
/// # Errors
/// `PERM` without CAP_SYS_ADMIN.
pub fn enter_mount_namespace() -> Result<()> {
    single_thread()?;
    unshare(libc::CLONE_NEWNS)?;
    make_mounts_private()
}

fn single_thread() -> Result<()> {
    match thread_count()? {
        1 => Ok(()),
        count => Err(Error::new(
            "unshare",
            format!("{count} threads"),
            Errno::INVAL,
        )),
    }
}

fn unshare(flags: i32) -> Result<()> {
    // SAFETY: a plain number; descriptors are not unshared.
    match unsafe { libc::unshare(flags) } {
        0 => Ok(()),
        _ => Err(Error::last("unshare", "")),
    }
}

/// Runs both programs; an error is the program and what it said (nothing: it does not exist).
fn map_both(
    target: u32,
    uids: &[IdMapping],
    gids: &[IdMapping],
) -> std::result::Result<(), (&'static str, String)> {
    map("newuidmap", target, uids)?;
    map("newgidmap", target, gids)
}

fn map(
    program: &'static str,
    target: u32,
    ids: &[IdMapping],
) -> std::result::Result<(), (&'static str, String)> {
    let numbers = ids.iter().flat_map(|id| [id.inside, id.outside, id.count]);
    let output = Command::new(program)
        .arg(target.to_string())
        .args(numbers.map(|number| number.to_string()))
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err((program, format!("{} ({})", said.trim(), output.status)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err((program, String::new())),
        Err(error) => Err((program, error.to_string())),
    }
}

/// Takes user 0, group 0 and no other groups.
fn become_root() -> Result<()> {
    // SAFETY: plain numbers and an empty list.
    let steps = unsafe {
        [
            ("setresgid", libc::setresgid(0, 0, 0)),
            ("setresuid", libc::setresuid(0, 0, 0)),
            ("setgroups", libc::setgroups(0, std::ptr::null())),
        ]
    };
    match steps.iter().find(|(_, answer)| *answer != 0) {
        None => Ok(()),
        Some((call, _)) => Err(Error::last(call, "0")),
    }
}
