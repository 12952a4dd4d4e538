//! Other people's tools accept what we make, and see in it what we see.

use std::{collections::BTreeMap, fs, path::Path};

use rbuild_testkit::{Base, Host, Need, Output, Registry, Tree, unpack};
use serde_json::{Value, json};

use crate::surroundings::{example, golang_host, host_with};

/// Every kind of change that a layer can carry.
const RICH: &str = "FROM alpine AS first\n\
    RUN mkdir -p /out/deep && echo built > /out/deep/file && chmod 2750 /out/deep && chown -R 5:6 /out\n\
    FROM alpine\n\
    ARG VERSION=1.2\n\
    LABEL version=$VERSION org.opencontainers.image.title=\"A title\"\n\
    ENV A=1 B=\"two words\" PATH=/opt/bin:$PATH\n\
    WORKDIR /srv/app\n\
    COPY --from=first /out /srv/out\n\
    COPY --chown=1:2 --chmod=4711 file program\n\
    RUN ln program hard && ln -s program soft && rm -r /home && mkfifo pipe && : > empty\n\
    EXPOSE 8080 53/udp\n\
    VOLUME [\"/data\", \"/more\"]\n\
    USER nobody\n\
    STOPSIGNAL SIGTERM\n\
    ENTRYPOINT [\"/bin/echo\"]\n\
    CMD [\"hello\"]\n";

#[track_caller]
fn build_rich(host: &Host, args: &[&str]) {
    host.scratch.file("ctx/file", "content\n").unwrap();
    host.build(RICH, &[&["-t", "rich:1"], args].concat())
        .success();
}

#[test]
fn skopeo_pulls_from_a_registry_and_umoci_unpacks_the_tree_that_we_export() {
    let needs = ["docker-registry", "skopeo", "umoci"].map(Need::Tool);
    let Some(host) = host_with(&needs) else {
        return;
    };
    let local = host.scratch.path().join("local");
    build_rich(&host, &[]);
    host.build(
        RICH,
        &["-o", &format!("type=local,dest={}", local.display())],
    )
    .success();
    let registry = Registry::start(&host).unwrap();
    let pulled = push_and_pull(&host, &registry, "rich:1");
    let expected = Tree::read(&host.account, &local).unwrap();
    assert_eq!(pulled.to_string(), expected.to_string());
    assert_eq!(pulled.0["/srv/out/deep"].owner, (5, 6));
    assert_eq!(pulled.0["/srv/app/program"].mode, 0o4711);
}

#[test]
fn the_multi_stage_image_survives_the_registry() {
    let Some(host) = golang_host() else { return };
    let Some(_) = host_with(&["docker-registry", "skopeo"].map(Need::Tool)) else {
        return;
    };
    let context = example(&host, "go-hello");
    let file = format!("{context}/Dockerfile.multi");
    host.run(&["bud", "-f", &file, "-t", "interop:multi", &context])
        .success();
    let registry = Registry::start(&host).unwrap();
    let pulled = push_and_pull(&host, &registry, "interop:multi");
    assert_eq!(pulled.to_string(), host.tree("interop:multi").to_string());
}

/// Pushes `image` with rbuild, pulls it with skopeo, unpacks it with umoci.
#[track_caller]
fn push_and_pull(host: &Host, registry: &Registry, image: &str) -> Tree {
    let remote = format!("docker://{}/test/{image}", registry.address());
    host.run(&["push", image, &remote, "--tls-verify=false"])
        .success();
    let layout = host.scratch.path().join("pulled");
    skopeo(
        host,
        &["copy", "--src-tls-verify=false", &remote, &oci(&layout)],
    );
    unpack(host, &layout, "it").unwrap()
}

fn oci(layout: &Path) -> String {
    format!("oci:{}:it", layout.display())
}

#[track_caller]
fn skopeo(host: &Host, args: &[&str]) -> String {
    let runtime = host.scratch.dir("runtime").unwrap();
    let mut command = host.account.command("skopeo");
    command.env("XDG_RUNTIME_DIR", runtime);
    Output::of_success(command.arg("--insecure-policy").args(args))
        .unwrap()
        .stdout
}

