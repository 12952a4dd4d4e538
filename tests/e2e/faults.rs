//! The fault table of store.md, one test each. What is elsewhere:
//!
//! | faults | tested in |
//! |---|---|
//! | 1–15 | crash.rs |
//! | 25–32 | rbuild-registry's rows.rs, registry_faults.rs, logins.rs |
//! | 33–35 | crowd.rs |
//! | 36–38 | death.rs |
//! | 41, 43–48, 51 | hostile.rs, inputs.rs, rbuild-engine's copy, special and hostile, rbuild-layer's |
//! | 49 | `cargo xtask bench --only copy-many-files` |
//! | 50 | crowd.rs |
//! | 52, 53 | privilege.rs, isolation.rs, rbuild-sandbox's subids |
//! | 55 | death.rs |

use std::fs;

use rbuild_testkit::{Account, Host, Need, Output, Registry};

use crate::{
    disk::{Scarce, host_on_disk},
    surroundings::{host, host_with},
    witness::Witness,
};

/// More than the disks here have.
const LARGE: &str =
    "FROM alpine\nRUN echo small > /small\nRUN head -c 100000000 /dev/zero > /large\n";

/// Some megabytes, in every way.
const BUILD: &str = "FROM alpine AS made\nRUN head -c 1000000 /dev/urandom > /made\n\
    FROM alpine\nCOPY file /file\nCOPY --from=made /made /made\nRUN head -c 500000 /dev/urandom > /b\n";

const FULL: &str = "No space left on ";

fn new() -> [String; 1] {
    ["new".to_owned()]
}

/// Runs `args` with less and less room: it works or says why not, old images can be used and
/// removed meanwhile, and with room again all is as before.
#[track_caller]
fn survives_scarcity(
    options: &str,
    more: &[Need],
    scarce: &[Scarce],
    prepare: fn(&Host) -> Vec<String>,
) {
    let Some((host, disk)) = host_on_disk(options, more) else {
        return;
    };
    host.scratch.file("ctx/file", "x".repeat(300_000)).unwrap();
    host.scratch.file("ctx/Dockerfile", BUILD).unwrap();
    let args = prepare(&host);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut witness = Witness::of(host);
    witness.host().run(&["rmi", "-f", "new"]);
    witness.look();
    let mut failures = 0;
    for &left in scarce {
        disk.fill(left);
        let output = witness.host().run(&args);
        if output.status != 0 {
            failures += 1;
            assert!(output.says(FULL), "{left:?}: {output}");
            assert!(output.says("error:"), "{left:?}: {output}");
        }
        witness.host().run(&["images"]).success().saying("old");
        witness.host().run(&["rmi", "-f", "new"]);
        witness.host().run(&["prune", "--all", "--force"]).success();
        disk.empty();
        witness.old_images_work();
        witness.works(&args);
        witness.the_disk_comes_back(&new());
    }
    assert!(failures > 1, "it was never scarce");
}

const LESS_AND_LESS: [Scarce; 9] = [
    Scarce::Bytes(6_000_000),
    Scarce::Bytes(3_000_000),
    Scarce::Bytes(2_200_000),
    Scarce::Bytes(1_500_000),
    Scarce::Bytes(600_000),
    Scarce::Bytes(200_000),
    Scarce::Bytes(40_000),
    Scarce::Bytes(8_192),
    Scarce::Bytes(0),
];

const FEWER_AND_FEWER: [Scarce; 9] = [
    Scarce::Inodes(200),
    Scarce::Inodes(60),
    Scarce::Inodes(40),
    Scarce::Inodes(25),
    Scarce::Inodes(15),
    Scarce::Inodes(8),
    Scarce::Inodes(4),
    Scarce::Inodes(1),
    Scarce::Inodes(0),
];

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// Of the image `new`, made now, in a place beside the store.
#[track_caller]
fn layout_of_new(host: &Host) -> String {
    host.run(&["bud", "-t", "new", "ctx"]).success();
    format!("oci:{}:it", host.push_to_layout("new").display())
}

#[test]
fn disk_full_while_run_writes_fault_16() {
    let Some((host, _disk)) = host_on_disk("size=20m", &[]) else {
        return;
    };
    host.scratch.file("ctx/Dockerfile", LARGE).unwrap();
    let witness = Witness::of(host);
    let host = witness.host();
    host.build(LARGE, &["-t", "new"]).failure().saying(FULL);
    witness.old_images_work();
    let smaller = LARGE.replace("100000000", "1000");
    host.build(&smaller, &["-t", "new"]).success();
    witness.the_disk_comes_back(&new());
}

