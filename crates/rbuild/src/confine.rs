//! What the flags about the sandbox mean. Spec: cli.md 2.3, sandbox.md.

use std::{fs::File, io::Read, net::IpAddr};

use rbuild_engine::HOSTNAME;
use rbuild_oci::ImagePath;
use rbuild_sandbox::{
    CapabilitySet, Confinement, ControlRequest, DEFAULT_CAPABILITIES, DEFAULT_SHM_SIZE, Hosts,
    Mount, MountKind, NewPrivileges, Resolver, ResourceLimit, SeccompProfile, SystemCalls,
    Unmasked,
};

use crate::{amount, cli::ConfineArgs, failure::Failure};

/// No profile is larger, in bytes; one more than this is read.
const MAX_PROFILE: u64 = 1 << 20;

/// How commands are confined.
pub struct Confines {
    /// What they can do at most.
    pub capabilities: CapabilitySet,
    /// For the sandbox.
    pub confinement: Confinement,
    /// What they may use of the machine, if there is a limit.
    pub control: Option<ControlRequest>,
    /// Devices that all of them have.
    pub devices: Vec<Mount<'static>>,
}

/// Whether the one who types has agreed to commands without a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insecure {
    /// Yes: `--allow security.insecure`, or a command of one's own.
    Allowed,
    /// The commands are a Dockerfile's, and nothing was said.
    Refused,
}

/// What `args` say.
///
/// # Errors
/// What cannot be understood, or is not supported, with the flag.
pub fn confines(args: &ConfineArgs, insecure: Insecure) -> Result<Confines, Failure> {
    let capabilities = capabilities(&args.cap_add, &args.cap_drop)?;
    let options = security_options(&args.security_opt)?;
    let system_calls = match &options.seccomp {
        Seccomp::Usual => SystemCalls::filtered(&SeccompProfile::default(), capabilities)?,
        Seccomp::File(path) => SystemCalls::filtered(&profile(path)?, capabilities)?,
        Seccomp::Unconfined if insecure == Insecure::Refused => {
            return Err(Failure::message(
                "--security-opt seccomp=unconfined lets a Dockerfile make every system call",
            )
            .with_hint("say so: --allow security.insecure"));
        }
        Seccomp::Unconfined => SystemCalls::All,
    };
    let confinement = Confinement {
        hostname: HOSTNAME.to_owned(),
        hosts: hosts(args)?,
        resolver: resolver(args)?,
        system_calls,
        new_privileges: options.new_privileges,
        limits: limits(&args.ulimit)?,
        shm_size: shm_size(args.shm_size.as_deref())?,
        masked: options.masked,
        unmasked: options.unmasked,
    };
    Ok(Confines {
        capabilities,
        confinement,
        control: crate::limits::request(&args.limits)?,
        devices: args
            .device
            .iter()
            .map(|flag| device(flag))
            .collect::<Result<_, _>>()?,
    })
}

/// The limits that `--ulimit` sets.
///
/// # Errors
/// As [`ResourceLimit`] says.
pub fn limits(flags: &[String]) -> Result<Vec<ResourceLimit>, Failure> {
    let limit = |flag: &String| {
        flag.parse()
            .map_err(|why: String| wrong("--ulimit", flag, &why))
    };
    flags.iter().map(limit).collect()
}

/// A flag with a value that is none.
pub fn wrong(flag: &str, value: &str, why: &str) -> Failure {
    Failure::message(format!("cannot understand {flag} `{value}`: {why}"))
}

/// The usual ones with those to add and without those to drop; `ALL` comes before single ones.
fn capabilities(add: &[String], drop: &[String]) -> Result<CapabilitySet, Failure> {
    let (add, drop) = (named("--cap-add", add)?, named("--cap-drop", drop)?);
    if add.1.intersects(drop.1) {
        return Err(Failure::message(
            "a capability cannot be given with --cap-add and taken with --cap-drop",
        ));
    }
    Ok(match (add, drop) {
        ((true, _), (true, _)) => {
            return Err(Failure::message(
                "--cap-add ALL and --cap-drop ALL contradict each other",
            ));
        }
        ((true, _), (false, dropped)) => CapabilitySet::ALL.without(dropped),
        ((false, added), (true, _)) => added,
        ((false, added), (false, dropped)) => DEFAULT_CAPABILITIES.with(added).without(dropped),
    })
}

