//! Flags, and what they mean.

use clap::{Parser, error::Result as Parsed};
use rbuild_sandbox::{CapabilitySet, DEFAULT_CAPABILITIES, MountKind, SystemCalls};

use super::{Confines, Insecure, confines};
use crate::{cli::ConfineArgs, failure::Failure};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: ConfineArgs,
}

fn read(line: &str) -> Result<Confines, Failure> {
    let words = std::iter::once("x").chain(line.split_ascii_whitespace());
    let line: Parsed<Line> = Line::try_parse_from(words);
    confines(&line.unwrap().args, Insecure::Refused)
}

#[track_caller]
fn refused(line: &str, why: &str) {
    let failure = read(line).err().expect("it is refused");
    let text = format!("{failure:?}");
    assert!(text.contains(why), "{text}");
}

#[test]
fn capabilities_are_added_and_dropped() {
    let set = |names: &[&str]| {
        let each = names.iter().map(|name| CapabilitySet::named(name).unwrap());
        each.fold(CapabilitySet::default(), CapabilitySet::with)
    };
    for (line, expected) in [
        ("", DEFAULT_CAPABILITIES),
        (
            "--cap-add CAP_NET_RAW,mknod",
            DEFAULT_CAPABILITIES.with(set(&["NET_RAW", "MKNOD"])),
        ),
        (
            "--cap-drop setuid",
            DEFAULT_CAPABILITIES.without(set(&["SETUID"])),
        ),
        ("--cap-drop ALL --cap-add chown", set(&["CHOWN"])),
        (
            "--cap-add all --cap-drop CAP_SYS_ADMIN",
            CapabilitySet::ALL.without(set(&["SYS_ADMIN"])),
        ),
    ] {
        assert_eq!(read(line).unwrap().capabilities, expected, "{line}");
    }
    refused("--cap-add NET_ROW", "there is no such capability");
    refused(
        "--cap-add chown --cap-drop chown",
        "cannot be given with --cap-add and taken",
    );
    refused("--cap-add ALL --cap-drop ALL", "contradict");
}

#[test]
fn calls_are_unfiltered_only_with_consent() {
    refused("--security-opt seccomp=unconfined", "every system call");
    let line = Line::try_parse_from(["x", "--security-opt", "seccomp=unconfined"]).unwrap();
    let found = confines(&line.args, Insecure::Allowed).unwrap();
    assert!(matches!(found.confinement.system_calls, SystemCalls::All));
    refused(
        "--security-opt seccomp=/no/such",
        "cannot read the seccomp profile `/no/such`",
    );
    refused("--security-opt seccomp=/dev/null", "ProfileSyntax");
}

#[test]
fn other_security_options_are_those_that_mean_something() {
    for line in [
        "label=disable",
        "apparmor=unconfined",
        "no-new-privileges",
        "no-new-privileges:true",
        "unmask=ALL",
        "unmask=/proc/*:/sys/firmware",
        "mask=/proc/loadavg:/sys/class/",
    ] {
        assert!(read(&format!("--security-opt {line}")).is_ok(), "{line}");
    }
    for line in [
        "label=type:x",
        "apparmor=docker",
        "mask=/etc/passwd",
        "mask=/proc/../etc",
        "mask=/proc",
        "mask=proc/x",
        "mask=",
        "systempaths=unconfined",
        "seccomp=",
    ] {
        refused(
            &format!("--security-opt {line}"),
            "cannot understand --security-opt",
        );
    }
}

#[test]
fn hosts_and_name_servers_are_checked() {
    for line in [
        "--add-host a;b:10.0.0.1",
        "--add-host six:[::1]",
        "--add-host six:::1",
        "--dns none",
        "--dns ::1 --dns-search .",
    ] {
        assert!(read(line).is_ok(), "{line}");
    }
    refused("--add-host a:host-gateway", "there is no gateway");
    refused("--add-host a:b", "its address is none");
    refused("--add-host :10.0.0.1", "its name is none");
    refused("--add-host a", "it is not NAME:ADDRESS");
    refused("--dns here", "neither an address nor");
    refused("--dns none --dns 1.1.1.1", "no other flag");
}

#[test]
fn devices_are_below_dev_and_whole() {
    for (line, target, path) in [
        ("/dev/fuse", "/dev/fuse", "/fuse"),
        ("/dev/fuse:rwm", "/dev/fuse", "/fuse"),
        ("/dev/net/tun:/dev/tun:rw", "/dev/tun", "/net/tun"),
    ] {
        let found = read(&format!("--device {line}")).unwrap().devices.remove(0);
        assert_eq!(found.target.as_str(), target);
        let MountKind::Device { path: found } = found.kind else {
            unreachable!("it is a device")
        };
        assert_eq!(found.as_str(), path);
    }
    refused("--device /etc/passwd", "devices are in /dev");
    refused("--device /dev/fuse:r", "cannot be forbidden");
    refused("--device /dev/fuse:x", "permissions are of r, w and m");
}

#[test]
fn sizes_and_limits_are_numbers() {
    assert_eq!(read("--shm-size 1m").unwrap().confinement.shm_size, 1 << 20);
    refused("--shm-size much", "it is not a size");
    refused("--shm-size 0", "it is not a size");
    let limits = read("--ulimit nofile=64:128 --ulimit core=-1")
        .unwrap()
        .confinement
        .limits;
    let shown: Vec<_> = limits.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["nofile=64:128", "core=unlimited:unlimited"]);
    refused("--ulimit files=1", "there is no limit `files`");
}
