//! Interprets profiles, runs programs as the kernel does, and compares.

use std::collections::BTreeMap;

use rbuild_sys::{Filter, Instruction};

use super::{
    Abi, SeccompProfile, compile,
    compile::{ARCHITECTURE, ARGUMENTS, NUMBER, answer},
    filter_for,
    profile::{Action, Comparison, Condition, Rule},
    resolve::Setting,
    table,
};
use crate::capability::{CapabilitySet, DEFAULT_CAPABILITIES};

mod moby;

const EPERM: Action = Action::Errno(1);
const ENOSYS: Action = Action::Errno(38);
const INTEL: &[Abi] = &[Abi::X86_64, Abi::I386];
const USUAL: Setting = Setting {
    capabilities: DEFAULT_CAPABILITIES,
    kernel: (6, 1),
    native: Abi::X86_64,
};

/// What the kernel is told: `struct seccomp_data`, the parts that programs read.
#[derive(Clone, Copy, Debug)]
struct Call {
    architecture: u32,
    number: u32,
    arguments: [u64; 6],
}

/// How a program ended.
struct Run {
    value: u32,
    /// Whether it read an argument.
    reads: bool,
    /// How many instructions it took.
    steps: usize,
}

fn run(program: &[Instruction], call: Call) -> Run {
    let (mut at, mut accumulator, mut reads, mut steps) = (0, 0_u32, false, 0);
    loop {
        let one = program[at];
        (at, steps) = (at + 1, steps + 1);
        let compare = |holds: bool| usize::from(if holds { one.jump_true } else { one.jump_false });
        match (one.code, one.operand) {
            (compile::LOAD, NUMBER) => accumulator = call.number,
            (compile::LOAD, ARCHITECTURE) => accumulator = call.architecture,
            (compile::LOAD, offset) => {
                reads = true;
                let half = (offset - ARGUMENTS) / 4;
                let argument = call.arguments[half as usize / 2];
                accumulator = (argument >> (32 * (half % 2))) as u32;
            }
            (compile::AND, mask) => accumulator &= mask,
            (compile::SKIP, count) => at += count as usize,
            (compile::EQUAL, operand) => at += compare(accumulator == operand),
            (compile::MORE, operand) => at += compare(accumulator > operand),
            (compile::AT_LEAST, operand) => at += compare(accumulator >= operand),
            (compile::RETURN, value) => {
                return Run {
                    value,
                    reads,
                    steps,
                };
            }
            (code, _) => unreachable!("{code:#x}"),
        }
    }
}

fn compiled(profile: &SeccompProfile, abis: &[Abi], setting: Setting) -> Filter {
    filter_for(profile, abis, &setting).unwrap()
}

fn answer_of(filter: &Filter, abi: Abi, number: u32, arguments: [u64; 6]) -> Run {
    let call = Call {
        architecture: abi.architecture(),
        number,
        arguments,
    };
    run(filter.instructions(), call)
}

/// What the profile says, rule by rule, without any of what the compiler makes of it.
fn interpret(
    profile: &SeccompProfile,
    setting: Setting,
    name: &str,
    arguments: [u64; 6],
) -> Action {
    let named = |rule: &&Rule| rule.names.iter().any(|other| other == name);
    let rules: Vec<&Rule> = profile
        .rules
        .iter()
        .filter(named)
        .filter(|rule| applies(rule, setting))
        .collect();
    if let Some(rule) = rules.iter().find(|rule| rule.conditions.is_empty()) {
        return rule.action;
    }
    let met = |rule: &&&Rule| {
        let holds: Vec<bool> = rule
            .conditions
            .iter()
            .map(|one| holds(*one, arguments))
            .collect();
        let mut seen: Vec<u8> = rule.conditions.iter().map(|one| one.argument).collect();
        seen.sort_unstable();
        seen.dedup();
        match seen.len() == rule.conditions.len() {
            true => holds.iter().all(|holds| *holds),
            false => holds.iter().any(|holds| *holds),
        }
    };
    rules
        .iter()
        .find(met)
        .map_or(profile.default, |rule| rule.action)
}

fn applies(rule: &Rule, setting: Setting) -> bool {
    let (includes, excludes) = (&rule.includes, &rule.excludes);
    let native = setting.native.go_name().to_owned();
    let (held, none) = (setting.capabilities.bits(), CapabilitySet::default());
    let includes_hold = includes.capabilities.bits() & held == includes.capabilities.bits()
        && (includes.architectures.is_empty() || includes.architectures.contains(&native))
        && (includes.kernel.is_none() || includes.kernel <= Some(setting.kernel));
    let excludes_hold = (excludes.capabilities != none && excludes.capabilities.bits() & held != 0)
        || excludes.architectures.contains(&native)
        || (excludes.kernel.is_some() && excludes.kernel <= Some(setting.kernel));
    includes_hold && !excludes_hold
}

