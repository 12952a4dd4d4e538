//! `RUN --mount` and `--network`: what a command sees for its own time only.

use rbuild_testkit::{Host, Need, Output};

use crate::surroundings::{host, host_with};

/// Builds `RUN`s on busybox and returns what `/out` has.
#[track_caller]
fn out(host: &Host, runs: &str, args: &[&str]) -> String {
    host.build(
        &format!("FROM alpine\n{runs}"),
        &[&["-t", "it"], args].concat(),
    )
    .success();
    host.run(&["run", "it", "cat", "/out"]).success().stdout
}

#[test]
fn r9_a_secret_is_a_file_that_only_its_run_sees() {
    let Some(host) = host() else { return };
    host.scratch.file("token", "s3cret").unwrap();
    let runs = "RUN --mount=type=secret,id=token stat -c '%a %u' /run/secrets/token > /out && cat /run/secrets/token >> /out\n\
                RUN test ! -e /run/secrets/token && test ! -e /run/secrets\n";
    assert_eq!(
        out(&host, runs, &["--secret", "id=token,src=token"]),
        "400 0\ns3cret"
    );
}

#[test]
fn r9_a_secret_can_be_a_variable_and_is_in_no_record() {
    let Some(host) = host() else { return };
    let dockerfile = "FROM alpine\nRUN --mount=type=secret,id=a,env=TOKEN test ${#TOKEN} = 11\n";
    host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
    let mut command = host.rbuild(&["bud", "-t", "it", "--secret", "id=a,env=VALUE", "ctx"]);
    Output::of(command.env("VALUE", "very-secret"))
        .unwrap()
        .success();
    let mut grep = host.account.inside("grep");
    let found = Output::of(grep.args(["-r", "very-secret"]).arg(&host.store)).unwrap();
    assert_eq!(found.stdout, "");
}

#[test]
fn wish_8_a_secret_that_counts_is_a_reason_to_run_again() {
    let Some(host) = host() else { return };
    let id = |options: &str, token: &str| {
        host.scratch.file("token", token).unwrap();
        let run = format!(
            "FROM alpine\nRUN --mount=type=secret,id=token{options} \
             cat /proc/sys/kernel/random/uuid > /id\n"
        );
        let built = host.build(&run, &["-t", "it", "--secret", "id=token,src=token"]);
        let said = built.success().stderr;
        let id = host.run(&["run", "it", "cat", "/id"]).success().stdout;
        (id, said)
    };
    let first = id("", "tiger").0;
    assert_eq!(id("", "lion").0, first, "K4");
    let counted = id(",cache=content", "tiger").0;
    assert_eq!(id(",cache=content", "tiger").0, counted);
    let (other, said) = id(",cache=content", "lion");
    assert_ne!(other, counted);
    assert!(said.contains("secret token changed"), "{said}");
}

#[test]
fn t44_a_required_secret_without_a_value_is_an_error() {
    let Some(host) = host() else { return };
    let line = "FROM alpine\nRUN --mount=type=secret,id=a,required=true true\n";
    host.build(line, &[])
        .failure()
        .saying("--secret")
        .saying("Dockerfile:2");
    host.build(&line.replace(",required=true", ""), &[])
        .success();
}

#[test]
fn r12_a_cache_is_kept_from_build_to_build_and_not_in_the_image() {
    let Some(host) = host() else { return };
    let runs = |word: &str| {
        format!("RUN --mount=type=cache,target=/c echo {word} >> /c/log; cp /c/log /out\n")
    };
    assert_eq!(out(&host, &runs("a"), &[]), "a\n");
    assert_eq!(out(&host, &runs("b"), &[]), "a\nb\n");
    host.run(&["run", "it", "test", "!", "-e", "/c"]).success();
}

#[test]
fn r8_a_cache_belongs_to_the_user_of_the_run() {
    let Some(host) = host() else { return };
    let runs = "RUN mkdir -m 777 /d\nUSER nobody\n\
                RUN --mount=type=cache,target=/c touch /c/x && stat -c %u /c > /d/out\nUSER root\nRUN cp /d/out /out\n";
    assert_eq!(out(&host, runs, &[]), "65534\n");
}

