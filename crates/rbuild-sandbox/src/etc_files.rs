//! The files of `/etc` that describe the machine, and their content.
//!
//! They are attached over files of the tree; `mount_point` finds or makes those.

use std::fmt;

/// One of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtcFile {
    /// hosts(5).
    Hosts,
    /// resolv.conf(5): the host's, as the network is.
    ResolvConf,
    /// hostname(5).
    Hostname,
}

impl EtcFile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hosts, Self::ResolvConf, Self::Hostname];

    /// Name in `/etc`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hosts => "hosts",
            Self::ResolvConf => "resolv.conf",
            Self::Hostname => "hostname",
        }
    }

    /// Path in the image.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Hosts => "/etc/hosts",
            Self::ResolvConf => "/etc/resolv.conf",
            Self::Hostname => "/etc/hostname",
        }
    }

    /// The content for a machine called `hostname` that uses the name servers in `resolv_conf`.
    pub(crate) fn content(self, hostname: &str, resolv_conf: &[u8]) -> Vec<u8> {
        match self {
            Self::Hosts => format!(
                "127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback {hostname}\n"
            )
            .into_bytes(),
            Self::ResolvConf => resolv_conf.to_vec(),
            Self::Hostname => format!("{hostname}\n").into_bytes(),
        }
    }
}

impl fmt::Display for EtcFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