#[test]
fn disk_full_at_every_phase_of_a_build_fault_16() {
    survives_scarcity("size=30m", &[], &LESS_AND_LESS, |_| words("bud -t new ctx"));
}

#[test]
fn disk_full_at_every_phase_of_a_pull_fault_17() {
    survives_scarcity("size=30m", &[], &LESS_AND_LESS, |host| {
        vec!["bud", "--from", &layout_of_new(host), "-t", "new", "ctx"]
            .into_iter()
            .map(str::to_owned)
            .collect()
    });
}

#[test]
fn out_of_inodes_at_every_phase_of_a_build_fault_18() {
    survives_scarcity("size=30m,nr_inodes=2000", &[], &FEWER_AND_FEWER, |_| {
        words("bud -t new ctx")
    });
}

#[test]
fn out_of_inodes_at_every_phase_of_a_pull_fault_18() {
    survives_scarcity("size=30m,nr_inodes=2000", &[], &FEWER_AND_FEWER, |host| {
        let dockerfile = format!("FROM {}\nRUN true\n", "alpine");
        host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
        vec!["bud".to_owned(), "--from".to_owned(), layout_of_new(host)]
            .into_iter()
            .chain(words("-t new ctx"))
            .collect()
    });
}

#[test]
fn an_export_to_a_full_disk_names_the_cause_and_leaves_nothing_fault_16() {
    let Some((host, disk)) = host_on_disk("size=20m", &[]) else {
        return;
    };
    host.scratch.file("ctx/file", "x").unwrap();
    host.scratch
        .file("ctx/Dockerfile", "FROM alpine\nCOPY file /\n")
        .unwrap();
    let witness = Witness::of(host);
    let host = witness.host();
    let place = disk.path().join("export");
    let (place, layout) = (place.display(), format!("oci:{}:it", place.display()));
    let to = |kind: &str| format!("type={kind},dest={place}");
    for left in [600_000, 300_000, 60_000, 0] {
        disk.fill(Scarce::Bytes(left));
        for args in [
            vec!["push", "old", &layout],
            vec!["bud", "-o", &to("oci"), "ctx"],
            vec!["bud", "-o", &to("local"), "ctx"],
        ] {
            let output = host.run(&args).failure();
            assert!(output.says(FULL), "{left} {args:?}: {output}");
            let mut remove = host.account.inside("rm");
            Output::of_success(remove.args(["-rf", &place.to_string()])).unwrap();
        }
        disk.empty();
        witness.old_images_work();
        witness.the_disk_comes_back(&[]);
    }
}

#[test]
fn a_read_only_store_can_be_read_fault_20() {
    let Some((host, disk)) = host_on_disk("size=20m", &[]) else {
        return;
    };
    host.scratch.file("ctx/file", "x").unwrap();
    host.scratch.file("ctx/Dockerfile", BUILD).unwrap();
    let witness = Witness::of(host);
    let host = witness.host();
    disk.remount("ro");
    host.run(&["images"]).success().saying("old");
    host.run(&["inspect", "old"]).success();
    host.run(&["df"]).success();
    let read_only = "Read-only file system";
    host.build(BUILD, &["-t", "new"])
        .failure()
        .saying(read_only);
    host.run(&["rmi", "old"]).failure().saying(read_only);
    host.run(&["tag", "old", "older"])
        .failure()
        .saying(read_only);
    disk.remount("rw");
    witness.old_images_work();
}

#[test]
fn tmpdir_does_not_matter_fault_21() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/file", "x").unwrap();
    host.scratch.file("ctx/Dockerfile", BUILD).unwrap();
    for dir in ["/nowhere", "/proc", "/dev/full"] {
        let mut command = host.rbuild(&["bud", "--no-cache", "-t", "new", "ctx"]);
        Output::of(command.env("TMPDIR", dir)).unwrap().success();
    }
}

#[test]
fn a_store_on_a_restricted_mount_works_or_says_why_fault_22() {
    for option in ["noexec", "nosuid", "nodev", "noexec,nosuid,nodev"] {
        let Some((host, _disk)) = host_on_disk(&format!("size=20m,{option}"), &[]) else {
            return;
        };
        let output = host.build("FROM alpine\nRUN echo a > /a\n", &["-t", "new"]);
        assert!(
            output.status == 0 || output.says("noexec"),
            "{option}: {output}"
        );
    }
}

