use std::path::Path;

use rbuild_oci::{Location, Reference};

use super::{Identity, SignaturePolicy};

fn policy(text: &str) -> Result<SignaturePolicy, String> {
    SignaturePolicy::parse(text, Path::new("p.json")).map_err(|error| error.to_string())
}

/// Rejects everything but what has one of `scopes` of `transport`.
fn only(transport: &str, scopes: &[&str]) -> SignaturePolicy {
    let scopes: Vec<String> = scopes
        .iter()
        .map(|scope| format!(r#""{scope}":[{{"type":"insecureAcceptAnything"}}]"#))
        .collect();
    policy(&format!(
        r#"{{"default":[{{"type":"reject"}}],"transports":{{"{transport}":{{{}}}}}}}"#,
        scopes.join(",")
    ))
    .unwrap()
}

#[track_caller]
fn check(policy: &SignaturePolicy, place: &str, accepted: bool) {
    let answer = policy.demands(&place.parse().unwrap());
    assert_eq!(answer.is_ok(), accepted, "{place}: {answer:?}");
}

#[test]
fn without_a_policy_everything_is_accepted() {
    for place in ["docker://a.b/c", "oci:/x:1", "dir:/y", "docker-archive:z"] {
        check(&SignaturePolicy::default(), place, true);
    }
}

#[test]
fn an_image_is_in_its_own_scope_and_in_those_above() {
    for scope in ["r.io/team/app:1", "r.io/team/app", "r.io/team", "r.io", ""] {
        let policy = only("docker", &[scope]);
        check(&policy, "docker://r.io/team/app:1", true);
    }
    let other = [
        "r.io/team/app:2",
        "r.io/team/ap",
        "r.io/tea",
        "r.i",
        "io",
        "*.io/team",
    ];
    for scope in &other[..5] {
        check(&only("docker", &[scope]), "docker://r.io/team/app:1", false);
    }
    let digest = format!("sha256:{}", "a".repeat(64));
    let pinned = format!("r.io/app@{digest}");
    check(
        &only("docker", &[&pinned]),
        &format!("docker://{pinned}"),
        true,
    );
    let latest = only("docker", &["r.io/app:latest"]);
    check(&latest, "docker://r.io/app", true);
    check(&latest, &format!("docker://{pinned}"), false);
}

#[test]
fn a_star_is_all_hosts_of_a_domain() {
    let policy = only("docker", &["*.example.com"]);
    check(&policy, "docker://a.example.com/x", true);
    check(&policy, "docker://a.b.example.com:5000/x", true);
    check(&policy, "docker://example.com/x", false);
    check(&policy, "docker://evilexample.com/x", false);
}

#[test]
fn the_closest_scope_counts_alone() {
    let text = r#"{"default":[{"type":"insecureAcceptAnything"}],"transports":{"docker":{
        "":[{"type":"reject"}],
        "r.io":[{"type":"insecureAcceptAnything"}],
        "r.io/bad":[{"type":"reject"}],
        "r.io/bad/but:fine":[{"type":"insecureAcceptAnything"}],
        "r.io/both":[{"type":"insecureAcceptAnything"},{"type":"reject"}]}}}"#;
    let policy = policy(text).unwrap();
    check(&policy, "docker://r.io/x", true);
    check(&policy, "docker://r.io/bad/x", false);
    check(&policy, "docker://r.io/bad/but:fine", true);
    check(&policy, "docker://r.io/both:1", false);
    check(&policy, "docker://other.io/x", false);
    check(&policy, "oci:/x", true);
    let error = policy.demands(&"docker://r.io/bad/x".parse().unwrap());
    assert_eq!(
        error.unwrap_err().to_string(),
        "the signature policy does not allow `docker://r.io/bad/x`: scope `r.io/bad` of `docker` \
         in `p.json` rejects it"
    );
}

#[test]
fn files_are_in_the_scopes_of_their_directories() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().canonicalize().unwrap();
    std::fs::create_dir_all(real.join("a/layout")).unwrap();
    std::os::unix::fs::symlink(real.join("a/layout"), real.join("link")).unwrap();
    let (above, real) = (real.join("a").display().to_string(), real.display());
    check(
        &only("oci", &[&above]),
        &format!("oci:{real}/a/layout:1"),
        true,
    );
    check(&only("oci", &[&above]), &format!("oci:{real}/link"), true);
    check(
        &only("dir", &[&above]),
        &format!("dir:{real}/a/../a/layout"),
        true,
    );
    check(
        &only("dir", &[&above]),
        &format!("oci:{real}/a/layout"),
        false,
    );
    let tagged = only("oci", &[&format!("{above}/layout:1")]);
    check(&tagged, &format!("oci:{real}/a/layout:1"), true);
    check(&tagged, &format!("oci:{real}/a/layout:2"), false);
    check(&only("docker-archive", &[""]), "docker-archive:/x:y", true);
}

