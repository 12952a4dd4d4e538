//! A program for the kernel that decides about system calls. seccomp(2), "BPF".
//!
//! Knows: the form of the program. Does not know: what it decides.

/// One instruction of a classic BPF program; `struct sock_filter` of linux/filter.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// Instructions to skip if a comparison is true.
    pub jump_true: u8,
    /// Instructions to skip if it is false.
    pub jump_false: u8,
    /// A constant or an offset.
    pub operand: u32,
}

/// A program of a length that the kernel takes. Whether it is valid the kernel says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Vec<Instruction>);

impl Filter {
    /// Longest program, in instructions; `BPF_MAXINSNS`.
    pub const MAX: usize = 4096;

    /// `None` if it is empty or longer than [`Filter::MAX`].
    pub fn new(instructions: Vec<Instruction>) -> Option<Self> {
        (1..=Self::MAX)
            .contains(&instructions.len())
            .then_some(Self(instructions))
    }

    /// The program.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }
}
