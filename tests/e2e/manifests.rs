//! Lists of images for several platforms: made, changed, pushed, and read by others.

use std::fs;

use rbuild_testkit::{Base, Host, Need, Output, Registry};
use serde_json::Value;

use crate::{archives::peer, surroundings::host_with};

/// A host with two images, `one` and `two`.
fn with_images(tools: &[&'static str]) -> Option<Host> {
    let needs: Vec<Need> = tools.iter().map(|tool| Need::Tool(tool)).collect();
    let host = host_with(&needs)?;
    for name in ["one", "two"] {
        let text = format!("FROM alpine\nRUN echo {name} > /name\nCMD cat /name\n");
        host.build(&text, &["-t", name]).success();
    }
    Some(host)
}

#[track_caller]
fn manifest(host: &Host, args: &[&str]) -> Output {
    host.run(&[&["manifest"], args].concat()).success()
}

#[track_caller]
pub fn listed(host: &Host, list: &str) -> Value {
    serde_json::from_str(&manifest(host, &["inspect", list]).stdout).unwrap()
}

/// The platforms of a document, in their order.
pub fn platforms(document: &Value) -> String {
    let entries = document["manifests"].as_array().unwrap().iter();
    let platforms = entries.map(|entry| {
        let parts = ["os", "architecture", "variant"].map(|key| entry["platform"][key].as_str());
        parts.into_iter().flatten().collect::<Vec<_>>().join("/")
    });
    platforms.collect::<Vec<_>>().join(" ")
}

/// A list `both` of `one` for this machine and `two` for another.
fn both(host: &Host) {
    manifest(host, &["create", "both", "one"]);
    let other = ["add", "--arch", "arm", "--variant", "v6", "both", "two"];
    manifest(host, &other);
}

#[test]
fn a_list_is_made_changed_and_removed() {
    let Some(host) = with_images(&[]) else { return };
    assert_eq!(host.run(&["manifest", "exists", "both"]).status, 1);
    both(&host);
    manifest(&host, &["exists", "both"]);
    host.run(&["manifest", "create", "both"])
        .failure()
        .saying("--amend");
    host.run(&["manifest", "create", "one"])
        .failure()
        .saying("is the name of an image");
    manifest(&host, &["create", "--amend", "both", "alpine"]);
    let document = listed(&host, "both");
    assert!(platforms(&document).contains(" linux/arm/v6 linux/"));
    let two = document["manifests"][1]["digest"].as_str().unwrap();
    let change = [
        "annotate",
        "--annotation",
        "a=b",
        "--arch",
        "s390x",
        "both",
        two,
    ];
    manifest(&host, &change);
    manifest(&host, &["remove", "both", "alpine"]);
    let document = listed(&host, "both");
    assert!(platforms(&document).ends_with(" linux/s390x/v6"));
    assert_eq!(document["manifests"][1]["annotations"]["a"], "b");
    host.run(&["manifest", "remove", "both", "alpine"])
        .failure()
        .saying("the list has no image");
    let gone = manifest(&host, &["rm", "both"]).stdout;
    assert!(gone.starts_with("Untagged: localhost/both:latest\nDeleted: "));
    host.run(&["manifest", "inspect", "both"]).failure();
}

#[test]
fn a_list_is_run_as_its_image_for_the_platform() {
    let Some(host) = with_images(&[]) else { return };
    both(&host);
    let id = manifest(&host, &["create", "--amend", "both"]).stdout;
    let asked = |platform: &str, image: &str| host.run(&["run", "--platform", platform, image]);
    for list in ["both", id.trim()] {
        assert_eq!(host.run(&["run", list]).success().stdout, "one\n");
        let other = asked("linux/arm/v6", list).success();
        assert_eq!(other.stdout, "two\n");
        let neither = asked("linux/s390x", list).failure();
        assert_eq!(neither.status, 125);
        neither
            .saying("no image for `linux/s390x`: it is for linux/")
            .saying(", linux/arm/v6");
    }
    asked("linux/s390x", "one")
        .failure()
        .saying("`one` has no image for `linux/s390x`");
    let ours = platform_of(&host, "one");
    assert_eq!(asked(&ours, "one").success().stdout, "one\n");
    host.run(&["run", "neither"])
        .failure()
        .saying("no image `neither`");
}

#[test]
fn a_list_is_saved_as_docker_does_as_its_image_for_this_machine() {
    let Some(mut host) = with_images(&[]) else {
        return;
    };
    both(&host);
    let list = ["save", "-o", "list.tar", "both"];
    host.run(&list).success();
    host.store = host.scratch.path().join("other");
    host.run(&["load", "-i", "list.tar"])
        .success()
        .saying("localhost/both:latest");
    assert_eq!(host.run(&["run", "both"]).success().stdout, "one\n");
}

/// What skopeo finds at `place`: the platforms of an index, nothing for an image.
fn found_at(host: &Host, place: &str) -> String {
    let document = peer(host, "skopeo", &["inspect", "--raw", place]);
    let document: Value = serde_json::from_str(&document).unwrap();
    match document["manifests"].is_array() {
        true => platforms(&document),
        false => String::new(),
    }
}

#[test]
fn a_list_is_saved_for_a_layout_with_all_its_images() {
    let Some(host) = with_images(&["skopeo", "podman"]) else {
        return;
    };
    both(&host);
    let all = platforms(&listed(&host, "both"));
    let formats = [("oci-archive", "oci-archive"), ("oci-dir", "oci")];
    for (format, transport) in formats {
        let save = ["save", "--format", format, "-o", format];
        host.run(&[&save[..], &["both"]].concat()).success();
        let place = format!("{transport}:{format}:localhost/both:latest");
        assert_eq!(found_at(&host, &place), all, "{format}");
        let copy = ["copy", "--all", &place, &format!("dir:of-{format}")];
        peer(&host, "skopeo", &copy);
        // Beside an image; of two names of one list it is there once.
        host.run(&["tag", "both", "pair"]).success();
        let with = format!("{format}-with");
        let more = ["save", "-m", "--format", format, "-o", &with];
        host.run(&[&more[..], &["both", "two", "pair"]].concat())
            .success();
        for (name, expected) in [("both", &all[..]), ("pair", &all[..]), ("two", "")] {
            let place = format!("{transport}:{with}:localhost/{name}:latest");
            assert_eq!(found_at(&host, &place), expected, "{format} {name}");
        }
    }
    let loaded = peer(&host, "podman", &["load", "-q", "-i", "oci-archive"]);
    assert!(loaded.contains("localhost/both:latest"), "{loaded}");
    let Some(other) = host_with(&[]) else { return };
    let archive = host.scratch.path().join("oci-archive");
    let load = ["load", "-i", archive.to_str().unwrap()];
    other.run(&load).success().saying("localhost/both:latest");
    assert_eq!(other.run(&["run", "both"]).success().stdout, "one\n");
}

/// What an image says that it is for.
fn platform_of(host: &Host, image: &str) -> String {
    let format = ["inspect", "--format", "{{.Os}}/{{.Architecture}}", image];
    host.run(&format).success().stdout.trim().to_owned()
}

#[test]
fn images_of_a_list_stay_when_their_names_go() {
    let Some(host) = with_images(&[]) else { return };
    both(&host);
    host.run(&["rmi", "two"]).success();
    host.run(&["prune", "--force"]).success();
    manifest(&host, &["push", "both", "oci:out:1"]);
    host.run(&["rmi", "--all"]).success();
    assert_eq!(host.run(&["manifest", "exists", "both"]).status, 1);
}

#[test]
fn a_pushed_list_is_an_index_to_others_and_to_us() {
    let Some(host) = with_images(&["docker-registry", "skopeo"]) else {
        return;
    };
    both(&host);
    let registry = Registry::start(&host).unwrap();
    let name = format!("{}/both", registry.address());
    let place = format!("docker://{name}:1");
    manifest(&host, &["push", "--digestfile", "digest", "both", &place]);
    let digest = fs::read_to_string(host.scratch.path().join("digest")).unwrap();
    let pinned = format!("docker://{name}@{digest}");
    let raw = peer(
        &host,
        "skopeo",
        &["inspect", "--raw", "--tls-verify=false", &pinned],
    );
    let document: Value = serde_json::from_str(&raw).unwrap();
    assert!(platforms(&document).ends_with(" linux/arm/v6"), "{raw}");
    let copied = ["copy", "--all", "--src-tls-verify=false", &place, "dir:d"];
    peer(&host, "skopeo", &copied);

    let Some(other) = host_with(&[]) else { return };
    let name = format!("{name}:1");
    other
        .run(&["pull", "--platform", "linux/arm/v6", &name])
        .success();
    assert_eq!(other.run(&["run", &name]).success().stdout, "two\n");
    manifest(&other, &["create", "--all", "again", &place]);
    let again = listed(&other, "again");
    assert_eq!(again["manifests"].as_array().unwrap().len(), 2);
}

#[test]
fn a_list_is_pushed_with_its_images_to_files_that_others_read() {
    let Some(host) = with_images(&["skopeo", "podman"]) else {
        return;
    };
    both(&host);
    let all = platforms(&listed(&host, "both"));
    let places = ["oci:out:1", "oci-archive:out.tar:1", "dir:out.dir"];
    for (number, place) in places.into_iter().enumerate() {
        let digest = format!("digest{number}");
        match number % 2 {
            0 => manifest(&host, &["push", "--digestfile", &digest, "both", place]),
            _ => host
                .run(&["push", "--digestfile", &digest, "both", place])
                .success(),
        };
        assert_eq!(found_at(&host, place), all, "{place}");
        let copied = format!("dir:copied{number}");
        peer(&host, "skopeo", &["copy", "--all", place, &copied]);
        let pulled = ["pull", "--platform", "linux/arm/v6", place];
        host.run(&pulled).success();
    }
    let theirs = peer(&host, "podman", &["pull", "-q", "dir:out.dir"]);
    assert_eq!(theirs.trim().len(), 64, "{theirs}");
    for place in places {
        host.run(&["push", "--all=false", "both", place])
            .failure()
            .saying("cannot have a list without its images")
            .saying("hint: --all=false is for registries");
    }
    for push in [&["push"][..], &["manifest", "push"]] {
        host.run(&[push, &["both", "docker-archive:x.tar"]].concat())
            .failure()
            .saying("`docker-archive:x.tar` is for one image, not for a list")
            .saying("hint: oci-archive:FILE and dir:DIR have all its images");
    }
}

#[test]
fn lists_are_shown_named_and_removed_beside_images() {
    let Some(host) = with_images(&[]) else { return };
    both(&host);
    let names = || {
        let format = ["images", "--format", "{{.Name}} {{.ID}}"];
        host.run(&format).success().stdout
    };
    let shown = names();
    assert!(shown.contains("localhost/both:latest "), "{shown}");
    let json = host.run(&["images", "--json", "both"]).success().stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json[0]["IsManifestList"], true);
    host.run(&["tag", "both", "pair:1"]).success();
    // All names or none.
    host.run(&["tag", "both", "new", "O!"]).failure();
    host.run(&["manifest", "inspect", "new"]).failure();
    assert_eq!(
        platforms(&listed(&host, "pair:1")),
        platforms(&listed(&host, "both"))
    );
    let removed = host.run(&["rmi", "both"]).success().stdout;
    assert_eq!(removed, "Untagged: localhost/both:latest\n");
    let id = json[0]["Id"].as_str().unwrap();
    let removed = host.run(&["rmi", &id[..12]]).success().stdout;
    assert_eq!(
        removed,
        format!("Untagged: localhost/pair:1\nDeleted: {id}\n")
    );
    assert!(names().contains("localhost/one:latest "));
}

