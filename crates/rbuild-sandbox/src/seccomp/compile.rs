//! Decisions as a program for the kernel.
//!
//! ```text
//! which architecture? → halving over the numbers → a comparison of arguments, if it takes one → answer
//! ```
//!
//! Invariant: the answer for a number whose decision has no conditions is found without reading
//! an argument. Linux (since 5.11) computes such answers once, and calls that are allowed so cost
//! no more than without a program.

use rbuild_sys::Instruction;

use super::{
    Abi, ENOSYS,
    profile::{Action, Comparison, Condition},
    resolve::Decision,
};

/// Numbers of x32 calls have this bit. They come with the 64-bit architecture.
const X32: u32 = 0x4000_0000;

/// Decisions by number: each from its number up to the next one's.
type Ranges = Vec<(u32, Decision)>;

/// The program for `interfaces`, with the decisions of each; all else fails with ENOSYS.
pub(super) fn program(interfaces: &[(Abi, Ranges)]) -> Vec<Instruction> {
    let mut program = vec![load(ARCHITECTURE)];
    for (abi, ranges) in interfaces {
        let mut block = vec![load(NUMBER)];
        search(ranges, &mut block);
        program.extend(branch(EQUAL, abi.architecture(), &block));
        program.extend(block);
    }
    program.push(answer(Action::Errno(ENOSYS)));
    program
}

/// Neighbours with one decision are one range; what has no decision gets `default`.
pub(super) fn ranges(
    abi: Abi,
    decisions: impl IntoIterator<Item = (u32, Decision)>,
    default: Action,
) -> Ranges {
    let mut ranges = vec![(0, Decision::always(default))];
    for (number, decision) in decisions {
        match ranges.last_mut() {
            // The call before left a gap from here on.
            Some(last) if last.0 == number => last.1 = decision,
            _ => ranges.push((number, decision)),
        }
        ranges.push((number + 1, Decision::always(default)));
    }
    if abi == Abi::X86_64 {
        ranges.push((X32, Decision::always(Action::Errno(ENOSYS))));
    }
    ranges.dedup_by(|later, earlier| later.1 == earlier.1);
    ranges
}

