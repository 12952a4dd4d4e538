//! What Debian's buildah makes of the cases of `tests/corpus`.
//!
//! Its tree is the one in the file, and where the file has an error it fails too, except for
//! the cases that say why they differ; docs/compat.md has the reasons in one place.

use std::fs::File;

use rbuild_testkit::{Need, Output, Tree, need};

use crate::corpus::{Bench, Case, Peer, corpus, read, split};

/// What `buildah bud --isolation chroot` leaves in the image (docs/compat.md, "RUN").
const LEFTOVERS: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];

/// Runs buildah with a store of its own in the scratch directory.
#[track_caller]
fn buildah(bench: &Bench, args: &[&str]) -> Output {
    let host = bench.host();
    let runtime = host.scratch.dir("runtime").unwrap();
    let mut command = host.account.command("buildah");
    command.current_dir(host.scratch.path());
    command.env("XDG_RUNTIME_DIR", runtime);
    command.args(["--root", "peer", "--runroot", "peer-run"]);
    command.args(["--storage-driver", "overlay"]).args(args);
    Output::of(&mut command).unwrap()
}

/// Gives buildah the base that rbuild has.
#[track_caller]
fn share_base(bench: &Bench) {
    let layout = bench.host().push_to_layout("alpine");
    let layout = format!("oci:{}:it", layout.display());
    let id = buildah(bench, &["pull", "--quiet", &layout])
        .success()
        .stdout;
    buildah(bench, &["tag", id.trim(), "localhost/alpine:latest"]).success();
}

/// The tree of `case`, in the words of the file, or what buildah said when it failed.
#[track_caller]
fn result(bench: &Bench, case: &Case, number: usize) -> Result<String, Output> {
    let (context, dockerfile) = bench.lay_out(case, number);
    let out = bench.host().scratch.path().join(format!("{number}.tar"));
    let output = format!("type=tar,dest={}", out.display());
    let mut args = vec!["bud", "--isolation", "chroot", "--layers", "--quiet"];
    // Of OCI images buildah drops SHELL and ONBUILD.
    args.extend(["--format", "docker", "-f", &dockerfile, "--output", &output]);
    args.extend(case.args.iter().map(String::as_str));
    args.push(&context);
    let said = buildah(bench, &args);
    if said.status != 0 {
        return Err(said);
    }
    let mut tree = Tree::from_tar(File::open(out).unwrap()).unwrap();
    tree.0.retain(|path, _| !LEFTOVERS.contains(&path.as_str()));
    Ok(bench.shown(tree).trim_end().to_owned())
}

/// What is not as the file says.
#[track_caller]
fn difference(bench: &Bench, case: &Case, number: usize) -> Option<String> {
    let found = match (result(bench, case, number), case.fails()) {
        (Err(_), true) => return None,
        (Err(said), false) => said.to_string(),
        (Ok(tree), false) if tree == case.expected => return None,
        (Ok(tree), _) => tree,
    };
    Some(format!(
        "--- {}\nexpected\n{}\nfound\n{found}\n",
        case.name(),
        case.expected
    ))
}

#[track_caller]
fn check(name: &str) {
    let Some(_) = need(&[Need::Tool("buildah")]) else {
        return;
    };
    let Some(bench) = Bench::new() else { return };
    share_base(&bench);
    let differences: String = (1..)
        .zip(&split(&read(name).1).1)
        .filter(|(_, case)| case.peer == Peer::Same)
        .filter_map(|(number, case)| difference(&bench, case, number))
        .collect();
    assert!(differences.is_empty(), "\n{differences}");
}

corpus!(check);
