//! Which system calls a command cannot make, as a program for the kernel. Pure.
//!
//! Everything is allowed but what reaches for the machine, for other users' keys, or for kernel
//! code that only privileged programs need: a user namespace would open it. seccomp(2).
//!
//! Invariant: the answer for a call that does not depend on its arguments is found without
//! reading them, so that the kernel computes it once and no such call becomes slower.

use rbuild_sys::{Filter, Instruction};

mod table;

use table::{RULES, Rule};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allow,
    /// It fails with this error number.
    Fail(u16),
    /// It fails if the lower half of the argument has one of these bits, else it is allowed.
    FailWithBits(u8, u32),
    /// It fails if the lower half of the argument is one of these values, else it is allowed.
    FailWithValues(u8, &'static [u32]),
}

/// A set of system call numbers that the kernel knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abi {
    /// 64-bit Intel; x32 is not supported.
    X86_64,
    /// 32-bit Intel.
    I386,
    /// 64-bit ARM. Its 32-bit programs are not supported.
    Aarch64,
}

/// The system call interfaces of this machine.
pub(crate) const ABIS: &[Abi] = if cfg!(target_arch = "aarch64") {
    &[Abi::Aarch64]
} else {
    &[Abi::X86_64, Abi::I386]
};

pub(crate) const EPERM: u16 = 1;
pub(crate) const ENOSYS: u16 = 38;

/// Numbers of x32 calls have this bit. They come with the 64-bit architecture.
const X32: u32 = 0x4000_0000;

impl Abi {
    /// `AUDIT_ARCH_…` of linux/audit.h.
    const fn architecture(self) -> u32 {
        match self {
            Self::X86_64 => 0xC000_003E,
            Self::I386 => 0x4000_0003,
            Self::Aarch64 => 0xC000_00B7,
        }
    }

    fn number(self, rule: &Rule) -> Option<u32> {
        let [x86_64, i386, aarch64] = rule.numbers;
        let number = match self {
            Self::X86_64 => x86_64,
            Self::I386 => i386,
            Self::Aarch64 => aarch64,
        };
        number.map(u32::from)
    }

    /// Verdicts by number: each from its number up to the next one's.
    fn verdicts(self) -> Vec<(u32, Verdict)> {
        let mut rules: Vec<_> = RULES
            .iter()
            .filter_map(|rule| Some((self.number(rule)?, rule.verdict)))
            .collect();
        rules.sort_by_key(|(number, _)| *number);
        let mut verdicts = vec![(0, Verdict::Allow)];
        for (number, verdict) in rules {
            match verdicts.last_mut() {
                // The call before left a gap from here on.
                Some(last) if last.0 == number => last.1 = verdict,
                _ => verdicts.push((number, verdict)),
            }
            verdicts.push((number + 1, Verdict::Allow));
        }
        if self == Self::X86_64 {
            verdicts.push((X32, Verdict::Fail(ENOSYS)));
        }
        verdicts.dedup_by_key(|(_, verdict)| *verdict);
        verdicts
    }
}

/// The program for a machine with `abis`; calls of any other interface fail with ENOSYS.
pub(crate) fn filter(abis: &[Abi]) -> Filter {
    let mut program = vec![load(ARCHITECTURE)];
    for abi in abis {
        let mut block = vec![load(NUMBER)];
        search(&abi.verdicts(), &mut block);
        program.push(jump(EQUAL, abi.architecture(), 0, 1));
        program.push(skip(1));
        program.push(skip(block.len()));
        program.extend(block);
    }
    program.push(fail(ENOSYS));
    Filter::new(program).expect("a table of less than a hundred calls makes a short program")
}

/// Finds the verdict for the loaded number by halving.
fn search(verdicts: &[(u32, Verdict)], program: &mut Vec<Instruction>) {
    if let [(_, verdict)] = verdicts {
        return conclude(*verdict, program);
    }
    let (low, high) = verdicts.split_at(verdicts.len() / 2);
    let mut below = Vec::new();
    search(low, &mut below);
    // Jumps of comparisons are short; so the far one is a jump of its own.
    program.push(jump(AT_LEAST, high[0].0, 0, 1));
    program.push(skip(below.len()));
    program.extend(below);
    search(high, program);
}

fn conclude(verdict: Verdict, program: &mut Vec<Instruction>) {
    match verdict {
        Verdict::Allow => {}
        Verdict::Fail(errno) => return program.push(fail(errno)),
        Verdict::FailWithBits(argument, bits) => program.extend([
            load(lower_half(argument)),
            jump(ANY_BIT, bits, 0, 1),
            fail(EPERM),
        ]),
        Verdict::FailWithValues(argument, values) => {
            program.push(load(lower_half(argument)));
            for value in values {
                program.extend([jump(EQUAL, *value, 0, 1), fail(EPERM)]);
            }
        }
    }
    program.push(statement(RETURN, 0x7FFF_0000));
}

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Where the lower half of an argument is, on machines with the lower half first.
fn lower_half(argument: u8) -> u32 {
    ARGUMENTS + 8 * u32::from(argument)
}

/// Codes of linux/bpf_common.h.
const LOAD: u16 = 0x20;
const RETURN: u16 = 0x06;
const SKIP: u16 = 0x05;
const EQUAL: u16 = 0x15;
const AT_LEAST: u16 = 0x35;
const ANY_BIT: u16 = 0x45;

fn load(offset: u32) -> Instruction {
    statement(LOAD, offset)
}

fn fail(errno: u16) -> Instruction {
    statement(RETURN, 0x0005_0000 | u32::from(errno))
}

fn skip(count: usize) -> Instruction {
    let count = u32::try_from(count).expect("programs have at most 4096 instructions");
    statement(SKIP, count)
}

const fn statement(code: u16, operand: u32) -> Instruction {
    jump(code, operand, 0, 0)
}

const fn jump(code: u16, operand: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction {
        code,
        jump_true,
        jump_false,
        operand,
    }
}

#[cfg(test)]
mod tests;
