//! policy.json: which images a site lets in, on every way that an image can take.

use rbuild_testkit::{
    Base, Host, Need, Output, Signer,
    fault_registry::{Access, FaultRegistry},
    need,
};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[
    Need::Rbuild,
    Need::Range,
    Need::Base(Base::Busybox),
    Need::Tool("openssl"),
];
const REJECT: &str = r#"{"default":[{"type":"reject"}]}"#;

fn published(host: &Host) -> (FaultRegistry, String) {
    host.import(Base::Busybox);
    let registry = FaultRegistry::start(Access::Open, Vec::new());
    let image = format!("{}/team/base:1", registry.address());
    host.run(&["push", "alpine", &image]).success();
    host.run(&["save", "-o", "docker.tar", "alpine"]).success();
    host.run(&["push", "alpine", "oci:layout:1"]).success();
    host.run(&["rmi", "alpine"]).success();
    (registry, image)
}

/// A policy as a file.
fn policy(host: &Host, text: &str) -> String {
    let file = host.scratch.file("policy.json", text).unwrap();
    file.display().to_string()
}

#[track_caller]
fn refused(output: &Output, why: &str) {
    assert_ne!(output.status, 0, "{}", output.stderr);
    let text = &output.stderr;
    assert!(text.contains("signature policy does not allow"), "{text}");
    assert!(text.contains(why), "{text}");
}

#[test]
fn no_way_leads_around_a_policy() {
    let Some(host) = need(NEEDS) else { return };
    let (registry, image) = published(&host);
    let asked = registry.requests().len();
    let file = policy(&host, REJECT);
    let flag = ["--signature-policy", &file];
    let from = format!("FROM {image}\nRUN true\n");
    let copy = format!("FROM scratch\nCOPY --from={image} /bin /bin\n");
    let mount = format!("FROM scratch\nRUN --mount=from={image},target=/x true\n");
    for dockerfile in [&from, &copy, &mount] {
        refused(&host.build(dockerfile, &flag), "the default");
    }
    let context = format!("base=docker-image://{image}");
    let flags = [&flag[..], &["--build-context", &context]].concat();
    refused(&host.build("FROM base\n", &flags), "the default");
    refused(&host.build("FROM oci:layout:1\n", &flag), "the default");
    for way in [
        &["pull", &image][..],
        &["pull", "oci:layout:1"],
        &["pull", "docker-archive:docker.tar"],
        &["load", "-i", "docker.tar"],
        &["load", "-i", "layout"],
        &["manifest", "create", "list", &image],
    ] {
        refused(&host.run(&[way, &flag].concat()), "the default");
    }
    assert_eq!(registry.requests().len(), asked, "nobody needs to be asked");
    // What is in the store may be used.
    host.run(&["pull", &image]).success();
    host.build(&from, &flag).success();
}

#[test]
fn a_policy_is_found_in_the_home_directory() {
    let Some(host) = need(NEEDS) else { return };
    let (_registry, image) = published(&host);
    let home = host.scratch.dir("home").unwrap();
    let pull = || {
        let mut command = host.rbuild(&["pull", &image]);
        command.env("HOME", &home).env_remove("XDG_CONFIG_HOME");
        Output::of(&mut command).unwrap()
    };
    let own = "home/.config/containers/policy.json";
    host.scratch.file(own, REJECT).unwrap();
    refused(&pull(), ".config/containers/policy.json");
    host.scratch.file(own, "{\"default\":[]}").unwrap();
    let broken = pull();
    assert_ne!(broken.status, 0);
    assert!(broken.stderr.contains("policy.json"), "{}", broken.stderr);
    let registry = image.split('/').next().unwrap();
    let text = json!({
        "default": [{ "type": "reject" }],
        "transports": { "docker": { registry: [{ "type": "insecureAcceptAnything" }] } },
    });
    host.scratch.file(own, text.to_string()).unwrap();
    pull().success();
}

#[test]
fn only_what_the_right_key_has_signed_is_pulled() {
    let Some(host) = need(NEEDS) else { return };
    let (registry, image) = published(&host);
    let dir = host.scratch.dir("keys").unwrap();
    let [ours, theirs] = ["ours", "theirs"].map(|name| Signer::new(&dir, name).unwrap());
    let manifest = registry.manifest("team/base", "1").unwrap();
    let place = (&registry, "team/base");
    let wants = |signer: &Signer| {
        let file = signer.public_key();
        let signed = json!({
            "type": "sigstoreSigned",
            "keyPath": file,
            "signedIdentity": { "type": "matchRepository" },
        });
        let text = json!({
            "default": [{ "type": "reject" }],
            "transports": { "docker": { "": [signed] } },
        });
        policy(&host, &text.to_string())
    };
    let pull = |signer| host.run(&["pull", "--signature-policy", &wants(signer), &image]);
    refused(&pull(&ours), "it has no signature");
    let (repository, _) = image.rsplit_once(':').unwrap();
    ours.sign(place, &manifest, "elsewhere.example/team/base")
        .unwrap();
    refused(&pull(&ours), "it is for `elsewhere.example/team/base`");
    ours.sign(place, &manifest, repository).unwrap();
    refused(&pull(&theirs), "by another key");
    pull(&ours).success();
    host.run(&["rmi", &image]).success();
    let dockerfile = format!("FROM {image}\nRUN true\n");
    let policy = wants(&ours);
    host.build(&dockerfile, &["--signature-policy", &policy])
        .success();
}

// Debian's skopeo has sigstore switched off: signatures cannot be compared.
#[test]
fn skopeo_says_the_same_of_each_policy() {
    let Some(host) = need(&[NEEDS, &[Need::Tool("skopeo")]].concat()) else {
        return;
    };
    let (registry, image) = published(&host);
    let name = image.rsplit_once(':').unwrap().0;
    let address = registry.address();
    let accept = json!({ "type": "insecureAcceptAnything" });
    let reject = json!({ "type": "reject" });
    let mut cases: Vec<(String, Value)> = Vec::new();
    for scope in [
        "",
        &address,
        "127.0.0.1",
        "*.0.0.1",
        "*.0.0.1:5000",
        "a*.1",
        &format!("{address}/team"),
        &format!("{address}/tea"),
        &format!("{address}/"),
        name,
        &image,
        &format!("{name}:2"),
    ] {
        cases.push((scope.to_owned(), json!([accept])));
    }
    for requirements in [
        json!([]),
        json!({}),
        json!([accept, reject]),
        json!([accept, accept]),
        json!([{ "type": "insecureAcceptAnything", "more": 1 }]),
        json!([{ "type": "unheardOf" }]),
        json!([{ "type": "sigstoreSigned" }]),
    ] {
        cases.push((name.to_owned(), requirements));
    }
    for (scope, requirements) in cases {
        let text = json!({
            "default": [reject],
            "transports": { "docker": { scope: requirements } },
        });
        let file = policy(&host, &text.to_string());
        let ours = host.run(&["pull", "--signature-policy", &file, &image]);
        host.run(&["rmi", &image]);
        let mut skopeo = host.account.command("skopeo");
        skopeo
            .args(["--policy", &file, "copy", "--src-tls-verify=false"])
            .args(["--src-no-creds", "--remove-signatures"])
            .args([format!("docker://{image}"), "oci:theirs".to_owned()])
            .current_dir(host.scratch.path());
        let theirs = Output::of(&mut skopeo).unwrap();
        assert_eq!(
            ours.status == 0,
            theirs.status == 0,
            "{text}\n{}\n{}",
            ours.stderr,
            theirs.stderr
        );
    }
}
