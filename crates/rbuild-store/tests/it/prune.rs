//! Pruning for real: beside sessions that build, killed half-way, on a full disk.

use std::{
    collections::BTreeMap,
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use rbuild_oci::ListedPlatform;
use rbuild_store::{
    Cache, CacheRecord, Damage, Durability, IndexRecord, Key, LayerId, LayerRecord, ListedImage,
    Policy, Store,
};

use crate::{Scratch, image, name, put_blob, put_layer};

fn all() -> Policy {
    Policy {
        cache: Cache::All,
        ..Policy::default()
    }
}

fn layer(number: u8) -> LayerId {
    LayerId::from_bytes([number; 32])
}

fn cached(layer: LayerId) -> CacheRecord {
    CacheRecord {
        layer: Some(layer),
        state: Key::of(b"state"),
        created: 0,
    }
}

#[test]
fn only_what_a_name_leads_to_is_left() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let session = store.begin().unwrap();
    put_layer(&session, layer(1), "a");
    put_layer(&session, layer(2), "b");
    put_layer(&session, layer(3), "c");
    put_blob(&session, b"blob");
    let named = session.put_image(&image(layer(1), "named")).unwrap();
    session.set_name(&name("a.b/c:d"), &named).unwrap();
    session.put_image(&image(layer(2), "unnamed")).unwrap();
    session
        .record(&Key::of(b"step"), &cached(layer(3)))
        .unwrap();
    drop(session);
    let gone = store.prune(&Policy::default()).unwrap().unwrap();
    assert_eq!(gone.len(), 4, "{gone:?}");
    assert_eq!(scratch.list("layers"), layer(1).to_string());
    assert_eq!(scratch.list("images"), named.0.hex());
    assert_eq!(scratch.list("trash"), "");
    // What the step led to is known for a while.
    assert_ne!(store.lookup(&Key::of(b"step")).unwrap(), None);
    store.prune(&all()).unwrap().unwrap();
    assert_eq!(store.lookup(&Key::of(b"step")).unwrap(), None);
}

#[test]
fn a_blob_that_a_session_has_opened_is_left() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let kept = put_blob(&store.begin().unwrap(), b"kept");
    let gone = put_blob(&store.begin().unwrap(), b"gone");
    let session = store.begin().unwrap();
    assert!(session.open_blob(&kept).unwrap().is_some());
    assert!(store.open_blob(&gone).unwrap().is_some());
    assert_eq!(store.prune(&all()).unwrap().unwrap().len(), 1);
    assert!(store.open_blob(&kept).unwrap().is_some());
    assert!(store.open_blob(&gone).unwrap().is_none());
}

#[test]
fn what_an_index_lists_is_left() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let session = store.begin().unwrap();
    put_layer(&session, layer(1), "a");
    let listed = session.put_image(&image(layer(1), "listed")).unwrap();
    let index = IndexRecord {
        images: vec![ListedImage {
            image: listed,
            platform: ListedPlatform::default(),
            annotations: BTreeMap::new(),
        }],
        ..IndexRecord::default()
    };
    let list = name("a.b/list:1");
    session.set_index(&list, &index).unwrap();
    // A name moves, whatever had it.
    session.set_name(&list, &listed).unwrap();
    assert_eq!(store.index(&list).unwrap(), None);
    session.set_index(&list, &index).unwrap();
    assert_eq!(store.name(&list).unwrap(), None);
    drop(session);
    assert_eq!(store.indexes().unwrap(), [(list.clone(), index)]);
    assert_eq!(store.prune(&all()).unwrap().unwrap(), []);
    let error = store.remove_image(&listed).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is listed in the index `a.b/list:1`")
    );
    assert!(store.remove_index(&list).unwrap());
    assert!(!store.remove_index(&list).unwrap());
    store.prune(&all()).unwrap();
    assert_eq!(scratch.list("images"), "");
}

#[test]
fn what_a_living_session_made_stays_until_it_ends() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let session = store.begin().unwrap();
    put_layer(&session, layer(1), "a");
    let blob = put_blob(&session, b"blob");
    let id = session.put_image(&image(layer(1), "x")).unwrap();
    assert_eq!(store.prune(&all()).unwrap(), Some(vec![]));
    assert!(store.open_blob(&blob).unwrap().is_some());
    assert!(store.image(&id).unwrap().is_some());
    drop(session);
    assert_eq!(store.prune(&all()).unwrap().unwrap().len(), 3);
}