fn holds(condition: Condition, arguments: [u64; 6]) -> bool {
    let (argument, value) = (arguments[usize::from(condition.argument)], condition.value);
    match condition.comparison {
        Comparison::NotEqual => argument != value,
        Comparison::Less => argument < value,
        Comparison::LessOrEqual => argument <= value,
        Comparison::Equal => argument == value,
        Comparison::GreaterOrEqual => argument >= value,
        Comparison::Greater => argument > value,
        Comparison::MaskedEqual(mask) => argument & mask == value,
    }
}

/// Values that a profile compares with, those around them, and those that look the same to
/// half a comparison.
fn interesting(profile: &SeccompProfile) -> Vec<u64> {
    let conditions = profile.rules.iter().flat_map(|rule| &rule.conditions);
    let mut values: Vec<u64> = conditions
        .flat_map(|one| {
            let mask = match one.comparison {
                Comparison::MaskedEqual(mask) => mask,
                _ => 0,
            };
            [one.value, mask, !mask & one.value, one.value | !mask]
        })
        .flat_map(|value| {
            [
                value,
                value.wrapping_add(1),
                value.wrapping_sub(1),
                value ^ (1 << 32),
            ]
        })
        .chain([0, 1, u64::MAX, u64::MAX >> 32, 1 << 31, 1 << 32])
        .collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// Compares all numbers below 600 and some others, on all `abis`, with arguments that matter.
#[track_caller]
fn check_equal(profile: &SeccompProfile, abis: &[Abi], setting: Setting) {
    let filter = compiled(profile, abis, setting);
    let values = interesting(profile);
    for &abi in abis {
        let names: BTreeMap<u32, &str> = table::calls(abi).collect();
        for number in (0..600).chain([0x3FFF_FFFF]) {
            let name = names.get(&number).copied().unwrap_or("");
            let depends = profile.rules.iter().any(|rule| {
                !rule.conditions.is_empty() && rule.names.iter().any(|other| other == name)
            });
            let values = if depends { &values[..] } else { &[0, u64::MAX] };
            for &value in values {
                for arguments in [[value; 6], [value, 0, 0, 0, 0, 0], [0, value, 0, 0, 0, 0]] {
                    let expected = answer(interpret(profile, setting, name, arguments)).operand;
                    let found = answer_of(&filter, abi, number, arguments).value;
                    assert_eq!(found, expected, "{abi:?} {number} {name} {arguments:x?}");
                }
            }
        }
    }
}

#[test]
fn every_decision_of_the_default_profile_is_that_of_its_program() {
    let some = |names: &[&str]| {
        let each = names.iter().map(|name| CapabilitySet::named(name).unwrap());
        each.fold(DEFAULT_CAPABILITIES, CapabilitySet::with)
    };
    for capabilities in [
        DEFAULT_CAPABILITIES,
        CapabilitySet::default(),
        CapabilitySet::ALL,
        some(&["SYS_ADMIN"]),
        some(&["SYS_PTRACE", "SYSLOG", "BPF"]),
    ] {
        let setting = Setting {
            capabilities,
            ..USUAL
        };
        check_equal(&SeccompProfile::default(), INTEL, setting);
    }
    let arm = Setting {
        native: Abi::Aarch64,
        ..USUAL
    };
    check_equal(&SeccompProfile::default(), &[Abi::Aarch64], arm);
}

/// Every operator, action, condition and precedence that a profile can have.
const ODD: &str = r#"{
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13,
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    "syscalls": [
        {"names": ["no_such_call", "read"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["read"], "action": "SCMP_ACT_TRAP"},
        {"names": ["write"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "op": "SCMP_CMP_LT", "value": 4294967298}]},
        {"names": ["write"], "action": "SCMP_ACT_TRAP", "args": [{"index": 0, "op": "SCMP_CMP_GT", "value": 8589934590}]},
        {"names": ["open"], "action": "SCMP_ACT_TRACE", "errnoRet": 7, "args": [{"index": 1, "op": "SCMP_CMP_NE", "value": 4294967299}]},
        {"names": ["close"], "action": "SCMP_ACT_KILL", "args": [
            {"index": 0, "op": "SCMP_CMP_GE", "value": 3}, {"index": 1, "op": "SCMP_CMP_LE", "value": 12884901888}]},
        {"names": ["stat"], "action": "SCMP_ACT_ALLOW", "args": [
            {"index": 0, "op": "SCMP_CMP_EQ", "value": 3}, {"index": 0, "op": "SCMP_CMP_EQ", "value": 21474836485}]},
        {"names": ["poll"], "action": "SCMP_ACT_ALLOW", "args": [
            {"index": 1, "op": "SCMP_CMP_MASKED_EQ", "value": 64424509695, "valueTwo": 4294967297}]},
        {"names": ["lseek"], "action": "SCMP_ACT_KILL_PROCESS", "args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": 1}]},
        {"names": ["lseek"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["mmap"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}},
        {"names": ["brk"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_CHOWN"], "arches": ["arm64", "amd64"], "minKernel": "4.8"}},
        {"names": ["dup"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}},
        {"name": "dup2", "action": "SCMP_ACT_ERRNO", "errno": "ENOSYS", "includes": {"minKernel": "99.0"}}
    ]}"#;

#[test]
fn every_decision_of_a_foreign_profile_is_that_of_its_program() {
    check_equal(
        &SeccompProfile::parse(ODD.as_bytes()).unwrap(),
        INTEL,
        USUAL,
    );
}

/// One decision of the program for this machine kind.
#[track_caller]
fn check(abi: Abi, name: &str, arguments: &[u64], expected: Action) {
    let setting = Setting {
        native: abi,
        ..USUAL
    };
    let filter = compiled(
        &SeccompProfile::default(),
        &[Abi::X86_64, Abi::I386, Abi::Aarch64],
        setting,
    );
    let (number, _) = table::calls(abi).find(|(_, other)| *other == name).unwrap();
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    let found = answer_of(&filter, abi, number, all).value;
    assert_eq!(
        found,
        answer(expected).operand,
        "{abi:?} {name} {arguments:x?}"
    );
}

#[test]
fn what_reaches_for_the_machine_fails() {
    for abi in [Abi::X86_64, Abi::I386, Abi::Aarch64] {
        for name in [
            "mount",
            "setns",
            "unshare",
            "bpf",
            "keyctl",
            "reboot",
            "init_module",
            "io_uring_setup",
        ] {
            check(abi, name, &[], EPERM);
        }
        check(abi, "clone3", &[], ENOSYS);
        for name in [
            "ptrace",
            "mbind",
            "get_mempolicy",
            "name_to_handle_at",
            "chroot",
            "landlock_create_ruleset",
        ] {
            check(abi, name, &[], Action::Allow);
        }
    }
}

#[test]
fn processes_and_threads_start_but_namespaces_do_not() {
    for abi in [Abi::X86_64, Abi::I386, Abi::Aarch64] {
        check(abi, "clone", &[0x003D_0F00], Action::Allow); // a thread
        check(abi, "clone", &[0x0120_0011], Action::Allow); // fork
        check(abi, "clone", &[0x1000_0011], EPERM); // CLONE_NEWUSER
        check(abi, "clone", &[0x0002_0011], EPERM); // CLONE_NEWNS
    }
}

/// CVE-2026-31431 is in the code behind AF_ALG.
#[test]
fn cve_2026_31431_no_socket_of_the_kernels_ciphers_and_virtual_machines() {
    for abi in [Abi::X86_64, Abi::I386, Abi::Aarch64] {
        check(abi, "socket", &[2, 1], Action::Allow); // AF_INET
        check(abi, "socket", &[39, 1], Action::Allow);
        check(abi, "socket", &[38, 1], EPERM);
        check(abi, "socket", &[40, 1], EPERM);
    }
    // The kernel looks at the lower half only.
    check(Abi::X86_64, "socket", &[1 << 32 | 38, 1], EPERM);
    check(Abi::I386, "socketcall", &[1], EPERM);
    check(Abi::I386, "socketcall", &[3], Action::Allow);
}

#[test]
fn nobody_types_on_the_terminal_of_another() {
    for abi in [Abi::X86_64, Abi::I386, Abi::Aarch64] {
        check(abi, "ioctl", &[0, 0x5401], Action::Allow); // TCGETS
        check(abi, "ioctl", &[0, 0x5412], EPERM);
        check(abi, "ioctl", &[0, 0x541C], EPERM);
        check(abi, "ioctl", &[0, 7 << 32 | 0x5412], EPERM);
    }
}

#[test]
fn personalities_are_five() {
    for good in [0, 8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF] {
        check(Abi::X86_64, "personality", &[good], Action::Allow);
    }
    for bad in [1, 0x004_0000, 0x040_0000] {
        check(Abi::X86_64, "personality", &[bad], EPERM); // ADDR_NO_RANDOMIZE, READ_IMPLIES_EXEC
    }
}

#[test]
fn unknown_numbers_and_interfaces_do_not_exist() {
    let filter = compiled(&SeccompProfile::default(), INTEL, USUAL);
    for number in [600, 0x4000_0000, 0x4000_003B, u32::MAX] {
        let found = answer_of(&filter, Abi::X86_64, number, [0; 6]).value;
        assert_eq!(found, answer(ENOSYS).operand, "{number:x}");
    }
    let found = answer_of(&filter, Abi::Aarch64, 0, [0; 6]).value;
    assert_eq!(found, answer(ENOSYS).operand);
    // A profile for one interface says nothing about another.
    let native = ODD.replace(r#", "SCMP_ARCH_X86"]"#, "]");
    let filter = compiled(
        &SeccompProfile::parse(native.as_bytes()).unwrap(),
        INTEL,
        USUAL,
    );
    assert_eq!(
        answer_of(&filter, Abi::I386, 3, [0; 6]).value,
        answer(ENOSYS).operand
    );
}

#[test]
fn few_calls_need_a_look_at_their_arguments_and_none_takes_long() {
    let filter = compiled(&SeccompProfile::default(), INTEL, USUAL);
    let runs: Vec<Run> = (0..500)
        .map(|number| answer_of(&filter, Abi::X86_64, number, [0; 6]))
        .collect();
    assert_eq!(runs.iter().filter(|run| run.reads).count(), 4);
    let longest = runs.iter().map(|run| run.steps).max();
    assert!(longest <= Some(24), "{longest:?} instructions");
    let length = filter.instructions().len();
    assert!(length < 500, "{length} instructions");
}

#[test]
fn mistakes_in_profiles_are_told_with_the_call() {
    for (change, expected) in [
        (
            ("SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY"),
            "`open` has the action `SCMP_ACT_NOTIFY`, which is not supported",
        ),
        (
            ("SCMP_CMP_NE", "SCMP_CMP_XX"),
            "`open` has the operator `SCMP_CMP_XX`, which does not exist",
        ),
        (
            (
                "\"index\": 1, \"op\": \"SCMP_CMP_NE\"",
                "\"index\": 6, \"op\": \"SCMP_CMP_NE\"",
            ),
            "`open` looks at argument 6",
        ),
        (
            ("\"errnoRet\": 7", "\"errnoRet\": 5000"),
            "`open` has the errnoRet 5000; the largest is 4095",
        ),
        (
            ("[\"CAP_CHOWN\"]", "[\"CAP_NONE\"]"),
            "`brk` depends on `CAP_NONE`, which is no capability",
        ),
        (
            ("99.0", "new"),
            "`dup2` depends on the kernel `new`, which is no version",
        ),
        (("ENOSYS", "EFOO"), "`dup2` fails with `EFOO`"),
    ] {
        let text = ODD.replace(change.0, change.1);
        let error = SeccompProfile::parse(text.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
    for text in [
        "",
        "{}",
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "sycalls": []}"#,
    ] {
        let error = SeccompProfile::parse(text.as_bytes()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the seccomp profile",
            "{text}"
        );
    }
    let listener = r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/x"}"#;
    let error = SeccompProfile::parse(listener.as_bytes())
        .unwrap_err()
        .to_string();
    assert!(error.contains("/run/x"), "{error}");
    assert!(SeccompProfile::parse(&vec![b' '; (1 << 20) + 1]).is_err());
}

#[test]
fn a_profile_that_makes_too_long_a_program_is_refused() {
    let arguments: Vec<String> = (0..1000)
        .map(|value| format!(r#"{{"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{{"index": 0, "op": "SCMP_CMP_EQ", "value": {value}}}]}}"#))
        .collect();
    let text = format!(
        r#"{{"defaultAction": "SCMP_ACT_TRAP", "syscalls": [{}]}}"#,
        arguments.join(",")
    );
    let profile = SeccompProfile::parse(text.as_bytes()).unwrap();
    let error = filter_for(&profile, INTEL, &USUAL).unwrap_err().to_string();
    assert!(error.contains("the kernel takes 4096"), "{error}");
}

/// The numbers are the kernel's, as far as this machine's headers know them.
#[test]
fn numbers_are_those_of_the_headers() {
    for (abi, header) in [(Abi::X86_64, "unistd_64.h"), (Abi::I386, "unistd_32.h")] {
        let path = format!("/usr/include/x86_64-linux-gnu/asm/{header}");
        let Ok(text) = std::fs::read_to_string(&path) else {
            println!("SKIP numbers of {header}: there is no {path}");
            continue;
        };
        let numbers: BTreeMap<&str, u32> = table::calls(abi)
            .map(|(number, name)| (name, number))
            .collect();
        let defined = text
            .lines()
            .filter_map(|line| line.strip_prefix("#define __NR_")?.split_once(' '));
        for (name, number) in defined {
            assert_eq!(
                numbers.get(name).copied(),
                number.trim().parse().ok(),
                "{abi:?} {name}"
            );
        }
    }
}
