//! `containers-storage:`: images to and from podman's own store, by podman's own programs.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    process::Command,
};

use rbuild_testkit::{Host, Need, Output, Tree, unpack, wait_until};

use crate::surroundings::{host, host_with};

const DOCKERFILE: &str = "FROM alpine\n\
    RUN mkdir -p /data/deep && echo built > /data/deep/file && chmod 2750 /data/deep && chown -R 5:6 /data\n\
    CMD [\"cat\", \"/data/deep/file\"]\n";

/// A user with a store of podman's own, beside that of rbuild.
struct User(Host);

impl User {
    /// Has built `it:1`.
    fn new(tools: &[&'static str]) -> Option<Self> {
        let needs: Vec<Need> = tools.iter().map(|tool| Need::Tool(tool)).collect();
        let host = host_with(&needs)?;
        host.build(DOCKERFILE, &["-t", "it:1"]).success();
        let conf = "[storage]\ndriver = \"overlay\"\n";
        host.scratch.file("storage.conf", conf).unwrap();
        for dir in ["home", "runtime", "tmp"] {
            host.scratch.dir(dir).unwrap();
        }
        Some(Self(host))
    }

    fn scratch(&self, name: &str) -> PathBuf {
        self.0.scratch.path().join(name)
    }

    /// `command` with the environment that leads to this user's own store.
    fn at_home(&self, mut command: Command) -> Command {
        command
            .current_dir(self.0.scratch.path())
            .env("CONTAINERS_STORAGE_CONF", self.scratch("storage.conf"))
            .env("XDG_RUNTIME_DIR", self.scratch("runtime"))
            .env("HOME", self.scratch("home"))
            .env("TMPDIR", self.scratch("tmp"));
        command
    }

    #[track_caller]
    fn rbuild(&self, args: &[&str]) -> Output {
        Output::of(&mut self.at_home(self.0.rbuild(args))).unwrap()
    }

    /// The same where `PATH` has `tools` only, and what makes user namespaces.
    #[track_caller]
    fn rbuild_beside(&self, tools: &[&str], args: &[&str]) -> Output {
        let path = self.0.scratch.dir("bin").unwrap();
        let needed = ["newuidmap", "newgidmap"];
        for tool in needed.iter().chain(tools) {
            let _ = symlink(format!("/usr/bin/{tool}"), path.join(tool));
        }
        let output = Output::of(self.at_home(self.0.rbuild(args)).env("PATH", &path)).unwrap();
        fs::remove_dir_all(path).unwrap();
        output
    }

    /// The same where podman is the shell script `podman`.
    #[track_caller]
    fn rbuild_with_podman(&self, podman: &str, args: &[&str]) -> Output {
        let script = format!("#!/bin/sh\n{podman}\n");
        let fake = self.0.scratch.file("fake/podman", script).unwrap();
        fs::set_permissions(&fake, Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", self.scratch("fake").display());
        Output::of(self.at_home(self.0.rbuild(args)).env("PATH", path)).unwrap()
    }

    #[track_caller]
    fn tool(&self, program: &str, args: &[&str]) -> String {
        let mut command = self.at_home(self.0.account.command(program));
        let output = Output::of_success(command.args(args)).unwrap();
        output.stdout.trim_end().to_owned()
    }

    /// The id of `image` in podman's store.
    #[track_caller]
    fn id_at_podman(&self, image: &str) -> String {
        self.tool("podman", &["inspect", "--format", "{{.Id}}", image])
    }

    #[track_caller]
    fn id(&self, image: &str) -> String {
        let output = self.rbuild(&["inspect", "--format", "{{.Id}}", image]);
        output.success().stdout.trim_end().to_owned()
    }

    /// The files of `image` in podman's store.
    #[track_caller]
    fn tree_at_podman(&self, image: &str) -> Tree {
        let source = format!("containers-storage:{image}");
        self.tool(
            "skopeo",
            &["--insecure-policy", "copy", &source, "oci:out:it"],
        );
        unpack(&self.0, &self.scratch("out"), "it").unwrap()
    }
}

#[test]
fn what_is_handed_over_is_the_same_image_both_ways() {
    let Some(user) = User::new(&["podman", "skopeo", "umoci"]) else {
        return;
    };
    let (expected, tree) = (user.id("it:1"), user.0.tree("it:1").to_string());
    user.rbuild(&["push", "it:1", "containers-storage:"])
        .success()
        .saying("pushed it:1 to containers-storage:localhost/it:1 through `podman load`");
    assert_eq!(user.id_at_podman("localhost/it:1"), expected);
    assert_eq!(user.tree_at_podman("localhost/it:1").to_string(), tree);
    user.rbuild(&[
        "push",
        "-q",
        &expected,
        "containers-storage:quay.io/team/it:2",
    ])
    .success();
    assert_eq!(user.id_at_podman("quay.io/team/it:2"), expected);

    user.rbuild(&["rmi", "it:1"]).success();
    let output = user
        .rbuild(&["pull", "containers-storage:it:1"])
        .success()
        .saying("through `podman save`");
    assert_eq!(output.stdout.trim_end(), expected);
    assert_eq!(user.id("localhost/it:1"), expected);
    assert_eq!(user.0.tree("it:1").to_string(), tree);
    user.0
        .build("FROM it:1\nRUN test -e /data/deep/file\n", &[])
        .success();
    user.rbuild(&["rmi", "it:1"]).success();
    let by_id = format!("containers-storage:{}", &expected[..12]);
    let output = user.rbuild(&["pull", "-q", &by_id]).success();
    assert_eq!(output.stdout.trim_end(), expected);
    assert_eq!(
        user.0
            .scratch
            .path()
            .join("tmp")
            .read_dir()
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn an_image_of_podman_is_taken_by_whichever_of_its_programs_is_there() {
    let Some(user) = User::new(&["podman", "skopeo", "buildah"]) else {
        return;
    };
    let expected = user.id("it:1");
    user.rbuild(&["push", "it:1", "containers-storage:"])
        .success();
    for (tool, called) in [("skopeo", "skopeo copy"), ("buildah", "buildah push")] {
        user.rbuild(&["rmi", "it:1"]).success();
        let output = user
            .rbuild_beside(&[tool], &["pull", "containers-storage:it:1"])
            .success()
            .saying(&format!("through `{called}`"));
        assert_eq!(output.stdout.trim_end(), expected, "{tool}");
        assert_eq!(user.id("localhost/it:1"), expected, "{tool}");
    }
}

#[test]
fn without_its_programs_a_store_of_podman_is_out_of_reach_and_the_error_says_what_to_do() {
    let Some(user) = User::new(&[]) else { return };
    user.rbuild_beside(&[], &["push", "it:1", "containers-storage:"])
        .failure()
        .saying("needs `podman`, which is not in PATH")
        .saying("hint: ");
    user.rbuild_beside(&[], &["pull", "containers-storage:it:1"])
        .failure()
        .saying("none is in PATH")
        .saying("hint: ");
}

#[test]
fn a_program_that_fails_is_quoted() {
    let Some(user) = User::new(&["podman"]) else {
        return;
    };
    user.rbuild(&["pull", "containers-storage:nothing:1"])
        .failure()
        .saying("cannot take `nothing:1` out of podman's store: `podman save` failed (exit status: 125)")
        .saying("nothing:1: image not known");
    // One that fails before, while and after it reads.
    for script in [
        "echo no room >&2; exit 3",
        "head -c 99999 >/dev/null; echo no room >&2; exit 3",
        "cat >/dev/null; echo no room >&2; exit 3",
    ] {
        let push = ["push", "it:1", "containers-storage:"];
        user.rbuild_with_podman(script, &push)
            .failure()
            .saying("cannot put `it:1` into podman's store: `podman load` failed (exit status: 3)")
            .saying("caused by: no room");
    }
    user.rbuild(&["push", "nothing", "containers-storage:"])
        .failure()
        .saying("no image `nothing` in the store");
}

#[test]
fn the_death_of_rbuild_ends_what_podman_reads() {
    let Some(user) = User::new(&[]) else { return };
    let script = "head -c 9 >/dev/null; kill -9 $PPID; cat >/dev/null; echo over >ended";
    user.rbuild_with_podman(script, &["push", "it:1", "containers-storage:"])
        .failure();
    let ended = user.scratch("ended");
    wait_until(|| "somebody keeps the pipe open", || ended.exists());
}

#[test]
fn the_policy_for_signatures_is_asked_about_podmans_store() {
    let Some(user) = User::new(&["podman"]) else {
        return;
    };
    user.rbuild(&["push", "it:1", "containers-storage:"])
        .success();
    let accept = r#"[{"type":"insecureAcceptAnything"}]"#;
    for (transports, is_fine) in [
        (format!(r#""containers-storage":{{"":{accept}}}"#), true),
        (format!(r#""docker-archive":{{"":{accept}}}"#), false),
        (
            format!(r#""containers-storage":{{"":{accept},"[overlay@/x]":{accept}}}"#),
            false,
        ),
    ] {
        let policy =
            format!(r#"{{"default":[{{"type":"reject"}}],"transports":{{{transports}}}}}"#);
        user.0.scratch.file("policy.json", &policy).unwrap();
        let args = [
            "pull",
            "--signature-policy",
            "policy.json",
            "containers-storage:it:1",
        ];
        let output = user.rbuild(&args);
        assert_eq!(
            output.status == 0,
            is_fine,
            "{transports}: {}",
            output.stderr
        );
    }
}

#[test]
fn other_commands_name_those_that_reach_podmans_store() {
    let Some(host) = host() else { return };
    host.build("FROM containers-storage:it:1\n", &[])
        .failure()
        .saying("`containers-storage:` is not supported")
        .saying("`rbuild pull containers-storage:NAME` takes one");
    host.build(
        "FROM alpine\n",
        &["-o", "type=registry,name=containers-storage:x"],
    )
    .failure()
    .saying("`containers-storage:` is not supported");
    host.run(&[
        "push",
        "alpine",
        "containers-storage:x",
        "--format",
        "docker",
    ])
    .failure()
    .saying("--format means nothing for `containers-storage:`");
    let digest = format!("containers-storage:a@sha256:{}", "0".repeat(64));
    for place in [
        &digest,
        "containers-storage:",
        "containers-storage:[overlay@/x]a",
    ] {
        host.run(&["pull", place]).failure();
    }
}