#[test]
fn what_is_pushed_to_a_registry_can_be_pulled_and_run_elsewhere() {
    let Some(host) = host_with(&[Need::Tool("docker-registry")]) else {
        return;
    };
    let Some(other) = host_with(&[]) else { return };
    build_rich(&host, &[]);
    let registry = Registry::start(&host).unwrap();
    let name = format!("{}/test/rich:1", registry.address());
    host.run(&[
        "push",
        "rich:1",
        &format!("docker://{name}"),
        "--tls-verify=false",
    ])
    .success();
    other.run(&["pull", &name, "--tls-verify=false"]).success();
    assert_eq!(other.run(&["run", &name]).success().stdout, "hello\n");
    let id = |host: &Host, name: &str| {
        let images = host.run(&["inspect", name]).success().stdout;
        serde_json::from_str::<Value>(&images).unwrap()[0]["Id"].clone()
    };
    assert_eq!(id(&host, "rich:1"), id(&other, &name));
}

#[test]
fn an_image_that_skopeo_pushed_is_a_base() {
    let Some(host) = host_with(&["docker-registry", "skopeo"].map(Need::Tool)) else {
        return;
    };
    let registry = Registry::start(&host).unwrap();
    let layout = host.push_to_layout("alpine");
    let name = format!("{}/library/base:2", registry.address());
    let remote = format!("docker://{name}");
    skopeo(
        &host,
        &["copy", "--dest-tls-verify=false", &oci(&layout), &remote],
    );
    host.run(&["pull", &name, "--tls-verify=false"]).success();
    host.build(&format!("FROM {name}\nRUN echo x > /x\n"), &["-t", "on-it"])
        .success();
    assert_eq!(
        host.run(&["run", "on-it", "cat", "/x"]).success().stdout,
        "x\n"
    );
}

#[test]
fn podman_accepts_the_image() {
    let Some(host) = host_with(&[Need::Tool("podman")]) else {
        return;
    };
    build_rich(&host, &[]);
    let layout = host.push_to_layout("rich:1");
    let id = peer(&host, "podman", &["pull", "--quiet", &oci(&layout)]);
    let inspected = peer(&host, "podman", &["image", "inspect", id.trim()]);
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected[0]["Config"]["Entrypoint"], json!(["/bin/echo"]));
}

/// Runs buildah or podman with a store of its own in the scratch directory.
#[track_caller]
fn peer(host: &Host, program: &str, args: &[&str]) -> String {
    let runtime = host.scratch.dir("runtime").unwrap();
    let mut command = host.account.command(program);
    command
        .current_dir(host.scratch.path())
        .env("XDG_RUNTIME_DIR", runtime)
        .args([
            "--root",
            "peer",
            "--runroot",
            "peer-run",
            "--storage-driver",
            "overlay",
        ])
        .args(args);
    Output::of_success(&mut command).unwrap().stdout
}

/// Fields that differ for a reason; docs/compat.md has the reasons.
const DOCUMENTED: &[&str] = &[
    "container",
    "container_config",
    "created",
    "docker_version",
    "history",
    "parent",
    "rootfs",
];

/// What OCI's configuration has no fields for: buildah keeps it in Docker's format only (M5).
const DOCKERS: &str = "HEALTHCHECK --interval=5s --retries=2 CMD [\"true\"]\n\
    SHELL [\"/bin/sh\", \"-ec\"]\n\
    ONBUILD RUN later\n";