/// Does `script` to each file of `pattern` below the store, as `$f`.
#[track_caller]
fn damage(host: &Host, pattern: &str, script: &str) {
    let store = host.store.display();
    let script = format!(
        "for f in $(find {store}/{pattern} -type f); do chmod u+w \"$f\" && {script} || exit; done"
    );
    Output::of_success(host.account.inside("sh").args(["-c", &script])).unwrap();
}

#[test]
fn emptied_and_truncated_metadata_is_dropped_fault_23() {
    let places = ["cache", "notes", "leases", "version", "lock"];
    for place in places {
        for script in [": > $f", "truncate -s $(($(stat -c %s $f) / 2)) $f"] {
            let Some(host) = host() else { return };
            host.scratch.file("ctx/file", "x").unwrap();
            host.build(BUILD, &["-t", "new"]).success();
            damage(&host, place, script);
            host.run(&["run", "new", "test", "-e", "/made"]).success();
            host.build(BUILD, &["-t", "new"]).success();
            host.run(&["store", "check"]).success();
            host.run(&["prune", "--all", "-f"]).success();
        }
    }
}

#[test]
fn an_emptied_image_or_layer_record_costs_only_that_image_fault_23() {
    for place in ["images/$(rec new)", "layers/$(top new)/record.json"] {
        let Some(host) = host() else { return };
        host.scratch.file("ctx/file", "x").unwrap();
        host.scratch.file("ctx/Dockerfile", BUILD).unwrap();
        let witness = Witness::of(host);
        let host = witness.host();
        host.build(BUILD, &["-t", "new"]).success();
        let id = host
            .run(&["images", "-q", "--no-trunc", "new"])
            .success()
            .stdout;
        let id = id.trim().trim_start_matches("sha256:").to_owned();
        let record = fs::read_to_string(host.store.join("images").join(&id)).unwrap();
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        let layers = record["layers"].as_array().unwrap();
        let top = layers[layers.len() - 1]["layer"].as_str().unwrap();
        let place = place.replace("$(rec new)", &id).replace("$(top new)", top);
        damage(host, &place, ": > $f");
        host.run(&["images"]).success().saying("old");
        host.run(&["run", "old", "cat", "/old"]).success();
        host.run(&["run", "new", "true"]).failure();
        host.run(&["store", "check"]).failure().saying("new");
        host.build(BUILD, &["-t", "new"]).success();
        host.run(&["run", "new", "test", "-e", "/b"]).success();
        witness.the_disk_comes_back(&new());
        witness.old_images_work();
    }
}

#[test]
fn a_flipped_bit_is_refused_by_push_and_healed_by_a_pull_fault_24() {
    let Some(host) = host_with(&[Need::Tool("docker-registry")]) else {
        return;
    };
    let registry = Registry::start(&host).unwrap();
    let image = format!("{}/it:1", registry.address());
    let (secure, there) = ("--tls-verify=false", format!("docker://{image}"));
    host.build(
        "FROM alpine\nRUN head -c 100000 /dev/urandom > /a\n",
        &["-t", "it"],
    )
    .success();
    host.run(&["push", secure, "it", &there]).success();
    host.run(&["rmi", "-f", "it"]).success();
    host.run(&["prune", "--all", "-f"]).success();
    host.run(&["pull", secure, &image]).success();
    let flip = "printf '\\377' | dd of=$f bs=1 seek=100 conv=notrunc status=none";
    damage(&host, "blobs", flip);
    host.run(&["store", "check"]).failure().saying("blob");
    let layout = format!("oci:{}:it", host.scratch.path().join("layout").display());
    host.run(&["push", &image, &layout])
        .failure()
        .saying("sha256:");
    host.run(&["store", "check", "--repair"]).success();
    host.run(&["pull", secure, &image]).success();
    host.run(&["push", &image, &layout]).success();
    host.run(&["store", "check"]).success();
}

