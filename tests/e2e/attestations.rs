//! What is said of an image beside it: who can still use the image, and what is said.

use std::{fs, path::Path};

use rbuild_testkit::{Host, Need, Registry};
use serde_json::Value;

use crate::{
    archives::peer,
    surroundings::{host, host_with},
};

const DOCKERFILE: &str = "FROM alpine\nARG WHO\n\
    RUN --mount=type=secret,id=token mkdir -p /lib/apk/db && echo $WHO > /who && \
    printf 'P:musl\\nV:1.2.5-r0\\nA:x86_64\\nL:MIT\\n' > /lib/apk/db/installed\nCMD cat /who\n";
const ALL: &[&str] = &[
    "--provenance=mode=max",
    "--sbom=true",
    "--build-arg",
    "WHO=me",
    "--secret",
    "id=token,src=secret",
    "-q",
];

/// Builds with all attestations and these flags, reproducibly.
#[track_caller]
fn build(host: &Host, flags: &[&str]) {
    host.scratch.file("secret", "hush-hush").unwrap();
    host.scratch.file("ctx/Dockerfile", DOCKERFILE).unwrap();
    let time = ["--source-date-epoch", "1700000000"];
    host.run(&[&["bud"], ALL, &time, flags, &["ctx"]].concat())
        .success();
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| unreachable!("{pointer} in {value}"))
}

/// The blob of a layout that `descriptor` names.
fn blob(layout: &Path, descriptor: &Value) -> Value {
    let digest = text(descriptor, "/digest").trim_start_matches("sha256:");
    json(&layout.join("blobs/sha256").join(digest))
}

#[test]
fn an_index_lists_the_image_and_what_is_said_of_it() {
    let Some(host) = host_with(&[Need::Tool("skopeo")]) else {
        return;
    };
    build(
        &host,
        &["-t", "it:1", "-o", "type=oci,tar=false,dest=out,name=1"],
    );
    let layout = host.scratch.path().join("out");
    let top = json(&layout.join("index.json"));
    let index = blob(&layout, &top["manifests"][0]);
    let [image, attached] = &index["manifests"].as_array().unwrap()[..] else {
        unreachable!("{index}")
    };
    assert_eq!(text(image, "/platform/os"), "linux");
    assert_eq!(text(attached, "/platform/os"), "unknown");
    assert_eq!(
        text(attached, "/annotations/vnd.docker.reference.digest"),
        text(image, "/digest")
    );
    let manifest = blob(&layout, attached);
    assert_eq!(text(&manifest, "/subject/digest"), text(image, "/digest"));
    let kinds = [
        "https://slsa.dev/provenance/v1",
        "https://spdx.dev/Document",
    ];
    for (layer, kind) in manifest["layers"].as_array().unwrap().iter().zip(kinds) {
        assert_eq!(text(layer, "/annotations/in-toto.io~1predicate-type"), kind);
        let statement = blob(&layout, layer);
        assert_eq!(text(&statement, "/predicateType"), kind);
        let hex = text(image, "/digest").trim_start_matches("sha256:");
        assert_eq!(text(&statement, "/subject/0/digest/sha256"), hex);
        let name = text(&statement, "/subject/0/name");
        assert!(name.starts_with("pkg:docker/localhost/it@1?"), "{name}");
        assert!(!statement.to_string().contains("hush"));
    }
    let provenance = blob(&layout, &manifest["layers"][0]);
    let request = "/predicate/buildDefinition/externalParameters/request";
    let request = provenance.pointer(request).unwrap();
    assert_eq!(request["args"]["build-arg:WHO"], "me");
    assert_eq!(request["secrets"][0]["id"], "token");
    let sbom = blob(&layout, &manifest["layers"][1]);
    assert_eq!(sbom["predicate"]["packages"][1]["name"], "musl");
    let config = peer(&host, "skopeo", &["inspect", "--config", "oci:out:1"]);
    assert!(config.contains("cat /who"), "{config}");
}

#[test]
fn the_same_build_is_told_of_in_the_same_words() {
    let Some(host) = host() else { return };
    let archive = |name: &str| {
        let output = format!("type=oci,dest={name}");
        build(&host, &["--no-cache", "-o", &output]);
        fs::read(host.scratch.path().join(name)).unwrap()
    };
    assert!(archive("a.tar") == archive("b.tar"));
}

#[test]
fn a_registry_has_the_image_for_all_and_a_list_of_what_refers_to_it() {
    let needs = ["docker-registry", "skopeo", "podman"].map(Need::Tool);
    let Some(host) = host_with(&needs) else {
        return;
    };
    let registry = Registry::start(&host).unwrap();
    let name = format!("{}/said:1", registry.address());
    let output = format!("type=registry,name={name}");
    build(&host, &["-t", &name, "-o", &output]);
    // A second push lists nothing twice.
    build(&host, &["-t", &name, "-o", &output]);
    let place = format!("docker://{name}");
    let inspect = ["inspect", "--raw", "--tls-verify=false"];
    let raw = peer(&host, "skopeo", &[&inspect[..], &[&place]].concat());
    let index: Value = serde_json::from_str(&raw).unwrap();
    let digest = text(&index, "/manifests/0/digest").to_owned();
    let list = format!(
        "docker://{}/said:{}",
        registry.address(),
        digest.replace(':', "-")
    );
    let raw = peer(&host, "skopeo", &[&inspect[..], &[&list]].concat());
    let list: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(list["manifests"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(
        list["manifests"][0]["digest"],
        index["manifests"][1]["digest"]
    );

    let copied = ["copy", "--src-tls-verify=false", &place, "oci:copied:1"];
    peer(&host, "skopeo", &copied);
    let pull = ["pull", "-q", "--tls-verify=false", &name];
    peer(&host, "podman", &pull);
    let shown = ["image", "inspect", "--format", "{{.Config.Cmd}}", &name];
    assert!(peer(&host, "podman", &shown).contains("cat /who"));
    host.run(&["rmi", "--all"]).success();
    host.run(&["pull", "-q", &name]).success();
    assert_eq!(host.run(&["run", &name]).success().stdout, "me\n");
}

#[test]
fn files_get_what_is_said_of_them_as_files() {
    let Some(host) = host() else { return };
    build(
        &host,
        &["-o", "type=local,dest=out", "-o", "type=tar,dest=out.tar"],
    );
    // Once more: the files are replaced.
    build(&host, &["-o", "type=local,dest=out"]);
    let out = host.scratch.path().join("out");
    let provenance = json(&out.join("provenance.json"));
    let subjects = provenance["subject"].as_array().unwrap();
    assert!(subjects.iter().any(|subject| subject["name"] == "who"));
    assert_eq!(
        json(&out.join("sbom.spdx.json"))["subject"],
        provenance["subject"]
    );
    let tar = fs::File::open(host.scratch.path().join("out.tar")).unwrap();
    let tree = rbuild_testkit::Tree::from_tar(tar).unwrap();
    assert!(tree.paths().contains(&"/sbom.spdx.json"));
    assert!(tree.paths().contains(&"/who"));

    host.build(
        "FROM alpine\nRUN echo > /provenance.json\n",
        &["--provenance", "-o", "out2"],
    )
    .failure()
    .saying("the image has a file of that name");
}

#[test]
fn what_nothing_can_carry_is_refused_before_anything_is_done() {
    let Some(host) = host() else { return };
    for outputs in [&[][..], &["-o", "type=docker,dest=x.tar"]] {
        host.build(
            "FROM nothing.invalid/x\n",
            &[&["--sbom", "-t", "it"], outputs].concat(),
        )
        .failure()
        .saying("no --output can have attestations");
    }
}