#[test]
fn the_config_is_what_buildah_makes_of_the_same_dockerfile() {
    let Some(host) = host_with(&["buildah", "skopeo"].map(Need::Tool)) else {
        return;
    };
    host.scratch.file("ctx/file", "content\n").unwrap();
    let base = host.push_to_layout("alpine");
    let id = peer(&host, "buildah", &["pull", "--quiet", &oci(&base)]);
    let tag = ["tag", id.trim(), "localhost/alpine:latest"];
    peer(&host, "buildah", &tag);
    for (format, dockerfile) in [
        ("oci", RICH.to_owned()),
        ("docker", [RICH, DOCKERS].concat()),
    ] {
        let flags = ["--format", format, "-t", "rich:1"];
        host.build(&dockerfile, &flags).success();
        let ours = host.push_to_layout("rich:1");
        let args = ["bud", "--layers", "--isolation", "chroot", "--quiet"];
        let args = [&args[..], &flags, &["ctx"]].concat();
        peer(&host, "buildah", &args);
        let theirs = format!("dir:{}/{format}", host.scratch.path().display());
        peer(&host, "buildah", &["push", "--quiet", "rich:1", &theirs]);
        let (ours, theirs) = (config(&host, &oci(&ours)), config(&host, &theirs));
        assert_eq!(ours, theirs, "{format}");
    }
}

/// The config without what is documented to differ.
#[track_caller]
fn config(host: &Host, place: &str) -> Value {
    let text = skopeo(host, &["inspect", "--config", "--raw", place]);
    let mut config: Value = serde_json::from_str(&text).unwrap();
    let fields = config.as_object_mut().unwrap();
    fields.retain(|name, _| !DOCUMENTED.contains(&name.as_str()));
    let run = fields.get_mut("config").and_then(Value::as_object_mut);
    let run = run.unwrap();
    run.remove("Hostname");
    // Go writes what is not there in several ways.
    let empty = [Value::Null, json!(""), json!([]), json!({})];
    run.retain(|_, value| !empty.contains(value));
    let labels = run.get_mut("Labels");
    if let Some(labels) = labels.and_then(Value::as_object_mut) {
        labels.remove("io.buildah.version");
    }
    // buildah moves a variable that is set again to the end.
    if let Some(env) = config["config"]["Env"].as_array_mut() {
        env.sort_by_key(ToString::to_string);
    }
    config
}

#[test]
fn every_layer_has_its_history_entry() {
    let Some(host) = host_with(&[Need::Tool("skopeo")]) else {
        return;
    };
    build_rich(&host, &[]);
    let layout = host.push_to_layout("rich:1");
    let text = skopeo(&host, &["inspect", "--config", "--raw", &oci(&layout)]);
    let config: Value = serde_json::from_str(&text).unwrap();
    let history = config["history"].as_array().unwrap();
    let with_layer = history
        .iter()
        .filter(|entry| entry["empty_layer"] != true)
        .count();
    assert_eq!(
        Some(with_layer),
        config["rootfs"]["diff_ids"].as_array().map(Vec::len)
    );
}

/// All that the archive `path` says of each file: kind, mode, owner, content, time in seconds,
/// extended attributes, and which files are one.
fn members(path: &Path) -> BTreeMap<String, String> {
    let open = || fs::File::open(path).unwrap();
    let tree = Tree::from_tar(open()).unwrap();
    let mut said = BTreeMap::new();
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut archive = tar::Archive::new(open());
    for entry in archive.entries_with_seek().unwrap() {
        let mut entry = entry.unwrap();
        let clean = |path: &[u8]| {
            let path = String::from_utf8_lossy(path).into_owned();
            format!("/{}", path.trim_start_matches("./").trim_matches('/'))
        };
        let path = clean(&entry.path_bytes());
        let mut more = format!("{} ", entry.header().mtime().unwrap());
        for extension in entry.pax_extensions().unwrap().into_iter().flatten() {
            let (key, value) = extension
                .map(|it| (it.key_bytes(), it.value_bytes()))
                .unwrap();
            if key.starts_with(b"SCHILY.xattr.") {
                more += &format!("{} {value:?} ", String::from_utf8_lossy(key));
            }
        }
        let link = entry.link_name_bytes().map(|target| clean(&target));
        let first = match entry.header().entry_type().is_hard_link() {
            true => link.unwrap(),
            false => path.clone(),
        };
        files.entry(first).or_default().push(path.clone());
        said.insert(path, more);
    }
    for names in files.into_values() {
        let mut names = names;
        names.sort();
        for name in &names {
            *said.get_mut(name).unwrap() += &names.join(" = ");
        }
    }
    for (path, entry) in tree.0 {
        *said.entry(path).or_default() += &format!(" {entry:?}");
    }
    said
}