#[test]
fn a_name_is_that_of_an_image_or_of_a_list() {
    let Some(host) = with_images(&["docker-registry"]) else {
        return;
    };
    let registry = Registry::start(&host).unwrap();
    let name = format!("{}/both:1", registry.address());
    host.run(&["push", "one", &format!("docker://{name}")])
        .success();
    let is_list = |name: &str| host.run(&["manifest", "exists", name]).status == 0;
    let is_image = |name: &str| host.run(&["inspect", "--type=image", name]).status == 0;
    both(&host);
    let dockerfile = "FROM one\nLABEL a=b\n";
    host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
    let root = host.scratch.path().join("root.tar");
    fs::copy(Base::Busybox.archive(), root).unwrap();
    for way in [
        &["tag", "one", "it"][..],
        &["import", "root.tar", "it"],
        &["bud", "-t", "it", "ctx"],
    ] {
        // As podman: the name moves, whoever has it.
        host.run(&["tag", "both", "it"]).success();
        assert!(is_list("it") && !is_image("it"));
        host.run(way).success();
        assert!(!is_list("it") && is_image("it"), "{way:?}");
    }
    host.run(&["tag", "both", &name]).success();
    // What a build fetches does not take a list's name, what a user fetches does.
    host.build(&format!("FROM {name}\nLABEL c=d\n"), &["--pull=always"])
        .success();
    assert!(is_list(&name));
    host.run(&["pull", "--policy=always", &name]).success();
    assert!(!is_list(&name));
}

