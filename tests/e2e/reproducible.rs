//! Same input, same bytes: another directory, another store, another umask,
//! another minute, and still the same digest.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rbuild_testkit::{Host, Output};

use crate::surroundings::host;

const DOCKERFILE: &str = "FROM BASE AS build\n\
    RUN mkdir /out && date > /dev/null && echo x > /out/x\n\
    FROM BASE\nWORKDIR /app\nCOPY . .\nCOPY --link a /linked/\nCOPY --from=build /out/ out/\n\
    RUN touch made && ln -s made link\nENV A=b\n";

/// Where and how one of the builds is made.
struct Circumstances<'a> {
    host: &'a Host,
    directory: &'a str,
    umask: &'a str,
    flags: &'a [&'a str],
}

/// Builds on the layout `base` and returns the image's id and digest.
#[track_caller]
fn digest(
    base: &Path,
    Circumstances {
        host,
        directory,
        umask,
        flags,
    }: &Circumstances,
) -> String {
    let dockerfile = DOCKERFILE.replace("BASE", &format!("oci:{}:it", base.display()));
    host.scratch.file("Dockerfile", dockerfile).unwrap();
    host.scratch
        .file(&format!("{directory}/b/file"), "content\n")
        .unwrap();
    host.scratch.file(&format!("{directory}/a"), "").unwrap();
    let args = [
        &["bud", "-f", "Dockerfile", "-t", "it"],
        *flags,
        &[directory],
    ]
    .concat();
    let rbuild = host.rbuild(&args);
    let mut build = with_umask(host, umask, &rbuild);
    build.env("SOURCE_DATE_EPOCH", "1700000000");
    Output::of(&mut build).unwrap().success();
    let format = [
        "images",
        "--no-trunc",
        "--format",
        "{{.Repository}} {{.ID}} {{.Digest}}",
    ];
    let images = host.run(&format).success().stdout;
    images
        .lines()
        .find(|line| line.starts_with("localhost/it "))
        .unwrap()
        .to_owned()
}

fn with_umask(host: &Host, umask: &str, rbuild: &Command) -> Command {
    let mut shell = host.account.command("sh");
    shell
        .args(["-c", &format!("umask {umask} && exec \"$0\" \"$@\"")])
        .arg(rbuild.get_program());
    shell
        .args(rbuild.get_args())
        .current_dir(host.scratch.path());
    shell
}

// W4, T58: the times of directories that WORKDIR made are in the digest too.
#[test]
fn two_directories_two_umasks_one_digest() {
    let (Some(one), Some(other)) = (host(), host()) else {
        return;
    };
    let base = one.push_to_layout("alpine");
    for flags in [
        &[][..],
        &["--format", "docker"],
        &["--timestamp", "7", "--squash"],
    ] {
        let here = Circumstances {
            host: &one,
            directory: "here",
            umask: "022",
            flags,
        };
        let there = Circumstances {
            host: &other,
            directory: "there/deeper",
            umask: "077",
            flags,
        };
        let first = digest(&base, &here);
        std::thread::sleep(Duration::from_millis(1100));
        assert_eq!(digest(&base, &there), first, "{flags:?}");
    }
}
