//! Commands for another architecture than this machine's: by an emulator that the build registers
//! for itself.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, process::Command};

use rbuild_testkit::{Account, Base, Host, Need, Output, emulator};
use serde_json::Value;

use crate::{
    archives::peer,
    manifests::{listed, platforms},
    surroundings::host_with,
};

/// What every test of this file needs.
const NEEDS: [Need; 2] = [Need::Emulation, Need::Base(Base::BusyboxArm64)];

/// A host with `alpine-arm64`, and the list `both` of it and `alpine`.
#[track_caller]
fn host(more: &[Need]) -> Option<Host> {
    let host = host_with(&[&NEEDS, more].concat())?;
    host.import(Base::BusyboxArm64);
    host.run(&["manifest", "create", "both", "alpine", "alpine-arm64"])
        .success();
    Some(host)
}

/// `rbuild args…` for somebody who has an emulator of his own, which he may write to.
fn command(host: &Host, args: &[&str]) -> Command {
    let bin = host.scratch.path().join("bin");
    let program = bin.join("qemu-aarch64-static");
    if !program.exists() {
        let copy = host.scratch.file("bin/qemu-aarch64-static", "").unwrap();
        let mut command = Command::new("cp");
        Output::of_success(command.arg(emulator()).arg(&copy)).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = host.rbuild(args);
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", bin.display());
    command.env("PATH", path);
    command
}

fn run(host: &Host, args: &[&str]) -> Output {
    Output::of(&mut command(host, args)).unwrap()
}

#[track_caller]
fn build(host: &Host, dockerfile: &str, flags: &[&str]) -> Output {
    host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
    run(host, &[&["bud"], flags, &["ctx"]].concat())
}

/// What a command in the image that `dockerfile` makes for arm64 says.
#[track_caller]
fn said(host: &Host, dockerfile: &str, command: &[&str]) -> String {
    let flags = ["--platform=linux/arm64", "-t", "it"];
    build(host, dockerfile, &flags).success();
    run(host, &[&["run", "it"], command].concat())
        .success()
        .stdout
}

/// What the machine's kernel executes besides its own programs.
fn registered() -> BTreeMap<String, String> {
    let entries = fs::read_dir("/proc/sys/fs/binfmt_misc");
    let entries = entries.into_iter().flatten().flatten();
    let read = entries.map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, fs::read_to_string(entry.path()).unwrap_or_default())
    });
    read.collect()
}

/// Whether it executes those for arm64.
fn is_executed_anyway() -> bool {
    registered().values().any(|it| it.contains("aarch64"))
}

#[test]
fn a_run_in_both_platforms_is_executed_for_each() {
    let Some(host) = host(&[Need::Tool("skopeo")]) else {
        return;
    };
    let before = registered();
    let dockerfile = "FROM both\nRUN uname -m > /machine\n";
    let layout = "type=oci,tar=false,dest=layout,name=1";
    let platform = "--platform=linux/amd64,linux/arm64";
    let flags = [platform, "-t", "it", "-o", layout];
    build(&host, dockerfile, &flags).success();
    assert_eq!(platforms(&listed(&host, "it")), "linux/amd64 linux/arm64");
    for (architecture, machine) in [("amd64", "x86_64\n"), ("arm64", "aarch64\n")] {
        let wanted = format!("--platform=linux/{architecture}");
        let said = run(&host, &["run", &wanted, "it", "cat", "/machine"]);
        assert_eq!(said.success().stdout, machine);
        let chosen = ["--override-arch", architecture, "inspect", "--config"];
        let config = peer(&host, "skopeo", &[&chosen[..], &["oci:layout:1"]].concat());
        let config: Value = serde_json::from_str(&config).unwrap();
        assert_eq!(config["architecture"], architecture);
    }
    let again = build(&host, dockerfile, &[platform, "--require-cached"]);
    again.success();
    assert_eq!(registered(), before);
}

#[test]
fn programs_get_their_arguments_and_setuid_bits_as_without_emulation() {
    let Some(host) = host(&[]) else { return };
    let dockerfile = "FROM alpine-arm64\n\
        RUN [\"cp\", \"/proc/self/cmdline\", \"/arguments\"]\n\
        RUN sed -i s/root:x:/root::/ /etc/passwd && chmod 4755 /bin/busybox\n\
        USER nobody\nRUN su root -c 'id -u > /user'\n";
    let said = said(
        &host,
        dockerfile,
        &["sh", "-c", "tr '\\0' ' ' < /arguments; cat /user"],
    );
    assert_eq!(said, "cp /proc/self/cmdline /arguments 0\n");
}

