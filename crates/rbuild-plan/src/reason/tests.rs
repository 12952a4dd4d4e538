//! Two builds of a step, and what is said of the second one.

use std::collections::BTreeMap;

use rbuild_oci::Platform;

use super::{Absence, Reason};
use crate::account::{Account, Parent};
use crate::graph::{Step, Tree};
use crate::inputs::{BaseImage, Inputs, Planning};
use crate::key::Key;
use crate::listing::Listing;

/// A build: the Dockerfile's last step is looked at.
struct Build<'a> {
    dockerfile: &'a str,
    /// `NAME=VALUE` each.
    args: &'a str,
    /// `PATH=PRINT` each: what the step reads.
    files: &'a str,
    /// Which version of the base image there is.
    base: &'a str,
}

fn build(dockerfile: &str) -> Build<'_> {
    Build {
        dockerfile,
        args: "",
        files: "",
        base: "1",
    }
}

fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    let pairs = text
        .split_whitespace()
        .map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
}

impl Build<'_> {
    fn account(&self) -> Account {
        let (file, found) = rbuild_dockerfile::parse(self.dockerfile);
        assert!(found.is_empty(), "{found:?}");
        let mut inputs = Inputs {
            build_args: pairs(self.args).collect::<BTreeMap<_, _>>(),
            ..Inputs::default()
        };
        let plan = loop {
            match crate::plan(&file, self.dockerfile, &inputs) {
                Planning::Ready(plan) => break plan,
                Planning::Needs(names) => inputs.bases.extend(names.into_iter().map(|name| {
                    let image = BaseImage {
                        tree_key: self.base.to_owned(),
                        config: rbuild_oci::ImageConfig {
                            os: inputs.platform.os.clone(),
                            architecture: inputs.platform.architecture.clone(),
                            ..Default::default()
                        },
                    };
                    (name, image)
                })),
                other => unreachable!("{other:?}"),
            }
        };
        let step = plan.steps.last().unwrap();
        let mut listing = Listing::default();
        for (path, print) in pairs(self.files) {
            listing.add(path.as_bytes(), print.parse().unwrap());
        }
        let files = step.op.sources().iter().map(|_| listing.clone()).collect();
        Account::of(step, self.parent(step), files)
    }

    fn parent(&self, step: &Step) -> Parent {
        match &step.parent {
            Tree::Empty => Parent::of(&Key::of_empty_tree(&Platform::default()), None),
            Tree::Image(name) => {
                let key = Key::of_image_tree(self.base, &name.platform);
                Parent::of(&key, Some(&name.name))
            }
            // The text of the steps before stands for their results.
            Tree::Step(_) => {
                let before = self.dockerfile.rsplit_once("\nRUN").unwrap().0;
                Parent::of(
                    &Key::from_bytes(*blake3::hash(before.as_bytes()).as_bytes()),
                    None,
                )
            }
        }
    }
}

#[track_caller]
fn check(first: &Build<'_>, second: &Build<'_>, expected: &str) {
    let (old, new) = (first.account(), second.account());
    // It is kept as JSON in between.
    let old: Account = serde_json::from_str(&serde_json::to_string(&old).unwrap()).unwrap();
    let reason = Reason::of(Absence::Unknown, Some(&old), &new);
    assert_eq!(reason.to_string(), expected);
}

/// The same Dockerfile with other arguments.
#[track_caller]
fn check_args(dockerfile: &str, first: &str, second: &str, expected: &str) {
    let with = |args| Build {
        args,
        ..build(dockerfile)
    };
    check(&with(first), &with(second), expected);
}

/// The same Dockerfile with other files.
#[track_caller]
fn check_files(first: &str, second: &str, expected: &str) {
    let with = |files| Build {
        files,
        ..build("FROM scratch\nCOPY src /src\n")
    };
    check(&with(first), &with(second), expected);
}

#[test]
fn wish_6_changed_files_are_named() {
    check_files(
        "src/a.go=1 src/b.go=1",
        "src/a.go=2 src/b.go=2",
        "2 files changed: src/a.go, src/b.go",
    );
    check_files("a=1", "a=2", "1 file changed: a");
    check_files("a=1", "a=1 b=1", "1 file added: b");
    check_files(
        "a=1 b=1 c=1",
        "a=2 d=1",
        "1 file changed: a; 1 added: d; 2 removed: b, c",
    );
    check_files("", "a=1 b=1 c=1 d=1", "4 files added: a, b, c, …");
}

