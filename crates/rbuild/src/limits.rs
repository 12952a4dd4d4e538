//! What the flags about control groups mean, as docker and podman read them. Spec: cli.md 2.3.

use rbuild_sandbox::{ControlLimits, ControlRequest, Processes, Swap};

use crate::{amount, cli::LimitArgs, confine::wrong, failure::Failure};

/// What the kernel takes for a period, in microseconds; also the least quota.
const PERIODS: std::ops::RangeInclusive<u64> = 1_000..=1_000_000;

/// What `args` ask for; `None` if that is nothing.
///
/// # Errors
/// What cannot be understood, with the flag.
pub fn request(args: &LimitArgs) -> Result<Option<ControlRequest>, Failure> {
    let memory = memory(args)?;
    let limits = ControlLimits {
        swap: swap(args, memory)?,
        memory,
        cpu_quota: quota(args)?,
        cpu_period: period(args)?,
        cpu_shares: shares(args)?,
        cpuset_cpus: list("--cpuset-cpus", args.cpuset_cpus.as_deref())?,
        cpuset_mems: list("--cpuset-mems", args.cpuset_mems.as_deref())?,
        processes: processes(args)?,
    };
    let none = ControlLimits {
        processes: match limits.processes {
            // No limit is what there is without a control group.
            Processes::Unlimited => Processes::Unlimited,
            _ => Processes::Usual,
        },
        ..ControlLimits::default()
    };
    let parent = args.cgroup_parent.clone();
    let asked = limits != none || parent.is_some();
    Ok(asked.then_some(ControlRequest { limits, parent }))
}

/// 0 is no limit.
fn memory(args: &LimitArgs) -> Result<Option<u64>, Failure> {
    let Some(text) = &args.memory else {
        return Ok(None);
    };
    match size("--memory", text)? {
        0 => Ok(None),
        size => Ok(Some(size)),
    }
}

fn size(flag: &str, text: &str) -> Result<u64, Failure> {
    amount::memory(text).ok_or_else(|| wrong(flag, text, "it is not a size like 512m"))
}

/// 0 is as if it was not given.
fn swap(args: &LimitArgs, memory: Option<u64>) -> Result<Swap, Failure> {
    let Some(text) = args.memory_swap.as_deref() else {
        return Ok(Swap::Usual);
    };
    let not = |why| wrong("--memory-swap", text, why);
    match (text, memory) {
        (_, None) => Err(not("it needs --memory")),
        ("-1", Some(_)) => Ok(Swap::Unlimited),
        (_, Some(memory)) => match size("--memory-swap", text)? {
            0 => Ok(Swap::Usual),
            both => {
                let swap = both.checked_sub(memory);
                swap.map(Swap::Bytes)
                    .ok_or_else(|| not("it is memory and swap together, and less than --memory"))
            }
        },
    }
}

fn quota(args: &LimitArgs) -> Result<Option<u64>, Failure> {
    let Some(number) = args.cpu_quota.filter(|number| !matches!(number, -1 | 0)) else {
        return Ok(None);
    };
    let quota = u64::try_from(number).ok();
    match quota.filter(|quota| quota >= PERIODS.start()) {
        Some(quota) => Ok(Some(quota)),
        None => Err(wrong(
            "--cpu-quota",
            &number.to_string(),
            "it is at least 1000, or -1",
        )),
    }
}

fn period(args: &LimitArgs) -> Result<Option<u64>, Failure> {
    match args.cpu_period.filter(|period| *period != 0) {
        Some(period) if !PERIODS.contains(&period) => Err(wrong(
            "--cpu-period",
            &period.to_string(),
            "it is 1000 to 1000000",
        )),
        period => Ok(period),
    }
}

fn shares(args: &LimitArgs) -> Result<Option<u64>, Failure> {
    match args.cpu_shares.filter(|shares| *shares != 0) {
        Some(shares) if !(2..=262_144).contains(&shares) => Err(wrong(
            "--cpu-shares",
            &shares.to_string(),
            "it is 2 to 262144",
        )),
        shares => Ok(shares),
    }
}

/// Numbers and ranges of them. cpuset(7), "List format".
fn list(flag: &str, text: Option<&str>) -> Result<Option<String>, Failure> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let number = |text: &str| text.parse::<u32>().is_ok();
    let fine = text.split(',').all(|item| match item.split_once('-') {
        Some((first, last)) => number(first) && number(last),
        None => number(item),
    });
    match fine {
        true => Ok(Some(text.to_owned())),
        false => Err(wrong(flag, text, "it is not a list like 0-3,6")),
    }
}

fn processes(args: &LimitArgs) -> Result<Processes, Failure> {
    let Some(number) = args.pids_limit else {
        return Ok(Processes::Usual);
    };
    match u64::try_from(number) {
        Ok(0) => Ok(Processes::Unlimited),
        Ok(count) => Ok(Processes::Limited(count)),
        Err(_) if number == -1 => Ok(Processes::Unlimited),
        Err(_) => Err(wrong(
            "--pids-limit",
            &number.to_string(),
            "it is a number of processes, or -1",
        )),
    }
}

#[cfg(test)]
mod tests;
