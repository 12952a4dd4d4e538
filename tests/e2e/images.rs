//! The store as a user sees it: images, tag, rmi, inspect, info, import, run.

use rbuild_testkit::{Host, Output};

use crate::surroundings::host;

fn names(host: &Host) -> Vec<String> {
    let output = host
        .run(&["images", "--format", "{{.Repository}}:{{.Tag}}"])
        .success();
    let mut names: Vec<String> = output.stdout.lines().map(str::to_owned).collect();
    names.sort();
    names
}

/// The JSON that `inspect` prints for one image.
#[track_caller]
fn inspect(host: &Host, image: &str) -> serde_json::Value {
    let text = host.run(&["inspect", image]).success().stdout;
    let images: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(images.as_array().map(Vec::len), Some(1), "{text}");
    images[0].clone()
}

#[test]
fn a_short_name_is_local_and_its_tag_is_latest() {
    let Some(host) = host() else { return };
    assert_eq!(names(&host), ["localhost/alpine:latest"]);
}

#[test]
fn the_table_has_the_usual_columns() {
    let Some(host) = host() else { return };
    let table = host.run(&["images"]).success().stdout;
    let mut lines = table.lines();
    let header: Vec<&str> = lines
        .next()
        .unwrap()
        .split("  ")
        .filter(|it| !it.is_empty())
        .collect();
    let header: Vec<&str> = header.iter().map(|it| it.trim()).collect();
    assert_eq!(header, ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
    let row: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(
        (row[0], row[1], row[2].len()),
        ("localhost/alpine", "latest", 12),
        "{table}"
    );
    assert_eq!(lines.next(), None);
}

#[test]
fn a_format_prints_the_fields_it_names() {
    let Some(host) = host() else { return };
    let field = |format: &str| {
        let output = host
            .run(&["images", "--no-trunc", "--format", format])
            .success();
        output.stdout.trim_end().to_owned()
    };
    assert_eq!(
        field("{{.Repository}} <{{.Tag}}>"),
        "localhost/alpine <latest>"
    );
    assert!(
        field("{{.Size}}").ends_with(" MB"),
        "{}",
        field("{{.Size}}")
    );
    assert_eq!(field("{{.ID}}").trim_start_matches("sha256:").len(), 64);
    assert!(field("{{.Digest}}").starts_with("sha256:"));
    host.run(&["images", "--format", "{{.Colour}}"])
        .failure()
        .saying("Colour");
}

#[test]
fn quiet_prints_ids_only() {
    let Some(host) = host() else { return };
    let ids = host.run(&["images", "-q"]).success().stdout;
    assert_eq!(ids.trim_end().len(), 12, "{ids}");
}

#[test]
fn a_tag_is_a_second_name_and_rmi_takes_one_name_away() {
    let Some(host) = host() else { return };
    host.run(&["tag", "alpine", "other:1"]).success();
    assert_eq!(
        names(&host),
        ["localhost/alpine:latest", "localhost/other:1"]
    );
    host.run(&["rmi", "alpine"]).success();
    assert_eq!(names(&host), ["localhost/other:1"]);
    assert_eq!(
        host.run(&["run", "other:1", "echo", "hi"]).success().stdout,
        "hi\n"
    );
    host.run(&["rmi", "alpine"]).failure().saying("alpine");
}

#[test]
fn names_are_given_and_taken_all_or_none_and_removed_as_far_as_they_are_there() {
    let Some(host) = host() else { return };
    for wrong in ["UPPER", "a b"] {
        host.run(&["tag", "alpine", "first:1", wrong]).failure();
    }
    assert_eq!(names(&host), ["localhost/alpine:latest"]);
    host.run(&["tag", "alpine", "first:1", "second:1"])
        .success();
    host.run(&["untag", "alpine", "first:1", "missing"])
        .failure();
    assert_eq!(names(&host).len(), 3);
    // As podman does it.
    let removed = host.run(&["rmi", "first:1", "missing", "second:1"]);
    assert_eq!(removed.status, 1, "{removed}");
    removed.saying("no image `missing`");
    host.run(&["rmi", "--force", "missing"]).success();
    assert_eq!(names(&host), ["localhost/alpine:latest"]);
}

#[test]
fn a_build_takes_several_names() {
    let Some(host) = host() else { return };
    host.build("FROM alpine\nENV A=b\n", &["-t", "one:1", "-t", "two"])
        .success();
    assert_eq!(
        names(&host),
        [
            "localhost/alpine:latest",
            "localhost/one:1",
            "localhost/two:latest"
        ]
    );
}

#[test]
fn inspect_shows_the_config_that_the_dockerfile_says() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine\nENV A=b\nWORKDIR /w\nUSER 1:2\nEXPOSE 80 53/udp\nVOLUME /data\n\
                      LABEL k=\"v w\"\nSTOPSIGNAL SIGINT\nENTRYPOINT [\"/bin/echo\"]\nCMD [\"x\"]\n";
    host.build(dockerfile, &["-t", "it", "--label", "extra=1"])
        .success();
    let config = inspect(&host, "it")["Config"].clone();
    assert_eq!(config["WorkingDir"], "/w");
    assert_eq!(config["User"], "1:2");
    assert_eq!(config["Entrypoint"], serde_json::json!(["/bin/echo"]));
    assert_eq!(config["Cmd"], serde_json::json!(["x"]));
    assert_eq!(config["StopSignal"], "SIGINT");
    assert_eq!(
        config["Labels"],
        serde_json::json!({ "k": "v w", "extra": "1" })
    );
    assert_eq!(
        config["ExposedPorts"],
        serde_json::json!({ "80/tcp": {}, "53/udp": {} })
    );
    assert_eq!(config["Volumes"], serde_json::json!({ "/data": {} }));
    let environment = config["Env"].as_array().unwrap();
    assert!(environment.contains(&"A=b".into()), "{config}");
}