/// Finds the decision for the loaded number by halving.
fn search(ranges: &[(u32, Decision)], program: &mut Vec<Instruction>) {
    if let [(_, decision)] = ranges {
        return conclude(decision, program);
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let mut below = Vec::new();
    search(low, &mut below);
    // At least: go on behind `below`.
    program.extend(match u8::try_from(below.len()) {
        Ok(length) => vec![jump(AT_LEAST, high[0].0, length, 0)],
        Err(_) => vec![jump(AT_LEAST, high[0].0, 0, 1), skip(below.len())],
    });
    program.extend(below);
    search(high, program);
}

/// What comes before `block` so that it is skipped unless the comparison holds.
fn branch(code: u16, operand: u32, block: &[Instruction]) -> Vec<Instruction> {
    match u8::try_from(block.len()) {
        Ok(length) => vec![jump(code, operand, 0, length)],
        Err(_) => vec![jump(code, operand, 1, 0), skip(block.len())],
    }
}

fn conclude(decision: &Decision, program: &mut Vec<Instruction>) {
    for (conditions, action) in &decision.clauses {
        program.extend(clause(conditions, *action));
    }
    program.push(answer(decision.otherwise));
}

/// Where a comparison of a clause goes on.
#[derive(Clone, Copy)]
enum Then {
    /// With the next instruction.
    Next,
    /// With the next condition, or the clause's answer.
    Holds,
    /// Behind the clause.
    Fails,
}

/// An instruction of a condition; where it goes on if it compares.
type Draft = (Instruction, Then, Then);

/// Answers `action` if all `conditions` hold, else goes on behind.
fn clause(conditions: &[Condition], action: Action) -> Vec<Instruction> {
    let drafts: Vec<Vec<Draft>> = conditions.iter().map(condition).collect();
    let length: usize = drafts.iter().map(Vec::len).sum();
    let mut instructions = Vec::with_capacity(length + 1);
    let mut end = 0;
    for drafts in drafts {
        end += drafts.len();
        for (mut one, if_true, if_false) in drafts {
            let next = instructions.len() + 1;
            let distance = |then| {
                let target = match then {
                    Then::Next => next,
                    Then::Holds => end,
                    Then::Fails => length + 1,
                };
                u8::try_from(target - next).expect("six conditions are less than 60 instructions")
            };
            (one.jump_true, one.jump_false) = (distance(if_true), distance(if_false));
            instructions.push(one);
        }
    }
    instructions.push(answer(action));
    instructions
}

/// Compares a 64-bit number with instructions for 32 bits: the upper half decides first.
fn condition(condition: &Condition) -> Vec<Draft> {
    use Then::{Fails, Holds, Next};
    let value = condition.value;
    let (upper, lower) = ((value >> 32) as u32, value as u32);
    let half = |at| load(ARGUMENTS + 8 * u32::from(condition.argument) + at);
    let (load_lower, load_upper) = ((half(0), Next, Next), (half(4), Next, Next));
    let compare = |code, operand, yes, no| (jump(code, operand, 0, 0), yes, no);
    // What is less, equal or greater in the upper half, and then in the lower one.
    let ordered = |less, greater, last| {
        vec![
            load_upper,
            compare(MORE, upper, greater, Next),
            compare(EQUAL, upper, Next, less),
            load_lower,
            last,
        ]
    };
    match condition.comparison {
        Comparison::Equal => ordered(Fails, Fails, compare(EQUAL, lower, Holds, Fails)),
        Comparison::NotEqual => ordered(Holds, Holds, compare(EQUAL, lower, Fails, Holds)),
        Comparison::Greater => ordered(Fails, Holds, compare(MORE, lower, Holds, Fails)),
        Comparison::GreaterOrEqual => ordered(Fails, Holds, compare(AT_LEAST, lower, Holds, Fails)),
        Comparison::Less => ordered(Holds, Fails, compare(AT_LEAST, lower, Fails, Holds)),
        Comparison::LessOrEqual => ordered(Holds, Fails, compare(MORE, lower, Fails, Holds)),
        Comparison::MaskedEqual(mask) => {
            let mut drafts = Vec::new();
            let halves = [
                (load_upper, (mask >> 32) as u32, upper),
                (load_lower, mask as u32, lower),
            ];
            for (load, mask, value) in halves {
                // Nothing is asked of a half without mask, unless it cannot hold.
                if mask == 0 && value == 0 {
                    continue;
                }
                drafts.push(load);
                if mask != u32::MAX {
                    drafts.push((statement(AND, mask), Next, Next));
                }
                drafts.push(compare(EQUAL, value, Next, Fails));
            }
            drafts
        }
    }
}

/// Offsets in `struct seccomp_data`; of an argument, the lower half is first.
pub(super) const NUMBER: u32 = 0;
pub(super) const ARCHITECTURE: u32 = 4;
pub(super) const ARGUMENTS: u32 = 16;

/// Codes of linux/bpf_common.h.
pub(super) const LOAD: u16 = 0x20;
pub(super) const AND: u16 = 0x54;
pub(super) const RETURN: u16 = 0x06;
pub(super) const SKIP: u16 = 0x05;
pub(super) const EQUAL: u16 = 0x15;
pub(super) const MORE: u16 = 0x25;
pub(super) const AT_LEAST: u16 = 0x35;

fn load(offset: u32) -> Instruction {
    statement(LOAD, offset)
}

/// `SECCOMP_RET_…` of linux/seccomp.h.
pub(super) fn answer(action: Action) -> Instruction {
    let value = match action {
        Action::KillProcess => 0x8000_0000,
        Action::KillThread => 0,
        Action::Trap => 0x0003_0000,
        Action::Errno(number) => 0x0005_0000 | u32::from(number),
        Action::Trace(number) => 0x7FF0_0000 | u32::from(number),
        Action::Log => 0x7FFC_0000,
        Action::Allow => 0x7FFF_0000,
    };
    statement(RETURN, value)
}

fn skip(count: usize) -> Instruction {
    let count = u32::try_from(count).expect("a block is made of less than 2^32 instructions");
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
