//! Tables: configuration and name in, places out.

use super::{Registries, Target};

fn parsed(text: &str) -> Registries {
    let mut registries = Registries::default();
    registries.add(text).unwrap();
    registries
}

/// One place a line: `mirror`, then the name, then `insecure`.
#[track_caller]
fn check(text: &str, name: &str, expected: &[&str]) {
    let targets = parsed(text).pull_targets(&name.parse().unwrap());
    let lines = match targets {
        Err(error) => vec![error.to_string()],
        Ok(targets) => {
            let endpoints = targets.into_iter().flat_map(|target| target.endpoints);
            let line = |endpoint: super::Endpoint| {
                let mirror = if endpoint.is_mirror { "mirror " } else { "" };
                let insecure = if endpoint.insecure { " insecure" } else { "" };
                format!("{mirror}{}{insecure}", endpoint.reference)
            };
            endpoints.map(line).collect()
        }
    };
    assert_eq!(lines, expected, "{name}");
}

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn without_configuration_a_short_name_is_docker_hubs() {
    check("", "alpine:3", &["docker.io/library/alpine:3"]);
    check("", "a/b", &["docker.io/a/b"]);
    check("", "r.example/a", &["r.example/a"]);
}

#[test]
fn a_short_name_is_searched_for_in_order() {
    let text = "unqualified-search-registries = ['r.example', 'docker.io']\nshort-name-mode = 'permissive'";
    check(text, "a:1", &["r.example/a:1", "docker.io/library/a:1"]);
    check(text, "q.example/a", &["q.example/a"]);
    check(
        "unqualified-search-registries = []",
        "a",
        &[
            "registries.conf does not allow `a`: it is a short name, and `unqualified-search-registries` is empty",
        ],
    );
}

/// What is asked when somebody says `choice`, or nobody can.
#[track_caller]
fn check_choice(mode: &str, choice: Option<usize>, expected: &[&str]) {
    let registries = parsed(&format!(
        "unqualified-search-registries = ['a.example', 'b.example']\n{mode}"
    ));
    let reference = "x:1".parse().unwrap();
    let targets = registries.pull_targets(&reference).unwrap();
    let chosen = registries.chosen(&reference, targets, &|_| choice);
    let lines = match chosen {
        Err(error) => vec![error.to_string()],
        Ok(targets) => {
            let names = targets.iter().map(|target| target.name.to_string());
            names.collect()
        }
    };
    assert_eq!(lines, expected, "{mode} {choice:?}");
}

#[test]
fn who_can_be_asked_chooses_and_the_mode_says_what_happens_where_nobody_can() {
    let both = ["a.example/x:1", "b.example/x:1"];
    for mode in ["", "short-name-mode = 'permissive'"] {
        check_choice(mode, Some(1), &both[1..]);
        check_choice(mode, None, &both);
    }
    check_choice("short-name-mode = 'enforcing'", Some(0), &both[..1]);
    check_choice(
        "short-name-mode = 'enforcing'",
        None,
        &["`x:1` may mean `a.example/x:1`, `b.example/x:1`, and nobody can be asked which"],
    );
    check_choice("short-name-mode = 'disabled'", Some(1), &both);
}

#[test]
fn what_has_one_candidate_is_never_asked_about() {
    let text = "unqualified-search-registries = ['a.example', 'b.example', 'c.example']\n\
                short-name-mode = 'enforcing'\n[aliases]\ny = 'a.example/y'\n";
    let blocked = "[[registry]]\nlocation = 'a.example/x'\nblocked = true\n\
                   [[registry]]\nlocation = 'c.example'\nblocked = true";
    let registries = parsed(&format!("{text}{blocked}"));
    for name in ["x", "y", "q.example/z"] {
        let reference = name.parse().unwrap();
        let targets = registries.pull_targets(&reference).unwrap();
        let asked = |_: &[Target]| unreachable!("there is one candidate");
        let chosen = registries.chosen(&reference, targets, &asked).unwrap();
        assert_eq!(chosen.len(), 1, "{name}");
    }
}

#[test]
fn an_alias_is_one_name() {
    let text = "unqualified-search-registries = ['r.example']\n[aliases]\nfedora = 'q.example/fedora/fedora'\n'x/y' = 'docker.io/z'";
    check(text, "fedora:40", &["q.example/fedora/fedora:40"]);
    check(text, "x/y", &["docker.io/library/z"]);
    check(text, "fedora/x", &["r.example/fedora/x"]);
}

#[test]
fn a_location_replaces_the_prefix() {
    let text =
        "[[registry]]\nprefix = 'a.example/x'\nlocation = 'b.example:5000/y/z'\ninsecure = true";
    check(
        text,
        "a.example/x/i:1",
        &["b.example:5000/y/z/i:1 insecure"],
    );
    check(text, "a.example/x:1", &["b.example:5000/y/z:1 insecure"]);
    check(text, "a.example/xx", &["a.example/xx"]);
    check(text, "a.example:80/x", &["a.example:80/x"]);
}

