//! registries.conf is understood or refused, and adds nothing then; with what is understood every
//! name leads somewhere or is blocked.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_oci::Reference;
use rbuild_registry::Registries;

const NAMES: [&str; 4] = [
    "alpine",
    "a/b:tag",
    "registry.example/a/b",
    "127.0.0.1:5000/a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
];

fuzz_target!(|text: &str| {
    let mut registries = Registries::default();
    let understood = registries.add(text).is_ok();
    for name in NAMES {
        let name: Reference = name.parse().expect("it is one");
        let names = registries.names(&name);
        assert!(names.iter().all(|full| full.registry.is_some()));
        assert!(names.iter().all(|full| full.digest == name.digest));
        if let Ok(targets) = registries.pull_targets(&name) {
            assert!(targets.iter().all(|target| !target.endpoints.is_empty()));
            let one = registries.chosen(&name, targets, &|targets| Some(targets.len() - 1));
            assert!(one.is_ok_and(|targets| !targets.is_empty()));
        }
        let pushed = registries.push_endpoint(&name);
        assert!(understood || pushed.is_ok());
    }
    let _ = registries.credential_helpers();
    // Read again, a file changes nothing.
    let before = registries.names(&NAMES[0].parse().expect("it is one"));
    assert_eq!(registries.add(text).is_ok(), understood);
    let after = registries.names(&NAMES[0].parse().expect("it is one"));
    assert_eq!(before, after);
});
