//! Cache mounts: who gets which copy, who waits, and what is left.

use std::{
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread::{scope, sleep},
    time::{Duration, Instant},
};

use rbuild_store::{
    CacheClaim, CacheMount, CacheName, CacheRemoval, Durability, Error, Key, Session, Sharing,
    Store, Wait,
};

use crate::Scratch;

fn named(id: &str) -> CacheName {
    CacheName {
        id: id.to_owned(),
        uid: rbuild_sys::effective_ids().0,
        gid: rbuild_sys::effective_ids().1,
        mode: 0o755,
        seed: None,
    }
}

fn claim(id: &str, sharing: Sharing) -> CacheClaim {
    CacheClaim {
        name: named(id),
        sharing,
    }
}

/// Claims at once or not at all.
fn try_claim(session: &Session, claims: &[CacheClaim]) -> Option<Vec<CacheMount>> {
    let claimed = session.claim_caches(
        claims,
        &mut Wait {
            waiting: &mut || {},
            give_up: &|| true,
        },
    );
    match claimed {
        Ok(mounts) => Some(mounts),
        Err(Error::GaveUp { .. }) => None,
        Err(error) => unreachable!("{error:?}"),
    }
}

fn only(session: &Session, id: &str, sharing: Sharing) -> Option<CacheMount> {
    try_claim(session, &[claim(id, sharing)])?.pop()
}

fn open(mount: &CacheMount, session: &Session) -> rbuild_sys::Dir {
    mount.open(session, |_| Ok::<_, Error>(())).unwrap()
}

#[test]
fn what_is_in_a_cache_stays_and_ids_are_never_paths() {
    let scratch = Scratch::new();
    for id in ["/root/.cache", "../../..", "a/../b", "", "x\ny"] {
        let session = scratch.store().begin().unwrap();
        let mount = only(&session, id, Sharing::Shared).unwrap();
        open(&mount, &session).create(b"kept", 0o600).unwrap();
        drop((mount, session));
        let session = scratch.store().begin().unwrap();
        let mount = only(&session, id, Sharing::Locked).unwrap();
        assert!(open(&mount, &session).stat(b"kept").is_ok());
    }
    let caches = scratch.store().caches().unwrap();
    assert_eq!(caches.len(), 5);
    assert!(
        caches
            .iter()
            .all(|cache| cache.copies == 1 && cache.used.is_some())
    );
    assert!(caches.iter().any(|cache| cache.name.id == "../../.."));
    assert_eq!(
        scratch.list(""),
        "blobs,cache,caches,images,indexes,layers,leases,lock,names,notes,staging,trash,version"
    );
}

#[test]
fn owner_mode_and_seed_make_another_cache() {
    let name = named("a");
    let with = |change: fn(&mut CacheName)| {
        let mut other = name.clone();
        change(&mut other);
        other.key()
    };
    let others = [
        with(|name| name.id.push('b')),
        with(|name| name.uid += 1),
        with(|name| name.gid += 1),
        with(|name| name.mode = 0o700),
        with(|name| name.seed = Some(Key::of(b"seed"))),
    ];
    assert!(others.iter().all(|key| *key != name.key()));
    let scratch = Scratch::new();
    let session = scratch.store().begin().unwrap();
    let private = CacheName {
        mode: 0o1700,
        ..name
    };
    let claims = [CacheClaim {
        name: private,
        sharing: Sharing::Shared,
    }];
    let mounts = try_claim(&session, &claims).unwrap();
    assert_eq!(open(&mounts[0], &session).stat_self().unwrap().mode, 0o1700);
}

#[test]
fn sharing_decides_who_waits_and_who_gets_a_copy() {
    use Sharing::{Locked, Private, Shared};
    // Who holds it, who comes, and whether that one gets the first copy, another, or none.
    for (holds, comes, expected) in [
        (Shared, Shared, Some(true)),
        (Shared, Private, Some(false)),
        (Shared, Locked, None),
        (Private, Private, Some(false)),
        (Locked, Private, Some(false)),
        (Locked, Shared, None),
        (Locked, Locked, None),
    ] {
        let scratch = Scratch::new();
        let session = scratch.store().begin().unwrap();
        let first = only(&session, "x", holds).unwrap();
        open(&first, &session).create(b"first", 0o600).unwrap();
        let second = only(&session, "x", comes);
        let is_first = second.map(|mount| open(&mount, &session).stat(b"first").is_ok());
        assert_eq!(is_first, expected, "{holds:?} {comes:?}");
        drop(first);
        let again = only(&session, "x", comes).unwrap();
        assert!(open(&again, &session).stat(b"first").is_ok());
    }
}

#[test]
fn one_command_can_use_a_cache_twice() {
    let scratch = Scratch::new();
    let session = scratch.store().begin().unwrap();
    let claims = [
        claim("x", Sharing::Shared),
        claim("y", Sharing::Private),
        claim("x", Sharing::Locked),
        claim("x", Sharing::Private),
    ];
    let mut mounts = try_claim(&session, &claims).unwrap();
    open(&mounts[0], &session).create(b"f", 0o600).unwrap();
    let seen = |mount| open(mount, &session).stat(b"f").is_ok();
    assert_eq!(
        mounts.iter().map(seen).collect::<Vec<_>>(),
        [true, false, true, true]
    );
    mounts.truncate(1);
    assert!(only(&session, "x", Sharing::Locked).is_none());
    mounts.clear();
    assert!(only(&session, "x", Sharing::Locked).is_some());
}

