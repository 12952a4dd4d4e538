//! Sessions come and go; locks go with their holders.

use std::{
    io::Write,
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use rbuild_store::{Durability, Error, Key, LayerId, LayerRecord, Store, Wait};

use crate::{Scratch, image, name, put_blob, put_layer};

#[test]
fn a_session_leaves_nothing_unfinished() {
    let scratch = Scratch::new();
    let session = scratch.store().begin().unwrap();
    let mut blob = session.blob().unwrap();
    blob.write_all(b"half").unwrap();
    let staged = session.new_layer().unwrap();
    staged.diff.mkdir(b"deep", 0o000).unwrap();
    drop((blob, staged));
    drop(session);
    assert_eq!(scratch.list("staging") + &scratch.list("leases"), "");
}

/// What a build writes, in order, up to `steps`; then the process dies without cleaning up.
fn build_and_die(scratch: &std::path::Path, steps: u32) -> ! {
    let store = Store::open(scratch, Durability::Commit).unwrap();
    let session = store.begin().unwrap();
    let layer = LayerId::from_bytes([1; 32]);
    let staged = (steps > 0).then(|| session.new_layer().unwrap());
    if let Some(staged) = staged.filter(|_| steps > 1) {
        session
            .commit_layer(staged, layer, &LayerRecord::default())
            .unwrap();
    }
    if steps > 2 {
        put_blob(&session, b"blob");
    }
    let id = (steps > 3).then(|| session.put_image(&image(layer, "x")).unwrap());
    if let Some(id) = id.filter(|_| steps > 4) {
        session.set_name(&name("a.b/c:d"), &id).unwrap();
    }
    std::process::abort()
}

#[test]
fn every_prefix_of_a_build_is_a_valid_store() {
    if let (Some(path), Ok(steps)) = (std::env::var_os("DIE_IN"), std::env::var("DIE_AFTER")) {
        build_and_die(path.as_ref(), steps.parse().unwrap());
    }
    for steps in 0..=5 {
        let scratch = Scratch::new();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "life::every_prefix_of_a_build_is_a_valid_store"])
            .env("DIE_IN", scratch.path(""))
            .env("DIE_AFTER", steps.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert_eq!(child.unwrap().signal(), Some(6));
        assert!(!scratch.list("leases").is_empty());
        let store = scratch.store();
        assert_eq!(store.names().unwrap().len(), usize::from(steps > 4));
        for (_, id) in store.names().unwrap() {
            assert!(store.image(&id).unwrap().is_some());
        }
        for (_, image) in store.images().unwrap() {
            for layer in image.layers {
                assert!(store.layer(&layer.layer).unwrap().is_some());
            }
        }
        drop(store.begin().unwrap());
        let left = ["staging", "leases", "trash"].map(|name| scratch.list(name));
        assert_eq!(left.concat(), "", "after {steps} steps");
    }
}

#[test]
fn a_living_session_is_not_swept() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let first = store.begin().unwrap();
    let staged = first.new_layer().unwrap();
    drop(store.begin().unwrap());
    staged.diff.create(b"still here", 0o600).unwrap();
    let id = LayerId::random().unwrap();
    first
        .commit_layer(staged, id, &LayerRecord::default())
        .unwrap();
    assert!(store.layer(&id).unwrap().is_some());
}

#[test]
fn a_key_is_computed_by_one_at_a_time() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let key = Key::from_bytes([5; 32]);
    let inside = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let session = store.begin().unwrap();
                for _ in 0..5 {
                    let _lock = session.key_lock(&key, &mut patient(&mut || {})).unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    std::thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(scratch.list("staging"), "");
}

#[test]
fn who_waits_for_a_key_is_told_once_and_the_lock_dies_with_its_holder() {
    let scratch = Scratch::new();
    let session = scratch.store().begin().unwrap();
    let key = Key::from_bytes([5; 32]);
    let lock_file = scratch.path(&format!("staging/key-{key}"));
    let mut holder = Command::new("flock")
        .arg(&lock_file)
        .args(["sh", "-c", "echo; exec sleep 60"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut byte = [0];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut byte).unwrap();
    let start = Instant::now();
    let mut told = 0;
    let mut waiting = || {
        told += 1;
        // The child inherits the lock, so both must go: `flock` execs nothing else.
        let children = format!("/proc/{0}/task/{0}/children", holder.id());
        let child = std::fs::read_to_string(children).unwrap();
        Command::new("kill")
            .args(["-9", child.trim()])
            .status()
            .unwrap();
        holder.kill().unwrap();
    };
    drop(session.key_lock(&key, &mut patient(&mut waiting)).unwrap());
    assert_eq!(told, 1);
    assert!(start.elapsed() < Duration::from_secs(20));
    holder.wait().unwrap();
}

#[test]
fn a_second_process_finds_what_the_first_one_wrote() {
    let scratch = Scratch::new();
    let id = LayerId::from_bytes([4; 32]);
    put_layer(&scratch.store().begin().unwrap(), id, "a");
    let second = scratch.store();
    assert!(second.begin().unwrap().layer(&id).unwrap().is_some());
}

fn patient(waiting: &mut dyn FnMut()) -> Wait<'_> {
    Wait {
        waiting,
        give_up: &|| false,
    }
}

#[test]
fn a_wait_for_a_key_can_be_given_up() {
    let scratch = Scratch::new();
    let session = scratch.store().begin().unwrap();
    let key = Key::from_bytes([6; 32]);
    let _held = session.key_lock(&key, &mut patient(&mut || {})).unwrap();
    let mut wait = Wait {
        waiting: &mut || {},
        give_up: &|| true,
    };
    let refused = session.key_lock(&key, &mut wait);
    assert!(matches!(refused, Err(Error::GaveUp { .. })));
}