#[test]
fn r8_a_bind_of_the_context_is_read_only_and_leaves_nothing() {
    let Some(host) = host() else { return };
    host.scratch.file("ctx/dir/file", "content\n").unwrap();
    let runs = "RUN --mount=target=/m,source=dir ! touch /m/x 2>/dev/null && cp /m/file /out\nRUN test ! -e /m\n";
    assert_eq!(out(&host, runs, &[]), "content\n");
}

#[test]
fn r8_writes_to_a_bind_are_discarded() {
    let Some(host) = host() else { return };
    let runs = "RUN mkdir /from && echo a > /from/a\nFROM alpine\n\
                RUN --mount=from=0,source=/from,target=/m,rw echo b > /m/b && ls /m > /out\n\
                RUN --mount=from=0,source=/from,target=/m ls /m >> /out\n";
    assert_eq!(out(&host, runs, &[]), "a\nb\na\n");
}

#[test]
fn t46_a_bind_counts_by_its_content() {
    let Some(host) = host() else { return };
    let runs = "RUN --mount=target=/m,source=file cat /m /proc/sys/kernel/random/uuid > /out\n";
    host.scratch.file("ctx/file", "1\n").unwrap();
    let first = out(&host, runs, &[]);
    host.scratch.file("ctx/file", "1\n").unwrap();
    assert_eq!(out(&host, runs, &[]), first);
    host.scratch.file("ctx/file", "2\n").unwrap();
    assert!(out(&host, runs, &[]).starts_with("2\n"));
}

#[test]
fn t16_a_stage_that_only_a_mount_needs_is_built() {
    let Some(host) = host() else { return };
    let runs = "RUN echo made > /made\nFROM scratch AS other\nFROM alpine\nRUN --mount=from=0,target=/m cp /m/made /out\n";
    assert_eq!(out(&host, runs, &[]), "made\n");
}

#[test]
fn a_tmpfs_is_empty_and_limited() {
    let Some(host) = host() else { return };
    let runs = "RUN --mount=type=tmpfs,target=/t,size=1m ls -A /t > /out; ! dd if=/dev/zero of=/t/x bs=2M count=1 2>/dev/null\n";
    assert_eq!(out(&host, runs, &[]), "");
}

#[test]
fn r5_without_a_network_there_is_only_loopback() {
    let Some(host) = host() else { return };
    let runs = "RUN --network=none ls /sys/class/net > /out\n";
    assert_eq!(out(&host, runs, &[]), "lo\n");
}

#[test]
fn cve_2024_1753_a_link_in_the_source_stays_inside() {
    let Some(host) = host_with(&[Need::Tool("umoci")]) else {
        return;
    };
    let runs = "RUN ln -s / /x\nFROM alpine\nRUN --mount=from=0,source=/x,target=/m ls /m > /out\n";
    assert!(
        out(&host, runs, &[]).contains("linuxrc"),
        "the stage's root, not the host's"
    );
}

#[test]
fn wish_1_cache_mounts_are_listed_removed_exported_and_imported() {
    let Some(host) = host() else { return };
    let fill = "FROM alpine\nRUN --mount=type=cache,id=c,target=/c,uid=7 echo x > /c/f\n";
    let show =
        "FROM alpine\nRUN --mount=type=cache,id=c,target=/c,uid=7 cat /c/f && stat -c %u /c\n";
    host.build(fill, &[]).success();
    host.run(&["cache", "ls"])
        .success()
        .saying("   c    7:0     0755   1 ");
    let tar = host.scratch.path().join("c.tar");
    let tar = tar.to_str().unwrap();
    host.run(&["cache", "export", "c", tar]).success();
    host.run(&["cache", "import", "c", tar])
        .failure()
        .saying("there is a cache `c` already");
    host.run(&["cache", "rm", "c"]).success();
    host.run(&["cache", "rm", "c"])
        .failure()
        .saying("there is no cache `c`");
    host.build(show, &["--no-cache"]).failure();
    host.run(&["cache", "rm", "--all"]).success();
    host.run(&["cache", "import", "c", tar]).success();
    host.build(show, &["--no-cache"])
        .success()
        .saying("] x\n")
        .saying("] 7\n");
}
