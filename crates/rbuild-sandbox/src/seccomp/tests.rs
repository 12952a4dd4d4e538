//! Runs the program as the kernel does and looks at what becomes of calls.

use rbuild_sys::Instruction;

use super::{ABIS, ARCHITECTURE, Abi, NUMBER, filter, lower_half, table::RULES};

/// What the kernel is told: `struct seccomp_data`, the parts that programs read.
#[derive(Clone, Copy, Debug)]
struct Call {
    architecture: u32,
    number: u32,
    arguments: [u32; 2],
}

/// Runs `program`; the value that it returns, and whether it read an argument.
fn interpret(program: &[Instruction], call: Call) -> (u32, bool) {
    let (mut at, mut accumulator, mut reads) = (0, 0, false);
    loop {
        let one = program[at];
        at += 1;
        let compare = |holds: bool| usize::from(if holds { one.jump_true } else { one.jump_false });
        match one.code {
            0x20 if one.operand == NUMBER => accumulator = call.number,
            0x20 if one.operand == ARCHITECTURE => accumulator = call.architecture,
            0x20 => {
                reads = true;
                let argument = (0..2).find(|&n| lower_half(n) == one.operand).unwrap();
                accumulator = call.arguments[usize::from(argument)];
            }
            0x05 => at += one.operand as usize,
            0x15 => at += compare(accumulator == one.operand),
            0x35 => at += compare(accumulator >= one.operand),
            0x45 => at += compare(accumulator & one.operand != 0),
            0x06 => return (one.operand, reads),
            code => unreachable!("{code:#x}"),
        }
    }
}

fn number(abi: Abi, name: &str) -> u32 {
    let rule = RULES.iter().find(|rule| rule.name == name).unwrap();
    abi.number(rule).unwrap()
}

fn answer(abi: Abi, number: u32, arguments: [u32; 2]) -> &'static str {
    let program = filter(&[Abi::X86_64, Abi::I386, Abi::Aarch64]);
    let call = Call {
        architecture: abi.architecture(),
        number,
        arguments,
    };
    match interpret(program.instructions(), call).0 {
        0x7FFF_0000 => "allow",
        0x0005_0001 => "EPERM",
        0x0005_0026 => "ENOSYS",
        other => unreachable!("{other:#x}"),
    }
}

#[track_caller]
fn check(name: &str, arguments: [u32; 2], expected: &str) {
    for abi in [Abi::X86_64, Abi::I386, Abi::Aarch64] {
        let number = number(abi, name);
        assert_eq!(answer(abi, number, arguments), expected, "{abi:?}");
    }
}

#[test]
fn what_reaches_for_the_machine_fails() {
    for name in ["mount", "setns", "bpf", "keyctl", "reboot", "init_module"] {
        check(name, [0, 0], "EPERM");
    }
    for name in ["clone3", "io_uring_setup"] {
        check(name, [0, 0], "ENOSYS");
    }
}

#[test]
fn processes_and_threads_start_but_namespaces_do_not() {
    check("clone", [0x003D_0F00, 0], "allow"); // a thread
    check("clone", [0x0120_0011, 0], "allow"); // fork
    check("clone", [0x1000_0011, 0], "EPERM"); // CLONE_NEWUSER
    check("clone", [0x0002_0011, 0], "EPERM"); // CLONE_NEWNS
    check("unshare", [0x0000_0400, 0], "allow"); // CLONE_FILES
    check("unshare", [0x1000_0000, 0], "EPERM"); // CLONE_NEWUSER
    check("unshare", [0x0000_0080, 0], "EPERM"); // CLONE_NEWTIME
}

#[test]
fn some_arguments_fail() {
    check("ioctl", [0, 0x5401], "allow"); // TCGETS
    check("ioctl", [0, 0x5412], "EPERM");
    check("ioctl", [0, 0x541C], "EPERM");
    check("socket", [2, 1], "allow"); // AF_INET
    check("socket", [38, 1], "EPERM");
    check("socket", [40, 1], "EPERM");
}

#[test]
fn calls_that_are_in_no_table_are_allowed_on_known_interfaces_only() {
    assert_eq!(answer(Abi::X86_64, 0, [0, 0]), "allow"); // read
    assert_eq!(answer(Abi::I386, 102, [1, 0]), "allow"); // socketcall
    assert_eq!(answer(Abi::Aarch64, 9999, [0, 0]), "allow");
    assert_eq!(answer(Abi::X86_64, 0x4000_0000, [0, 0]), "ENOSYS"); // x32
    assert_eq!(answer(Abi::X86_64, u32::MAX, [0, 0]), "ENOSYS");
    let program = filter(&[Abi::Aarch64]);
    let call = Call {
        architecture: 0x4000_0028, // 32-bit ARM
        number: 0,
        arguments: [0, 0],
    };
    assert_eq!(interpret(program.instructions(), call).0, 0x0005_0026);
}

#[test]
fn every_rule_decides_its_number_and_no_other() {
    for abi in [Abi::X86_64, Abi::I386, Abi::Aarch64] {
        for candidate in 0..500 {
            let rule = RULES
                .iter()
                .find(|rule| abi.number(rule) == Some(candidate));
            let plain = answer(abi, candidate, [0, 0]);
            assert!(
                rule.is_some() || plain == "allow",
                "{abi:?} {candidate}: {plain}"
            );
        }
    }
}

#[test]
fn most_calls_need_no_look_at_their_arguments() {
    let program = filter(ABIS);
    let native = ABIS[0];
    let reading = (0..500).filter(|&number| {
        let call = Call {
            architecture: native.architecture(),
            number,
            arguments: [0, 0],
        };
        interpret(program.instructions(), call).1
    });
    assert_eq!(reading.count(), 4);
    assert!(program.instructions().len() < 600);
}
