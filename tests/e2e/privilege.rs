//! Root or not: the same Dockerfile is the same image.

use rbuild_testkit::{Account, Base, Host, Need};

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
    let output = rbuild_testkit::Output::of_success(&mut find).unwrap();
    assert_eq!(output.stdout, "");
}