#[test]
fn the_longest_prefix_counts() {
    let text = "
        [[registry]]
        location = 'a.example'
        blocked = true
        [[registry]]
        location = 'a.example/fine'
        [[registry]]
        prefix = 'a.example/fine/one:bad'
        blocked = true";
    let refused = |name: &str, rule: &str| {
        format!("registries.conf does not allow `{name}`: `{rule}` is blocked")
    };
    check(text, "a.example/x", &[&refused("a.example/x", "a.example")]);
    check(text, "a.example/fine/one", &["a.example/fine/one"]);
    let bad = "a.example/fine/one:bad";
    check(text, bad, &[&refused(bad, bad)]);
}

#[test]
fn a_blocked_registry_is_passed_over_in_a_search() {
    let text = "unqualified-search-registries = ['a.example', 'b.example']\n[[registry]]\nlocation = 'a.example'\nblocked = true";
    check(text, "x", &["b.example/x"]);
}

#[test]
fn a_star_is_for_all_hosts_of_a_domain() {
    let text = "
        [[registry]]
        prefix = '*.example'
        location = 'cache.test/all'
        [[registry]]
        prefix = 'own.example'";
    check(text, "a.b.example/x:1", &["cache.test/all/x:1"]);
    check(text, "a.example:5000/x", &["cache.test/all/x"]);
    check(text, "own.example/x", &["own.example/x"]);
    check(text, "notexample.test/x", &["notexample.test/x"]);
    check(
        "[[registry]]\nprefix = '*.example'\ninsecure = true",
        "a.example/x",
        &["a.example/x insecure"],
    );
}

#[test]
fn mirrors_come_first_where_they_may_be_asked() {
    let text = "
        [[registry]]
        location = 'docker.io'
        [[registry.mirror]]
        location = 'm.example/hub'
        insecure = true
        [[registry.mirror]]
        location = 'd.example'
        pull-from-mirror = 'digest-only'
        [[registry.mirror]]
        location = 't.example'
        pull-from-mirror = 'tag-only'";
    check(
        text,
        "alpine:3",
        &[
            "mirror m.example/hub/library/alpine:3 insecure",
            "mirror t.example/library/alpine:3",
            "docker.io/library/alpine:3",
        ],
    );
    check(
        text,
        &format!("alpine@{DIGEST}"),
        &[
            &format!("mirror m.example/hub/library/alpine@{DIGEST} insecure"),
            &format!("mirror d.example/library/alpine@{DIGEST}"),
            &format!("docker.io/library/alpine@{DIGEST}"),
        ],
    );
    let digest_only = text.replacen(
        "[[registry.mirror]]",
        "mirror-by-digest-only = true\n[[registry.mirror]]",
        1,
    );
    check(&digest_only, "alpine:3", &["docker.io/library/alpine:3"]);
}

#[test]
fn nothing_is_pushed_to_a_mirror() {
    let text = "[[registry]]\nprefix = 'a.example'\nlocation = 'b.example'\n[[registry.mirror]]\nlocation = 'm.example'";
    let endpoint = parsed(text)
        .push_endpoint(&"a.example/x:1".parse().unwrap())
        .unwrap();
    assert_eq!(endpoint.reference.to_string(), "b.example/x:1");
    assert!(!endpoint.is_mirror);
}

#[test]
fn a_later_file_wins() {
    let mut registries = parsed(
        "unqualified-search-registries = ['a.example']\ncredential-helpers = ['containers-auth.json', 'pass']\n[aliases]\nx = 'a.example/x'\ny = 'a.example/y'\n[[registry]]\nlocation = 'r.example'\nblocked = true",
    );
    registries
        .add("[aliases]\nx = ''\ny = 'b.example/y'\n[[registry]]\nlocation = 'r.example'")
        .unwrap();
    let names = |name: &str| registries.names(&name.parse().unwrap())[0].to_string();
    assert_eq!(names("x"), "a.example/x");
    assert_eq!(names("y"), "b.example/y");
    assert!(
        registries
            .pull_targets(&"r.example/x".parse().unwrap())
            .is_ok()
    );
    assert_eq!(registries.credential_helpers(), ["pass"]);
}

#[test]
fn what_has_no_meaning_is_refused() {
    for bad in [
        "[registries.search]\nregistries = ['docker.io']",
        "short-name-mode = 'sometimes'",
        "[[registry]]",
        "[[registry]]\nlocation = 'https://a.example'",
        "[[registry]]\nprefix = '*.a.example/x'",
        "[[registry]]\nlocation = 'a.example'\n[[registry.mirror]]\ninsecure = true",
        "[aliases]\nx = 'y'",
        "[aliases]\nx = 'a.example/y:tag'",
        "[[registry]",
    ] {
        let mut registries = Registries::default();
        assert!(registries.add(bad).is_err(), "{bad}");
        assert_eq!(registries, Registries::default());
    }
}