/// Whether `ALL` is among `names`, and the set of the others.
fn named(flag: &str, names: &[String]) -> Result<(bool, CapabilitySet), Failure> {
    let (mut all, mut set) = (false, CapabilitySet::default());
    for name in names {
        match CapabilitySet::named(name) {
            Some(one) => set = set.with(one),
            None if name.eq_ignore_ascii_case("all") => all = true,
            None => return Err(wrong(flag, name, "there is no such capability")),
        }
    }
    Ok((all, set))
}

/// What `--security-opt` says.
#[derive(Debug, PartialEq, Eq)]
struct SecurityOptions {
    seccomp: Seccomp,
    new_privileges: NewPrivileges,
    masked: Vec<String>,
    unmasked: Unmasked,
}

#[derive(Debug, PartialEq, Eq)]
enum Seccomp {
    Usual,
    File(String),
    Unconfined,
}

fn security_options(flags: &[String]) -> Result<SecurityOptions, Failure> {
    let mut options = SecurityOptions {
        seccomp: Seccomp::Usual,
        new_privileges: NewPrivileges::Possible,
        masked: Vec::new(),
        unmasked: Unmasked::Paths(Vec::new()),
    };
    for flag in flags {
        let not = |why: &str| Err(wrong("--security-opt", flag, why));
        // docker's old separator is a colon.
        let (key, value) = flag.split_once(['=', ':']).unwrap_or((flag, ""));
        match (key, value) {
            ("seccomp", "unconfined") => options.seccomp = Seccomp::Unconfined,
            ("seccomp", "") => return not("it names no file"),
            ("seccomp", path) => options.seccomp = Seccomp::File(path.to_owned()),
            ("no-new-privileges", "" | "true") => options.new_privileges = NewPrivileges::Never,
            ("no-new-privileges", "false") => options.new_privileges = NewPrivileges::Possible,
            ("unmask", value) => options.unmasked = unmasked(options.unmasked, value),
            // As it is anyway.
            ("label", "disable") | ("apparmor", "unconfined") => {}
            ("label" | "apparmor", _) => return not("no labels or profiles are set here"),
            ("mask", value) => match masked(value) {
                Some(paths) => options.masked.extend(paths),
                None => return not("only what is in /proc and /sys can be hidden"),
            },
            _ => {
                return not(
                    "it is not seccomp=, no-new-privileges, mask=, unmask=, label= or apparmor=",
                );
            }
        }
    }
    Ok(options)
}

/// `None` if one of them is not a path below /proc or /sys.
fn masked(value: &str) -> Option<Vec<String>> {
    let path = |text: &str| {
        let path = ImagePath::root().join(text)?.to_string();
        let below = ["/proc/", "/sys/"].iter().any(|top| path.starts_with(top));
        (text.starts_with('/') && below).then_some(path)
    };
    value.split(':').map(path).collect()
}

fn unmasked(before: Unmasked, value: &str) -> Unmasked {
    match before {
        Unmasked::Paths(_) if value == "ALL" => Unmasked::All,
        Unmasked::Paths(mut paths) => {
            paths.extend(value.split(':').map(str::to_owned));
            Unmasked::Paths(paths)
        }
        Unmasked::All => Unmasked::All,
    }
}

fn profile(path: &str) -> Result<SeccompProfile, Failure> {
    let read = || {
        let mut text = Vec::new();
        File::open(path)?
            .take(MAX_PROFILE + 1)
            .read_to_end(&mut text)?;
        Ok(text)
    };
    let text = read().map_err(|error: std::io::Error| {
        Failure::message(format!("cannot read the seccomp profile `{path}`: {error}"))
    })?;
    Ok(SeccompProfile::parse(&text)?)
}