#[test]
fn commands_that_want_the_same_caches_do_not_wait_for_each_other_for_ever() {
    let scratch = Scratch::new();
    let session = scratch.store().begin().unwrap();
    let turns = AtomicU32::new(0);
    scope(|scope| {
        for order in [["a", "b"], ["b", "a"], ["a", "b"]] {
            let (session, turns) = (&session, &turns);
            scope.spawn(move || {
                for _ in 0..10 {
                    let claims = order.map(|id| claim(id, Sharing::Locked));
                    let mut wait = Wait {
                        waiting: &mut || {},
                        give_up: &|| false,
                    };
                    let _mounts = session.claim_caches(&claims, &mut wait).unwrap();
                    turns.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(turns.into_inner(), 30);
}

#[test]
fn a_new_cache_is_filled_once_or_stays_new() {
    let scratch = Scratch::new();
    let session = scratch.store().begin().unwrap();
    let mount = only(&session, "x", Sharing::Shared).unwrap();
    let failed = mount.open(&session, |dir| {
        dir.create(b"half", 0o600).unwrap();
        Err(Error::GaveUp {
            what: "seed".to_owned(),
        })
    });
    assert!(failed.is_err());
    let fill = |name: &'static [u8]| {
        let filled = mount.open(&session, |dir| {
            dir.create(name, 0o600).unwrap();
            Ok::<_, Error>(())
        });
        let names = filled.unwrap().entries().unwrap().into_iter();
        names.map(|entry| entry.name).collect::<Vec<_>>()
    };
    assert_eq!(fill(b"seed"), [b"seed"]);
    assert_eq!(fill(b"other"), [b"seed"]);
}

#[test]
fn a_cache_in_use_is_not_removed() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let session = store.begin().unwrap();
    let key = named("x").key();
    assert_eq!(store.remove_cache(&key).unwrap(), CacheRemoval::Missing);
    let mount = only(&session, "x", Sharing::Shared).unwrap();
    open(&mount, &session).mkdir(b"deep", 0o000).unwrap();
    assert_eq!(store.remove_cache(&key).unwrap(), CacheRemoval::InUse);
    drop(mount);
    assert_eq!(store.remove_cache(&key).unwrap(), CacheRemoval::Removed);
    assert_eq!(scratch.list("caches") + &scratch.list("trash"), "");
    let mount = only(&session, "x", Sharing::Shared).unwrap();
    assert_eq!(open(&mount, &session).entries().unwrap(), []);
}

#[test]
fn claims_and_removals_at_the_same_time_never_share_a_removed_cache() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let session = store.begin().unwrap();
    let done = AtomicBool::new(false);
    scope(|scope| {
        scope.spawn(|| {
            let start = Instant::now();
            while !done.load(Ordering::Relaxed) && start.elapsed() < Duration::from_secs(20) {
                store.remove_cache(&named("x").key()).unwrap();
            }
        });
        for _ in 0..200 {
            let mut wait = Wait {
                waiting: &mut || {},
                give_up: &|| false,
            };
            let claims = [claim("x", Sharing::Locked)];
            let mounts = session.claim_caches(&claims, &mut wait).unwrap();
            open(&mounts[0], &session)
                .open_or_create(b"f", 0o600)
                .unwrap();
            let path = format!("caches/{}/0/f", named("x").key());
            assert!(scratch.path(&path).exists());
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn who_waits_is_told_and_the_lock_dies_with_its_holder() {
    if let Some(path) = std::env::var_os("HOLD_CACHE_IN") {
        let session = Store::open(path.as_ref(), Durability::None)
            .unwrap()
            .begin()
            .unwrap();
        let mount = only(&session, "x", Sharing::Locked).unwrap();
        open(&mount, &session).create(b"held", 0o600).unwrap();
        sleep(Duration::from_secs(60));
    }
    let scratch = Scratch::new();
    let store = scratch.store();
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "caches::who_waits_is_told_and_the_lock_dies_with_its_holder",
        ])
        .env("HOLD_CACHE_IN", scratch.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let held = scratch.path(&format!("caches/{}/0/held", named("x").key()));
    while !held.exists() {
        sleep(Duration::from_millis(5));
    }
    let session = store.begin().unwrap();
    let start = Instant::now();
    let mut told = 0;
    let claims = [claim("x", Sharing::Locked)];
    let mut wait = Wait {
        waiting: &mut || {
            assert!(start.elapsed() >= Duration::from_secs(1));
            told += 1;
            holder.kill().unwrap();
            holder.wait().unwrap();
        },
        give_up: &|| false,
    };
    let mounts = session.claim_caches(&claims, &mut wait).unwrap();
    assert!(open(&mounts[0], &session).stat(b"held").is_ok());
    assert_eq!(told, 1);
}