#[test]
fn run_ends_with_the_status_of_the_command() {
    let Some(host) = host() else { return };
    assert_eq!(
        host.run(&["run", "--rm", "alpine", "sh", "-c", "exit 7"])
            .status,
        7
    );
    host.run(&["run", "nonexistent", "true"])
        .failure()
        .saying("nonexistent");
}

#[test]
fn a_run_does_not_change_the_image() {
    let Some(host) = host() else { return };
    host.run(&["run", "alpine", "touch", "/changed"]).success();
    host.run(&["run", "alpine", "test", "-e", "/changed"])
        .failure();
}

#[test]
fn a_directory_can_be_imported_with_changes_to_its_config() {
    let Some(host) = host() else { return };
    host.scratch.file("root/file", "x").unwrap();
    let changes = ["--change", "ENV A=b", "--change", "CMD [\"/file\"]"];
    host.run(&[&["import", "root", "made:1"], &changes[..]].concat())
        .success();
    let config = inspect(&host, "made:1")["Config"].clone();
    assert_eq!(config["Cmd"], serde_json::json!(["/file"]));
    assert!(
        config["Env"].as_array().unwrap().contains(&"A=b".into()),
        "{config}"
    );
}

#[test]
fn global_options_stand_before_or_after_the_subcommand() {
    let Some(host) = host() else { return };
    let store = host.store.to_str().unwrap();
    let mut after = host.account.command(host.rbuild(&[]).get_program());
    Output::of(after.args(["images", "--root", store]))
        .unwrap()
        .success()
        .saying("alpine");
    let mut environment = host.account.command(host.rbuild(&[]).get_program());
    let output = Output::of(environment.arg("images").env("RBUILD_STORE", store)).unwrap();
    output.success().saying("alpine");
}

#[test]
fn the_store_is_in_the_user_s_data_directory() {
    let Some(host) = host() else { return };
    let data = host.scratch.dir("data").unwrap();
    let mut command = host.account.command(host.rbuild(&[]).get_program());
    Output::of(command.arg("images").env("XDG_DATA_HOME", &data))
        .unwrap()
        .success();
    assert!(data.join("rbuild").is_dir());
}

#[test]
fn info_says_what_this_host_can_do() {
    let Some(host) = host() else { return };
    let output = host.run(&["info"]).success();
    assert!(output.stdout.contains("overlay"), "{output}");
    assert!(
        output.stdout.contains(host.store.to_str().unwrap()),
        "{output}"
    );
}

#[test]
fn help_is_there_for_every_subcommand() {
    let Some(host) = host() else { return };
    let help = host.run(&["--help"]).success().stdout;
    for name in [
        "bud", "import", "pull", "push", "images", "rmi", "tag", "inspect", "run", "info",
    ] {
        assert!(help.contains(name), "{name} is not in {help}");
        host.run(&[name, "--help"]).success().saying("Usage");
    }
}
