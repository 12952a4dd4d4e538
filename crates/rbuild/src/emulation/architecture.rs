//! Architectures, and how programs for them begin. Pure.
//!
//! ELF, "ELF Header", "Program Header".

/// An architecture whose programs can be told from others.
#[derive(Debug, PartialEq, Eq)]
pub struct Architecture {
    /// As images call it.
    pub name: &'static str,
    /// As QEMU calls it.
    pub qemu: &'static str,
    /// Whether it has 64 bits.
    is_wide: bool,
    is_little_endian: bool,
    /// Its number.
    machine: u16,
}

const fn little(
    name: &'static str,
    qemu: &'static str,
    (is_wide, machine): (bool, u16),
) -> Architecture {
    Architecture {
        name,
        qemu,
        is_wide,
        is_little_endian: true,
        machine,
    }
}

const fn big(name: &'static str, qemu: &'static str, kind: (bool, u16)) -> Architecture {
    Architecture {
        is_little_endian: false,
        ..little(name, qemu, kind)
    }
}

/// All of them.
pub const ARCHITECTURES: [Architecture; 13] = [
    little("386", "i386", (false, 3)),
    little("amd64", "x86_64", (true, 62)),
    little("arm", "arm", (false, 40)),
    little("arm64", "aarch64", (true, 183)),
    little("loong64", "loongarch64", (true, 258)),
    big("mips", "mips", (false, 8)),
    big("mips64", "mips64", (true, 8)),
    little("mips64le", "mips64el", (true, 8)),
    little("mipsle", "mipsel", (false, 8)),
    big("ppc64", "ppc64", (true, 21)),
    little("ppc64le", "ppc64le", (true, 21)),
    little("riscv64", "riscv64", (true, 243)),
    big("s390x", "s390x", (true, 22)),
];

/// Bytes up to the machine's number.
const START: usize = 20;
/// Where the kind of file is: a program, or one that may be anywhere in memory.
const KIND: usize = 16;
const PROGRAM: u16 = 2;
/// A program header with the name of what must load the program.
const LOADER: u64 = 3;