#[test]
fn wish_6_changed_values_are_shown() {
    let run = "FROM scratch\nARG V\nENV E=e$V\nRUN x\n";
    check_args(run, "V=1", "V=2", "ARG V: 1 → 2; ENV E: e1 → e2");
    check_args(run, "", "V=2", "ARG V: now 2; ENV E: e → e2");
    check_args(run, "V=1", "V=", "ARG V: 1 → nothing; ENV E: e1 → e");
    let copy = "FROM scratch\nARG V=1\nCOPY a$V /b$V\n";
    check_args(copy, "", "V=2", "destination: /b1 → /b2; sources: a1 → a2");
    let workdir = "FROM scratch\nARG V=1\nWORKDIR /b$V\n";
    check_args(workdir, "", "V=2", "working directory: /b1 → /b2");
}

#[test]
fn k4_values_that_may_be_secrets_are_not_shown() {
    let token = "FROM scratch\nARG NPM_TOKEN\nRUN x\n";
    check_args(
        token,
        "NPM_TOKEN=hunter1",
        "NPM_TOKEN=hunter2",
        "ARG NPM_TOKEN changed",
    );
    let url = "FROM scratch\nARG URL\nRUN x\n";
    check_args(
        url,
        "URL=https://a:b@h/1",
        "URL=https://a:c@h/1",
        "ARG URL changed",
    );
    let account = Build {
        args: "URL=https://a:b@h/ NPM_TOKEN=hunter2 HTTP_PROXY=http://p",
        ..build("FROM scratch\nARG NPM_TOKEN\nARG URL\nRUN x\n")
    };
    let kept = serde_json::to_string(&account.account()).unwrap();
    assert!(
        ["hunter", "a:b", "http://p"]
            .iter()
            .all(|it| !kept.contains(it)),
        "{kept}"
    );
}

#[test]
fn a7_a_proxy_is_no_difference() {
    let run = "FROM scratch\nRUN x\n";
    let lost = "its result was deleted";
    check_args(run, "HTTP_PROXY=http://1", "HTTP_PROXY=http://2", lost);
}

#[test]
fn another_instruction_is_told_by_its_text() {
    check(
        &build("FROM scratch\nRUN a\n"),
        &build("FROM scratch\nRUN b\n"),
        "instruction changed, was `RUN a`",
    );
    check(
        &build("FROM scratch\nRUN <<E\na\nE\n"),
        &build("FROM scratch\nRUN <<E\nb\nE\n"),
        "command changed",
    );
    check(
        &build("FROM scratch\nSHELL [\"a\"]\nRUN x\n"),
        &build("FROM scratch\nSHELL [\"b\"]\nUSER me\nRUN x\n"),
        "command changed; user: nothing → me",
    );
}

#[test]
fn what_a_step_stands_on_is_named() {
    let on = |dockerfile, base| Build {
        base,
        ..build(dockerfile)
    };
    let alpine = "FROM alpine\nRUN x\n";
    check(
        &on(alpine, "1"),
        &on(alpine, "2"),
        "base alpine: new digest",
    );
    check(
        &on(alpine, "1"),
        &on("FROM debian\nRUN x\n", "1"),
        "base: alpine → debian",
    );
    check(
        &build("FROM scratch\nRUN a\nRUN x\n"),
        &build("FROM scratch\nRUN b\nRUN x\n"),
        "parent changed",
    );
}

#[test]
fn what_the_store_knows_better_is_said_first() {
    let account = build("FROM scratch\nRUN x\n").account();
    for (absence, nearest, expected) in [
        (Absence::Unknown, None, "first time"),
        (Absence::Unknown, Some(&account), "its result was deleted"),
        (Absence::Deleted, None, "its result was deleted"),
        (Absence::Expired, Some(&account), "its result is too old"),
        (Absence::Unasked, Some(&account), "the cache is not used"),
    ] {
        assert_eq!(Reason::of(absence, nearest, &account).to_string(), expected);
    }
}
