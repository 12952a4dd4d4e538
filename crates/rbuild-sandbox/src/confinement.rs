//! What all commands of a build have in common: how they are confined, and the names of machines
//! that they know. Plain values, settled before the first command.

use std::net::IpAddr;

use rbuild_sys::Filter;

use crate::{
    capability::CapabilitySet,
    enter::sysctl,
    error::Error,
    resource_limit::ResourceLimit,
    seccomp::{SeccompProfile, filter},
};

/// How commands are confined beyond what the sandbox always does.
#[derive(Clone, Debug)]
pub struct Confinement {
    /// Name of the machine, as they see it.
    pub hostname: String,
    /// What is in `/etc/hosts`.
    pub hosts: Hosts,
    /// What is in `/etc/resolv.conf`.
    pub resolver: Resolver,
    /// Which system calls they can make.
    pub system_calls: SystemCalls,
    /// Whether setuid programs work.
    pub new_privileges: NewPrivileges,
    /// Limits instead of those of the sandbox, or beside them; of equal ones the last counts.
    pub limits: Vec<ResourceLimit>,
    /// Bytes in `/dev/shm` at most.
    pub shm_size: u64,
    /// What is hidden of `/proc` and `/sys` beside what the sandbox always hides: paths, as in
    /// `/proc/loadavg`. What does not exist is fine.
    pub masked: Vec<String>,
    /// What is not hidden, and not read-only, of `/proc` and `/sys`.
    pub unmasked: Unmasked,
}

/// `/etc/hosts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Names of this machine, and these.
    Provided(Vec<(String, IpAddr)>),
    /// That of the image; an empty one if it has none.
    OfImage,
}

/// `/etc/resolv.conf`. resolv.conf(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolver {
    /// The host's, but for what is given here.
    Provided {
        /// Name servers; none: the host's.
        servers: Vec<IpAddr>,
        /// Domains to search; none: the host's.
        search: Vec<String>,
        /// Options; none: the host's.
        options: Vec<String>,
    },
    /// That of the image; an empty one if it has none.
    OfImage,
}

/// Which system calls commands can make.
#[derive(Clone, Debug)]
pub enum SystemCalls {
    /// Those that the program lets through.
    Filtered(Filter),
    /// All.
    All,
}

/// Whether commands can gain privileges by executing a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NewPrivileges {
    /// As far as their capabilities go: `sudo` and `su` work.
    #[default]
    Possible,
    /// Never.
    Never,
}

/// What is not hidden of the kernel's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmasked {
    /// These paths, as in `/proc/kcore`; `*` stands for any characters but `/`.
    Paths(Vec<String>),
    /// All.
    All,
}

/// As with docker.
pub const DEFAULT_SHM_SIZE: u64 = 64 << 20;

impl SystemCalls {
    /// Those that `profile` allows to commands with `capabilities`, on this kernel.
    ///
    /// # Errors
    /// [`Error::ProfileSize`].
    pub fn filtered(profile: &SeccompProfile, capabilities: CapabilitySet) -> Result<Self, Error> {
        let release = sysctl("kernel/osrelease").unwrap_or_default();
        filter(profile, capabilities, &release).map(Self::Filtered)
    }
}

impl Confinement {
    /// What is in force where nothing else is said, for commands with `capabilities` on a
    /// machine called `hostname`.
    ///
    /// # Errors
    /// As [`SystemCalls::filtered`].
    pub fn usual(hostname: &str, capabilities: CapabilitySet) -> Result<Self, Error> {
        Ok(Self {
            hostname: hostname.to_owned(),
            hosts: Hosts::Provided(Vec::new()),
            resolver: Resolver::default(),
            system_calls: SystemCalls::filtered(&SeccompProfile::default(), capabilities)?,
            new_privileges: NewPrivileges::Possible,
            limits: Vec::new(),
            shm_size: DEFAULT_SHM_SIZE,
            masked: Vec::new(),
            unmasked: Unmasked::Paths(Vec::new()),
        })
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self::Provided {
            servers: Vec::new(),
            search: Vec::new(),
            options: Vec::new(),
        }
    }
}

impl Unmasked {
    /// Whether the path `name` below `top`, as in `kcore` below `/proc`, is as it is.
    pub(crate) fn has(&self, top: &str, name: &str) -> bool {
        let path = format!("{top}/{name}");
        match self {
            Self::All => true,
            Self::Paths(paths) => {
                let matches = |one: &String| matches(one.trim_end_matches('/'), &path);
                paths.iter().any(matches)
            }
        }
    }
}

/// Whether `path` is what `pattern` stands for.
fn matches(pattern: &str, path: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == path;
    };
    let Some(rest) = path.strip_prefix(before) else {
        return false;
    };
    let end = rest.find('/').unwrap_or(rest.len());
    (0..=end).any(|skipped| rest.is_char_boundary(skipped) && matches(after, &rest[skipped..]))
}

#[cfg(test)]
mod tests {
    use super::Unmasked;

    #[test]
    fn a_star_stands_for_a_part_of_a_name() {
        for (pattern, name, expected) in [
            ("/proc/kcore", "kcore", true),
            ("/proc/kcore/", "kcore", true),
            ("/proc/*", "kcore", true),
            ("/proc/k*e", "kcore", true),
            ("/proc/*o*", "kcore", true),
            ("/proc/k*x", "kcore", false),
            ("/*", "kcore", false),
            ("/proc/*", "sys/kernel", false),
        ] {
            let unmasked = Unmasked::Paths(vec![pattern.to_owned()]);
            assert_eq!(unmasked.has("/proc", name), expected, "{pattern}");
        }
    }
}
