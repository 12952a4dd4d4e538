//! The files of `/etc` that describe the machine, and their content.
//!
//! They are attached over files of the tree; `mount_point` finds or makes those.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use crate::{
    confinement::{Confinement, Hosts, Resolver},
    spec::Network,
};

/// Where the machine's own name server is asked in a private network: a link-local address, which
/// no other machine has. RFC 3927.
pub(crate) const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// How far a command reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// What the machine reaches, its loopback interface included; or nothing at all.
    Machine,
    /// What is outside of the machine.
    Outside,
}

impl From<Network> for Reach {
    fn from(network: Network) -> Self {
        match network {
            Network::Private => Self::Outside,
            Network::Host | Network::None => Self::Machine,
        }
    }
}

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

    /// The content for commands with `confinement` on a host with `resolv_conf`; `None` if the
    /// image's own file is to be seen.
    pub(crate) fn content(
        self,
        confinement: &Confinement,
        (resolv_conf, reach): (&str, Reach),
    ) -> Option<String> {
        let hostname = &confinement.hostname;
        match (self, &confinement.hosts, &confinement.resolver) {
            (Self::Hosts, Hosts::OfImage, _) | (Self::ResolvConf, _, Resolver::OfImage) => None,
            (Self::Hosts, Hosts::Provided(more), _) => {
                let more = more
                    .iter()
                    .map(|(name, address)| format!("{address}\t{name}\n"));
                Some(format!(
                    "127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback {hostname}\n{}",
                    more.collect::<String>()
                ))
            }
            (
                Self::ResolvConf,
                _,
                Resolver::Provided {
                    servers,
                    search,
                    options,
                },
            ) => {
                let servers: Vec<_> = servers
                    .iter()
                    .map(|server| format!("nameserver {server}\n"))
                    .collect();
                let one_line = |key: &str, words: &[String]| match words {
                    [] => Vec::new(),
                    words => vec![format!("{key} {}\n", words.join(" "))],
                };
                let (search, options) = (one_line("search", search), one_line("options", options));
                let given = [
                    ("nameserver", servers),
                    ("search", search),
                    ("options", options),
                ];
                Some(match reach {
                    Reach::Machine => resolver(resolv_conf, &given),
                    Reach::Outside => resolver(&from_outside(resolv_conf), &given),
                })
            }
            (Self::Hostname, ..) => Some(format!("{hostname}\n")),
        }
    }
}

/// `resolv_conf` for a private network: pasta asks the machine's first name server for whoever
/// asks [`NAME_SERVER`], also where only this machine can ask it; those on loopback are left out.
/// One without name servers means one on loopback. resolv.conf(5).
fn from_outside(resolv_conf: &str) -> String {
    let on_loopback = |line: &&str| {
        let mut words = line.split_ascii_whitespace();
        let is_server = words.next() == Some("nameserver");
        let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
        is_server && address.is_some_and(|it| it.is_loopback() || it.is_unspecified())
    };
    let others = resolv_conf.lines().filter(|line| !on_loopback(line));
    let others = others.map(|line| format!("{line}\n"));
    format!("nameserver {NAME_SERVER}\n{}", others.collect::<String>())
}

/// The lines of the host's resolv.conf, with those that are given in the place of those of their
/// kind. A search for `.` alone is none.
fn resolver(host: &str, given: &[(&str, Vec<String>); 3]) -> String {
    let replaced = |line: &str| {
        let key = line.split_ascii_whitespace().next().unwrap_or_default();
        // `domain` is the old word for `search`.
        let key = if key == "domain" { "search" } else { key };
        given
            .iter()
            .any(|(kind, lines)| *kind == key && !lines.is_empty())
    };
    let kept = host.lines().filter(|line| !replaced(line));
    let mut text: String = kept.map(|line| format!("{line}\n")).collect();
    let lines = given.iter().flat_map(|(_, lines)| lines);
    text.extend(
        lines
            .filter(|line| *line != "search .\n")
            .map(String::as_str),
    );
    text
}

impl fmt::Display for EtcFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::{EtcFile, Reach, from_outside};
    use crate::{Confinement, DEFAULT_CAPABILITIES, Hosts, Resolver};

    const HOST: &str = "# by hand\nnameserver 10.0.0.1\ndomain example\noptions rotate\n";

    #[track_caller]
    fn check(file: EtcFile, change: impl FnOnce(&mut Confinement), expected: Option<&str>) {
        let mut confinement = Confinement::usual("rbuild", DEFAULT_CAPABILITIES).unwrap();
        change(&mut confinement);
        assert_eq!(
            file.content(&confinement, (HOST, Reach::Machine))
                .as_deref(),
            expected
        );
    }

    #[test]
    fn hosts_has_this_machine_and_what_was_added() {
        let usual =
            "127.0.0.1\tlocalhost rbuild\n::1\tlocalhost ip6-localhost ip6-loopback rbuild\n";
        check(EtcFile::Hosts, |_| {}, Some(usual));
        let more = vec![
            ("db".to_owned(), "10.0.0.7".parse().unwrap()),
            ("six".to_owned(), "::7".parse().unwrap()),
        ];
        let expected = format!("{usual}10.0.0.7\tdb\n::7\tsix\n");
        check(
            EtcFile::Hosts,
            |it| it.hosts = Hosts::Provided(more),
            Some(&expected),
        );
        check(EtcFile::Hosts, |it| it.hosts = Hosts::OfImage, None);
    }

    #[test]
    fn resolv_conf_is_the_host_s_but_for_what_is_given() {
        let resolver = |servers: &[&str], search: &[&str], options: &[&str]| Resolver::Provided {
            servers: servers.iter().map(|one| one.parse().unwrap()).collect(),
            search: search.iter().map(ToString::to_string).collect(),
            options: options.iter().map(ToString::to_string).collect(),
        };
        check(EtcFile::ResolvConf, |_| {}, Some(HOST));
        for (given, expected) in [
            (
                resolver(&["1.1.1.1", "::1"], &[], &[]),
                "# by hand\ndomain example\noptions rotate\nnameserver 1.1.1.1\nnameserver ::1\n",
            ),
            (
                resolver(&[], &["a", "b"], &[]),
                "# by hand\nnameserver 10.0.0.1\noptions rotate\nsearch a b\n",
            ),
            (
                resolver(&[], &["."], &["ndots:1"]),
                "# by hand\nnameserver 10.0.0.1\noptions ndots:1\n",
            ),
        ] {
            check(
                EtcFile::ResolvConf,
                |it| it.resolver = given,
                Some(expected),
            );
        }
        check(
            EtcFile::ResolvConf,
            |it| it.resolver = Resolver::OfImage,
            None,
        );
    }

    #[test]
    fn in_a_private_network_names_are_asked_for_through_pasta() {
        for (host, expected) in [
            (
                HOST,
                "nameserver 169.254.1.1\n# by hand\nnameserver 10.0.0.1\ndomain example\noptions rotate\n",
            ),
            (
                "nameserver 127.0.0.53\noptions edns0\n",
                "nameserver 169.254.1.1\noptions edns0\n",
            ),
            (
                "nameserver ::1\nnameserver 9.9.9.9\n",
                "nameserver 169.254.1.1\nnameserver 9.9.9.9\n",
            ),
            ("", "nameserver 169.254.1.1\n"),
        ] {
            assert_eq!(from_outside(host), expected);
        }
    }
}
