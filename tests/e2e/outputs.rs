//! Where a result can go besides the store.

use std::fs;

use rbuild_testkit::{
    Base, Need, Output, Registry, Tree,
    fault_registry::{Access, FaultRegistry},
};
use serde_json::Value;

use crate::{
    archives::peer,
    manifests::platforms,
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
fn where_only_files_are_asked_for_no_image_is_made() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine\nRUN echo a > /a && rm /bin/sh\n";
    let images = || host.run(&["images", "-q"]).success().stdout;
    let before = images();
    for output in ["out", "type=local,dest=out2", "type=tar,dest=out.tar"] {
        let said = host.build(dockerfile, &["-o", output]).success();
        assert_eq!(said.stdout, "", "{output}");
    }
    assert_eq!(images(), before);
    let out = host.scratch.path().join("out");
    assert_eq!(fs::read_to_string(out.join("a")).unwrap(), "a\n");
    assert!(out.join("bin/busybox").exists() && fs::symlink_metadata(out.join("bin/sh")).is_err());
    let [read, tar] = [out, host.scratch.path().join("out.tar")];
    let tar = Tree::from_tar(fs::File::open(tar).unwrap()).unwrap();
    let read = Tree::read(&host.account, &read).unwrap();
    assert_eq!(read.paths(), tar.paths());
    // Each of these asks for one.
    for flag in [&["--load"][..], &["-t", "it"], &["--iidfile", "id"]] {
        host.build(dockerfile, &[flag, &["-o", "out"]].concat())
            .success();
        assert_ne!(images(), before, "{flag:?}");
        host.run(&["rmi", "--all"]).success();
        host.import(Base::Busybox);
    }
}