fn shm_size(flag: Option<&str>) -> Result<u64, Failure> {
    let Some(text) = flag else {
        return Ok(DEFAULT_SHM_SIZE);
    };
    let size = amount::memory(text).filter(|size| *size > 0);
    size.ok_or_else(|| wrong("--shm-size", text, "it is not a size like 64m"))
}

fn hosts(args: &ConfineArgs) -> Result<Hosts, Failure> {
    if args.no_hosts {
        return Ok(Hosts::OfImage);
    }
    let mut lines = Vec::new();
    for flag in &args.add_host {
        let not = |why| wrong("--add-host", flag, why);
        let (names, address) = flag
            .split_once(':')
            .ok_or_else(|| not("it is not NAME:ADDRESS"))?;
        if address == "host-gateway" {
            return Err(not(
                "there is no gateway to this machine; with --network=host it is `127.0.0.1`",
            ));
        }
        let bare = address
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let address: IpAddr = bare
            .unwrap_or(address)
            .parse()
            .map_err(|_| not("its address is none"))?;
        for name in names.split(';') {
            if name.is_empty()
                || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#')
            {
                return Err(not("its name is none"));
            }
            lines.push((name.to_owned(), address));
        }
    }
    Ok(Hosts::Provided(lines))
}

fn resolver(args: &ConfineArgs) -> Result<Resolver, Failure> {
    let word = |flag, words: &[String]| match words.iter().find(|word| {
        word.is_empty() || word.contains(|c: char| c.is_whitespace() || c.is_control())
    }) {
        Some(bad) => Err(wrong(flag, bad, "it is not one word")),
        None => Ok(words.to_vec()),
    };
    let (search, options) = (
        word("--dns-search", &args.dns_search)?,
        word("--dns-option", &args.dns_option)?,
    );
    if args.dns.iter().any(|server| server == "none") {
        return match args.dns.len() + search.len() + options.len() {
            1 => Ok(Resolver::OfImage),
            _ => Err(wrong(
                "--dns",
                "none",
                "it goes with no other flag about names",
            )),
        };
    }
    let server = |text: &String| {
        text.parse()
            .map_err(|_| wrong("--dns", text, "it is neither an address nor `none`"))
    };
    Ok(Resolver::Provided {
        servers: args.dns.iter().map(server).collect::<Result<_, _>>()?,
        search,
        options,
    })
}

/// `HOST[:PATH][:PERMISSIONS]`. Only a control group could forbid reading or writing, and users
/// have none for devices.
fn device(flag: &str) -> Result<Mount<'static>, Failure> {
    let not = |why| wrong("--device", flag, why);
    let mut parts = flag.split(':');
    let host = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    let (target, permissions) = match rest[..] {
        [] => (host, "rwm"),
        [path] if path.starts_with('/') => (path, "rwm"),
        [permissions] => (host, permissions),
        [path, permissions] if path.starts_with('/') => (path, permissions),
        _ => return Err(not("it is not DEVICE[:PATH[:rwm]]")),
    };
    if permissions.contains(|c| !"rwm".contains(c)) || permissions.is_empty() {
        return Err(not("permissions are of r, w and m"));
    }
    if !permissions.contains('r') || !permissions.contains('w') {
        return Err(not("reading or writing alone cannot be forbidden"));
    }
    let below = host.strip_prefix("/dev/").filter(|name| !name.is_empty());
    let below = below.ok_or_else(|| not("devices are in /dev"))?;
    let path = |text: &str| {
        ImagePath::root()
            .join(text)
            .ok_or_else(|| not("it has a NUL in it"))
    };
    Ok(Mount {
        target: path(target)?,
        kind: MountKind::Device { path: path(below)? },
    })
}

#[cfg(test)]
mod tests;