#[test]
fn a_run_neither_sees_nor_changes_interpreters_nor_the_emulator() {
    let Some(host) = host(&[]) else { return };
    let before = registered();
    let dockerfile = "FROM --platform=$BUILDPLATFORM alpine AS own\nFROM alpine-arm64\n\
        COPY --from=own /bin/busybox /own/busybox\nRUN <<E\n\
        exec > /out 2>&1\n\
        ls -A /proc/sys/fs/binfmt_misc | wc -l\n\
        mount -t binfmt_misc none /mnt || mount -t binfmt_misc none /tmp || echo no mount\n\
        (echo : > /proc/sys/fs/binfmt_misc/register) 2> /dev/null || echo no register\n\
        sleep 9 &\n\
        /own/busybox sh -c \": > /proc/$!/exe\" 2>&1 | sed 's/.*: //'\n\
        kill $!\n\
        E\n";
    let said = said(&host, dockerfile, &["cat", "/out"]);
    let refused = match is_executed_anyway() {
        true => "Permission denied", // The machine's emulator belongs to its root.
        false => "Read-only file system",
    };
    let expected = format!(
        "0\n\
        mount: permission denied (are you root?)\n\
        mount: permission denied (are you root?)\n\
        no mount\nno register\n{refused}\n"
    );
    assert_eq!(said, expected);
    assert_eq!(registered(), before);
}

/// Runs a command where programs for arm64 are executed by the program that comes before it.
const REGISTERED: &str = r#"
set -e
binfmt=/proc/sys/fs/binfmt_misc zeros='\x00\x00\x00' ones='\xff\xff\xff'
magic="\x7fELF\x02\x01\x01$zeros$zeros$zeros\x02\x00\xb7\x00"
mask="$ones$ones\xff$zeros$zeros$zeros\xfe$ones"
mount -t binfmt_misc none $binfmt
printf %s ":arm64:M::$magic:$mask:$1:F" > $binfmt/register
shift
exec "$@"
"#;

#[test]
fn an_interpreter_that_the_kernel_has_is_used() {
    let Some(host) = host(&[]) else { return };
    let dockerfile = "FROM alpine-arm64\nRUN uname -m\n";
    host.scratch.file("ctx/Dockerfile", dockerfile).unwrap();
    for (args, expected) in [
        (&["info"][..], "by binfmt_misc          linux/arm64\n"),
        (&["bud", "--platform=linux/arm64", "ctx"], "aarch64\n"),
    ] {
        let rbuild = host.rbuild(args);
        let mut command = host.account.inside("unshare");
        let command = command.args(["--mount", "sh", "-c", REGISTERED, "sh"]);
        let command = command.arg(emulator()).arg(rbuild.get_program());
        let command = command.args(rbuild.get_args());
        let said = Output::of(command.current_dir(host.scratch.path())).unwrap();
        said.success().saying(expected);
    }
}

#[test]
fn root_registers_nothing_for_the_machine() {
    let Some(mut host) = host(&[Need::Root]) else {
        return;
    };
    let before = registered();
    host.account = Account::root().unwrap();
    host.store = host.scratch.path().join("of-root");
    let dockerfile = "FROM scratch\nADD busybox-arm64.tar /\nRUN true\n";
    let archive = Base::BusyboxArm64.archive();
    fs::create_dir_all(host.scratch.path().join("ctx")).unwrap();
    fs::copy(archive, host.scratch.path().join("ctx/busybox-arm64.tar")).unwrap();
    let built = build(&host, dockerfile, &["--platform=linux/arm64"]);
    assert_eq!(registered(), before);
    if is_executed_anyway() {
        built.success();
        return;
    }
    let refused = built
        .failure()
        .saying("3 | RUN true")
        .saying("what root registers would count for others too")
        .saying("qemu-user-static");
    assert!(!refused.says("ADD"), "{}", refused.stderr);
}

#[test]
fn an_image_that_says_something_else_is_run_with_a_note() {
    let Some(host) = host_with(&[]) else { return };
    let archive = Base::Busybox.archive();
    let import = [
        "import",
        "--platform=linux/sparc64",
        archive.to_str().unwrap(),
        "odd",
    ];
    host.run(&import).success();
    host.run(&["run", "odd", "echo", "here"])
        .success()
        .saying("here\n")
        .saying("commands for `linux/sparc64` cannot be executed here");
}

#[test]
fn info_says_which_emulators_are_used() {
    let Some(host) = host(&[]) else { return };
    let told = run(&host, &["info"]).success();
    told.saying("linux/arm64");
    let none = host.run(&["info"]).success();
    none.saying("platforms of RUN          linux/");
}
