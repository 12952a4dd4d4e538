//! Our decisions and moby's, call by call.
//!
//! moby's profile is not in the repository: `RBUILD_MOBY_PROFILE` says where it is, else it is
//! looked for in `../shared/data`.

use std::{collections::BTreeMap, path::PathBuf};

use super::{Abi, SeccompProfile, Setting, USUAL, interpret, table};
use crate::capability::CapabilitySet;
use crate::seccomp::{default, profile::Action};

/// What is decided otherwise on purpose: the call, its first two arguments, moby, we.
const DIFFERENCES: &[(&str, [u64; 2], &str, &str)] = &[
    // Harmless, and asked for by allocators and MPI libraries: sandbox.md, Seccomp.
    ("get_mempolicy", [0, 0], "EPERM", "allow"),
    ("mbind", [0, 0], "EPERM", "allow"),
    // Typing on another's terminal.
    ("ioctl", [0, 0x5412], "allow", "EPERM"),
    ("ioctl", [0, 0x541C], "allow", "EPERM"),
    // The kernel looks at the lower half of the family only.
    ("socket", [1 << 32 | 38, 0], "allow", "EPERM"),
    ("socket", [1 << 32 | 40, 0], "allow", "EPERM"),
    // The family is behind a pointer.
    ("socketcall", [1, 0], "allow", "EPERM"),
    // As with personality(2) itself: the upper half is nothing.
    ("personality", [1 << 32, 0], "EPERM", "allow"),
];

fn shown(action: Action) -> String {
    match action {
        Action::Allow => "allow".to_owned(),
        Action::Errno(1) => "EPERM".to_owned(),
        Action::Errno(38) => "ENOSYS".to_owned(),
        other => format!("{other:?}"),
    }
}

fn reference() -> Option<SeccompProfile> {
    let beside = || {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let data = "shared/data/seccomp-moby-default.json";
        root.ancestors()
            .map(|dir| dir.join(data))
            .find(|path| path.is_file())
    };
    let Some(path) = std::env::var_os("RBUILD_MOBY_PROFILE")
        .map(PathBuf::from)
        .or_else(beside)
    else {
        println!(
            "SKIP comparison with moby: no RBUILD_MOBY_PROFILE, no shared/data beside the repository"
        );
        return None;
    };
    Some(SeccompProfile::parse(&std::fs::read(path).unwrap()).unwrap())
}

#[test]
fn decisions_are_moby_s_but_for_those_listed() {
    let Some(moby) = reference() else { return };
    let ours = SeccompProfile::default();
    let mut differences = BTreeMap::new();
    for capabilities in [
        USUAL.capabilities,
        USUAL
            .capabilities
            .with(CapabilitySet::named("SYS_ADMIN").unwrap()),
        CapabilitySet::default(),
    ] {
        let setting = Setting {
            capabilities,
            ..USUAL
        };
        for (_, name) in [Abi::X86_64, Abi::I386].into_iter().flat_map(table::calls) {
            for arguments in arguments(name) {
                let mut all = [0; 6];
                all[..2].copy_from_slice(&arguments);
                let of = |profile| shown(interpret(profile, setting, name, all));
                let (theirs, ours) = (of(&moby), of(&ours));
                if theirs != ours {
                    differences.insert((name, arguments), (theirs, ours));
                }
            }
        }
    }
    let listed = DIFFERENCES.iter().map(|(name, arguments, moby, ours)| {
        (
            (*name, *arguments),
            ((*moby).to_owned(), (*ours).to_owned()),
        )
    });
    // Refused by both, with another error.
    let absent = default::ABSENT
        .split_ascii_whitespace()
        .map(|name| ((name, [0, 0]), ("EPERM".to_owned(), "ENOSYS".to_owned())));
    let expected: BTreeMap<_, _> = listed.chain(absent).collect();
    assert_eq!(differences, expected);
}

/// First arguments with which a call is looked at.
fn arguments(name: &str) -> Vec<[u64; 2]> {
    let first = |values: &[u64]| values.iter().map(|value| [*value, 0]).collect();
    match name {
        "socket" => first(&[0, 1, 2, 16, 37, 38, 39, 40, 41, 1 << 32 | 38, 1 << 32 | 40]),
        "socketcall" => first(&[1, 2, 3, 8]),
        "personality" => first(&[0, 1, 8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF, 0x4_0000, 1 << 32]),
        "clone" => first(&[
            0x11,
            0x003D_0F00,
            0x0002_0011,
            0x1000_0011,
            0x4000_0011,
            0x0200_0000,
        ]),
        "ioctl" => [0x5401, 0x5412, 0x5413, 0x541C]
            .map(|request| [0, request])
            .to_vec(),
        _ => vec![[0, 0]],
    }
}
