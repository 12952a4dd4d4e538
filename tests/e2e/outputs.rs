//! Where a result can go besides the store.

use std::fs;

use rbuild_testkit::{
    Need, Output, Registry, Tree,
    fault_registry::{Access, FaultRegistry},
};
use serde_json::Value;

use crate::{
    archives::peer,
    surroundings::{host, host_with},
};

#[test]
fn quiet_prints_the_id_alone_and_iidfile_has_it_too() {
    let Some(host) = host() else { return };
    let output = host
        .build("FROM alpine\nRUN echo noise\n", &["-q", "--iidfile", "id"])
        .success();
    let id = fs::read_to_string(host.scratch.path().join("id")).unwrap();
    assert_eq!(
        id.trim_start_matches("sha256:").trim_end().len(),
        64,
        "{id}"
    );
    assert_eq!(
        output.stdout.trim_end().trim_start_matches("sha256:"),
        id.trim_end().trim_start_matches("sha256:")
    );
    assert!(!output.says("noise"), "{output}");
}

#[test]
fn a_directory_gets_the_files_of_the_result() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/a", "x\n").unwrap();
    let local = host.scratch.path().join("local");
    let dest = format!("type=local,dest={}", local.display());
    host.build("FROM scratch\nCOPY --chmod=600 a /d/a\n", &["-o", &dest])
        .success();
    let tree = Tree::read(&host.account, &local).unwrap();
    assert_eq!(tree.paths(), ["/", "/d", "/d/a"]);
}

#[test]
fn an_archive_is_one_that_skopeo_reads() {
    let Some(host) = host_with(&[Need::Tool("skopeo")]) else {
        return;
    };
    host.build("FROM alpine\nENV A=b\n", &["-o", "type=oci,dest=image.tar"])
        .success();
    let archive = format!("oci-archive:{}/image.tar", host.scratch.path().display());
    let mut skopeo = host.account.command("skopeo");
    let output = Output::of(skopeo.args(["inspect", "--config", &archive]))
        .unwrap()
        .success();
    assert!(output.stdout.contains("A=b"), "{output}");
}

#[test]
fn an_archive_can_be_written_after_a_run() {
    // A RUN must not leave the builder unable to start the threads that compress.
    let Some(host) = host() else { return };
    host.build(
        "FROM alpine\nRUN echo a > /a\n",
        &["-o", "type=oci,dest=image.tar"],
    )
    .success();
    assert!(host.scratch.path().join("image.tar").is_file());
}

#[test]
fn a_destination_that_cannot_be_written_is_named() {
    let Some(host) = host() else { return };
    for args in [
        ["-o", "type=oci,dest=/no/such/x.tar"],
        ["-o", "type=local,dest=/no/such/x"],
        ["--iidfile", "/no/such/x"],
    ] {
        host.build("FROM alpine\n", &args).failure().saying("/no");
    }
}

#[test]
fn squash_makes_one_layer_of_what_is_new() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine\nRUN echo a > /a\nRUN echo b > /b && rm /a\n";
    let layers = |args: &[&str]| {
        host.build(dockerfile, &[&["-t", "it"], args].concat())
            .success();
        let images = host.run(&["inspect", "it"]).success().stdout;
        let images: Value = serde_json::from_str(&images).unwrap();
        images[0]["RootFS"]["Layers"].as_array().unwrap().len()
    };
    assert_eq!((layers(&[]), layers(&["--squash"])), (3, 2));
    host.run(&["run", "it", "test", "-e", "/a"]).failure();
}

#[test]
fn the_dockerfile_may_be_outside_of_the_context() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/a", "x\n").unwrap();
    host.scratch
        .file("elsewhere/Dockerfile.other", "FROM alpine\nCOPY . /c\n")
        .unwrap();
    host.run(&["bud", "-f", "elsewhere/Dockerfile.other", "-t", "it", "ctx"])
        .success();
    assert_eq!(host.run(&["run", "it", "ls", "/c"]).success().stdout, "a\n");
}