#[test]
fn all_tags_of_a_repository_are_pushed_lists_too() {
    let Some(host) = with_images(&["docker-registry", "skopeo"]) else {
        return;
    };
    let registry = Registry::start(&host).unwrap();
    let repository = format!("{}/all", registry.address());
    for (image, tag) in [("one", "1"), ("two", "2")] {
        let name = format!("{repository}:{tag}");
        host.run(&["tag", image, &name]).success();
    }
    manifest(
        &host,
        &["create", &format!("{repository}:both"), "one", "two"],
    );
    let tags = |repository: &str| {
        let place = format!("docker://{repository}");
        let args = ["list-tags", "--tls-verify=false", &place];
        let found: Value = serde_json::from_str(&peer(&host, "skopeo", &args)).unwrap();
        let tags = found["Tags"].as_array().unwrap().iter();
        let mut tags: Vec<String> = tags.map(ToString::to_string).collect();
        tags.sort();
        tags.join(" ")
    };
    host.run(&["push", "--all-tags", &repository]).success();
    assert_eq!(tags(&repository), r#""1" "2" "both""#);
    let elsewhere = format!("{}/elsewhere", registry.address());
    let place = format!("docker://{elsewhere}");
    host.run(&["push", "-q", "-a", &repository, &place])
        .success();
    assert_eq!(tags(&elsewhere), tags(&repository));

    // One list alone needs no other command.
    let place = format!("docker://{}/alone:1", registry.address());
    host.run(&["push", &format!("{repository}:both"), &place])
        .success();
    let raw = peer(
        &host,
        "skopeo",
        &["inspect", "--raw", "--tls-verify=false", &place],
    );
    let document: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(document["manifests"].as_array().unwrap().len(), 2);

    for (args, says) in [
        (&["-a", "one:latest"][..], "without tags"),
        (&["-a", "nothing"], "no image of `nothing`"),
        (&["-a", &repository, "oci:out"], "to a registry only"),
    ] {
        host.run(&[&["push"], args].concat()).failure().saying(says);
    }
}

#[test]
fn a_list_is_sent_with_or_without_its_images_and_shown_as_what_it_is() {
    let Some(host) = with_images(&["docker-registry", "skopeo"]) else {
        return;
    };
    both(&host);
    let registry = Registry::start(&host).unwrap();
    let place = |name: &str| format!("docker://{}/{name}:1", registry.address());
    let alone = ["push", "--all=false", "both", &place("alone")];
    host.run(&alone).failure().saying("status 4");
    let kept = ["push", "--all", "both", &place("all")];
    host.run(&kept).success();
    let document = listed(&host, "both");
    for args in [
        &["inspect", "both"][..],
        &["inspect", "--type", "manifest", "both"],
    ] {
        let said: Value = serde_json::from_str(&host.run(args).success().stdout).unwrap();
        assert_eq!(said[0], document);
    }
    let type_of = |kind: &str, name: &str| host.run(&["inspect", "--type", kind, name]);
    type_of("image", "both").failure();
    type_of("manifest", "one").failure();
    type_of("container", "one").failure();
    let raw = ["inspect", "--raw", "--tls-verify=false", &place("all")];
    let raw: Value = serde_json::from_str(&peer(&host, "skopeo", &raw)).unwrap();
    assert_eq!(listed(&host, &place("all")), raw);
    host.run(&["push", "--rm", "both", &place("again")])
        .success();
    assert_eq!(host.run(&["manifest", "exists", "both"]).status, 1);
    host.run(&["push", "--rm", "one", &place("one")]).success();
    host.run(&["exists", "one"]).success();
    host.run(&["manifest", "inspect", "nothing.invalid/x"])
        .failure();
}

#[test]
fn a_list_has_its_images_in_a_second_compression_for_those_who_know_it() {
    let Some(host) = with_images(&["docker-registry", "skopeo", "podman"]) else {
        return;
    };
    both(&host);
    let registry = Registry::start(&host).unwrap();
    let name = format!("{}/both:1", registry.address());
    let place = format!("docker://{name}");
    let zstd = ["push", "--add-compression", "zstd,zstd", "both", &place];
    manifest(&host, &zstd);
    let document = listed(&host, &place);
    let platforms = platforms(&document);
    let [first, second] = [0, 2].map(|from| platforms.split(' ').skip(from).take(2));
    assert!(first.eq(second), "{platforms}");
    for (number, kind) in ["gzip", "gzip", "zstd", "zstd"].iter().enumerate() {
        let entry = &document["manifests"][number];
        let is_said = entry["annotations"]["io.github.containers.compression.zstd"] == "true";
        assert_eq!(is_said, *kind == "zstd");
        let digest = entry["digest"].as_str().unwrap();
        let (repository, _) = place.rsplit_once(':').unwrap();
        let image = format!("{repository}@{digest}");
        for layer in listed(&host, &image)["layers"].as_array().unwrap() {
            assert!(layer["mediaType"].as_str().unwrap().ends_with(kind));
        }
    }
    // Whoever does not look for that takes the first; rbuild takes the second.
    peer(
        &host,
        "podman",
        &["pull", "-q", "--tls-verify=false", &name],
    );
    host.run(&["rmi", "one"]).success();
    host.run(&["pull", "-q", &name]).success();
    assert_eq!(host.run(&["run", &name]).success().stdout, "one\n");
    let docker = [
        "manifest",
        "push",
        "--format=docker",
        "--add-compression=zstd",
        "both",
        &place,
    ];
    host.run(&docker).failure().saying("zstd");
}
