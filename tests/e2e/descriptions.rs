//! How an image is written down: format, annotations, times, history. cli.md 2.1, 2.4, 2.8.

use std::fs;

use rbuild_testkit::{Host, Need, Output, Registry};
use serde_json::{Value, json};

use crate::surroundings::{host, host_with};

const DOCKERFILE: &str = "FROM alpine\nLABEL from=file\nRUN echo x > /x\n\
    HEALTHCHECK --interval=5s CMD true\nSHELL [\"/bin/sh\", \"-ec\"]\nONBUILD RUN true\n";

/// Builds with these flags; what `rbuild inspect` says of the image.
#[track_caller]
fn built(host: &Host, flags: &[&str]) -> Value {
    let args = [&["-t", "it"], flags].concat();
    host.build(DOCKERFILE, &args).success();
    inspected(host, "it")
}

#[track_caller]
fn inspected(host: &Host, image: &str) -> Value {
    let text = host.run(&["inspect", image]).success().stdout;
    let images: Value = serde_json::from_str(&text).unwrap();
    images[0].clone()
}

#[track_caller]
fn peer(host: &Host, program: &str, args: &[&str]) -> String {
    let runtime = host.scratch.dir("runtime").unwrap();
    let mut command = host.account.command(program);
    command
        .current_dir(host.scratch.path())
        .env("XDG_RUNTIME_DIR", runtime);
    Output::of_success(command.args(args)).unwrap().stdout
}

#[track_caller]
fn skopeo(host: &Host, args: &[&str]) -> Value {
    let text = peer(host, "skopeo", args);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn an_image_in_dockers_format_stays_so_in_a_registry_and_on_the_way_back() {
    let needs = ["docker-registry", "skopeo", "podman"].map(Need::Tool);
    let (Some(host), Some(other)) = (host_with(&needs), host()) else {
        return;
    };
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    assert_eq!(
        built(&host, &["--format", "docker"])["ManifestType"],
        docker
    );
    let registry = Registry::start(&host).unwrap();
    let name = format!("{}/test/it:1", registry.address());
    let remote = format!("docker://{name}");
    host.run(&["push", "it", &remote, "--tls-verify=false"])
        .success();
    let raw = skopeo(&host, &["inspect", "--raw", "--tls-verify=false", &remote]);
    assert_eq!(raw["mediaType"], docker);
    assert_eq!(raw.get("annotations"), None);
    for layer in raw["layers"].as_array().unwrap() {
        let gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
        assert_eq!(layer["mediaType"], gzip);
    }
    other.run(&["pull", &name, "--tls-verify=false"]).success();
    let pulled = inspected(&other, &name);
    assert_eq!(pulled["ManifestType"], docker);
    assert_eq!(pulled["Id"], inspected(&host, "it")["Id"]);
    let podman = [
        "--root",
        "peer",
        "--runroot",
        "peer-run",
        "--storage-driver",
        "overlay",
    ];
    let pull = ["pull", "--quiet", "--tls-verify=false", name.as_str()];
    let id = peer(&host, "podman", &[&podman[..], &pull].concat());
    let inspect = ["image", "inspect", id.trim()];
    let seen = peer(&host, "podman", &[&podman[..], &inspect].concat());
    let seen: Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen[0]["ManifestType"], docker);
    assert_eq!(seen[0]["Healthcheck"]["Test"], json!(["CMD-SHELL", "true"]));
}

#[test]
fn a_layout_is_one_that_skopeo_reads_whatever_the_format() {
    let Some(host) = host_with(&[Need::Tool("skopeo")]) else {
        return;
    };
    for format in ["oci", "docker", "v2s2"] {
        built(&host, &["--format", format, "-o", "type=oci,dest=a.tar"]);
        let layout = format!("oci:{}:it", host.push_to_layout("it").display());
        for place in [layout.as_str(), "oci-archive:a.tar"] {
            let config = skopeo(&host, &["inspect", "--config", "--raw", place]);
            // M5: kept in OCI's configuration too.
            assert_eq!(
                config["config"]["Healthcheck"]["Interval"],
                5_000_000_000_u64
            );
            assert_eq!(config["config"]["Shell"], json!(["/bin/sh", "-ec"]));
            assert_eq!(config["config"]["OnBuild"], json!(["RUN true"]));
            let is_docker = config.get("docker_version").is_some();
            assert_eq!(is_docker, format != "oci", "{format}");
        }
    }
}

#[test]
fn annotations_are_those_of_the_base_the_user_and_rbuild() {
    let Some(host) = host() else { return };
    let domain = "org.opencontainers.image";
    host.build(
        "FROM alpine\nLABEL base=1 of=base\n",
        &["-t", "base", "--annotation", "a=1", "--annotation", "b=1"],
    )
    .success();
    let on_base = |flags: &[&str]| {
        let args = [&["-t", "it", "--annotation", "a=2"], flags].concat();
        host.build("FROM base\nLABEL of=it\n", &args).success();
        inspected(&host, "it")
    };
    let it = on_base(&[]);
    let said = &it["Annotations"];
    assert_eq!((&said["a"], &said["b"]), (&json!("2"), &json!("1")));
    assert_eq!(said[format!("{domain}.base.name")], "localhost/base:latest");
    let digest = &inspected(&host, "base")["Digest"];
    assert_eq!(&said[format!("{domain}.base.digest")], digest);
    assert_eq!(said[format!("{domain}.created")], it["Created"]);
    assert_eq!(it["Labels"], json!({"base": "1", "of": "it"}));

    let nothing = [
        "--inherit-annotations=false",
        "--inherit-labels=false",
        "--created-annotation=false",
        "--unsetannotation",
        &format!("{domain}.base.name"),
        "--unsetannotation",
        &format!("{domain}.base.digest"),
    ];
    let it = on_base(&nothing);
    assert_eq!(it["Annotations"], json!({"a": "2"}));
    assert_eq!(it["Labels"], json!({"of": "it"}));
}

