//! What a RUN costs the builder: `cargo run --release -p rbuild-sandbox --example cost`.
//!
//! Runs `true` in a sandbox, from a small process and then from one that holds 1 GiB and has eight
//! threads; also without a sandbox, which is what the command costs itself. sandbox.md, PID 1.
//!
//! Needs what builds need, and /bin/busybox.

#![allow(clippy::print_stdout, reason = "a program for people")]

use std::{
    error::Error,
    fs,
    hint::black_box,
    os::{fd::AsFd, unix::fs::symlink},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rbuild_oci::ImagePath;
use rbuild_sandbox::{
    Cancel, Confinement, DEFAULT_CAPABILITIES, Network, Sandbox, Security, Spec, Stdio, enter,
    skeleton, users::Identity,
};
use rbuild_sys::{Dir, MountLimits, new_mount};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Medians are of so many.
const RUNS: usize = 200;
const HELD: usize = 1 << 30;
const THREADS: usize = 8;

fn main() -> Fallible<()> {
    let entered = enter()?;
    let temp = tempfile::tempdir()?;
    for name in ["scratch", "skeleton", "image/bin", "image/etc"] {
        fs::create_dir_all(temp.path().join(name))?;
    }
    fs::copy("/bin/busybox", temp.path().join("image/bin/busybox"))?;
    symlink("busybox", temp.path().join("image/bin/true"))?;
    let dir = |name: &str| Dir::open(&temp.path().join(name));
    skeleton(&dir("skeleton")?)?;
    let confinement = Confinement::usual("rbuild", DEFAULT_CAPABILITIES)?;
    let sandbox = Sandbox::new(entered, &dir("scratch")?, &confinement)?;

    println!("{:32}{:>14}{:>18}", "", "until its end", "of the builder");
    tell("the command alone", || {
        let start = Instant::now();
        Command::new("/bin/true").status()?;
        Ok(start.elapsed())
    })?;
    let run = || run(&sandbox, temp.path());
    tell("a RUN", run)?;
    let held = black_box(vec![1_u8; HELD]);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(thread::park)).collect();
        let told = tell("a RUN, with 1 GiB and 8 threads", run);
        threads.iter().for_each(|one| one.thread().unpark());
        told
    })?;
    drop(held);
    Ok(())
}

/// Prints the median time from start to end, and how long this thread computed for each on average.
fn tell(what: &str, mut run: impl FnMut() -> Fallible<Duration>) -> Fallible<()> {
    let (mut times, before) = (Vec::with_capacity(RUNS), computed()?);
    for _ in 0..RUNS {
        times.push(run()?);
    }
    let own = (computed()? - before) / u32::try_from(RUNS)?;
    times.sort();
    println!("{what:32}{:>14.2?}{own:>18.2?}", times[RUNS / 2]);
    Ok(())
}

/// How long this thread has computed. proc(5), schedstat.
fn computed() -> Fallible<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text.split(' ').next().unwrap_or_default().parse()?;
    Ok(Duration::from_nanos(nanoseconds))
}

/// Returns how long the command took, without the making of its tree.
fn run(sandbox: &Sandbox, place: &Path) -> Fallible<Duration> {
    let run = tempfile::tempdir_in(place)?;
    let of = |path: &Path, name: &str| path.join(name).display().to_string();
    let (upper, work) = (of(run.path(), "upper"), of(run.path(), "work"));
    fs::create_dir(&upper)?;
    fs::create_dir(&work)?;
    let (image, bottom) = (of(place, "image"), of(place, "skeleton"));
    let options = [
        ("userxattr", None),
        ("volatile", None),
        ("lowerdir+", Some(image.as_str())),
        ("lowerdir+", Some(bottom.as_str())),
        ("upperdir", Some(upper.as_str())),
        ("workdir", Some(work.as_str())),
    ];
    let root = new_mount("overlay", &options, MountLimits::default())?;
    let spec = Spec {
        root: root.as_fd(),
        argv: vec!["/bin/true".to_owned()],
        env: Vec::new(),
        cwd: ImagePath::root(),
        identity: Identity::root(),
        capabilities: DEFAULT_CAPABILITIES,
        hostname: "rbuild".to_owned(),
        stdio: Stdio::Capture,
        mounts: Vec::new(),
        network: Network::Host,
        security: Security::Sandbox,
        timeout: None,
    };
    let start = Instant::now();
    let exit = sandbox.run(&spec, &Cancel::new()?, &mut |_, _| ())?;
    assert_eq!(exit.status, 0);
    Ok(start.elapsed())
}