#[test]
fn what_is_not_understood_is_an_error() {
    let one = |requirement: &str| format!(r#"{{"default":[{requirement}]}}"#);
    let scope = |transport: &str, scope: &str| {
        let accept = r#"[{"type":"insecureAcceptAnything"}]"#;
        format!(r#"{{"default":{accept},"transports":{{"{transport}":{{"{scope}":{accept}}}}}}}"#)
    };
    let bad = [
        "{}".to_owned(),
        "[".to_owned(),
        r#"{"default":[]}"#.to_owned(),
        r#"{"default":[{"type":"reject"}],"defualt":[]}"#.to_owned(),
        r#"{"default":[{"type":"reject"}],"transports":{"docker":{},"docker":{}}}"#.to_owned(),
        r#"{"default":[{"type":"reject"}],"transports":{"docker":{"":[]}}}"#.to_owned(),
        one(r#"{"type":"accept"}"#),
        one(r#"{"type":"reject","keyPath":"/x"}"#),
        one(r#"{"type":"reject","type":"reject"}"#),
        one(r#"{"type":"sigstoreSigned"}"#),
        one(r#"{"type":"sigstoreSigned","keyPath":"/x","keyData":"eA=="}"#),
        one(r#"{"type":"sigstoreSigned","keyData":"?"}"#),
        one(r#"{"type":"sigstoreSigned","keyPaths":[]}"#),
        one(r#"{"type":"sigstoreSigned","keyPath":"/x","signedIdentity":{"type":"any"}}"#),
        one(
            r#"{"type":"sigstoreSigned","keyPath":"/x","signedIdentity":{"type":"exactReference","dockerReference":"a/b"}}"#,
        ),
        scope("docker", "a*.com"),
        scope("docker", "*.a.*.com"),
        scope("oci", "relative"),
        scope("dir", "/"),
        scope("docker-archive", "/x"),
    ];
    for text in bad {
        let answer = policy(&text);
        assert!(answer.is_err(), "{text}");
        assert!(answer.unwrap_err().starts_with("cannot use `p.json`: "));
    }
    policy(&scope("docker-daemon", "")).unwrap();
    policy(&scope("docker", "*.a.com")).unwrap();
}

#[test]
fn the_policy_of_a_distribution_is_understood() {
    let text = r#"{"default":[{"type":"insecureAcceptAnything"}],"transports":{
        "docker":{"registry.example":[{"type":"signedBy","keyType":"GPGKeys","keyPaths":["/etc/a","/etc/b"]}]},
        "docker-daemon":{"":[{"type":"insecureAcceptAnything"}]}}}"#;
    let policy = policy(text).unwrap();
    check(&policy, "docker://docker.io/library/a", true);
    check(&policy, "docker://registry.example/a", false);
}

#[test]
fn what_cannot_be_verified_is_refused_by_name() {
    for (requirement, what) in [
        (
            r#"{"type":"signedBy","keyType":"GPGKeys","keyPath":"/x"}"#,
            "`signedBy`",
        ),
        (
            r#"{"type":"sigstoreSigned","fulcio":{"caPath":"/x"}}"#,
            "`fulcio`",
        ),
        (
            r#"{"type":"sigstoreSigned","keyPath":"/x","rekorPublicKeyPath":"/y"}"#,
            "`rekorPublicKeyPath`",
        ),
    ] {
        let policy = policy(&format!(r#"{{"default":[{requirement}]}}"#)).unwrap();
        let error = policy.demands(&"docker://a.b/c".parse().unwrap());
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains(what) && error.contains("does not verify"),
            "{error}"
        );
    }
    let signed = policy(r#"{"default":[{"type":"sigstoreSigned","keyPath":"/x"}]}"#).unwrap();
    let place: Location = "docker://a.b/c".parse().unwrap();
    assert_eq!(signed.demands(&place).unwrap().len(), 1);
    check(&signed, "oci:/x", false);
}

#[test]
fn a_signature_is_for_a_name() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let pinned = format!("r.io/a@{digest}");
    let remap = Identity::Remap {
        prefix: "mirror.io/x".to_owned(),
        signed_prefix: "r.io".to_owned(),
    };
    let exact = Identity::ExactReference("r.io/b:1".parse().unwrap());
    let repository = Identity::ExactRepository("r.io/b".to_owned());
    let cases: [(&Identity, &str, &str, bool); 18] = [
        (&Identity::Exact, "r.io/a:1", "r.io/a:1", true),
        (&Identity::Exact, "r.io/a", "r.io/a:latest", true),
        (&Identity::Exact, "r.io/a:1", "r.io/a:2", false),
        (&Identity::Exact, "r.io/a:1", "r.io/a", false),
        (&Identity::Exact, &pinned, "r.io/a:1", false),
        (&Identity::RepoDigestOrExact, &pinned, "r.io/a:1", true),
        (&Identity::RepoDigestOrExact, &pinned, "r.io/b:1", false),
        (&Identity::RepoDigestOrExact, "r.io/a:1", "r.io/a", false),
        (&Identity::Repository, "r.io/a:1", "r.io/a", true),
        (&Identity::Repository, "r.io/a:1", "r.io/a/b", false),
        (&Identity::Repository, "docker.io/library/a:1", "a", true),
        (&exact, "r.io/a:1", "r.io/b:1", true),
        (&exact, "r.io/a:1", "r.io/a:1", false),
        (&repository, "r.io/a:1", "r.io/b:7", true),
        (&remap, "mirror.io/x/a:1", "r.io/a:1", true),
        (&remap, "mirror.io/xa/a:1", "mirror.io/xa/a:1", true),
        (&remap, "mirror.io/x/a:1", "mirror.io/x/a:1", false),
        (&Identity::Repository, "r.io/a:1", "not a name", false),
    ];
    for (identity, image, claimed, expected) in cases {
        let image: Reference = image.parse().unwrap();
        let found = identity.accepts(&image, claimed);
        assert_eq!(found, expected, "{identity:?}: {image} {claimed}");
    }
}

#[test]
fn podmans_store_has_a_default_of_its_own_and_scopes_that_only_podman_can_tell_apart() {
    let check = |policy: &SignaturePolicy, accepted: bool| {
        let answer = policy.allows_from_storage("localhost/a:1");
        assert_eq!(answer.is_ok(), accepted, "{policy:?}: {answer:?}");
    };
    check(&SignaturePolicy::default(), true);
    check(&only("containers-storage", &[""]), true);
    check(&only("docker-archive", &[""]), false);
    let scope = "[overlay@/x/y]docker.io/library/a:1";
    check(&only("containers-storage", &["", scope]), false);
}
