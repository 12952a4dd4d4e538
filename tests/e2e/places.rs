//! Places outside of the store: what gets there, and what is said of those that cannot have it.

use std::{fs, path::Path, process::Stdio};

use rbuild_testkit::{Host, Output, Registry};

use crate::archives::{DOCKERFILE, built, peer, shell};

fn tar_members(host: &Host, file: &Path) -> String {
    let mut command = host.account.command("tar");
    Output::of_success(command.arg("-tf").arg(file))
        .unwrap()
        .stdout
}

#[test]
fn who_names_the_wrong_kind_of_place_is_told_what_is_there() {
    let Some(host) = built(&[]) else { return };
    let path = host.scratch.path();
    fs::create_dir(path.join("dir")).unwrap();
    fs::write(path.join("dir/file"), "text").unwrap();
    for (args, says) in [
        (["pull", "oci:dir/file"], "hint: `dir/file` is a file"),
        (["pull", "dir:dir/file"], "hint: `dir/file` is a file"),
        (["pull", "oci-archive:dir"], "hint: `dir` is a directory"),
        (["pull", "docker-archive:dir"], "hint: `dir` is a directory"),
        (["pull", "oci:dir"], "it is not an OCI layout"),
        (["pull", "dir:dir"], "it is not a directory of a manifest"),
        (
            ["pull", "./dir"],
            "hint: for a path say what is there: oci:DIR",
        ),
        (
            ["pull", "https://h/a"],
            "hint: a registry is named without that",
        ),
    ] {
        host.run(&args).failure().saying(says);
    }
    for args in [
        &["save", "it:1", "-o", "dir"][..],
        &["push", "it:1", "oci-archive:dir"],
        &["export", "it:1", "-o", "dir"],
    ] {
        let failed = host.run(args).failure();
        failed.saying("cannot write `dir`").saying("directory");
    }
    let left = fs::read_dir(path.join("dir")).unwrap();
    assert_eq!(left.count(), 1);
}

#[test]
fn a_full_disk_is_named_and_a_reader_that_goes_away_is_not() {
    let Some(host) = built(&[]) else { return };
    let full = host.run(&["save", "it:1", "-o", "/dev/full"]).failure();
    full.saying("cannot write `/dev/full`")
        .saying("No space left on device");
    let head = format!(
        "{{ {}; echo $? >&2; }} | head -c 1 >/dev/null",
        shell(&host.rbuild(&["save", "it:1"]))
    );
    let output = host
        .account
        .command("sh")
        .args(["-c", &head])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "141\n");
}

#[test]
fn a_build_goes_where_its_outputs_say() {
    let Some(host) = built(&["skopeo", "docker-registry"]) else {
        return;
    };
    let registry = Registry::start(&host).unwrap();
    let name = format!("{}/made:1", registry.address());
    let pushed = format!("type=image,name={name},push=true");
    let outputs = [
        "type=oci,dest=a.oci",
        "type=oci,dest=a.layout,tar=false,name=it",
        "type=docker,dest=a.docker,name=localhost/made:2",
        "type=docker,dest=a.dir,tar=false",
        "type=tar,dest=a.tar",
        "files",
        &pushed,
    ];
    let args: Vec<&str> = outputs.iter().flat_map(|output| ["-o", output]).collect();
    let built = host.build(DOCKERFILE, &args).success().stdout;
    let expected = built.trim_end();
    for place in [
        "oci-archive:a.oci",
        "oci:a.layout:it",
        "docker-archive:a.docker:localhost/made:2",
        "dir:a.dir",
        &format!("docker://{name}"),
    ] {
        let output = host.run(&["pull", "-q", place]).success();
        assert_eq!(output.stdout.trim_end(), expected, "{place}");
    }
    let path = host.scratch.path();
    assert!(path.join("files/data").is_dir() && path.join("a.tar").is_file());
}

#[test]
fn an_archive_of_a_build_has_a_name_of_the_build() {
    let Some(host) = built(&["skopeo"]) else {
        return;
    };
    let names = ["-t", "one:1", "-t", "example.com/two:2"];
    let build = |output: &str| {
        let args = [&names[..], &["-o", output]].concat();
        host.build(DOCKERFILE, &args).success();
        host.run(&["rmi", "one:1", "example.com/two:2"]).success();
    };
    let check = |output: &str, has: [bool; 2]| {
        build(output);
        let loaded = host.run(&["load", "-i", "a.tar"]).success().stdout;
        let found = ["localhost/one:1", "example.com/two:2"].map(|name| loaded.contains(name));
        assert_eq!(found, has, "{output}: {loaded}");
    };
    check("type=docker,dest=a.tar", [true, true]);
    check("type=oci,dest=a.tar,name=other", [false, false]);
    check("type=oci,dest=a.tar", [true, false]);
    // Nobody has to say which image is meant.
    for place in ["oci-archive:a.tar", "oci-archive:a.tar:localhost/one:1"] {
        peer(&host, "skopeo", &["inspect", place]);
    }
}

#[test]
fn a_dash_is_standard_output_and_nothing_else_is_printed_there() {
    let Some(host) = built(&[]) else { return };
    for (output, is_image) in [
        ("-", false),
        ("type=tar,dest=-", false),
        ("type=oci,dest=-", true),
        ("type=docker,dest=-", true),
    ] {
        let file = host.scratch.path().join("out.tar");
        let out = fs::File::create(&file).unwrap();
        let mut command = host.rbuild(&["bud", "-q", "-o", output, "ctx"]);
        let status = command.stdin(Stdio::null()).stdout(out).status().unwrap();
        assert!(status.success(), "{output}");
        let members = tar_members(&host, &file);
        let wanted = if is_image { "json" } else { "data/deep/file" };
        assert!(members.contains(wanted), "{output}: {members}");
        let end = fs::read(&file).unwrap();
        assert!(
            end.len() % 512 == 0,
            "{output}: something follows the archive"
        );
    }
}
