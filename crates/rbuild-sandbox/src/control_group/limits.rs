//! What commands may use of what they share with others, and how a control group is told so. Pure.
//!
//! Knows: the files of cgroup v2 and what is written to them. Does not know: where the group is.
//! The kernel's `cgroup-v2.rst`; the values are docker's and podman's.

use std::collections::BTreeSet;

/// Limits of one command and all that it starts. `None`: no limit but those around it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlLimits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// What may be swapped out beyond it.
    pub swap: Swap,
    /// Microseconds of processor time in a period.
    pub cpu_quota: Option<u64>,
    /// Microseconds of that period.
    pub cpu_period: Option<u64>,
    /// How processor time is shared with others, as in cgroup v1: 2 to 262144.
    pub cpu_shares: Option<u64>,
    /// Processors, as in `0-3,6`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes, in the same form.
    pub cpuset_mems: Option<String>,
    /// How many processes and threads there can be.
    pub processes: Processes,
}

/// How much of a command's memory may be in swap space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Swap {
    /// As much as it has memory, where the kernel counts it; as with docker.
    #[default]
    Usual,
    /// So many bytes.
    Bytes(u64),
    /// All of it.
    Unlimited,
}

/// How many processes and threads a command can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Processes {
    /// Enough for everything but a fork bomb, where the kernel can count them.
    #[default]
    Usual,
    /// So many.
    Limited(u64),
    /// No limit.
    Unlimited,
}

/// A value for a file of a control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// The file, as in `memory.max`; before the dot is the controller that has it.
    pub(crate) file: &'static str,
    pub(crate) value: String,
    pub(crate) need: Need,
}

/// What if there is no such file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// That is an error: somebody asked for it.
    Required,
    /// That is fine.
    WherePossible,
}

/// sandbox.md, "Limits".
const USUAL_PROCESSES: u64 = 32_768;

/// In microseconds; the kernel's default.
const USUAL_PERIOD: u64 = 100_000;

impl Setting {
    /// The controller that it belongs to.
    pub(crate) fn controller(&self) -> &'static str {
        self.file.split('.').next().unwrap_or(self.file)
    }
}

impl ControlLimits {
    /// What is written, in this order.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        use Need::{Required, WherePossible};
        let mut settings = Vec::new();
        let mut set = |file, value: String, need| settings.push(Setting { file, value, need });
        if let Some(memory) = self.memory {
            set("memory.max", memory.to_string(), Required);
            match self.swap {
                Swap::Usual => set("memory.swap.max", memory.to_string(), WherePossible),
                Swap::Bytes(swap) => set("memory.swap.max", swap.to_string(), Required),
                Swap::Unlimited => set("memory.swap.max", "max".to_owned(), WherePossible),
            }
        }
        if self.cpu_quota.is_some() || self.cpu_period.is_some() {
            let quota = self.cpu_quota.map(|quota| quota.to_string());
            let quota = quota.unwrap_or_else(|| "max".to_owned());
            let period = self.cpu_period.unwrap_or(USUAL_PERIOD);
            set("cpu.max", format!("{quota} {period}"), Required);
        }
        if let Some(shares) = self.cpu_shares {
            set("cpu.weight", weight(shares).to_string(), Required);
        }
        for (file, list) in [
            ("cpuset.cpus", &self.cpuset_cpus),
            ("cpuset.mems", &self.cpuset_mems),
        ] {
            if let Some(list) = list {
                set(file, list.clone(), Required);
            }
        }
        match self.processes {
            Processes::Usual => set("pids.max", USUAL_PROCESSES.to_string(), WherePossible),
            Processes::Limited(count) => set("pids.max", count.to_string(), Required),
            Processes::Unlimited => {}
        }
        settings
    }
}

/// The controllers without which `settings` cannot be made.
pub(crate) fn required(settings: &[Setting]) -> BTreeSet<&'static str> {
    let required = settings.iter().filter(|it| it.need == Need::Required);
    required.map(Setting::controller).collect()
}

/// The controllers that `settings` use.
pub(crate) fn used(settings: &[Setting]) -> BTreeSet<&'static str> {
    settings.iter().map(Setting::controller).collect()
}

/// The weight of `shares`: 2 to 262144 becomes 1 to 10000, as crun and runc have it.
fn weight(shares: u64) -> u64 {
    let shares = shares.clamp(2, 262_144);
    1 + (shares - 2) * 9999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::{ControlLimits, Need, Processes, Swap};

    /// One line for each file; `?` where it may be missing.
    #[track_caller]
    fn check(limits: &ControlLimits, expected: &[&str]) {
        let limits = ControlLimits {
            processes: match limits.processes {
                // Tested by itself.
                Processes::Usual => Processes::Unlimited,
                other => other,
            },
            ..limits.clone()
        };
        let shown = limits.settings();
        let shown = shown.iter().map(|it| {
            let mark = if it.need == Need::Required { "" } else { "?" };
            format!("{}{mark} {}", it.file, it.value)
        });
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn swap_is_as_much_again_unless_it_is_given() {
        let memory = |swap| ControlLimits {
            memory: Some(1000),
            swap,
            ..ControlLimits::default()
        };
        check(
            &memory(Swap::Usual),
            &["memory.max 1000", "memory.swap.max? 1000"],
        );
        check(
            &memory(Swap::Bytes(0)),
            &["memory.max 1000", "memory.swap.max 0"],
        );
        check(
            &memory(Swap::Unlimited),
            &["memory.max 1000", "memory.swap.max? max"],
        );
        check(&ControlLimits::default(), &[]);
    }

    #[test]
    fn quota_and_period_are_one_file() {
        let cpu = |cpu_quota, cpu_period| ControlLimits {
            cpu_quota,
            cpu_period,
            ..ControlLimits::default()
        };
        check(&cpu(Some(50_000), None), &["cpu.max 50000 100000"]);
        check(&cpu(None, Some(20_000)), &["cpu.max max 20000"]);
        check(&cpu(Some(50_000), Some(20_000)), &["cpu.max 50000 20000"]);
    }

    #[test]
    fn shares_become_a_weight_as_other_runtimes_have_it() {
        for (shares, weight) in [
            (0, "1"),
            (2, "1"),
            (1024, "39"),
            (2048, "79"),
            (262_144, "10000"),
            (u64::MAX, "10000"),
        ] {
            let limits = ControlLimits {
                cpu_shares: Some(shares),
                ..ControlLimits::default()
            };
            check(&limits, &[&format!("cpu.weight {weight}")]);
        }
    }

    #[test]
    fn processors_nodes_and_processes_are_as_given() {
        let limits = ControlLimits {
            cpuset_cpus: Some("0-1".to_owned()),
            cpuset_mems: Some("0".to_owned()),
            processes: Processes::Limited(100),
            ..ControlLimits::default()
        };
        check(
            &limits,
            &["cpuset.cpus 0-1", "cpuset.mems 0", "pids.max 100"],
        );
    }

    #[test]
    fn a_fork_bomb_ends_somewhere_where_processes_can_be_counted() {
        let settings = ControlLimits::default().settings();
        assert_eq!(
            (settings[0].file, settings[0].need),
            ("pids.max", Need::WherePossible)
        );
        assert_eq!(settings[0].value, "32768");
    }
}
