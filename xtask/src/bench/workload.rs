//! What is measured, as data: each workload is the context of one build.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::Command;

use rbuild_testkit::Scratch;

use crate::cargo::workspace;
use crate::error::{Error, run};

/// One build.
pub struct Workload {
    /// Name of its row, of its context directory and of its image.
    pub name: &'static str,
    /// Fills the context: a directory of that name in the scratch directory.
    pub prepare: fn(&Scratch, &str, Scale) -> Result<(), Error>,
}

/// How large the inputs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// As docs/performance.md reports them.
    Full,
    /// A tenth or less, to see that everything works.
    Small,
}

/// In the order of the table.
pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "go-multi-stage",
        prepare: go_multi_stage,
    },
    Workload {
        name: "run-true-30",
        prepare: run_true,
    },
    Workload {
        name: "copy-small-files",
        prepare: copy_small_files,
    },
    Workload {
        name: "copy-large-file",
        prepare: copy_large_file,
    },
];

fn go_multi_stage(scratch: &Scratch, name: &str, _: Scale) -> Result<(), Error> {
    let example = workspace().join("examples/go-server");
    run(Command::new("cp")
        .arg("-rT")
        .arg(example)
        .arg(scratch.path().join(name)))
}

fn run_true(scratch: &Scratch, name: &str, _: Scale) -> Result<(), Error> {
    let steps: String = (1..=30).map(|step| format!("RUN true {step}\n")).collect();
    scratch.file(
        &format!("{name}/Dockerfile"),
        format!("FROM alpine\n{steps}"),
    )?;
    Ok(())
}

/// 20,000 files of 1 KiB in 200 directories.
fn copy_small_files(scratch: &Scratch, name: &str, scale: Scale) -> Result<(), Error> {
    scratch.file(
        &format!("{name}/Dockerfile"),
        "FROM alpine\nCOPY tree /tree\n",
    )?;
    let directories = if scale == Scale::Full { 200 } else { 20 };
    let mut noise = Noise(1);
    for directory in 0..directories {
        for file in 0..100 {
            let content: Vec<u8> = (0..128).flat_map(|_| noise.next_bytes()).collect();
            scratch.file(&format!("{name}/tree/{directory}/{file}"), content)?;
        }
    }
    Ok(())
}

/// One file of 1 GiB that does not compress.
fn copy_large_file(scratch: &Scratch, name: &str, scale: Scale) -> Result<(), Error> {
    scratch.file(
        &format!("{name}/Dockerfile"),
        "FROM alpine\nCOPY large /large\n",
    )?;
    let mib: u64 = if scale == Scale::Full { 1024 } else { 64 };
    let path = scratch.file(&format!("{name}/large"), "")?;
    let file = File::create(&path).map_err(Error::file("create", &path))?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let mut noise = Noise(2);
    for _ in 0..mib * (1 << 20) / 8 {
        file.write_all(&noise.next_bytes())
            .map_err(Error::file("write", &path))?;
    }
    file.flush().map_err(Error::file("write", &path))
}

/// Bytes that look random and are the same in every run (xorshift64).
struct Noise(u64);

impl Noise {
    fn next_bytes(&mut self) -> [u8; 8] {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.to_le_bytes()
    }
}
