//! Images as files: what we write others read, what others write we read, in every format.

use std::{fs, process::Command};

use rbuild_testkit::{Host, Need, Output, Registry, unpack};
use serde_json::Value;

use crate::surroundings::{host, host_with};

pub const DOCKERFILE: &str = "FROM alpine\n\
    RUN mkdir -p /data/deep && echo built > /data/deep/file && chmod 2750 /data/deep && chown -R 5:6 /data\n\
    RUN rm -r /home && ln -s deep /data/link\n\
    ENV A=b\n\
    LABEL kind=test\n\
    CMD [\"cat\", \"/data/deep/file\"]\n";

/// A host that has built `it:1`.
pub fn built(tools: &[&'static str]) -> Option<Host> {
    let needs: Vec<Need> = tools.iter().map(|tool| Need::Tool(tool)).collect();
    let host = host_with(&needs)?;
    host.build(DOCKERFILE, &["-t", "it:1"]).success();
    Some(host)
}

#[track_caller]
fn inspect(host: &Host, image: &str, template: &str) -> String {
    let output = host.run(&["inspect", "--format", template, image]);
    output.success().stdout.trim_end().to_owned()
}

#[track_caller]
fn id(host: &Host, image: &str) -> String {
    inspect(host, image, "{{.Id}}")
}

/// Runs skopeo, podman or buildah with a store of its own.
#[track_caller]
pub fn peer(host: &Host, program: &str, args: &[&str]) -> String {
    let runtime = host.scratch.dir("runtime").unwrap();
    let mut command = host.account.command(program);
    command
        .current_dir(host.scratch.path())
        .env("XDG_RUNTIME_DIR", runtime);
    match program {
        "skopeo" => command.arg("--insecure-policy"),
        _ => command.args([
            "--root",
            "peer",
            "--runroot",
            "peer-run",
            "--storage-driver",
            "overlay",
        ]),
    };
    Output::of_success(command.args(args)).unwrap().stdout
}

const FORMATS: [(&str, &str); 4] = [
    ("docker-archive", "docker-archive"),
    ("oci-archive", "oci-archive"),
    ("oci-dir", "oci"),
    ("docker-dir", "dir"),
];

#[test]
fn what_is_saved_is_loaded_and_is_the_same_image() {
    let Some(host) = built(&[]) else { return };
    let expected = id(&host, "it:1");
    for (format, _) in FORMATS {
        let Some(other) = host_with(&[]) else { return };
        let file = host.scratch.path().join(format);
        let file = file.to_str().unwrap();
        host.run(&["save", "--format", format, "-o", file, "it:1"])
            .success();
        let output = other.run(&["load", "-i", file]).success();
        let name = match format {
            "docker-dir" => format!("sha256:{expected}"),
            _ => "localhost/it:1".to_owned(),
        };
        assert_eq!(output.stdout, format!("Loaded image: {name}\n"), "{format}");
        assert_eq!(id(&other, &expected), expected, "{format}");
        let run = other.run(&["run", &expected]).success();
        assert_eq!(run.stdout, "built\n", "{format}");
        // And out again: the bytes of the layers are those that came.
        other
            .run(&["save", "--format", "oci-dir", "-o", "again", &expected])
            .success();
    }
}

#[test]
fn skopeo_reads_every_format_that_is_saved() {
    let Some(host) = built(&["skopeo", "umoci"]) else {
        return;
    };
    let expected = host.tree("it:1").to_string();
    for (format, transport) in FORMATS {
        host.run(&["save", "--format", format, "-o", format, "it:1"])
            .success();
        let layout = format!("{format}.layout");
        peer(
            &host,
            "skopeo",
            &[
                "copy",
                &format!("{transport}:{format}"),
                &format!("oci:{layout}:it"),
            ],
        );
        let tree = unpack(&host, &host.scratch.path().join(layout), "it").unwrap();
        assert_eq!(tree.to_string(), expected, "{format}");
    }
}

#[test]
fn every_format_that_skopeo_writes_is_pulled_and_is_a_base() {
    let Some(host) = built(&["skopeo"]) else {
        return;
    };
    let layout = host.push_to_layout("it:1");
    let source = format!("oci:{}:it", layout.display());
    for place in [
        "oci-archive:a.oci:localhost/it:1",
        "docker-archive:a.docker:localhost/it:1",
        "dir:a.dir",
        "oci:a.layout:some",
    ] {
        peer(&host, "skopeo", &["copy", &source, place]);
        let output = host.run(&["pull", "-q", place]).success();
        let pulled = output.stdout.trim_end().to_owned();
        let run = host.run(&["run", &pulled]).success();
        assert_eq!(run.stdout, "built\n", "{place}");
        let file = format!("FROM {place}\nRUN test -e /data/deep/file && echo on-it > /x\n");
        host.build(&file, &["-t", "on-it"]).success();
    }
}

#[test]
fn podman_loads_what_is_saved_and_its_archives_are_loaded() {
    let Some(host) = built(&["podman"]) else {
        return;
    };
    let expected = id(&host, "it:1");
    for format in ["docker-archive", "oci-archive"] {
        host.run(&["save", "--format", format, "-o", "ours.tar", "it:1"])
            .success();
        let said = peer(&host, "podman", &["load", "-q", "-i", "ours.tar"]);
        assert!(said.contains("localhost/it:1"), "{said}");
        let theirs = format!("{format}.theirs");
        let args = ["save", "-q", "--format", format, "-o", &theirs, "it:1"];
        peer(&host, "podman", &args);
        let Some(other) = host_with(&[]) else { return };
        let theirs = host.scratch.path().join(theirs);
        let output = other.run(&["load", "-q", "-i", theirs.to_str().unwrap()]);
        assert_eq!(output.success().stdout, "localhost/it:1\n", "{format}");
        assert_eq!(id(&other, "it:1"), expected, "{format}");
        let run = other.run(&["run", "it:1"]).success();
        assert_eq!(run.stdout, "built\n", "{format}");
        peer(&host, "podman", &["rmi", "-f", "it:1"]);
    }
}

#[test]
fn archives_go_through_pipes_and_compressors() {
    let Some(host) = built(&["gzip", "zstd"]) else {
        return;
    };
    let Some(other) = host_with(&[]) else { return };
    for compressor in ["cat", "gzip", "zstd"] {
        let script = format!(
            "{} | {compressor} | {}",
            shell(&host.rbuild(&["save", "it:1"])),
            shell(&other.rbuild(&["load"]))
        );
        let mut command = host.account.command("sh");
        let output = Output::of(
            command
                .args(["-c", &script])
                .current_dir(other.scratch.path()),
        );
        assert_eq!(
            output.unwrap().success().stdout,
            "Loaded image: localhost/it:1\n"
        );
        other.run(&["rmi", "it:1"]).success();
    }
}

pub fn shell(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
    words.join(" ")
}

#[test]
fn several_images_are_in_one_archive_if_asked_for() {
    let Some(host) = built(&[]) else { return };
    host.run(&["tag", "it:1", "it:2"]).success();
    host.run(&["save", "-o", "x.tar", "it:1", "alpine"])
        .failure()
        .saying("hint: -m");
    assert!(!host.scratch.path().join("x.tar").exists());
    for format in ["docker-archive", "oci-archive"] {
        let Some(other) = host_with(&[]) else { return };
        other.run(&["rmi", "alpine"]).success();
        let file = host.scratch.path().join(format);
        let file = file.to_str().unwrap();
        let args = ["save", "-m", "--format", format, "-o", file];
        host.run(&[&args[..], &["it:1", "alpine", "it:2"]].concat())
            .success();
        let output = other.run(&["load", "-q", "-i", file]).success();
        let mut names: Vec<&str> = output.stdout.lines().collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "localhost/alpine:latest",
                "localhost/it:1",
                "localhost/it:2"
            ]
        );
        assert_eq!(id(&other, "it:2"), id(&host, "it:1"));
    }
}

