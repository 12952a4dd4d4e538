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
    /// The context of a build that makes its base image, if that is one of its own.
    pub base: Option<&'static str>,
    /// A file of the context that may change between two builds.
    pub changes: Option<&'static str>,
    /// Who builds it.
    pub who: Who,
}

/// Who builds a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Each builder that can.
    All,
    /// rbuild: the peers would take hours, or cannot.
    Rbuild,
}

impl Workload {
    const fn new(
        name: &'static str,
        prepare: fn(&Scratch, &str, Scale) -> Result<(), Error>,
    ) -> Self {
        Self {
            name,
            prepare,
            base: None,
            changes: None,
            who: Who::All,
        }
    }
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
    Workload::new("metadata", metadata),
    Workload::new("go-multi-stage", go_multi_stage),
    Workload::new("run-true-30", run_true),
    Workload {
        who: Who::Rbuild,
        ..Workload::new("run-true-1000", run_true_1000)
    },
    Workload::new("three-stages-30", three_stages),
    Workload::new("busy-stages-4", busy_stages),
    Workload {
        changes: Some("tree/0/0"),
        ..Workload::new("copy-small-files", copy_small_files)
    },
    Workload::new("copy-many-files", copy_many_files),
    Workload::new("copy-large-file", copy_large_file),
    Workload::new("copy-large-text", copy_large_text),
    Workload {
        base: Some(HIGH),
        ..Workload::new("base-of-60-layers", base_of_60_layers)
    },
    Workload::new("copy-from-stage", copy_from_stage),
];

/// Context of the image of 60 layers.
const HIGH: &str = "sixty";

/// No step at all.
fn metadata(scratch: &Scratch, name: &str, _: Scale) -> Result<(), Error> {
    let dockerfile = "FROM alpine\nENV A=b\nCMD [\"sh\"]\n";
    scratch.file(&format!("{name}/Dockerfile"), dockerfile)?;
    Ok(())
}

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

/// 1,000 steps that do nothing: what a step costs must not depend on their number.
fn run_true_1000(scratch: &Scratch, name: &str, scale: Scale) -> Result<(), Error> {
    let steps = if scale == Scale::Full { 1000 } else { 200 };
    let steps: String = (1..=steps)
        .map(|step| format!("RUN true {step}\n"))
        .collect();
    scratch.file(
        &format!("{name}/Dockerfile"),
        format!("FROM alpine\n{steps}"),
    )?;
    Ok(())
}

/// 30 steps in three stages, of which the last takes files from the others.
pub fn three_stages(scratch: &Scratch, name: &str, _: Scale) -> Result<(), Error> {
    let steps = |stage: u32| -> String {
        let step = |step| match step % 3 {
            0 => format!("COPY file /copied-{step}\n"),
            _ => format!("RUN echo {stage} {step} > /written-{step}\n"),
        };
        (1..=9).map(step).collect()
    };
    let dockerfile = format!(
        "FROM alpine AS one\n{}FROM alpine AS two\n{}FROM alpine\n\
         COPY --from=one /written-8 /one\nCOPY --from=two /written-8 /two\n\
         COPY file /three\n{}",
        steps(1),
        steps(2),
        steps(3)
    );
    scratch.file(&format!("{name}/Dockerfile"), dockerfile)?;
    scratch.file(&format!("{name}/file"), "x\n")?;
    Ok(())
}

/// Four stages that need nothing of each other and count for a while.
fn busy_stages(scratch: &Scratch, name: &str, scale: Scale) -> Result<(), Error> {
    let count = if scale == Scale::Full {
        4_000_000
    } else {
        400_000
    };
    let stage = |n: u32| {
        format!(
            "FROM alpine AS busy{n}\n\
             RUN i=0; while [ $i -lt {count} ]; do i=$((i+1)); done; echo {n} > /done\n"
        )
    };
    let stages: String = (1..=4).map(stage).collect();
    let copies: String = (1..=4)
        .map(|n| format!("COPY --from=busy{n} /done /done-{n}\n"))
        .collect();
    scratch.file(
        &format!("{name}/Dockerfile"),
        format!("{stages}FROM alpine\n{copies}"),
    )?;
    Ok(())
}

/// 20,000 files of 1 KiB in 200 directories.
fn copy_small_files(scratch: &Scratch, name: &str, scale: Scale) -> Result<(), Error> {
    let directories = if scale == Scale::Full { 200 } else { 20 };
    small_files(scratch, name, directories)
}

