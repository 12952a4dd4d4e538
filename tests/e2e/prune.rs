//! Disk space comes back: rmi, prune, df, store check.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use rbuild_testkit::{Host, Output};

use crate::surroundings::host;

/// A builder stage, and an image of two layers.
const STAGES: &str = "FROM alpine AS made\nRUN head -c 3000000 /dev/urandom > /big\n\
                      FROM alpine\nCOPY --from=made /big /big\nRUN echo a > /a; chown 1:1 /a\n";

/// More bytes than the directories `ab/` of records and notes need, fewer than a layer here.
const SMALL: u64 = 2_000_000;

/// What `du` says of the store, in bytes, seen from inside the user namespace.
#[track_caller]
fn du(host: &Host) -> u64 {
    let mut command = host.account.inside("du");
    command.args(["-s", "-B1"]).arg(&host.store);
    let output = Output::of_success(&mut command).unwrap();
    output.stdout.split('\t').next().unwrap().parse().unwrap()
}

fn layers(host: &Host) -> u64 {
    json(host)["Parts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|part| part["Type"] == "layers")
        .and_then(|part| part["Total"].as_u64())
        .unwrap()
}

#[track_caller]
fn json(host: &Host) -> serde_json::Value {
    let text = host.run(&["df", "--format", "json"]).success().stdout;
    serde_json::from_str(&text).unwrap()
}

#[test]
fn after_rmi_and_prune_the_disk_is_as_before() {
    let Some(host) = host() else { return };
    let (before, count) = (du(&host), layers(&host));
    host.build(STAGES, &["-t", "it"]).success();
    assert_eq!(layers(&host), count + 3);
    host.run(&["rmi", "it"]).success();
    assert_eq!(layers(&host), count + 1, "rmi frees the image's layers");
    host.run(&["prune", "--force"])
        .success()
        .saying("reclaimed");
    assert_eq!(layers(&host), count);
    let after = du(&host);
    assert!(
        after < before + SMALL,
        "{before} bytes before, {after} after"
    );
    host.run(&["run", "alpine", "true"]).success();
}

#[test]
fn a_build_after_a_prune_works_and_one_of_a_named_image_is_cached() {
    let Some(host) = host() else { return };
    let random = "FROM alpine\nRUN cat /proc/sys/kernel/random/uuid > /id\n";
    let build = || {
        host.build(random, &["-t", "it"]).success();
        host.run(&["run", "it", "cat", "/id"]).success().stdout
    };
    let first = build();
    host.run(&["prune", "-f"]).success();
    assert_eq!(build(), first, "a named image keeps its steps");
    host.run(&["prune", "-f", "--all"]).success();
    let second = build();
    assert_ne!(second, first, "all forgets them");
    host.run(&["rmi", "it"]).success();
    assert_ne!(build(), second);
}

#[test]
fn a_dry_run_says_why_and_deletes_nothing() {
    let Some(host) = host() else { return };
    host.build(STAGES, &["-t", "it"]).success();
    let count = layers(&host);
    host.run(&["prune", "--dry-run"])
        .success()
        .saying("nothing needs it");
    host.run(&["prune", "--dry-run", "--all"])
        .success()
        .saying("can be made again");
    assert_eq!(layers(&host), count);
    host.run(&["prune", "-f", "--keep-duration", "1h"])
        .success();
    assert_eq!(layers(&host), count, "it is younger than an hour");
    host.run(&["prune", "-f", "--max-used-space", "100GB"])
        .success();
    assert_eq!(layers(&host), count, "there is room");
    host.run(&["prune", "-f", "--filter", "until=1h"]).success();
    assert_eq!(layers(&host), count);
    host.run(&["prune", "-f", "--max-used-space", "1MB"])
        .success();
    assert_eq!(layers(&host), count - 1);
    host.run(&["prune", "--filter", "colour=red"])
        .failure()
        .saying("colour=red");
}

#[test]
fn df_adds_up_to_what_du_says() {
    let Some(host) = host() else { return };
    host.build(STAGES, &["-t", "it"]).success();
    let total = json(&host)["Total"].as_u64().unwrap();
    assert_eq!(total, du(&host));
    let parts = json(&host);
    let parts = parts["Parts"].as_array().unwrap();
    let sum: u64 = parts.iter().filter_map(|part| part["Size"].as_u64()).sum();
    assert_eq!(sum, total);
    host.run(&["df", "-v"]).success().saying("RECLAIMABLE");
}

#[test]
fn prune_in_a_loop_breaks_no_build() {
    let Some(host) = host() else { return };
    let dockerfile = |number: u32| {
        format!(
            "FROM alpine AS made\nRUN echo {number} > /a\nRUN echo b > /b\n\
             FROM alpine\nCOPY --from=made /a /b /\nRUN cat /a /b > /c\n"
        )
    };
    let ended = AtomicBool::new(false);
    let built: Vec<Output> = std::thread::scope(|scope| {
        let pruner = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                host.run(&["prune", "--all", "--force"]).success();
            }
        });
        let builds: Vec<_> = (0..5)
            .map(|number| {
                let file = format!("ctx/{number}.Dockerfile");
                host.scratch.file(&file, dockerfile(number % 3)).unwrap();
                let (host, tag) = (&host, format!("it:{number}"));
                scope.spawn(move || host.run(&["bud", "-f", &file, "-t", &tag, "ctx"]))
            })
            .collect();
        let built = builds.into_iter().map(|build| build.join().unwrap());
        let built = built.collect();
        ended.store(true, Ordering::Relaxed);
        pruner.join().unwrap();
        built
    });
    for (number, output) in built.into_iter().enumerate() {
        output.success();
        let tag = format!("it:{number}");
        let content = host.run(&["run", &tag, "cat", "/c"]).success().stdout;
        assert_eq!(content, format!("{}\nb\n", number % 3));
    }
}

#[test]
fn a_check_finds_a_changed_file_and_a_repair_makes_the_build_run_again() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine\nRUN echo right > /file\n";
    host.build(dockerfile, &["-t", "it"]).success();
    host.run(&["store", "check"]).success();
    let store = host.store.to_str().unwrap().to_owned();
    let script = format!("for f in {store}/layers/*/diff/file; do echo wrong > \"$f\"; done");
    let mut damage = host.account.inside("sh");
    Output::of_success(damage.args(["-c", &script])).unwrap();
    host.run(&["store", "check"])
        .failure()
        .saying("localhost/it:latest");
    host.run(&["store", "check", "--repair"]).success();
    host.run(&["store", "check"]).success();
    assert!(Path::new(&store).is_dir());
    host.build(dockerfile, &["-t", "it"]).success();
    let content = host.run(&["run", "it", "cat", "/file"]).success().stdout;
    assert_eq!(content, "right\n");
}
