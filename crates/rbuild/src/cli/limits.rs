//! What can be typed about what commands may use of the machine.

use clap::Args;

/// What each command may use. All of it needs a control group of version 2 that is this user's.
#[derive(Args, Clone, Debug, Default)]
pub struct LimitArgs {
    /// Bytes of memory, or with k, m, g: what has more is ended. This and the next ones need a
    /// control group (v2) of this user's own: `systemd-run --user --scope -p Delegate=yes rbuild …`
    #[arg(short, long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// Bytes of memory and swap space together; -1: no limit of swap [default: twice --memory]
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true)]
    pub memory_swap: Option<String>,
    /// Length of the period for --cpu-quota, in microseconds [default: 100000]
    #[arg(long, value_name = "MICROSECONDS")]
    pub cpu_period: Option<u64>,
    /// Processor time in each period, in microseconds, of all processors together; -1: no limit
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true)]
    pub cpu_quota: Option<i64>,
    /// How processor time is shared when there is not enough, 2 to 262144
    #[arg(short, long, value_name = "SHARES")]
    pub cpu_shares: Option<u64>,
    /// Use these processors: `0-3,6`
    #[arg(long, value_name = "LIST")]
    pub cpuset_cpus: Option<String>,
    /// Use the memory of these nodes: `0,1`
    #[arg(long, value_name = "LIST")]
    pub cpuset_mems: Option<String>,
    /// How many processes and threads there can be; -1: no limit [default: 32768 with any of these]
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    pub pids_limit: Option<i64>,
    /// Make the control groups of commands in PATH, a name as in /proc/self/cgroup [default: the
    /// own one]
    #[arg(long, value_name = "PATH")]
    pub cgroup_parent: Option<String>,
}