#[test]
fn what_dead_sessions_left_is_swept() {
    let scratch = Scratch::new();
    let store = scratch.store();
    std::fs::create_dir_all(scratch.path("staging/dead/0/diff")).unwrap();
    std::fs::write(scratch.path("leases/dead"), layer(1).to_string() + "\n").unwrap();
    std::fs::create_dir_all(scratch.path("trash/old/deep")).unwrap();
    store.prune(&Policy::default()).unwrap();
    let left = ["staging", "leases", "trash"].map(|place| scratch.list(place));
    assert_eq!(left.concat(), "");
}

#[test]
fn a_layer_that_a_killed_pruner_put_aside_is_found_by_who_needs_it() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let session = store.begin().unwrap();
    put_layer(&session, layer(1), "a");
    let id = layer(1).to_string();
    let hide = || {
        let aside = scratch.path(&format!("layers/.{id}"));
        std::fs::rename(scratch.path(&format!("layers/{id}")), aside).unwrap();
    };
    hide();
    assert!(session.layer(&layer(1)).unwrap().is_some());
    hide();
    assert_eq!(store.prune(&all()).unwrap(), Some(vec![]));
    assert_eq!(scratch.list("layers"), id);
    drop(session);
    hide();
    store.prune(&all()).unwrap();
    assert_eq!(scratch.list("layers"), "");
}

#[test]
fn one_prunes_at_a_time() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let trash = std::fs::File::open(scratch.path("trash")).unwrap();
    trash.lock().unwrap();
    assert_eq!(store.prune(&all()).unwrap(), None);
    drop(trash);
    assert_eq!(store.prune(&all()).unwrap(), Some(vec![]));
}

/// A build of three steps, each looked up, or made and recorded; then the image.
fn build(store: &Store, builder: u8) {
    let session = store.begin().unwrap();
    let mut last = None;
    for step in 0..3 {
        let key = Key::of(&[builder % 2, step]);
        let hit = store.lookup(&key).unwrap().and_then(|record| record.layer);
        let hit = hit.filter(|layer| session.layer(layer).unwrap().is_some());
        let layer = hit.unwrap_or_else(|| {
            let id = LayerId::random().unwrap();
            let staged = session.new_layer().unwrap();
            staged.diff.create(b"file", 0o644).unwrap();
            let record = LayerRecord {
                parent: last,
                ..LayerRecord::default()
            };
            session.commit_layer(staged, id, &record).unwrap();
            session.record(&key, &cached(id)).unwrap();
            id
        });
        // What was hit or made is there for the rest of the build.
        for _ in 0..3 {
            let found = store.layer(&layer).unwrap().unwrap();
            found.diff.stat(b"file").unwrap();
        }
        last = Some(layer);
    }
    let id = session
        .put_image(&image(last.unwrap(), &builder.to_string()))
        .unwrap();
    let name = name(&format!("a.b/c:{builder}"));
    session.set_name(&name, &id).unwrap();
    drop(session);
    let record = store.image(&id).unwrap().unwrap();
    assert!(store.layer(&record.layers[0].layer).unwrap().is_some());
    store.remove_name(&name).unwrap();
}

#[test]
fn prune_in_a_loop_breaks_no_session() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let builders: Vec<_> = (0..4)
            .map(|builder| {
                let store = &store;
                scope.spawn(move || (0..60).for_each(|_| build(store, builder)))
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    store.prune(&all()).unwrap();
                }
            });
        }
        let results: Vec<_> = builders
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect();
        ended.store(true, Ordering::Relaxed);
        assert!(results.iter().all(Result::is_ok), "a session was broken");
    });
    store.prune(&all()).unwrap();
    let left = ["layers", "images", "staging", "leases", "trash"].map(|it| scratch.list(it));
    assert_eq!(left.concat(), "");
}

/// Fills a store with one object of each kind to keep and one to delete.
fn fill(store: &Store) {
    let session = store.begin().unwrap();
    for number in 1..=3 {
        put_layer(&session, layer(number), "a");
    }
    let named = session.put_image(&image(layer(1), "named")).unwrap();
    session.set_name(&name("a.b/c:d"), &named).unwrap();
    session.put_image(&image(layer(2), "unnamed")).unwrap();
    session
        .record(&Key::of(b"step"), &cached(layer(3)))
        .unwrap();
    put_blob(&session, b"blob");
}

