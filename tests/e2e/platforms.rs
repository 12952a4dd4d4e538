//! Images for several platforms: built together, listed, and found by others.

use std::fs;

use rbuild_testkit::{Base, Host, Need, Output, Registry};
use serde_json::Value;

use crate::{
    archives::peer,
    manifests::{listed, platforms},
    surroundings::{host, host_with},
};

/// Needs no command of any platform.
const FILES: &str = "FROM scratch\nARG TARGETPLATFORM\nLABEL for=$TARGETPLATFORM\nCOPY f /f\n";
/// Compiles here for others.
const CROSS: &str = "FROM --platform=$BUILDPLATFORM alpine AS build\nARG TARGETPLATFORM\n\
    ARG BUILDPLATFORM\nRUN echo $TARGETPLATFORM > /what && [ \"$BUILDPLATFORM\" != linux/sparc64 ]\n\
    FROM scratch\nCOPY --from=build /what /what\n";
/// No kernel has an interpreter for the second one.
const TWO: &str = "--platform=linux/arm/v6,linux/sparc64";

/// Builds `dockerfile` for [`TWO`].
#[track_caller]
fn build(host: &Host, dockerfile: &str, flags: &[&str]) -> Output {
    host.scratch.file("ctx/f", "file\n").unwrap();
    host.build(dockerfile, &[&[TWO], flags].concat())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[track_caller]
fn inspected(host: &Host, image: &str) -> Value {
    json(&host.run(&["inspect", image]).success().stdout)[0].clone()
}

#[test]
fn a_name_stands_for_a_list_of_the_images() {
    let Some(host) = host() else { return };
    build(&host, FILES, &["-t", "it"]).success();
    assert_eq!(
        platforms(&listed(&host, "it")),
        "linux/arm/v6 linux/sparc64"
    );
    // The same again is the same list, and a base for each of the platforms.
    let child = "FROM it\nLABEL a=b\n";
    let ids = build(&host, child, &["-q"]).success().stdout;
    let labels = ids.lines().map(|id| {
        let labels = inspected(&host, id)["Config"]["Labels"]["for"].clone();
        labels.as_str().unwrap_or_default().to_owned()
    });
    let labels: Vec<String> = labels.collect();
    assert_eq!(labels, ["linux/arm/v6", "linux/sparc64"]);
    // The name of an image is not that of an older list too, nor the other way round.
    host.build(FILES, &["-t", "it"]).success();
    assert_eq!(host.run(&["manifest", "exists", "it"]).status, 1);
    build(&host, FILES, &["-t", "it"]).success();
    host.run(&["inspect", "--type=image", "it"]).failure();
}

#[test]
fn an_index_is_chosen_from_by_others() {
    let needs = ["docker-registry", "skopeo"].map(Need::Tool);
    let Some(host) = host_with(&needs) else {
        return;
    };
    let registry = Registry::start(&host).unwrap();
    let name = format!("{}/it:1", registry.address());
    let pushed = format!("type=registry,name={name}");
    let layout = "type=oci,tar=false,dest=layout,name=1";
    build(
        &host,
        FILES,
        &["-o", &pushed, "-o", layout, "-o", "type=oci,dest=it.tar"],
    )
    .success();
    for place in [&format!("docker://{name}"), "oci:layout:1"] {
        let raw = ["inspect", "--raw", "--tls-verify=false", place];
        assert_eq!(
            platforms(&json(&peer(&host, "skopeo", &raw))),
            "linux/arm/v6 linux/sparc64"
        );
        let config = ["--override-arch", "sparc64", "inspect", "--config"];
        let config = [&config[..], &["--tls-verify=false", place]].concat();
        let config = json(&peer(&host, "skopeo", &config));
        assert_eq!(config["architecture"], "sparc64");
        assert_eq!(config["config"]["Labels"]["for"], "linux/sparc64");
    }
    let archive = [
        "--override-arch",
        "arm",
        "--override-variant",
        "v6",
        "inspect",
        "--config",
    ];
    let archive = [&archive[..], &["oci-archive:it.tar"]].concat();
    assert_eq!(json(&peer(&host, "skopeo", &archive))["variant"], "v6");
}

#[test]
fn bases_of_different_platforms_are_not_taken_for_each_other() {
    let Some(host) = host_with(&[Need::Tool("docker-registry")]) else {
        return;
    };
    let registry = Registry::start(&host).unwrap();
    let name = format!("{}/base:1", registry.address());
    host.scratch.file("ctx/f", "file\n").unwrap();
    let pushed = format!("type=registry,name={name}");
    let all = format!("{TWO},local");
    host.build(FILES, &[&all, "-o", &pushed]).success();
    let child = format!("FROM {name}\nARG TARGETPLATFORM\nLABEL asked=$TARGETPLATFORM\n");
    for flags in [&[TWO][..], &[], &[TWO], &[]] {
        let ids = host
            .build(&child, &[&["-q"], flags].concat())
            .success()
            .stdout;
        for id in ids.lines() {
            let labels = inspected(&host, id)["Config"]["Labels"].clone();
            assert_eq!(labels["for"], labels["asked"]);
        }
    }
    // The name stays with the image for this machine, and another one is not taken for it.
    assert_eq!(inspected(&host, &name)["Os"], "linux");
    drop(registry);
    host.build(&child, &["--pull=never"]).success();
    host.build(&child, &["--pull=never", "--platform=linux/s390x"])
        .failure()
        .saying("for `linux/s390x`");
}

#[test]
fn stages_of_this_machine_compile_for_others() {
    let Some(host) = host() else { return };
    let tar = "type=tar,dest=it.tar";
    build(&host, CROSS, &["-o", "out", "-o", tar]).success();
    for (directory, platform) in [
        ("linux_arm_v6", "linux/arm/v6"),
        ("linux_sparc64", "linux/sparc64"),
    ] {
        let file = host.scratch.path().join("out").join(directory).join("what");
        assert_eq!(fs::read_to_string(file).unwrap(), format!("{platform}\n"));
    }
    let mut tar = host.account.command("tar");
    let tar = tar.arg("tf").arg(host.scratch.path().join("it.tar"));
    let files = Output::of_success(tar).unwrap().stdout;
    assert!(files.contains("linux_arm_v6/what\n") && files.contains("linux_sparc64/what\n"));
    // One platform is one image, and its files have no directory of their own.
    let one = ["--platform=linux/sparc64", "-t", "one", "-o", "flat"];
    host.build(CROSS, &one).success();
    assert_eq!(inspected(&host, "one")["Architecture"], "sparc64");
    assert!(host.scratch.path().join("flat/what").is_file());
    // With or without an image of them, it can be otherwise.
    for more in [&[][..], &["-t", "one"], &["--provenance=true"]] {
        let name = format!("as-said{}", more.len());
        let split = format!("type=local,dest={name},platform-split=true");
        let tar = format!("type=tar,dest={name}.tar,platform-split=true");
        let args = ["--platform=linux/sparc64", "-o", &split, "-o", &tar];
        host.build(CROSS, &[&args, more].concat()).success();
        let path = host.scratch.path().join(&name);
        assert!(path.join("linux_sparc64/what").is_file(), "{more:?}");
        let mut listed = host.account.command("tar");
        let listed = listed.arg("tf").arg(path.with_extension("tar"));
        let listed = Output::of_success(listed).unwrap();
        assert!(listed.says("linux_sparc64/what\n"), "{more:?}");
    }
    build(
        &host,
        CROSS,
        &["-o", "type=local,dest=both,platform-split=false"],
    )
    .success();
    assert!(host.scratch.path().join("both/what").is_file());
    build(
        &host,
        CROSS,
        &["-o", "type=tar,dest=x.tar,platform-split=false"],
    )
    .failure()
    .saying("platform-split");
}

/// Commands for two platforms, that of `linux/sparc64` ending with `status`: each waits for the
/// other one, the first one afterwards `longer`.
fn meeting(longer: &str, status: u8) -> String {
    format!(
        "FROM --platform=$BUILDPLATFORM alpine AS tools\nRUN echo tool > /tool\n\
         FROM tools AS build\nARG TARGETARCH\nRUN --mount=type=cache,target=/m \\\n  \
         touch /m/$TARGETARCH; for i in $(seq 600); do \\\n  \
         [ $(ls /m | wc -l) = 2 ] && break; sleep .1; done; [ $i != 600 ] || exit 9; \\\n  \
         [ $TARGETARCH = arm ] || exit {status}; {longer}\n\
         FROM scratch\nCOPY --from=build /tool /tool\n"
    )
}

#[test]
fn platforms_are_built_at_the_same_time_and_what_they_share_once() {
    for flags in [&[][..], &["--no-cache"]] {
        let Some(host) = host() else { return };
        let flags = [&["--jobs=2", "-t", "it"], flags].concat();
        let built = build(&host, &meeting("true", 0), &flags).success();
        for line in [
            "[linux/arm/v6 tools 1/1] RUN echo tool > /tool\n",
            "[linux/sparc64 tools 1/1] RUN echo tool > /tool  (cached)\n",
        ] {
            assert!(built.stderr.contains(line), "{}", built.stderr);
        }
    }
}

#[test]
fn a_failure_for_one_platform_ends_the_others() {
    let Some(host) = host() else { return };
    let flags = ["--jobs=2", "--on-failure=keep"];
    let failed = build(&host, &meeting("sleep 3600", 7), &flags).failure();
    failed
        .saying("the build for linux/sparc64 has failed")
        .saying("status 7")
        .saying("kept as image");
}

#[test]
fn one_job_builds_platform_after_platform() {
    let Some(host) = host() else { return };
    let built = build(&host, CROSS, &["--jobs=1"]).success().stderr;
    let first = built.rfind("[linux/arm/v6 ");
    assert!(first < built.find("[linux/sparc64 "), "{built}");
}

#[test]
fn one_cache_serves_all_platforms() {
    let Some(mut host) = host() else { return };
    let cache = ["--cache-to", "type=local,dest=cache"];
    build(&host, CROSS, &cache).success();
    host.store = host.scratch.path().join("another");
    host.import(Base::Busybox);
    let flags = ["--cache-from", "type=local,src=cache", "--require-cached"];
    build(&host, CROSS, &flags).success();
}

#[test]
fn a_command_for_a_platform_that_nobody_has_is_refused_before_any_work() {
    let Some(host) = host() else { return };
    let run = "FROM scratch\nCOPY f /f\nRUN [\"/f\"]\n";
    let refused = build(&host, run, &[]).failure();
    let refused = refused.saying("commands for `linux/sparc64` cannot be executed here");
    let refused = refused
        .saying("3 | RUN [\"/f\"]")
        .saying("nobody has an interpreter for them")
        .saying("--platform=$BUILDPLATFORM");
    assert!(!refused.says("COPY"), "{}", refused.stderr);
    host.build(run, &["--platform=windows/amd64"])
        .failure()
        .saying("they are for another system");
}

#[test]
fn results_are_added_to_a_list_and_replace_those_for_the_same_platform() {
    let Some(host) = host() else { return };
    let add = |flags: &[&str]| {
        let list = ["--manifest", "all", "-q"];
        build(&host, FILES, &[&list, flags].concat()).success()
    };
    add(&[]);
    host.build(
        "FROM scratch\nLABEL a=b\n",
        &["--arch=sparc64", "--manifest=all"],
    )
    .success();
    let list = listed(&host, "all");
    assert_eq!(platforms(&list), "linux/arm/v6 linux/sparc64");
    add(&["-t", "it"]);
    assert_ne!(listed(&host, "all"), list);
    assert_eq!(listed(&host, "all"), listed(&host, "it"));
    host.build("FROM scratch\nLABEL a=b\n", &["--manifest=alpine"])
        .failure()
        .saying("is the name of an image");
}

#[test]
fn each_image_has_attestations_of_its_own() {
    let Some(host) = host_with(&[Need::Tool("skopeo")]) else {
        return;
    };
    let layout = "type=oci,tar=false,dest=layout,name=1";
    build(
        &host,
        CROSS,
        &["--provenance=true", "-o", layout, "-o", "out"],
    )
    .success();
    let index = json(&peer(
        &host,
        "skopeo",
        &["inspect", "--raw", "oci:layout:1"],
    ));
    assert_eq!(
        platforms(&index),
        "linux/arm/v6 linux/sparc64 unknown/unknown unknown/unknown"
    );
    let entries = &index["manifests"];
    for number in [0, 1] {
        let said = &entries[number + 2]["annotations"]["vnd.docker.reference.digest"];
        assert_eq!(*said, entries[number]["digest"]);
    }
    let file = host
        .scratch
        .path()
        .join("out/linux_sparc64/provenance.json");
    assert!(file.is_file());
}

#[test]
fn what_has_no_place_for_several_is_refused() {
    let Some(host) = host() else { return };
    build(&host, FILES, &["-o", "type=docker,dest=it.tar"])
        .failure()
        .saying("type=docker is for one platform");
    build(
        &host,
        FILES,
        &["-o", "type=registry,name=docker-archive:it.tar"],
    )
    .failure()
    .saying("docker-archive: is for one platform");
}

#[test]
fn a_directory_of_a_manifest_has_images_for_several_platforms() {
    let Some(host) = host_with(&[Need::Tool("skopeo")]) else {
        return;
    };
    build(&host, FILES, &["-t", "dir:both"]).success();
    let index = peer(&host, "skopeo", &["inspect", "--raw", "dir:both"]);
    assert_eq!(platforms(&json(&index)), "linux/arm/v6 linux/sparc64");
    peer(
        &host,
        "skopeo",
        &["copy", "--all", "dir:both", "oci:copied"],
    );
}

#[test]
fn a_pull_warns_of_an_image_for_another_platform_than_was_asked_for() {
    let Some(host) = host() else { return };
    let labelled = "FROM scratch\nLABEL a=b\n";
    host.build(labelled, &["--arch=sparc64", "-t", "oci:lone:1"])
        .success();
    let pulled = |platform: &str| {
        let output = host.run(&["pull", "-q", "--platform", platform, "oci:lone:1"]);
        output.success().stderr
    };
    assert_eq!(pulled("linux/sparc64"), "");
    assert_eq!(
        pulled("linux/s390x"),
        "warning: `oci:lone:1` is for linux/sparc64, not for linux/s390x\n"
    );
}

#[test]
fn a_forecast_is_made_for_each_platform() {
    let Some(host) = host() else { return };
    let foretold = |flags: &[&str]| build(&host, CROSS, flags).success().stdout;
    let before = foretold(&["--dry-run"]);
    let [first, second] = before.split("for linux/sparc64\n").collect::<Vec<_>>()[..] else {
        unreachable!("{before}")
    };
    assert!(
        first.starts_with("for linux/arm/v6\n[build] FROM"),
        "{before}"
    );
    for one in [first, second] {
        assert_eq!(one.matches("\nrun ").count(), 1, "{before}");
    }
    build(&host, CROSS, &[]).success();
    assert!(!foretold(&["--dry-run"]).contains("\nrun "));
    host.scratch.file("ctx/Dockerfile", CROSS).unwrap();
    let plan = ["plan", TWO, "--format=json", "ctx"];
    let plan = json(&host.run(&plan).success().stdout);
    for (number, platform) in ["linux/arm/v6", "linux/sparc64"].iter().enumerate() {
        let one = &plan["platforms"][number];
        assert_eq!(one["platform"], *platform);
        assert_eq!(one["steps"][1]["forecast"], "cached", "{plan}");
    }
}

#[test]
fn each_platform_has_the_cache_that_its_image_tells_of() {
    let needs = [Need::Tool("docker-registry")];
    let Some(mut host) = host_with(&needs) else {
        return;
    };
    let registry = Registry::start(&host).unwrap();
    let name = format!("{}/it:1", registry.address());
    let pushed = format!("type=registry,name={name}");
    build(&host, FILES, &["--cache-to=type=inline", "-o", &pushed]).success();
    let from = format!("--cache-from={name}");
    for (machine, platforms) in [
        ("one", "--platform=linux/sparc64"),
        ("both", TWO),
        ("turned", "--platform=linux/sparc64,linux/arm/v6"),
    ] {
        host.store = host.scratch.path().join(machine);
        let flags = [platforms, &from, "--require-cached"];
        host.build(FILES, &flags).success();
    }
    // Of a platform that is not there that is said, and the others are used.
    host.store = host.scratch.path().join("more");
    let flags = ["--platform=linux/s390x,linux/sparc64", &from];
    host.build(FILES, &flags)
        .success()
        .saying("there is no image for linux/s390x")
        .saying("COPY f /f  (cached)");
}

#[test]
fn an_image_for_another_platform_is_kept_when_it_loses_its_name() {
    let Some(host) = host_with(&[Need::Tool("docker-registry")]) else {
        return;
    };
    let registry = Registry::start(&host).unwrap();
    let name = format!("{}/base:1", registry.address());
    let pushed = format!("type=registry,name={name}");
    host.scratch.file("ctx/f", "file\n").unwrap();
    let all = format!("{TWO},local");
    host.build(FILES, &[&all, "-o", &pushed]).success();
    host.run(&["prune", "-f"]).success();
    // A build for it gives it the name, too, as long as none for this machine has it.
    let child = format!("FROM {name}\nLABEL a=b\n");
    host.build(&child, &["--platform=linux/sparc64"]).success();
    assert_eq!(inspected(&host, &name)["Architecture"], "sparc64");
    host.run(&["rmi", &name]).success();
    let pull = ["pull", "-q", "--platform=linux/sparc64", &name];
    let theirs = host.run(&pull).success().stdout.trim().to_owned();
    assert_eq!(inspected(&host, &name)["Architecture"], "sparc64");
    // A build for this machine needs the name.
    host.build(&child, &["-t", "it"]).success();
    let ours = inspected(&host, &name);
    assert_ne!(ours["Architecture"], "sparc64");
    host.run(&["prune", "-f", "--all"]).success();
    let images = host.run(&["images", "--no-trunc"]).success().stdout;
    let line = images.lines().find(|line| line.contains(&theirs)).unwrap();
    assert!(line.starts_with(&name[..name.len() - 2]), "{images}");
    let digest = inspected(&host, &theirs)["Digest"].clone();
    let pinned = format!("{}@{}", &name[..name.len() - 2], digest.as_str().unwrap());
    assert_eq!(inspected(&host, &pinned)["Architecture"], "sparc64");
    host.run(&["rmi", &pinned]).success();
    host.run(&["inspect", &theirs]).failure();
}