#[test]
fn a_root_file_system_is_not_an_archive_of_images() {
    let Some(host) = built(&[]) else { return };
    host.run(&["export", "it:1", "-o", "files.tar"]).success();
    host.run(&["load", "-i", "files.tar"])
        .failure()
        .saying("hint: `rbuild import files.tar NAME`");
    host.run(&["import", "files.tar", "again"]).success();
    let run = host.run(&["run", "again", "cat", "/data/link/file"]);
    assert_eq!(run.success().stdout, "built\n");
    host.run(&["run", "again", "test", "-e", "/home"]).failure();
}

#[test]
fn digests_pin_what_is_pulled_and_pushed() {
    let Some(host) = built(&["docker-registry"]) else {
        return;
    };
    let registry = Registry::start(&host).unwrap();
    let name = format!("{}/it", registry.address());
    let push = [
        "push",
        "it:1",
        &format!("docker://{name}:1"),
        "--digestfile",
        "digest",
    ];
    host.run(&push).success();
    let digest = fs::read_to_string(host.scratch.path().join("digest")).unwrap();
    host.run(&["pull", &format!("{name}@{digest}")]).success();
    let wrong = format!("sha256:{}", "0".repeat(64));
    host.run(&["pull", &format!("{name}@{wrong}")]).failure();
    host.run(&["push", "it:1", &format!("docker://{name}@{wrong}")])
        .failure()
        .saying("says another digest");
    let layout = host.push_to_layout("it:1");
    let layout = layout.display();
    host.run(&["pull", &format!("oci:{layout}@{digest}")])
        .success();
    host.run(&["pull", &format!("oci:{layout}@{wrong}")])
        .failure()
        .saying("no image has the digest");
    host.build(&format!("FROM oci:{layout}@{wrong}\n"), &[])
        .failure()
        .saying("no image has the digest");
}

