//! The builder is killed; what it started must be gone.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{Stage, User, skip};

/// Processes whose command line holds `text`.
fn processes(text: &str) -> Vec<String> {
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let path = entry.ok()?.path();
        let line = fs::read(path.join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(text).then_some(line)
    });
    all.collect()
}

/// Waits until so many processes have `text` in their command line; false if that never happens.
fn wait_for(text: &str, number: usize) -> bool {
    let start = Instant::now();
    while processes(text).len() != number {
        if start.elapsed() > Duration::from_secs(20) {
            return false;
        }
        sleep(Duration::from_millis(2));
    }
    true
}

pub fn nothing_outlives_a_killed_builder(title: &str, user: User) -> bool {
    let stage = Stage::new(user);
    let mut command = match stage.command(user, "sleepers") {
        Ok(command) => command,
        Err(reason) => return skip(title, &reason),
    };
    let mut builder = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(builder.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    if let Some(reason) = line.strip_prefix("SKIP ") {
        builder.wait().unwrap();
        return skip(title, reason.trim());
    }
    let marker = line.trim().to_owned();
    assert!(
        marker.starts_with("77"),
        "the builder did not come so far: `{marker}`"
    );
    // The shell and three sleepers; the marker is in the command line of each.
    let began = wait_for(&marker, 4);
    builder.kill().unwrap();
    builder.wait().unwrap();
    let ended = wait_for(&marker, 0);
    let fine = began && ended;
    println!("test {title} ... {}", if fine { "ok" } else { "FAILED" });
    if !fine {
        println!("  began: {began}; left: {:#?}", processes(&marker));
    }
    fine
}
