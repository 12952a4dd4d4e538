//! What can be typed about the sandbox of commands, for `bud` and `run` alike.

use clap::Args;

use super::LimitArgs;

/// How commands are confined.
#[derive(Args, Clone, Debug)]
pub struct ConfineArgs {
    /// Add a capability, or ALL; repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub cap_add: Vec<String>,
    /// Take a capability away, or ALL; repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub cap_drop: Vec<String>,
    /// `seccomp=FILE|unconfined`, `no-new-privileges`, `mask=PATH[:PATH]` (in /proc and /sys),
    /// `unmask=PATH[:PATH]|ALL` (`/proc/*` too), `label=disable` or `apparmor=unconfined`; repeatable
    #[arg(long, value_name = "OPTION")]
    pub security_opt: Vec<String>,
    /// Limit a resource: `nofile=1024:2048`; repeatable
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub ulimit: Vec<String>,
    /// Size of /dev/shm, in bytes or with k, m, g [default: 64m]
    #[arg(long, value_name = "SIZE")]
    pub shm_size: Option<String>,
    /// Give a device of this machine, as far as this user may open it; repeatable
    #[arg(long, value_name = "DEVICE[:PATH[:rwm]]")]
    pub device: Vec<String>,
    /// Add a line to /etc/hosts; repeatable
    #[arg(long, value_name = "NAME[;NAME]:ADDRESS")]
    pub add_host: Vec<String>,
    /// Leave /etc/hosts as the image has it
    #[arg(long, conflicts_with = "add_host")]
    pub no_hosts: bool,
    /// Use this name server; `none` leaves /etc/resolv.conf as the image has it; repeatable
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<String>,
    /// Search for names in this domain; `.` means none; repeatable
    #[arg(long, value_name = "DOMAIN")]
    pub dns_search: Vec<String>,
    /// Set an option of resolv.conf(5); repeatable
    #[arg(long, value_name = "OPTION")]
    pub dns_option: Vec<String>,
    #[command(flatten)]
    pub limits: LimitArgs,
}