#[test]
fn all_tags_and_policies_of_pull() {
    let Some(host) = built(&["docker-registry"]) else {
        return;
    };
    let Some(other) = host_with(&[]) else { return };
    let registry = Registry::start(&host).unwrap();
    let name = format!("{}/it", registry.address());
    for (image, tag) in [("it:1", "1"), ("alpine", "2")] {
        host.run(&["push", image, &format!("docker://{name}:{tag}")])
            .success();
    }
    let one = format!("{name}:1");
    other
        .run(&["pull", "--policy", "never", &one])
        .failure()
        .saying("may not be pulled");
    let output = other.run(&["pull", "-q", "--all-tags", &name]).success();
    let expected = [id(&host, "it:1"), id(&host, "alpine")];
    assert_eq!(output.stdout.lines().collect::<Vec<_>>(), expected);
    for policy in ["missing", "newer", "never", "always"] {
        let output = other.run(&["pull", "--policy", policy, &one]).success();
        assert_eq!(output.stdout.trim_end(), expected[0], "{policy}");
        // There is no newer one.
        assert_eq!(output.says("pulling"), policy == "always", "{policy}");
    }
    // What is here for one platform is not there for another one.
    let other_platform = ["pull", "--policy", "never", "--platform", "s390x", &one];
    other
        .run(&other_platform)
        .failure()
        .saying("for linux/s390x");
    drop(registry);
    other
        .run(&["pull", "--policy", "newer", "--retry", "0", &one])
        .success();
    other
        .run(&["pull", "--policy", "always", "--retry", "0", &one])
        .failure();
}

#[test]
fn scripts_can_ask_whether_an_image_is_there() {
    let Some(host) = host() else { return };
    let id = id(&host, "alpine");
    for (name, status) in [
        ("alpine", 0),
        (&id[..12], 0),
        ("alpine:7", 1),
        ("sha256:0", 1),
    ] {
        let output = host.run(&["exists", name]);
        assert_eq!(output.status, status, "{name}");
        assert_eq!(output.stdout, "", "{name}");
    }
}