#[test]
fn a_real_distribution_survives_the_way_in_and_out() {
    let Some(host) = golang_host() else { return };
    let Some(_) = host_with(&[Need::Tool("docker-registry")]) else {
        return;
    };
    // A foreign layer that is unpacked and packed again has the same tree.
    let exported = host.scratch.path().join("exported.tar");
    let to = exported.to_str().unwrap();
    host.run(&["export", "golang", "-o", to]).success();
    let (ours, theirs) = (members(&exported), members(&Base::Golang.archive()));
    assert!(theirs.len() > 10_000, "it is a real one");
    let differing = |it: &&String| ours.get(*it) != theirs.get(*it) && *it != "/";
    let all = theirs.keys().chain(ours.keys());
    let differing: Vec<_> = all
        .filter(differing)
        .map(|it| (it, ours.get(it), theirs.get(it)))
        .collect();
    assert!(differing.is_empty(), "{differing:#?}");
    // What is pulled leaves as it came.
    let registry = Registry::start(&host).unwrap();
    let at = |tag: &str| format!("{}/golang:{tag}", registry.address());
    let digest = |file: &str| fs::read_to_string(host.scratch.path().join(file)).unwrap();
    let push = |image: &str, to: &str, file: &str| {
        let to = format!("docker://{to}");
        host.run(&["push", image, &to, "--digestfile", file])
            .success();
    };
    push("golang", &at("1"), "first");
    host.run(&["pull", "-q", &at("1")]).success();
    push(&at("1"), &at("2"), "second");
    assert_eq!(digest("first"), digest("second"));
    host.run(&["rmi", &at("1")]).success();
}

#[test]
fn the_root_directory_is_what_a_run_made_it_wherever_the_image_goes() {
    let Some(host) = host_with(&["docker-registry", "umoci"].map(Need::Tool)) else {
        return;
    };
    let dockerfile = "FROM alpine\nRUN chmod 1711 / && chown 5:6 /\nRUN echo a > /a\n";
    host.build(dockerfile, &["-t", "it"]).success();
    let seen = || {
        let stat = ["run", "it", "stat", "-c", "%a %u %g", "/"];
        assert_eq!(host.run(&stat).success().stdout, "1711 5 6\n");
    };
    seen();
    let root = |tree: Tree| tree.to_string().lines().next().map(str::to_owned);
    assert_eq!(root(host.tree("it")).as_deref(), Some("/ d 1711 5:6"));
    let registry = Registry::start(&host).unwrap();
    let place = format!("docker://{}/it:1", registry.address());
    let chunked = ["push", "--compression-format=zstd:chunked", "it", &place];
    host.run(&chunked).success();
    host.run(&["save", "-o", "it.tar", "it"]).success();
    for bring in [&["load", "-i", "it.tar"][..], &["pull", "-q", &place]] {
        host.run(&["rmi", "--all"]).success();
        let id = host.run(bring).success().stdout;
        let id = id.split_whitespace().last().unwrap().to_owned();
        host.run(&["tag", &id, "it"]).success();
        seen();
        host.run(&["store", "check"]).success();
    }
}

#[test]
fn the_root_directory_of_an_import_leaves_with_it() {
    let Some(host) = host_with(&[Need::Tool("umoci")]) else {
        return;
    };
    host.scratch.file("root/file", "").unwrap();
    let mut tar = host.account.command("tar");
    tar.args(["--owner=7:7", "--group=8:8", "--mode=0750", "-cf"]);
    tar.args(["root.tar", "-C", "root", "."]);
    Output::of_success(tar.current_dir(host.scratch.path())).unwrap();
    host.run(&["import", "root.tar", "imported"]).success();
    host.build(
        "FROM imported\nCOPY --from=alpine /bin/busybox /\n",
        &["-t", "it"],
    )
    .success();
    for image in ["imported", "it"] {
        let tree = host.tree(image).to_string();
        assert!(tree.starts_with("/ d 0750 7:8\n"), "{tree}");
    }
}
