//! Limits on what a command uses of a resource, by the names of docker and ulimit(1).

use std::{fmt, str::FromStr};

use rbuild_sys::Resource;

/// A limit as `NAME=SOFT[:HARD]`; without HARD it is SOFT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceLimit {
    /// What is limited.
    pub resource: Resource,
    /// What holds at first. [`ResourceLimit::UNLIMITED`] is no limit.
    pub soft: u64,
    /// How far the command can raise it.
    pub hard: u64,
}

const NAMES: [(&str, Resource); 16] = [
    ("as", Resource::AddressSpace),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::FileSize),
    ("locks", Resource::Locks),
    ("memlock", Resource::LockedMemory),
    ("msgqueue", Resource::MessageQueues),
    ("nice", Resource::Nice),
    ("nofile", Resource::OpenFiles),
    ("nproc", Resource::Processes),
    ("rss", Resource::ResidentSet),
    ("rtprio", Resource::RealtimePriority),
    ("rttime", Resource::RealtimeTime),
    ("sigpending", Resource::PendingSignals),
    ("stack", Resource::Stack),
];

impl ResourceLimit {
    /// No limit.
    pub const UNLIMITED: u64 = u64::MAX;

    /// The resource's name.
    pub(crate) fn name(&self) -> &'static str {
        let known = NAMES
            .iter()
            .find(|(_, resource)| *resource == self.resource);
        known.map_or("", |(name, _)| name)
    }
}

impl FromStr for ResourceLimit {
    type Err = String;

    /// What is wrong, for a message that has the text.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, values) = text.split_once('=').ok_or("it is not NAME=SOFT[:HARD]")?;
        let known = NAMES.iter().find(|(known, _)| *known == name);
        let (_, resource) = known.ok_or_else(|| {
            let all = NAMES.map(|(name, _)| name).join(", ");
            format!("there is no limit `{name}`, only {all}")
        })?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let (soft, hard) = (amount(soft)?, amount(hard)?);
        if soft > hard {
            return Err("the soft limit is above the hard one".to_owned());
        }
        Ok(Self {
            resource: *resource,
            soft,
            hard,
        })
    }
}

fn amount(text: &str) -> Result<u64, String> {
    match text {
        "-1" | "unlimited" => Ok(ResourceLimit::UNLIMITED),
        _ => text
            .parse()
            .map_err(|_| format!("`{text}` is not a number")),
    }
}

impl fmt::Display for ResourceLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |amount| match amount {
            Self::UNLIMITED => "unlimited".to_owned(),
            amount => amount.to_string(),
        };
        write!(
            f,
            "{}={}:{}",
            self.name(),
            shown(self.soft),
            shown(self.hard)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::ResourceLimit;

    #[test]
    fn limits_are_read_as_docker_writes_them() {
        for (text, expected) in [
            ("nofile=64", Ok("nofile=64:64")),
            ("nofile=64:128", Ok("nofile=64:128")),
            ("core=-1", Ok("core=unlimited:unlimited")),
            ("as=1:unlimited", Ok("as=1:unlimited")),
            ("nofile", Err("it is not NAME=SOFT[:HARD]")),
            ("nofile=9:8", Err("the soft limit is above the hard one")),
            ("nofile=x", Err("`x` is not a number")),
            ("nofile=-2", Err("`-2` is not a number")),
        ] {
            let read = text.parse::<ResourceLimit>().map(|limit| limit.to_string());
            assert_eq!(read.as_deref().map_err(String::as_str), expected, "{text}");
        }
        assert!(
            "files=1"
                .parse::<ResourceLimit>()
                .unwrap_err()
                .contains("nofile")
        );
    }
}