#[test]
fn a_push_can_compress_and_convert() {
    let Some(host) = built(&["skopeo"]) else {
        return;
    };
    let raw = |place: &str| -> Value {
        let text = peer(&host, "skopeo", &["inspect", "--raw", place]);
        serde_json::from_str(&text).unwrap()
    };
    host.run(&[
        "push",
        "it:1",
        "oci:z:1",
        "--compression-format=zstd",
        "--compression-level=9",
    ])
    .success();
    for layer in raw("oci:z:1")["layers"].as_array().unwrap() {
        assert_eq!(
            layer["mediaType"],
            "application/vnd.oci.image.layer.v1.tar+zstd"
        );
    }
    let pulled = host.run(&["pull", "-q", "oci:z:1"]).success().stdout;
    assert_eq!(pulled.trim_end(), id(&host, "it:1"));
    host.run(&["push", "it:1", "dir:d", "--format", "docker"])
        .success();
    let manifest = raw("dir:d");
    assert_eq!(
        manifest["mediaType"],
        "application/vnd.docker.distribution.manifest.v2+json"
    );
    host.run(&[
        "push",
        "it:1",
        "dir:e",
        "--format=docker",
        "--compression-format=zstd",
    ])
    .failure()
    .saying("docker's format has no layers");
    host.run(&["push", "it:1", "dir:e", "--compression-level", "10"])
        .failure()
        .saying("0 to 9");
}