#[test]
fn annotations_reach_single_manifests_and_what_layouts_list() {
    let Some(host) = host_with(&[Need::Tool("skopeo")]) else {
        return;
    };
    let dockerfile = "FROM scratch\nARG TARGETARCH\nLABEL for=$TARGETARCH\n";
    let listed = |layout: &str| {
        let path = host.scratch.path().join(layout).join("index.json");
        let index = json(&fs::read_to_string(path).unwrap());
        index["manifests"][0].clone()
    };
    let blob = |layout: &str, descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap().replace(':', "/");
        let path = host.scratch.path().join(layout).join("blobs").join(digest);
        json(&fs::read_to_string(path).unwrap())
    };
    let flags = [
        "--platform=linux/amd64,linux/arm64",
        "--annotation=manifest[linux/arm64]:a=arm",
        "--annotation=manifest[linux/amd64],manifest-descriptor[linux/amd64]:a=amd",
        "--annotation=index-descriptor:b=listed",
    ];
    let output = "type=oci,tar=false,dest=several,name=1,annotation-index-descriptor.c=own";
    let args = [&flags[..], &["-t", "it", "-o", output]].concat();
    host.build(dockerfile, &args).success();
    let entry = listed("several");
    let said = &entry["annotations"];
    assert_eq!((&said["b"], &said["c"]), (&"listed".into(), &"own".into()));
    assert_eq!(said["org.opencontainers.image.ref.name"], "1");
    let index = blob("several", &entry);
    assert!(index["annotations"].is_null());
    for (number, a, of_entry) in [(0, "amd", "amd".into()), (1, "arm", Value::Null)] {
        let entry = &index["manifests"][number];
        assert_eq!(entry["annotations"]["a"], of_entry);
        assert_eq!(blob("several", entry)["annotations"]["a"], a);
    }
    // A list in the store has places for them too.
    let list = [
        "--manifest=list",
        "--annotation=index,manifest-descriptor:f=g",
    ];
    host.build(dockerfile, &list).success();
    let list = json(&host.run(&["manifest", "inspect", "list"]).success().stdout);
    assert_eq!(list["annotations"]["f"], "g");
    assert_eq!(list["manifests"][0]["annotations"]["f"], "g");
    let output = "type=oci,tar=false,dest=one,annotation-manifest-descriptor.d=entry";
    let one = [
        "--annotation=manifest-descriptor:e=flag",
        "-t",
        "one",
        "-o",
        output,
    ];
    host.build(dockerfile, &one).success();
    let said = listed("one")["annotations"].take();
    assert_eq!((&said["d"], &said["e"]), (&"entry".into(), &"flag".into()));
    let raw = peer(&host, "skopeo", &["inspect", "--raw", "oci:one"]);
    assert!(json(&raw)["layers"].is_array());
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn an_output_says_what_is_asked_of_manifest_entry_and_index() {
    let Some(host) = host_with(&[Need::Tool("skopeo")]) else {
        return;
    };
    let words = "annotation.a=all,annotation[linux/arm64].b=arm,annotation-manifest-descriptor.c=entry,\
                 annotation-index.d=index";
    let raw = |place: &str| json(&peer(&host, "skopeo", &["inspect", "--raw", place]));
    let dockerfile = "FROM scratch\nLABEL k=v\n";
    let platforms = ["--platform=linux/amd64,linux/arm64"];
    let layout = format!("type=oci,tar=false,dest=several,name=1,{words}");
    let archive = format!("type=oci,dest=several.tar,{words}");
    let args = [&platforms[..], &["-t", "it", "-o", &layout, "-o", &archive]].concat();
    host.build(dockerfile, &args).success();
    let index = raw("oci:several:1");
    assert_eq!(index["annotations"]["d"], "index");
    assert_eq!(raw("oci-archive:several.tar"), index);
    for (number, b) in [Value::Null, "arm".into()].into_iter().enumerate() {
        let entry = &index["manifests"][number];
        assert_eq!(entry["annotations"]["c"], "entry");
        let digest = entry["digest"].as_str().unwrap().replace(':', "/");
        let manifest = host.scratch.path().join("several/blobs").join(digest);
        let manifest = json(&fs::read_to_string(manifest).unwrap());
        assert_eq!(manifest["annotations"]["a"], "all");
        assert_eq!(manifest["annotations"]["b"], b);
    }
    // What only goes elsewhere is not said here.
    let listed = host.run(&["manifest", "inspect", "it"]).success().stdout;
    assert!(!listed.contains("index\""), "{listed}");
    let flags = [
        "--annotation=index,manifest:e=both",
        "--annotation=manifest-descriptor[linux/arm64]:f=arm",
    ];
    let output = "type=oci,tar=false,dest=flags,name=1,annotation-index.e=own";
    let args = [&platforms[..], &flags, &["-t", "flags", "-o", output]].concat();
    host.build(dockerfile, &args).success();
    let here = host.run(&["manifest", "inspect", "flags"]).success().stdout;
    for (document, e) in [(raw("oci:flags:1"), "own"), (json(&here), "both")] {
        assert_eq!(document["annotations"]["e"], e);
        assert!(document["manifests"][0]["annotations"]["f"].is_null());
        assert_eq!(document["manifests"][1]["annotations"]["f"], "arm");
    }
    let one = ["-o", "type=image,name=one,annotation.a=here"];
    host.build(dockerfile, &one).success();
    let said = ["inspect", "--format", "{{index .Annotations \"a\"}}", "one"];
    assert_eq!(host.run(&said).success().stdout, "here\n");
    for (args, why) in [
        (&["-o", &layout][..], "there will be no index"),
        (&["--annotation=index:a=b"], "there will be no `index`"),
        (
            &["--annotation=manifest[linux/s390x]:a=b"],
            "nothing is built for linux/s390x",
        ),
        (
            &["-o", "type=oci,dest=x.tar,annotation[linux/s390x].a=b"],
            "nothing is built for linux/s390x",
        ),
        (
            &[
                platforms[0],
                "-o",
                "type=image,name=x,annotation-index-descriptor.a=b",
            ],
            "only type=oci",
        ),
        (
            &[platforms[0], "-t", "x", "--annotation=index-descriptor:a=b"],
            "there will be no `index-descriptor`",
        ),
        (
            &[
                "--format=docker",
                "-o",
                "type=registry,name=a.test/b,annotation.a=b",
            ],
            "docker's format has none",
        ),
    ] {
        host.build(dockerfile, args).failure().saying(why);
    }
}

#[test]
fn images_that_are_pushed_by_digest_are_put_together_later() {
    let Some(host) = host_with(&["docker-registry", "skopeo"].map(Need::Tool)) else {
        return;
    };
    let registry = Registry::start(&host).unwrap();
    let name = format!("{}/team/app", registry.address());
    let output =
        format!("type=image,name={name},push-by-digest=true,name-canonical=true,push=true");
    let mut digests = Vec::new();
    for platform in ["linux/amd64", "linux/arm64"] {
        let args = [
            "--platform",
            platform,
            "-o",
            &output,
            "--digestfile",
            "digest",
        ];
        host.build(
            "FROM scratch\nARG TARGETARCH\nLABEL for=$TARGETARCH\n",
            &args,
        )
        .success();
        let digest = fs::read_to_string(host.scratch.path().join("digest")).unwrap();
        digests.push(format!("docker://{name}@{digest}"));
    }
    let tags = [
        "list-tags",
        "--tls-verify=false",
        &format!("docker://{name}"),
    ];
    let mut skopeo = host.account.command("skopeo");
    let listed = Output::of(skopeo.args(tags)).unwrap();
    assert!(!listed.says("latest"), "{listed}");
    let create = ["manifest", "create", "app", &digests[0], &digests[1]];
    host.run(&create).success();
    let place = format!("docker://{name}:1");
    host.run(&["manifest", "push", "app", &place]).success();
    let raw = ["inspect", "--raw", "--tls-verify=false", &place];
    let index = json(&peer(&host, "skopeo", &raw));
    assert_eq!(platforms(&index), "linux/amd64 linux/arm64");
    // A look at what is there needs no store.
    let seen = host.run(&["manifest", "inspect", &place]).success().stdout;
    assert_eq!(json(&seen), index);
}