#[test]
fn the_builder_names_itself_only_when_asked_g4() {
    let Some(host) = host() else { return };
    let label = |flags: &[&str]| built(&host, flags)["Labels"]["io.rbuild.version"].clone();
    assert_eq!(label(&[]), Value::Null);
    assert_eq!(label(&["--identity-label=false"]), Value::Null);
    assert!(label(&["--identity-label"]).is_string());
}

#[test]
fn a_history_can_be_omitted_g3() {
    let Some(host) = host() else { return };
    let it = built(&host, &["--omit-history"]);
    assert_eq!(it["History"], json!([]));
    assert_eq!(it["RootFS"]["Layers"].as_array().map(Vec::len), Some(2));
    // What is built on it has as many entries as layers again.
    host.build("FROM it\nRUN echo z > /z\n", &["-t", "on-it"])
        .success();
    let history = inspected(&host, "on-it")["History"].clone();
    let full = |entry: &&Value| entry["empty_layer"] != true;
    assert_eq!(history.as_array().unwrap().iter().filter(full).count(), 3);
}

#[test]
fn times_are_set_clamped_or_kept() {
    let Some(host) = host_with(&[Need::Tool("umoci")]) else {
        return;
    };
    let dockerfile = "FROM alpine\nRUN touch -d @100 /old && touch -d @2000000000 /new\n";
    let seen = |flags: &[&str]| {
        host.build(dockerfile, &[&["-t", "it"], flags].concat())
            .success();
        let created = inspected(&host, "it")["Created"].clone();
        let stat = ["run", "fresh", "stat", "-c", "%Y", "/old", "/new"];
        let layout = host.push_to_layout("it");
        host.run(&["pull", &format!("oci:{}:it", layout.display())])
            .success();
        let copy = format!("FROM oci:{}:it\n", layout.display());
        host.build(&copy, &["-t", "fresh"]).success();
        let times = host.run(&stat).success().stdout;
        format!("{} {}", created.as_str().unwrap(), times.replace('\n', " "))
    };
    let at_1000 = "1970-01-01T00:16:40Z";
    assert_eq!(
        seen(&["--timestamp", "1000"]),
        format!("{at_1000} 1000 1000 ")
    );
    assert_eq!(
        seen(&["--source-date-epoch", "1000"]),
        format!("{at_1000} 100 1000 ")
    );
    assert_eq!(
        seen(&["--source-date-epoch=1000", "--rewrite-timestamp=false"]),
        format!("{at_1000} 100 2000000000 ")
    );
}

#[test]
fn the_time_is_an_arg_for_those_who_ask() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine\nRUN echo none$SOURCE_DATE_EPOCH > /a\n\
        ARG SOURCE_DATE_EPOCH\nRUN echo $SOURCE_DATE_EPOCH > /b\n";
    for flag in ["--timestamp", "--source-date-epoch"] {
        host.build(dockerfile, &["-t", "it", flag, "1000"])
            .success();
        let said = host.run(&["run", "it", "cat", "/a", "/b"]).success().stdout;
        assert_eq!(said, "none\n1000\n");
    }
}

#[test]
fn metadata_is_what_buildx_writes() {
    let Some(host) = host() else { return };
    let it = built(&host, &["-t", "also:2", "--metadata-file", "m.json"]);
    let text = fs::read_to_string(host.scratch.path().join("m.json")).unwrap();
    let metadata: Value = serde_json::from_str(&text).unwrap();
    let id = format!("sha256:{}", it["Id"].as_str().unwrap());
    assert_eq!(metadata["containerimage.config.digest"], id);
    assert_eq!(metadata["containerimage.digest"], it["Digest"]);
    assert_eq!(
        metadata["containerimage.descriptor"]["digest"],
        it["Digest"]
    );
    let names = "localhost/it:latest,localhost/also:2";
    assert_eq!(metadata["image.name"], names);
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    let Some(host) = host() else { return };
    for (flags, said) in [
        (
            &["--format", "docker", "--annotation", "a=b"][..],
            "docker's format",
        ),
        (&["--annotation", "index:a=b"], "`index`"),
        (&["--rewrite-timestamp"], "--source-date-epoch"),
        (
            &["--timestamp=1", "--source-date-epoch=1"],
            "cannot be used with",
        ),
        (&["--format", "dcoker"], "docker"),
        (&["--timestamp", "noon"], "noon"),
    ] {
        host.build("FROM alpine\n", flags).failure().saying(said);
    }
}