#[test]
fn zstd_chunked_is_zstd_to_others_and_says_where_its_files_are() {
    let needs = ["docker-registry", "skopeo", "podman"].map(Need::Tool);
    let Some(host) = host_with(&needs) else {
        return;
    };
    host.build("FROM alpine\nRUN echo x > /x\nCMD cat /x\n", &["-t", "it"])
        .success();
    let registry = Registry::start(&host).unwrap();
    let name = format!("{}/chunked:1", registry.address());
    let place = format!("docker://{name}");
    let chunked = ["push", "--compression-format", "zstd:chunked"];
    host.run(&[&chunked[..], &["it", &place]].concat())
        .success();
    let inspect = ["inspect", "--raw", "--tls-verify=false", &place];
    let raw = || -> Value { serde_json::from_str(&peer(&host, "skopeo", &inspect)).unwrap() };
    let pushed = raw();
    for layer in pushed["layers"].as_array().unwrap() {
        let kind = "application/vnd.oci.image.layer.v1.tar+zstd";
        assert_eq!(layer["mediaType"], kind);
        let key = "io.github.containers.zstd-chunked.manifest-position";
        assert!(layer["annotations"][key].is_string(), "{layer}");
    }
    peer(
        &host,
        "podman",
        &["pull", "-q", "--tls-verify=false", &name],
    );
    let unpacked = peer(
        &host,
        "podman",
        &["image", "inspect", "--format", "{{.RootFS}}", &name],
    );
    peer(
        &host,
        "skopeo",
        &["copy", "--src-tls-verify=false", &place, "dir:copied"],
    );
    host.run(&["rmi", "--all"]).success();
    host.run(&["pull", "-q", &name]).success();
    assert_eq!(host.run(&["run", &name]).success().stdout, "x\n");
    assert!(!unpacked.is_empty());
    // What came so leaves so, though its manifest is written anew.
    let again = [
        "push",
        "--compression-format",
        "zstd:chunked",
        &name,
        &place,
    ];
    host.run(&again).success();
    assert_eq!(raw()["layers"], pushed["layers"]);
}

#[test]
fn programs_are_told_of_what_was_pushed_and_not_of_what_is_here() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/f", "file\n").unwrap();
    let registry = FaultRegistry::start(Access::Open, Vec::new());
    let name = format!("{}/team/app:1", registry.address());
    let output = format!("type=registry,name={name},compression=zstd");
    let two = "--platform=linux/arm64,linux/sparc64";
    for flags in [
        &["--push", "-t", &name][..],
        &["-t", "app", "-o", "type=oci,dest=a.tar", "-o", &output],
        &["-t", "app", "-o", &output, "--provenance=mode=min"],
        &["-t", "app", "-o", &output, two],
    ] {
        let told = ["--metadata-file", "m.json", "--digestfile", "digest"];
        let told = [&told[..], &["--iidfile", "id"], flags].concat();
        host.build("FROM scratch\nCOPY f /f\n", &told).success();
        let read = |file: &str| fs::read_to_string(host.scratch.path().join(file)).unwrap();
        let metadata: Value = serde_json::from_str(&read("m.json")).unwrap();
        let pushed = registry.manifest("team/app", "1").unwrap();
        let digest = registry.digest(pushed.as_bytes());
        assert_eq!(metadata["containerimage.digest"], digest, "{flags:?}");
        assert_eq!(read("digest"), digest);
        assert_eq!(metadata["image.name"], name);
        let descriptor = &metadata["containerimage.descriptor"];
        assert_eq!(descriptor["digest"], digest);
        assert_eq!(descriptor["size"], pushed.len());
        let pushed: Value = serde_json::from_str(&pushed).unwrap();
        assert_eq!(descriptor["mediaType"], pushed["mediaType"]);
        // The id is that of the configuration, wherever the image is.
        let config = &metadata["containerimage.config.digest"];
        match flags.contains(&two) {
            true => assert!(config.is_null()),
            false => assert_eq!(*config, read("id")),
        }
        if pushed["config"].is_object() {
            assert_eq!(*config, pushed["config"]["digest"]);
        }
    }
}
