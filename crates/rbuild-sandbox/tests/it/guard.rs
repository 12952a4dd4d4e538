//! The builder is killed; what it started must be gone within a second.

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
    let before = processes(&marker).len();
    builder.kill().unwrap();
    let killed = Instant::now();
    builder.wait().unwrap();
    while killed.elapsed() < Duration::from_secs(1) && !processes(&marker).is_empty() {
        sleep(Duration::from_millis(2));
    }
    let left = processes(&marker);
    let fine = before == 4 && left.is_empty();
    println!("test {title} ... {}", if fine { "ok" } else { "FAILED" });
    println!("  {before} processes, gone after {:?}", killed.elapsed());
    if !fine {
        println!("  left: {left:#?}");
    }
    fine
}