#[test]
fn a_pruner_killed_at_any_call_leaves_a_valid_store() {
    const TEST: &str = "prune::a_pruner_killed_at_any_call_leaves_a_valid_store";
    if let Some(path) = std::env::var_os("PRUNE_IN") {
        let store = Store::open(path.as_ref(), Durability::None).unwrap();
        store.prune(&all()).unwrap();
        return;
    }
    let strace = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status();
    if strace.is_err() {
        eprintln!("SKIP {TEST}: no strace");
        return;
    }
    for call in ["renameat2", "unlinkat"] {
        for nth in 1.. {
            let scratch = Scratch::new();
            fill(&scratch.store());
            let mut command = Command::new("strace");
            let inject = format!("inject={call}:signal=SIGKILL:when={nth}");
            let ended = command
                .args(["-f", "-qq", "-o", "/dev/null", "-e", &inject])
                .arg(std::env::current_exe().unwrap())
                .args(["--exact", TEST])
                .env("PRUNE_IN", scratch.path(""))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap();
            let store = scratch.store();
            let id = store.name(&name("a.b/c:d")).unwrap().unwrap();
            assert!(store.image(&id).unwrap().is_some(), "{call} {nth}");
            assert!(store.layer(&layer(1)).unwrap().is_some(), "{call} {nth}");
            store.prune(&all()).unwrap();
            assert_eq!(scratch.list("layers"), layer(1).to_string());
            assert_eq!(scratch.list("trash"), "");
            if ended.signal().is_none() && ended.success() {
                assert!(nth > 3, "strace injected nothing");
                break;
            }
        }
    }
}

#[test]
fn prune_works_on_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=8m,mode=0700", "none"])
        .arg(dir.path())
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("SKIP prune_works_on_a_full_disk: cannot mount a tmpfs");
        return;
    }
    let store = Store::open(&dir.path().join("store"), Durability::None).unwrap();
    fill(&store);
    let path = dir.path().join("store/layers").join(layer(3).to_string());
    std::fs::write(path.join("diff/large"), vec![1; 4 << 20]).unwrap();
    let filled = std::fs::write(dir.path().join("rest"), vec![1; 8 << 20]);
    assert!(filled.is_err(), "the disk is not full");
    let result = store.prune(&all());
    let free = store.file_system().unwrap().free;
    drop(store);
    let _ = Command::new("umount").arg(dir.path()).status();
    assert_eq!(result.unwrap().unwrap().len(), 5);
    assert!(free > 4 << 20, "{free} bytes are free");
}

#[test]
fn sizes_add_up_to_what_du_says() {
    let scratch = Scratch::new();
    let store = scratch.store();
    fill(&store);
    let diff = scratch.path(&format!("layers/{}/diff", layer(1)));
    std::fs::write(diff.join("x"), vec![1; 100_000]).unwrap();
    std::fs::hard_link(diff.join("x"), diff.join("y")).unwrap();
    let du = Command::new("du")
        .args(["-s", "-B1"])
        .arg(scratch.path(""))
        .output()
        .unwrap();
    let du = String::from_utf8(du.stdout).unwrap();
    let usage = store.usage().unwrap();
    assert_eq!(usage.total().to_string(), du.split('\t').next().unwrap());
}

#[test]
fn a_check_names_what_is_damaged_and_a_repair_forgets_it() {
    let scratch = Scratch::new();
    let store = scratch.store();
    fill(&store);
    assert_eq!(store.check(&mut |_, _| true).unwrap(), []);
    let hex = rbuild_oci::Digest::of(b"blob").hex();
    let blob = scratch.path(&format!("blobs/sha256/{}/{hex}", &hex[..2]));
    std::fs::remove_file(&blob).unwrap();
    std::fs::write(&blob, "blub").unwrap();
    let record = scratch.path(&format!("layers/{}/record.json", layer(1)));
    std::fs::write(record, "").unwrap();
    let named = store.name(&name("a.b/c:d")).unwrap().unwrap();
    let list = name("a.b/list:1");
    let listed = ListedImage {
        image: named,
        platform: ListedPlatform::default(),
        annotations: BTreeMap::new(),
    };
    let index = IndexRecord {
        images: vec![listed],
        ..IndexRecord::default()
    };
    let empty = name("a.b/empty:1");
    let session = store.begin().unwrap();
    session.set_index(&list, &index).unwrap();
    session.set_index(&empty, &IndexRecord::default()).unwrap();
    drop(session);
    let damage = store.check(&mut |_, _| true).unwrap();
    let digest = rbuild_oci::BlobDigest(rbuild_oci::Digest::of(b"blob"));
    assert_eq!(
        damage,
        [
            Damage::Name(name("a.b/c:d")),
            Damage::Index(list.clone()),
            Damage::Image(named),
            Damage::Layer(layer(1)),
            Damage::Blob(digest),
        ]
    );
    assert!(store.repair(&damage).unwrap());
    assert_eq!(store.check(&mut |_, _| true).unwrap(), []);
    assert_eq!(store.name(&name("a.b/c:d")).unwrap(), None);
    assert_eq!(store.index(&list).unwrap(), None);
    assert!(store.index(&empty).unwrap().is_some());
    let wrong = store.check(&mut |_, _| false).unwrap();
    assert!(wrong.contains(&Damage::Layer(layer(2))), "{wrong:?}");
}
