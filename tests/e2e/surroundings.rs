//! Hosts with base images in their stores.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rbuild_testkit::{Base, Host, Need, need};

/// What nearly every test needs.
const USUAL: &[Need] = &[Need::Rbuild, Need::Range, Need::Base(Base::Busybox)];

/// An unprivileged user with `alpine` (busybox) in a store of its own.
#[track_caller]
pub fn host() -> Option<Host> {
    host_with(&[])
}

/// Like [`host`], when `more` is there too.
#[track_caller]
pub fn host_with(more: &[Need]) -> Option<Host> {
    let host = need(&[USUAL, more].concat())?;
    host.import(Base::Busybox);
    Some(host)
}

/// An unprivileged user whose store has `golang` and `alpine`.
///
/// The import is large, so one store serves all tests of this process; they
/// give their images different names.
#[track_caller]
pub fn golang_host() -> Option<Host> {
    static STORE: OnceLock<PathBuf> = OnceLock::new();
    let needs = [USUAL, &[Need::Base(Base::Golang), Need::Tool("umoci")]].concat();
    let mut host = need(&needs)?;
    let store = STORE.get_or_init(|| {
        let stores = format!("rbuild-e2e-{}-", host.account.name);
        remove_leftovers(&host, &stores);
        let store = PathBuf::from(format!("/var/tmp/{stores}{}", std::process::id()));
        host.store.clone_from(&store);
        host.import(Base::Busybox);
        host.import(Base::Golang);
        store
    });
    host.store.clone_from(store);
    Some(host)
}

/// Removes the stores `/var/tmp/NAMEPID` of processes that are gone, whoever owns the files in them.
fn remove_leftovers(host: &Host, name: &str) {
    for entry in fs::read_dir("/var/tmp").into_iter().flatten().flatten() {
        let file = entry.file_name();
        let pid = file.to_str().and_then(|file| file.strip_prefix(name));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let store = entry.path();
            let _ = host.account.inside("rm").arg("-rf").arg(store).output();
        }
    }
}

/// Copies `examples/NAME` to the scratch directory, as the user's own, and
/// returns its path.
pub fn example(host: &Host, name: &str) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples")
        .join(name);
    let copy = host.scratch.path().join(name);
    let status = Command::new("cp")
        .arg("-rT")
        .arg(source)
        .arg(&copy)
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "examples/{name} cannot be copied"
    );
    copy.to_str()
        .expect("scratch directories have ASCII names")
        .to_owned()
}