#[test]
fn history_images_and_inspect_show_what_templates_ask_for() {
    let Some(host) = built(&[]) else { return };
    let history = |args: &[&str]| {
        let output = host.run(&[&["history"], args, &["it:1"]].concat());
        output.success().stdout
    };
    let table = history(&[]);
    let heading = table.lines().next().unwrap();
    let words: Vec<&str> = heading.split_whitespace().collect();
    assert_eq!(words, ["ID", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]);
    assert!(
        table.contains("<missing>") && table.contains("CMD"),
        "{table}"
    );
    let steps: Value = serde_json::from_str(&history(&["--format", "json"])).unwrap();
    assert_eq!(steps[0]["id"], id(&host, "it:1"));
    assert!(steps[0]["CreatedBy"].as_str().unwrap().starts_with("CMD"));
    let quiet = history(&["-q", "--no-trunc"]);
    assert_eq!(quiet.lines().next().unwrap(), id(&host, "it:1"));
    assert_eq!(
        inspect(&host, "it:1", "{{json .Config.Cmd}}"),
        "[\"cat\",\"/data/deep/file\"]"
    );
    assert_eq!(
        inspect(&host, "it:1", "{{index .Config.Labels \"kind\"}}"),
        "test"
    );
    host.run(&["inspect", "--format", "{{.Colour}}", "it:1"])
        .failure()
        .saying("Colour");
    let listed = |filters: &[&str]| {
        let mut args = vec!["images", "--format", "{{.Names}}"];
        args.extend(filters.iter().flat_map(|filter| ["--filter", filter]));
        let output = host.run(&args).success().stdout;
        output.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(listed(&["label=kind=test"]), ["localhost/it:1"]);
    assert_eq!(listed(&["reference=al*"]), ["localhost/alpine:latest"]);
    assert!(listed(&["dangling=true"]).is_empty());
    // Both may be of the same second, so only the other direction is certain.
    assert!(listed(&["since=it:1"]).is_empty());
    assert!(listed(&["before=alpine"]).is_empty());
    assert_eq!(listed(&["until=1h"]), Vec::<String>::new());
    assert_eq!(listed(&["label!=kind"]), ["localhost/alpine:latest"]);
    let of_id = format!("id={}", &id(&host, "it:1")[..12]);
    assert_eq!(listed(&[&of_id]), ["localhost/it:1"]);
    assert!(listed(&["readonly=true"]).is_empty());
    assert_eq!(listed(&["intermediate=false"]).len(), 2);
    let plain = history(&["--human=false", "--format", "{{.Size}} {{.Created}}"]);
    let (bytes, time) = plain.lines().next().unwrap().split_once(' ').unwrap();
    assert!(
        bytes.parse::<u64>().is_ok() && time.contains('T'),
        "{plain}"
    );
    let json: Value =
        serde_json::from_str(&host.run(&["images", "--json"]).success().stdout).unwrap();
    let named = |image: &Value| image["Names"] == serde_json::json!(["localhost/it:1"]);
    assert!(json.as_array().unwrap().iter().any(named), "{json}");
    host.run(&["images", "--digests"])
        .success()
        .saying("sha256:");
    host.run(&["untag", "it:1"]).success();
    assert_eq!(listed(&["dangling=true"]), ["<none>"]);
    host.run(&["tag", "alpine", "second:1"]).success();
    host.run(&["images", "-a", "--history", "alpine"])
        .success()
        .saying("HISTORY")
        .saying("localhost/alpine:latest, localhost/second:1");
    let pruned = host.run(&["rmi", "--prune"]).success().stdout;
    assert!(pruned.starts_with("Deleted: ") && pruned.lines().count() == 1);
    assert_eq!(listed(&[]).len(), 2);
}

/// `cap_net_raw+ep`, version 2: without a user of a namespace in it.
const CAPABILITY: [u8; 20] = [
    1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

const CAPABILITY_KEY: &str = "SCHILY.xattr.security.capability";

/// The kernel writes down whose capabilities they are, and takes that away for who looks from inside.
#[test]
fn file_capabilities_are_the_same_bytes_inside_of_the_store_and_outside() {
    let Some(host) = host_with(&[Need::Tool("podman")]) else {
        return;
    };
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_pax_extensions([(CAPABILITY_KEY, &CAPABILITY[..])])
        .unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o755);
    header.set_size(4);
    tar.append_data(&mut header, "ping", &b"ping"[..]).unwrap();
    let tar = tar.into_inner().unwrap();
    host.scratch.file("cap.tar", tar).unwrap();
    host.run(&["import", "cap.tar", "cap:1"]).success();
    host.build(
        "FROM cap:1 AS a\nFROM alpine\nCOPY --from=a /ping /bin/\n",
        &["-t", "it:1"],
    )
    .success();
    for (image, file) in [("cap:1", "ping"), ("it:1", "bin/ping")] {
        host.run(&["export", "-o", "out.tar", image]).success();
        let found = capability(&host, file);
        assert_eq!(found.as_deref(), Some(&CAPABILITY[..]), "{image}");
    }
    host.run(&["save", "-o", "saved.tar", "it:1"]).success();
    peer(&host, "podman", &["load", "-q", "-i", "saved.tar"]);
    let pack = "here=$PWD; \
                cd $(podman --root peer --runroot peer-run --storage-driver overlay image mount it:1); \
                tar --format=pax --xattrs --xattrs-include=security.capability -cf $here/out.tar .";
    peer(&host, "podman", &["unshare", "sh", "-c", pack]);
    assert_eq!(
        capability(&host, "bin/ping").as_deref(),
        Some(&CAPABILITY[..])
    );
}

/// What `out.tar` says that `file` may do.
fn capability(host: &Host, file: &str) -> Option<Vec<u8>> {
    let out = fs::File::open(host.scratch.path().join("out.tar")).unwrap();
    for entry in tar::Archive::new(out).entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path_bytes().ends_with(file.as_bytes()) {
            let mut all = entry.pax_extensions().unwrap().into_iter().flatten();
            return all.find_map(|it| {
                let it = it.unwrap();
                (it.key() == Ok(CAPABILITY_KEY)).then(|| it.value_bytes().to_vec())
            });
        }
    }
    None
}

#[test]
fn a_quiet_build_tells_nothing_but_the_id() {
    let Some(host) = built(&[]) else { return };
    let push = host.run(&["push", "-q", "it:1", "oci:base:1"]).success();
    assert_eq!((&push.stdout[..], &push.stderr[..]), ("", ""));
    let flags = ["-q", "-t", "quiet", "--cache-to=type=local,dest=cache"];
    let built = host.build("FROM oci:base:1\nRUN echo loud; echo loud >&2\n", &flags);
    let built = built.success();
    assert_eq!(built.stderr, "");
    assert_eq!(built.stdout, format!("{}\n", id(&host, "quiet")));
    let failed = host.build("FROM oci:base:1\nRUN echo why; false\n", &["-q"]);
    let failed = failed.failure().saying("why").saying("error");
    assert!(!failed.says("pulling"), "{}", failed.stderr);
}
