//! A damaged object is a missing one, and can be written again (faults 20, 23).

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command};

use rbuild_oci::{BlobDigest, Digest};
use rbuild_store::{CacheRecord, Durability, Error, Key, LayerId, Store};

use crate::{Scratch, image, name, put_blob, put_layer};

fn files_below(path: PathBuf, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => files_below(entry.path(), found),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
}

fn fill(scratch: &Scratch) {
    let session = scratch.store().begin().unwrap();
    let layer = LayerId::from_bytes([1; 32]);
    put_blob(&session, b"blob");
    put_layer(&session, layer, "file");
    let id = session.put_image(&image(layer, "x")).unwrap();
    session.set_name(&name("a.b/c:d"), &id).unwrap();
    let record = CacheRecord {
        layer: Some(layer),
        state: Key::from_bytes([2; 32]),
        created: 0,
    };
    session.record(&Key::from_bytes([2; 32]), &record).unwrap();
}

fn check_whole(store: &Store) {
    let layer = LayerId::from_bytes([1; 32]);
    let blob = store.open_blob(&BlobDigest(Digest::of(b"blob"))).unwrap();
    assert_eq!(blob.unwrap().metadata().unwrap().len(), 4);
    assert!(store.layer(&layer).unwrap().is_some());
    assert_eq!(store.images().unwrap().len(), 1);
    assert_eq!(store.names().unwrap().len(), 1);
    assert!(store.lookup(&Key::from_bytes([2; 32])).unwrap().is_some());
}

#[test]
fn what_a_power_cut_emptied_is_absent_and_the_same_command_heals_it() {
    let scratch = Scratch::new();
    fill(&scratch);
    for content in ["", "{\"half", "\0\0\0\0"] {
        let mut files = Vec::new();
        files_below(scratch.path(""), &mut files);
        for file in files.iter().filter(|file| !file.ends_with("version")) {
            fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
            fs::write(file, content).unwrap();
        }
        let store = scratch.store();
        assert!(
            store
                .layer(&LayerId::from_bytes([1; 32]))
                .unwrap()
                .is_none()
        );
        assert_eq!(store.images().unwrap(), []);
        assert_eq!(store.lookup(&Key::from_bytes([2; 32])).unwrap(), None);
        // Same length: only who reads the bytes can tell, and says so.
        if content.len() == 4 {
            store.remove_blob(&BlobDigest(Digest::of(b"blob"))).unwrap();
        }
        fill(&scratch);
        check_whole(&store);
    }
}

/// Pretends that the machine was started again since layer 1 was written.
fn reboot(scratch: &Scratch) {
    let layer = LayerId::from_bytes([1; 32]);
    let path = scratch.path(&format!("layers/{layer}/record.json"));
    let record = fs::read_to_string(&path).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert!(record.contains(boot.trim()), "{record}");
    fs::write(&path, record.replace(boot.trim(), "earlier")).unwrap();
}

#[test]
fn a_layer_that_was_not_synced_is_no_result_after_a_reboot() {
    let layer = LayerId::from_bytes([1; 32]);
    for (how, trusted) in [
        ("not at all", false),
        ("alone", true),
        ("in an image", true),
    ] {
        let scratch = Scratch::new();
        let store = Store::open(&scratch.path(""), Durability::Commit).unwrap();
        let session = store.begin().unwrap();
        put_layer(&session, layer, "file");
        assert!(session.finished_layer(&layer).unwrap().is_some());
        match how {
            "alone" => session.sync(&[layer]).unwrap(),
            "in an image" => drop(session.put_image(&image(layer, "x")).unwrap()),
            _ => {}
        }
        reboot(&scratch);
        let found = session.finished_layer(&layer).unwrap();
        assert_eq!(found.is_some(), trusted, "synced {how}");
        // Made again, it replaces the old one.
        put_layer(&session, layer, "file");
        assert!(session.finished_layer(&layer).unwrap().is_some());
    }
}

#[test]
fn one_damaged_image_does_not_harm_the_others() {
    let scratch = Scratch::new();
    let session = scratch.store().begin().unwrap();
    let layer = LayerId::from_bytes([1; 32]);
    let [bad, good] = ["bad", "good"].map(|text| session.put_image(&image(layer, text)).unwrap());
    fs::write(scratch.path(&format!("images/{}", bad.0.hex())), "").unwrap();
    fs::write(scratch.path("images/rubbish"), "").unwrap();
    fs::write(scratch.path("names/rubbish"), "").unwrap();
    let images = session.store().images().unwrap();
    assert_eq!(images.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [good]);
    assert_eq!(session.store().names().unwrap(), []);
}

#[test]
fn only_a_store_of_ours_is_opened() {
    let open = |prepare: &dyn Fn(&Scratch)| {
        let scratch = Scratch::new();
        prepare(&scratch);
        Store::open(&scratch.path(""), Durability::Commit).map(drop)
    };
    let write = |name: &'static str, text: &'static str| {
        move |scratch: &Scratch| {
            fs::create_dir(scratch.path("")).unwrap();
            fs::set_permissions(scratch.path(""), fs::Permissions::from_mode(0o700)).unwrap();
            fs::write(scratch.path(name), text).unwrap();
        }
    };
    let chmod = |mode| {
        move |scratch: &Scratch| {
            drop(scratch.store());
            fs::set_permissions(scratch.path(""), fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    assert!(open(&|_| {}).is_ok(), "missing");
    assert!(
        open(&|scratch| fs::create_dir(scratch.path("")).unwrap()).is_ok(),
        "empty"
    );
    assert!(
        open(&write("version", "")).is_ok(),
        "emptied by a power cut"
    );
    let newer = open(&write("version", "2\n"));
    assert!(matches!(newer, Err(Error::Newer { version: 2, .. })));
    let other = open(&write("thesis.tex", "x"));
    assert!(matches!(other, Err(Error::NotAStore { .. })));
    let rubbish = open(&write("version", "x"));
    assert!(matches!(rubbish, Err(Error::NotAStore { .. })));
    assert!(matches!(open(&chmod(0o755)), Err(Error::Mode { .. })));
}

#[test]
fn a_read_only_store_can_be_read() {
    if let Some(path) = std::env::var_os("READ_ONLY_STORE") {
        let store = Store::open(path.as_ref(), Durability::Commit).unwrap();
        check_whole(&store);
        assert!(matches!(store.begin(), Err(Error::Write { .. })));
        return;
    }
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount"]);
        command
    };
    if !unshare()
        .arg("true")
        .status()
        .is_ok_and(|status| status.success())
    {
        let required = std::env::var_os("RBUILD_TEST_REQUIRE").is_some_and(|value| value == "1");
        assert!(!required, "no user namespaces");
        eprintln!("SKIP a_read_only_store_can_be_read: no user namespaces");
        return;
    }
    let scratch = Scratch::new();
    fill(&scratch);
    fs::remove_dir(scratch.path("notes")).unwrap();
    let script = r#"mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" &&
        exec "$2" --exact damage::a_read_only_store_can_be_read"#;
    let output = unshare()
        .args(["sh", "-c", script, "sh"])
        .arg(scratch.path(""))
        .arg(std::env::current_exe().unwrap())
        .env("READ_ONLY_STORE", scratch.path(""))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("1 passed"), "{output:?}");
}
