//! Root or not: the same Dockerfile is the same image.

use std::process::Command;

use rbuild_testkit::{Account, Base, Host, Need, Output, rbuild_binary};

use crate::surroundings::host_with;

const DOCKERFILE: &str = "FROM alpine\n\
    RUN echo x > /x && chown 12:34 /x && mkdir -m 1777 /d && ln -s /x /d/link\n\
    RUN echo someone:x:1000:1000::/home/someone:/bin/sh >> /etc/passwd && \
        mkdir /home/someone && chown 1000:1000 /home/someone\n\
    COPY --chown=someone file /home/someone/\n\
    USER someone\n\
    RUN echo own > /home/someone/own\n";

#[test]
fn root_builds_the_same_tree_as_a_user() {
    let Some(host) = host_with(&[Need::Root, Need::Tool("umoci")]) else {
        return;
    };
    let root = Host::new(Account::root().unwrap()).unwrap();
    root.import(Base::Busybox);
    let tree = |host: &Host| {
        host.scratch.file("ctx/file", "x\n").unwrap();
        host.build(DOCKERFILE, &["-t", "it"]).success();
        host.tree("it").since(&host.tree("alpine")).to_string()
    };
    let of_user = tree(&host);
    assert!(
        of_user.contains("/home/someone/own f 0644 1000:1000"),
        "{of_user}"
    );
    assert_eq!(tree(&root), of_user);
}

/// Runs rbuild where `/etc/subuid` and `/etc/subgid` are `lines`, for it alone.
fn info_with(host: &Host, lines: &str) -> Output {
    let file = host.scratch.file("ranges", lines).unwrap();
    let mut command = Command::new("unshare");
    let script = "mount --bind \"$1\" /etc/subuid && mount --bind \"$1\" /etc/subgid && \
        shift && exec setpriv --reuid \"$1\" --regid \"$1\" --clear-groups \"$2\" info";
    command.args(["--mount", "sh", "-c", script, "sh"]);
    command.arg(file).arg(&host.account.name);
    command.arg(rbuild_binary().unwrap());
    command.env("RBUILD_STORE", &host.store);
    Output::of(&mut command).unwrap()
}

#[test]
fn duplicate_and_overlapping_ranges_are_merged() {
    let Some(host) = host_with(&[Need::Root, Need::Tool("setpriv")]) else {
        return;
    };
    let name = &host.account.name;
    let lines = format!("{name}:100000:65536\n{name}:100000:65536\n{name}:120000:65536\n");
    info_with(&host, &lines)
        .success()
        .saying("85537 users (100000:85536)")
        .saying("RUN                       works");
}

#[test]
fn files_in_the_store_belong_to_the_user_and_its_range_alone() {
    let Some(host) = host_with(&[]) else { return };
    host.build(
        "FROM alpine\nRUN echo x > /x && chown 5:5 /x\n",
        &["-t", "it"],
    )
    .success();
    let mut find = host.account.inside("find");
    find.arg(&host.store)
        .args(["-uid", "65534", "-print", "-quit"]);
    let output = Output::of_success(&mut find).unwrap();
    assert_eq!(output.stdout, "");
}