/// 50,000 files of 1 KiB in 500 directories.
pub fn layer_of_small_files(scratch: &Scratch, name: &str, scale: Scale) -> Result<(), Error> {
    let directories = if scale == Scale::Full { 500 } else { 20 };
    small_files(scratch, name, directories)
}

fn small_files(scratch: &Scratch, name: &str, directories: u32) -> Result<(), Error> {
    scratch.file(
        &format!("{name}/Dockerfile"),
        "FROM alpine\nCOPY tree /tree\n",
    )?;
    let mut noise = Noise(1);
    for directory in 0..directories {
        for file in 0..100 {
            let content: Vec<u8> = (0..128).flat_map(|_| noise.next_bytes()).collect();
            scratch.file(&format!("{name}/tree/{directory}/{file}"), content)?;
        }
    }
    Ok(())
}

/// 200,000 empty files: what a name costs, in memory too.
fn copy_many_files(scratch: &Scratch, name: &str, scale: Scale) -> Result<(), Error> {
    scratch.file(
        &format!("{name}/Dockerfile"),
        "FROM alpine\nCOPY tree /tree\n",
    )?;
    let directories = if scale == Scale::Full { 200 } else { 10 };
    for directory in 0..directories {
        let directory = scratch.dir(&format!("{name}/tree/{directory}"))?;
        for file in 0..1000 {
            let path = directory.join(format!("file-number-{file}"));
            File::create(&path).map_err(Error::file("create", &path))?;
        }
    }
    Ok(())
}

/// One file of 1 GiB that does not compress.
pub fn copy_large_file(scratch: &Scratch, name: &str, scale: Scale) -> Result<(), Error> {
    let mut noise = Noise(2);
    large_file(scratch, (name, scale), || noise.next_bytes())
}

/// One file of 1 GiB that compresses as text does.
pub fn copy_large_text(scratch: &Scratch, name: &str, scale: Scale) -> Result<(), Error> {
    let mut noise = Noise(3);
    // Words of seven letters and a space; the first ones are used most.
    let words: Vec<[u8; 8]> = (0..4096)
        .map(|_| {
            let mut word = noise.next_bytes().map(|byte| b'a' + byte % 26);
            word[7] = b' ';
            word
        })
        .collect();
    large_file(scratch, (name, scale), || {
        let [a, b, c, d, ..] = noise.next_bytes();
        let pick = |high, low| usize::from(u16::from_be_bytes([high, low])) % words.len();
        words[pick(a, b).min(pick(c, d))]
    })
}

fn large_file(
    scratch: &Scratch,
    (name, scale): (&str, Scale),
    mut next: impl FnMut() -> [u8; 8],
) -> Result<(), Error> {
    scratch.file(
        &format!("{name}/Dockerfile"),
        "FROM alpine\nCOPY large /large\n",
    )?;
    let mib: u64 = if scale == Scale::Full { 1024 } else { 64 };
    let path = scratch.file(&format!("{name}/large"), "")?;
    let file = File::create(&path).map_err(Error::file("create", &path))?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    for _ in 0..mib * (1 << 20) / 8 {
        file.write_all(&next())
            .map_err(Error::file("write", &path))?;
    }
    file.flush().map_err(Error::file("write", &path))
}

/// One RUN and one COPY on an image of 60 layers.
fn base_of_60_layers(scratch: &Scratch, name: &str, _: Scale) -> Result<(), Error> {
    let layers: String = (1..60).map(|n| format!("COPY file /{n}\n")).collect();
    scratch.file(
        &format!("{HIGH}/Dockerfile"),
        format!("FROM alpine\n{layers}"),
    )?;
    scratch.file(&format!("{HIGH}/file"), "x\n")?;
    scratch.file(
        &format!("{name}/Dockerfile"),
        format!("FROM localhost/bench/{HIGH}\nRUN touch /run-was-here\nCOPY file /file\n"),
    )?;
    scratch.file(&format!("{name}/file"), "y\n")?;
    Ok(())
}

/// RUN writes 50,000 files, the next stage copies them.
fn copy_from_stage(scratch: &Scratch, name: &str, scale: Scale) -> Result<(), Error> {
    let directories = if scale == Scale::Full { 500 } else { 20 };
    let dockerfile = format!(
        "FROM alpine AS files\n\
         RUN mkdir /tree && cd /tree && for d in $(seq {directories}); do mkdir $d; \
         for f in $(seq 100); do echo $f > $d/$f; done; done\n\
         FROM alpine\nCOPY --from=files /tree /tree\n"
    );
    scratch.file(&format!("{name}/Dockerfile"), dockerfile)?;
    Ok(())
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
