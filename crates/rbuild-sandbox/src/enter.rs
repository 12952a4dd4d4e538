//! Entering the namespaces of the builder: whose ids, by which means, and why not.
//!
//! Root with CAP_SYS_ADMIN needs a mount namespace only; everybody else becomes root of a user
//! namespace, with a range of subordinate ids. hosts.md rows 1 to 8.

use std::{fs, path::Path, process::Command};

use caps::{CapSet, Capability, has_cap};
use rbuild_sys::{
    self as sys, Dir, EnterError, Errno, Guardian, effective_ids, enter_mount_namespace,
    enter_user_namespace, raise_open_files_limit,
};

use crate::{
    control_group::{ControlGroup, ControlRequest},
    error::Error,
    subids::{Owner, Ranges},
    users::Accounts,
};

/// The process is where commands can be run from.
#[derive(Debug)]
pub struct Entered {
    /// With whose death every command ends.
    pub guardian: Guardian,
    /// Which ids there are.
    pub ids: Ids,
    /// Where commands have control groups, if they have.
    pub(crate) control_group: Option<ControlGroup>,
}

/// The ids that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    /// All: the caller is root.
    All,
    /// The caller's own as root, and these from 1 on.
    Subordinate {
        /// Users.
        uids: Ranges,
        /// Groups.
        gids: Ranges,
    },
}

/// Takes the process into namespaces of its own, as root there, and starts the guardian. Once,
/// from the main thread, before there are others. From then on the process may have as many files
/// open as its hard limit allows: a tree has a descriptor for each of its layers.
///
/// # Errors
/// Each reason of hosts.md has its own, with a hint. The process is of no further use then.
pub fn enter() -> Result<Entered, Error> {
    let ids = enter_unguarded()?;
    let guardian = Guardian::start().map_err(|source| Error::Guardian { source })?;
    raise_open_files_limit();
    Ok(Entered {
        guardian,
        ids,
        control_group: None,
    })
}

/// As [`enter`], with control groups for commands if `request` asks for them.
///
/// # Errors
/// As [`enter`], and why there can be no control groups, or not these limits; nothing is left of
/// them then.
pub fn enter_limited(request: Option<&ControlRequest>) -> Result<Entered, Error> {
    // First: all that is started from now on is to be in the builder's group.
    let control_group = request.map(ControlGroup::start).transpose()?;
    Ok(Entered {
        control_group,
        ..enter()?
    })
}

/// As [`enter`], without the guardian: for a process that runs no commands itself.
///
/// # Errors
/// As [`enter`].
pub fn enter_unguarded() -> Result<Ids, Error> {
    Ok(if is_full_root() {
        enter_mount_namespace().map_err(|source| Error::Prepare {
            what: "a mount namespace".to_owned(),
            source,
        })?;
        Ids::All
    } else {
        let ids = subordinate_ids()?;
        if let Ids::Subordinate { uids, gids } = &ids {
            let (uid, gid) = effective_ids();
            enter_user_namespace(&uids.mappings(uid), &gids.mappings(gid))
                .map_err(|error| explain(error, uids))?;
        }
        ids
    })
}

/// The subordinate ids of the caller: from the files, else from `getsubids`.
///
/// # Errors
/// [`Error::NoSubids`] if there are none of users or none of groups.
pub(crate) fn subordinate_ids() -> Result<Ids, Error> {
    let (uid, gid) = effective_ids();
    let owner = Owner {
        name: login_name(uid),
        uid,
    };
    let user = owner.name.clone().unwrap_or_else(|| uid.to_string());
    let find = |file: &str, option: Option<&str>, own| {
        let text = fs::read(file).unwrap_or_default();
        let ranges = Ranges::parse(&String::from_utf8_lossy(&text), &owner, own);
        if ranges.count() > 0 {
            return ranges;
        }
        let listing = program_output("getsubids", option.into_iter().chain([user.as_str()]));
        Ranges::parse_listing(&listing.unwrap_or_default(), own)
    };
    let uids = find("/etc/subuid", None, uid);
    let gids = find("/etc/subgid", Some("-g"), gid);
    if uids.count() == 0 || gids.count() == 0 {
        return Err(Error::NoSubids { user });
    }
    Ok(Ids::Subordinate { uids, gids })
}

pub(crate) fn is_full_root() -> bool {
    effective_ids().0 == 0
        && has_cap(None, CapSet::Effective, Capability::CAP_SYS_ADMIN).unwrap_or(false)
}

/// The value of `name` in `/proc/self/status`.
pub(crate) fn status_field(name: &str) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// The number in the file of a sysctl.
pub(crate) fn sysctl(path: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new("/proc/sys").join(path)).ok()?;
    Some(text.trim().to_owned())
}

/// From the file, else from what the site's name service says.
fn login_name(uid: u32) -> Option<String> {
    let root = Dir::open(Path::new("/")).ok()?;
    let accounts = Accounts::read(&root).unwrap_or_default();
    let name = accounts
        .name(uid)
        .or_else(|| program_output("id", ["-un"].into_iter()));
    name.filter(|name| !name.is_empty())
}

/// What a program printed, if it was successful.
fn program_output<'a>(program: &str, arguments: impl Iterator<Item = &'a str>) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// Finds the reason behind a failure.
fn explain(error: EnterError, uids: &Ranges) -> Error {
    let app_armor = sysctl("kernel/apparmor_restrict_unprivileged_userns");
    let app_armor = app_armor.is_some_and(|value| value == "1");
    match error {
        EnterError::NoProgram { program } => Error::NoMapProgram { program },
        source @ EnterError::Map { .. } if status_field("NoNewPrivs").as_deref() == Some("1") => {
            Error::NoNewPrivileges { source }
        }
        source @ (EnterError::Map { .. } | EnterError::Root(_)) if app_armor => {
            Error::AppArmor { source }
        }
        source @ EnterError::Map { .. } => Error::Map {
            ids: uids.to_string(),
            source,
        },
        EnterError::Namespace(source) => refused(source),
        source @ EnterError::Root(_) => Error::Namespace { source },
    }
}

fn refused(source: sys::Error) -> Error {
    if source.is(Errno::NOSPC) {
        let limit = sysctl("user/max_user_namespaces").unwrap_or_else(|| "?".to_owned());
        return Error::NamespaceLimit { limit, source };
    }
    if source.is(Errno::PERM) && status_field("Seccomp").as_deref() == Some("2") {
        return Error::Seccomp { source };
    }
    Error::Namespace {
        source: EnterError::Namespace(source),
    }
}
