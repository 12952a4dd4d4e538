//! Flags, and what they mean.

use clap::Parser;
use rbuild_sandbox::{ControlLimits, ControlRequest, Processes, Swap};

use super::request;
use crate::{cli::LimitArgs, failure::Failure};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: LimitArgs,
}

fn read(line: &str) -> Result<Option<ControlRequest>, Failure> {
    let words = std::iter::once("x").chain(line.split_ascii_whitespace());
    request(&Line::try_parse_from(words).unwrap().args)
}

#[track_caller]
fn check(line: &str, expected: &ControlLimits) {
    let found = read(line).unwrap().expect("something is asked for");
    assert_eq!(&found.limits, expected, "{line}");
}

#[track_caller]
fn refused(line: &str, why: &str) {
    let failure = read(line).expect_err("it is refused");
    let text = format!("{failure:?}");
    assert!(text.contains(why), "{line}: {text}");
}

#[test]
fn memory_and_swap_are_one_number_and_their_sum() {
    let memory = |memory, swap| ControlLimits {
        memory: Some(memory),
        swap,
        ..ControlLimits::default()
    };
    let gib = 1 << 30;
    check("-m 1g", &memory(gib, Swap::Usual));
    check("--memory 1.5GiB", &memory(gib + gib / 2, Swap::Usual));
    check("-m 4096 --memory-swap 0", &memory(4096, Swap::Usual));
    check("-m 1g --memory-swap 1g", &memory(gib, Swap::Bytes(0)));
    check(
        "-m 1g --memory-swap 3072m",
        &memory(gib, Swap::Bytes(2 * gib)),
    );
    check("-m 1g --memory-swap -1", &memory(gib, Swap::Unlimited));
    refused("--memory-swap 1g", "it needs --memory");
    refused("-m 1g --memory-swap 1023m", "less than --memory");
    refused("-m 1g --memory-swap=-2", "not a size");
    refused("-m lots", "--memory `lots`");
    refused("-m=-1", "--memory `-1`");
}

#[test]
fn processor_time_is_what_the_kernel_takes() {
    let cpu = |cpu_quota, cpu_period, cpu_shares| ControlLimits {
        cpu_quota,
        cpu_period,
        cpu_shares,
        ..ControlLimits::default()
    };
    check("--cpu-quota 50000", &cpu(Some(50_000), None, None));
    check(
        "--cpu-quota -1 --cpu-period 1000000",
        &cpu(None, Some(1_000_000), None),
    );
    check("-c 512", &cpu(None, None, Some(512)));
    refused("--cpu-quota 999", "at least 1000");
    refused("--cpu-quota -7", "at least 1000");
    refused("--cpu-period 999", "1000 to 1000000");
    refused("--cpu-shares 1", "2 to 262144");
}

#[test]
fn processors_are_a_list() {
    check(
        "--cpuset-cpus 0-1,3 --cpuset-mems 0",
        &ControlLimits {
            cpuset_cpus: Some("0-1,3".to_owned()),
            cpuset_mems: Some("0".to_owned()),
            ..ControlLimits::default()
        },
    );
    for list in ["a", "0-", "0,,1", "-1", "0 1"] {
        let args = LimitArgs {
            cpuset_cpus: Some(list.to_owned()),
            ..LimitArgs::default()
        };
        assert!(request(&args).is_err(), "{list}");
    }
}

#[test]
fn processes_are_counted_only_if_there_is_a_limit() {
    check(
        "--pids-limit 100",
        &ControlLimits {
            processes: Processes::Limited(100),
            ..ControlLimits::default()
        },
    );
    check(
        "--pids-limit -1 -m 4096",
        &ControlLimits {
            memory: Some(4096),
            processes: Processes::Unlimited,
            ..ControlLimits::default()
        },
    );
    refused("--pids-limit -2", "or -1");
}

#[test]
fn no_limit_needs_no_control_group() {
    let nothing = "-m 0 --cpu-quota -1 --cpu-period 0 --cpu-shares 0 --pids-limit -1";
    for line in ["", "--pids-limit 0", nothing] {
        assert_eq!(read(line).unwrap(), None, "{line}");
    }
    let parent = read("--cgroup-parent /builds").unwrap().unwrap();
    assert_eq!(parent.parent.as_deref(), Some("/builds"));
    assert_eq!(parent.limits, ControlLimits::default());
}
