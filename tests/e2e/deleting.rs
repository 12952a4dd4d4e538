//! `-o type=local,mode=delete`: a directory becomes the same as the result, and nothing else is lost.

use std::fs;

use rbuild_testkit::{Output, Tree};

use crate::surroundings::host;

#[test]
fn a_directory_can_be_made_the_same_as_the_result() {
    let Some(host) = host() else { return };
    let scratch = &host.scratch;
    scratch.file("ctx/a", "x\n").unwrap();
    let dockerfile = "FROM scratch\nARG TARGETARCH\nCOPY a /d/a\nCOPY a /$TARGETARCH\n";
    let out = scratch.path().join("out");
    let paths = || Tree::read(&host.account, &out).unwrap().paths().join(" ");
    scratch.file("keep/file", "").unwrap();
    scratch.file("out/old/file", "").unwrap();
    scratch.file("out/d/old", "").unwrap();
    std::os::unix::fs::symlink("../keep", out.join("link")).unwrap();
    let output = ["-o", "type=local,dest=out,mode=delete"];
    let failing = format!("{dockerfile}FROM alpine\nRUN false\n");
    host.build(&failing, &output).failure();
    assert_eq!(paths(), "/ /d /d/old /link /old /old/file");
    let one = [&output[..], &["--platform=linux/amd64"]].concat();
    host.build(dockerfile, &one).success();
    assert_eq!(paths(), "/ /amd64 /d /d/a");
    assert!(scratch.path().join("keep/file").exists());
    let two = [&output[..], &["--platform=linux/amd64,linux/arm64"]].concat();
    for more in [&[][..], &["--sbom=true"]] {
        scratch.file("out/linux_arm64/old", "").unwrap();
        scratch.file("out/linux_s390x/old", "").unwrap();
        host.build(dockerfile, &[&two, more].concat()).success();
        let found = paths();
        assert!(
            !found.contains("old") && !found.contains("s390x"),
            "{found}"
        );
        assert!(!found.contains(" /amd64"), "{found}");
        assert!(found.contains("/linux_arm64/d/a"), "{found}");
        assert_eq!(found.matches("sbom").count(), more.len() * 2, "{found}");
    }
    let unsplit = [
        &two[..1],
        &["type=local,dest=out,mode=delete,platform-split=false"],
    ];
    host.build(dockerfile, &[&unsplit.concat(), &two[2..]].concat())
        .failure()
        .saying("platform-split");
}

#[test]
fn no_output_empties_what_is_of_worth() {
    let Some(host) = host() else { return };
    let scratch = &host.scratch;
    scratch.file("elsewhere/file", "").unwrap();
    let elsewhere = scratch.path().join("elsewhere");
    scratch.file("ctx/link/x", "").unwrap();
    std::os::unix::fs::symlink("/usr", scratch.path().join("usr")).unwrap();
    let above = format!("{}/..", scratch.path().display());
    for (dest, why) in [
        ("/", "is in it"),
        ("usr", "a directory of the system"),
        (".", "it is the current directory"),
        ("ctx", "it is the build context"),
        (&*above, "is in it"),
        ("/var/spool", "not below the current directory"),
    ] {
        let output = format!("type=local,dest={dest},mode=delete");
        host.build("FROM scratch\nCOPY link /\n", &["-o", &output])
            .failure()
            .saying(why);
    }
    let output = format!("type=local,dest={},mode=delete", elsewhere.display());
    let build = |more: &[&str]| {
        scratch.dir("here").unwrap();
        let mut rbuild = host.rbuild(&[&["bud", "-o", &output], more, &["../ctx"]].concat());
        rbuild.current_dir(scratch.path().join("here"));
        Output::of(&mut rbuild).unwrap()
    };
    build(&[]).failure().saying("--allow local.delete");
    assert!(elsewhere.join("file").exists());
    build(&["--allow", "buildx.local.delete"]).success();
    assert_eq!(fs::read_dir(elsewhere).unwrap().count(), 1);
}

#[test]
fn what_is_mounted_below_a_directory_stays() {
    let Some(host) = host() else { return };
    let scratch = &host.scratch;
    scratch.file("ctx/a", "x\n").unwrap();
    scratch
        .file("ctx/Dockerfile", "FROM scratch\nCOPY a /\n")
        .unwrap();
    scratch.file("spared/file", "").unwrap();
    scratch.dir("out/old/mounted").unwrap();
    let rbuild = host.rbuild(&["bud", "-o", "type=local,dest=out,mode=delete", "ctx"]);
    let words = std::iter::once(rbuild.get_program()).chain(rbuild.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.display())).collect();
    let script = format!("mount --bind spared out/old/mounted && {}", words.join(" "));
    let mut sh = host.account.command("unshare");
    sh.args(["--map-root-user", "--mount", "sh", "-c", &script]);
    sh.current_dir(scratch.path());
    let output = Output::of(&mut sh).unwrap().failure();
    output.saying("is mounted there");
    assert!(scratch.path().join("spared/file").exists());
}
