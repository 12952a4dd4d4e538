//! One run of one program: wall clock, CPU of it and everything it waited
//! for, and the most memory that the program itself (not its children) held.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::error::{Error, command_line};

/// How often memory is looked at.
const INTERVAL: Duration = Duration::from_millis(2);

/// What one run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// From start to end.
    pub wall: Duration,
    /// User and system time of the program and its children.
    pub cpu: Duration,
    /// Peak resident set of the program alone, in KiB; 0 if it ended before
    /// it was looked at.
    pub memory_kib: u64,
}

/// Runs `command` to its end; it must succeed.
pub fn measure(command: &mut Command) -> Result<Sample, Error> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let before = cpu_of_children();
    let start = Instant::now();
    let spawned = command.spawn();
    let mut child = spawned.map_err(|source| Error::Start {
        program: command_line(command),
        source,
    })?;
    let (status, memory_kib) = wait_and_watch(&mut child);
    let wall = start.elapsed();
    let status = status.map_err(|source| Error::Start {
        program: command_line(command),
        source,
    })?;
    if !status.success() {
        return Err(Error::Failed {
            line: command_line(command),
            status,
        });
    }
    Ok(Sample {
        wall,
        cpu: cpu_of_children().saturating_sub(before),
        memory_kib,
    })
}

/// Waits in this thread, so that the wall clock is exact, and samples the
/// kernel's high-water mark in another one.
fn wait_and_watch(child: &mut Child) -> (std::io::Result<std::process::ExitStatus>, u64) {
    let status_file = format!("/proc/{}/status", child.id());
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peak = 0;
            while !ended.load(Ordering::Relaxed) {
                let text = std::fs::read_to_string(&status_file).unwrap_or_default();
                peak = peak.max(high_water_mark(&text).unwrap_or(0));
                thread::sleep(INTERVAL);
            }
            peak
        });
        let status = child.wait();
        ended.store(true, Ordering::Relaxed);
        (status, watcher.join().unwrap_or(0))
    })
}

/// `VmHWM` of `/proc/PID/status`, in KiB; proc_pid_status(5).
fn high_water_mark(status: &str) -> Option<u64> {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    value.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// CPU time of all children that were waited for so far.
fn cpu_of_children() -> Duration {
    let micros = |usage: &Usage| {
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds()
    };
    let micros = getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |usage| micros(&usage));
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_second_costs_cpu_and_a_sleep_does_not() {
        let sleep = measure(Command::new("sleep").arg("0.1")).unwrap();
        assert!(sleep.wall >= Duration::from_millis(100), "{sleep:?}");
        assert!(sleep.memory_kib > 0, "{sleep:?}");
    }

    #[test]
    fn the_high_water_mark_is_found_in_status() {
        assert_eq!(
            high_water_mark("Name:\tx\nVmHWM:\t    1234 kB\nVmRSS:\t 1 kB\n"),
            Some(1234)
        );
        assert_eq!(high_water_mark("Name:\tx\n"), None);
    }
}