#[test]
fn the_same_image_goes_out_in_each_compression_that_is_asked_for() {
    let Some(host) = host_with(&[Need::Tool("skopeo")]) else {
        return;
    };
    let table = [
        ("1", "compression=uncompressed", "tar"),
        ("2", "compression=gzip,compression-level=9", "tar+gzip"),
        ("3", "compression=zstd", "tar+zstd"),
        (
            "4",
            "compression=zstd:chunked,force-compression=true",
            "tar+zstd",
        ),
    ];
    let output = |(tag, words, _)| format!("type=oci,tar=false,dest=it,name={tag},{words}");
    let outputs = table.map(output);
    let args: Vec<&str> = outputs.iter().flat_map(|output| ["-o", output]).collect();
    host.build("FROM alpine\nRUN echo a > /a\n", &args)
        .success();
    for (tag, words, kind) in table {
        let place = format!("oci:it:{tag}");
        let manifest = json(&peer(&host, "skopeo", &["inspect", "--raw", &place]));
        for layer in manifest["layers"].as_array().unwrap() {
            let expected = format!("application/vnd.oci.image.layer.v1.{kind}");
            assert_eq!(layer["mediaType"], expected, "{words}");
        }
    }
}

#[test]
fn times_are_rewritten_for_all_outputs_or_for_none() {
    let Some(host) = host() else { return };
    let build = |flags: &[&str]| {
        let dockerfile = "FROM scratch\nCOPY file /\n";
        host.scratch.file("ctx/file", "x").unwrap();
        let epoch = ["--source-date-epoch=1", "-o", "type=oci,dest=a.tar"];
        host.build(dockerfile, &[&epoch, flags].concat())
    };
    let rewritten = build(&[]).success().stdout;
    let said = ["-o", "type=oci,dest=b.tar,rewrite-timestamp=true"];
    assert_eq!(build(&said).success().stdout, rewritten);
    let not = ["-o", "type=oci,dest=b.tar,rewrite-timestamp=false"];
    assert_ne!(build(&not).success().stdout, rewritten);
    build(&[&said[..], &not].concat())
        .failure()
        .saying("true and false");
    build(&[&not[..], &["--rewrite-timestamp"]].concat())
        .failure()
        .saying("true and false");
}

#[test]
fn a_tag_may_be_a_place_that_gets_the_result() {
    let Some(host) = host_with(&["docker-registry", "skopeo"].map(Need::Tool)) else {
        return;
    };
    let registry = Registry::start(&host).unwrap();
    let remote = format!("docker://{}/team/app:1", registry.address());
    let places = [
        "oci:layout:it",
        "oci-archive:it.oci:it",
        "docker-archive:it.docker:localhost/it:1",
        "dir:it.dir",
        &remote,
    ];
    let dockerfile = "FROM alpine\nRUN echo a > /a\n";
    let tags: Vec<&str> = places.iter().flat_map(|place| ["-t", place]).collect();
    let id = host.build(dockerfile, &[&tags[..], &["-t", "it"]].concat());
    let id = id.success().stdout;
    for place in places {
        let inspect = ["inspect", "--tls-verify=false", "--config", "--raw", place];
        assert!(
            peer(&host, "skopeo", &inspect).contains("echo a > /a"),
            "{place}"
        );
        let pulled = host.run(&["pull", "-q", place]).success().stdout;
        assert_eq!(pulled, id, "{place}");
    }
    host.run(&["exists", "it"]).success();
    let several = ["--platform=linux/amd64,linux/arm64", "-t", "oci:several:1"];
    host.build("FROM scratch\nLABEL a=b\n", &several).success();
    let index = json(&peer(
        &host,
        "skopeo",
        &["inspect", "--raw", "oci:several:1"],
    ));
    assert_eq!(platforms(&index), "linux/amd64 linux/arm64");
    for (tag, why) in [
        (
            "containers-storage:it",
            "rbuild push NAME containers-storage:",
        ),
        ("docker-archive:several.tar", "one platform"),
    ] {
        host.build(
            "FROM scratch\nLABEL a=b\n",
            &[&several[..1], &["-t", tag]].concat(),
        )
        .failure()
        .saying(why);
    }
    let no_push = ["--no-push", "-t", &remote];
    host.build(dockerfile, &no_push)
        .failure()
        .saying("--no-push");
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