impl Architecture {
    /// The one that images call `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        ARCHITECTURES.iter().find(|it| it.name == name)
    }

    /// How a program for it begins.
    pub fn magic(&self) -> [u8; START] {
        let mut start = [0; START];
        start[..4].copy_from_slice(b"\x7fELF");
        start[4] = if self.is_wide { 2 } else { 1 };
        start[5] = if self.is_little_endian { 1 } else { 2 };
        start[6] = 1;
        for (at, value) in [(KIND, PROGRAM), (KIND + 2, self.machine)] {
            start[at..at + 2].copy_from_slice(&match self.is_little_endian {
                true => value.to_le_bytes(),
                false => value.to_be_bytes(),
            });
        }
        start
    }

    /// Which bits of [`Architecture::magic`] all its programs have: whose ABI it is does not matter,
    /// nor whether its place in memory is fixed (kinds 2 and 3).
    pub fn mask(&self) -> [u8; START] {
        let mut mask = [0xff; START];
        mask[7..KIND].fill(0);
        let low = if self.is_little_endian { 0 } else { 1 };
        mask[KIND + low] = 0xfe;
        mask
    }

    /// Whether `file`, which may end early, is a program for it that no other file must load.
    pub fn is_static_program(&self, file: &[u8]) -> bool {
        let parts = self.magic().into_iter().zip(self.mask()).zip(file);
        let mut parts = parts.map(|((magic, mask), byte)| magic & mask == byte & mask);
        file.len() >= START
            && parts.all(|is_equal| is_equal)
            && self.has_no_loader(file) == Some(true)
    }

    /// `None` if the program headers are not there.
    fn has_no_loader(&self, file: &[u8]) -> Option<bool> {
        let [first, size, count] = match self.is_wide {
            true => [(32, 8), (54, 2), (56, 2)],
            false => [(28, 4), (42, 2), (44, 2)],
        };
        let number = |at, size| self.number(file, at, size);
        let (first, size) = (number(first.0, first.1)?, number(size.0, size.1)?);
        for index in 0..number(count.0, count.1)? {
            let at = usize::try_from(first.checked_add(index * size)?).ok()?;
            if number(at, 4)? == LOADER {
                return Some(false);
            }
        }
        Some(true)
    }

    /// The number in `size` bytes of `file`.
    fn number(&self, file: &[u8], at: usize, size: usize) -> Option<u64> {
        let bytes = file.get(at..at.checked_add(size)?)?;
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(match self.is_little_endian {
            true => bytes.iter().rev().fold(0, add),
            false => bytes.iter().fold(0, add),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{ARCHITECTURES, Architecture, LOADER};

    /// A program with two program headers, the second of this kind.
    fn program(architecture: &Architecture, second: u64) -> Vec<u8> {
        let mut file = architecture.magic().to_vec();
        file.resize(256, 0);
        let mut put = |at: usize, size: usize, value: u64| {
            let bytes = value.to_le_bytes();
            let bytes = bytes[..size].iter().copied();
            let bytes: Vec<u8> = match architecture.is_little_endian {
                true => bytes.collect(),
                false => bytes.rev().collect(),
            };
            file[at..at + size].copy_from_slice(&bytes);
        };
        let numbers = match architecture.is_wide {
            true => [
                (32, 8, 64),
                (54, 2, 56),
                (56, 2, 2),
                (64, 4, 1),
                (120, 4, second),
            ],
            false => [
                (28, 4, 52),
                (42, 2, 32),
                (44, 2, 2),
                (52, 4, 1),
                (84, 4, second),
            ],
        };
        for (at, size, value) in numbers {
            put(at, size, value);
        }
        file
    }

    #[test]
    fn a_program_is_known_by_its_start_alone() {
        for it in &ARCHITECTURES {
            for other in &ARCHITECTURES {
                let is_it = other.is_static_program(&program(it, 1));
                assert_eq!(is_it, it == other, "{it:?} {other:?}");
            }
        }
        assert_eq!(Architecture::named("sparc64"), None);
    }

    #[test]
    fn the_abi_and_the_place_in_memory_do_not_matter_and_other_kinds_of_files_do() {
        for it in &ARCHITECTURES {
            let kind = if it.is_little_endian { 16 } else { 17 };
            for (at, value, expected) in [
                (7, 3, true),     // EI_OSABI: Linux
                (8, 1, true),     // EI_ABIVERSION
                (kind, 3, true),  // ET_DYN
                (kind, 1, false), // ET_REL
                (kind, 4, false), // ET_CORE
                (4, 3, false),
            ] {
                let mut file = program(it, 1);
                file[at] = value;
                assert_eq!(it.is_static_program(&file), expected, "{it:?} {at} {value}");
            }
        }
    }

    #[test]
    fn what_another_file_must_load_is_not_static_nor_what_ends_too_early() {
        for it in &ARCHITECTURES {
            assert!(!it.is_static_program(&program(it, LOADER)), "{it:?}");
            let whole = program(it, 1);
            for end in [0, 4, 20, 40, 60] {
                assert!(!it.is_static_program(&whole[..end]), "{it:?} {end}");
            }
        }
        let mut endless = program(&ARCHITECTURES[1], 1);
        endless[32..40].fill(0xff);
        assert!(!ARCHITECTURES[1].is_static_program(&endless));
        assert!(!ARCHITECTURES[1].is_static_program(b"#!/bin/sh\nexec qemu \"$@\"\n"));
    }

    #[test]
    fn magic_and_mask_are_those_that_the_kernel_gets_from_others() {
        // As in QEMU's own registrations, but for the bytes 8 to 15, which no program uses.
        let arm64 = Architecture::named("arm64").unwrap();
        assert_eq!(
            arm64.magic(),
            *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0"
        );
        assert_eq!(
            arm64.mask(),
            *b"\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\xfe\xff\xff\xff"
        );
        let s390x = Architecture::named("s390x").unwrap();
        assert_eq!(
            s390x.magic(),
            *b"\x7fELF\x02\x02\x01\0\0\0\0\0\0\0\0\0\0\x02\0\x16"
        );
        assert_eq!(s390x.mask()[16..], *b"\xff\xfe\xff\xff");
    }
}