#[test]
fn no_clock_changes_what_is_done_fault_39() {
    let Some(host) = host_with(&[Need::Tool("faketime")]) else {
        return;
    };
    host.scratch.file("ctx/file", "x").unwrap();
    host.scratch
        .file(
            "ctx/Dockerfile",
            "FROM alpine\nCOPY file /\nRUN cat /proc/sys/kernel/random/uuid > /id\n",
        )
        .unwrap();
    let at = |time: &str, args: &[&str]| {
        let rbuild = host.rbuild(args);
        let mut command = host.account.command("faketime");
        command
            .arg(time)
            .arg(rbuild.get_program())
            .args(rbuild.get_args());
        Output::of(command.current_dir(host.scratch.path()))
            .unwrap()
            .success()
    };
    let id = || host.run(&["run", "it", "cat", "/id"]).success().stdout;
    at("2040-01-01 00:00:00", &["bud", "-t", "it", "ctx"]);
    let first = id();
    for time in ["1971-01-01 00:00:00", "2040-06-01 00:00:00"] {
        at(time, &["bud", "-t", "it", "ctx"]);
        assert_eq!(id(), first, "{time}: a cached step ran again");
        at(time, &["images"]).saying("it");
        at(time, &["prune", "-f", "--keep-duration", "1h"]);
        at(time, &["run", "it", "true"]);
        at(time, &["store", "check"]);
    }
    Output::of_success(host.account.inside("sh").args([
        "-c",
        &format!(
            "cd {} && find ctx store -exec touch -h -d 1971-01-01 {{}} +",
            host.scratch.path().display()
        ),
    ]))
    .unwrap();
    host.run(&["bud", "-t", "it", "ctx"]).success();
    assert_eq!(id(), first);
}

/// Directories that nobody may enter, other owners, and names that shells trip over.
const ODD: &str = r#"FROM alpine
RUN mkdir -p /d/e && echo a > /d/e/f && chown -R 5:6 /d && chmod 0 /d/e /d/e/f && \
    cd /tmp && touch "$(printf 'new\nline')" "$(printf '\377')" -- '-dash' '*' 'back\slash' && \
    touch "$(seq 64 | tr -d '\n' | cut -c1-100)$(printf 'x%.0s' $(seq 155))"
RUN ls /tmp | wc -c > /count && chmod -R 0 /tmp
"#;

#[test]
fn what_only_its_owner_could_delete_goes_too_faults_40_56() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/Dockerfile", ODD).unwrap();
    let witness = Witness::of(host);
    let host = witness.host();
    host.build(ODD, &["-t", "new"]).success();
    let count = host.run(&["run", "new", "cat", "/count"]).success();
    let names = [8, 1, 5, 1, 10, 255];
    let expected: usize = names.iter().map(|bytes| bytes + 1).sum();
    assert_eq!(count.stdout.trim(), expected.to_string());
    witness.old_images_work();
    witness.the_disk_comes_back(&new());
}

#[test]
fn a_sparse_file_keeps_its_holes_fault_42() {
    let Some(host) = host() else { return };
    let sparse = host.scratch.file("ctx/sparse", "start").unwrap();
    let file = fs::OpenOptions::new().write(true).open(sparse).unwrap();
    file.set_len(1 << 30).unwrap();
    host.scratch
        .file("ctx/Dockerfile", "FROM alpine\nCOPY sparse /\n")
        .unwrap();
    let witness = Witness::of(host);
    let host = witness.host();
    host.run(&["bud", "-t", "new", "ctx"]).success();
    let size = host.run(&["run", "new", "sh", "-c", "stat -c %s /sparse; du /sparse"]);
    let size = size.success().stdout;
    let (size, blocks) = size.split_once('\n').unwrap();
    assert_eq!(size, (1_u64 << 30).to_string());
    let kib: u64 = blocks.split('\t').next().unwrap().parse().unwrap();
    assert!(kib < 1024, "{kib} KiB on the disk");
    witness.the_disk_comes_back(&new());
}

#[test]
fn a_store_of_somebody_else_or_of_a_newer_rbuild_is_refused_fault_54() {
    let Some(host) = host_with(&[Need::Root]) else {
        return;
    };
    let version = host.store.join("version");
    host.run(&["images"]).success();
    fs::write(&version, "2\n").unwrap();
    host.run(&["images"]).failure().saying("version 2");
    fs::write(&version, "1\n").unwrap();
    let root = Account::root().unwrap();
    root.give(&host.store).unwrap();
    host.run(&["images"]).failure();
    let mut give = root.command("chown");
    let like = format!("--reference={}", host.scratch.path().display());
    Output::of_success(give.arg(like).arg(&host.store)).unwrap();
    host.run(&["images"]).success();
}
