//! rbuild against its peers on the same work, interleaved, as medians.
//!
//! Knows: the command lines of the builders. Does not know: anything that
//! happens inside of one. The numbers of docs/performance.md are made here.

mod builder;
mod crowded;
mod disk;
mod measure;
mod report;
mod transfer;
mod workload;

use std::path::PathBuf;

use rbuild_testkit::{Base, Scratch};

use crate::bases;
use crate::cargo::release_binary;
use crate::error::{Error, run as run_command};
use crate::packages::{FOR_DEMO, ensure};
use crate::users;
use builder::{Builder, Storage, Surroundings};
use measure::{Sample, measure};
use report::{Machine, Report, Row};
use workload::{Scale, WORKLOADS, Who, Workload};

/// Usual number of rounds; each builder is measured once in each.
const ROUNDS: u32 = 5;

/// The rows that need the large base image.
const ON_GOLANG: [&str; 2] = ["go-multi-stage", "pull-large-base"];

#[derive(clap::Args)]
pub struct Args {
    /// One round with small inputs: does it all still work?
    #[arg(long)]
    quick: bool,

    /// Measure only workloads whose name contains TEXT.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,

    /// How often each builder is measured.
    #[arg(long, value_name = "N", default_value_t = ROUNDS)]
    rounds: u32,

    /// Write every sample as JSON to FILE.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Whether a builder may use what it did before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// `--no-cache`: every step is done again.
    Cold,
    /// The same build once more: every step is cached.
    Cached,
    /// The same build after one file of the context has changed.
    Changed,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Cached => "cached",
            Self::Changed => "one file changed",
        }
    }
}

/// What is measured, by whom, and how often.
struct Course<'a> {
    surroundings: &'a Surroundings,
    builders: &'a [Builder],
    scale: Scale,
    rounds: u32,
    only: &'a str,
}

impl Course<'_> {
    fn is_wanted(&self, name: &str) -> bool {
        name.contains(self.only)
    }
}

/// Measures, prints the table, writes the samples.
pub fn run(args: &Args) -> Result<(), Error> {
    ensure(&[FOR_DEMO])?;
    let account = users::ensure_unprivileged()?;
    let scratch = Scratch::new(&account)?;
    // As in the tests: a binary that is there already.
    let binary = std::env::var_os("RBUILD_BIN").map(PathBuf::from);
    let binary = binary.map_or_else(release_binary, Ok)?;
    let surroundings = Surroundings::new(&account, scratch, &binary)?;
    let builders = builder::able(&surroundings);
    let mut needed = vec![Base::Busybox];
    if ON_GOLANG.iter().any(|name| name.contains(&args.only)) {
        needed.push(Base::Golang);
    }
    for &builder in &builders {
        for &base in &needed {
            let archive = bases::ensure(base)?;
            surroundings.import((builder, Storage::Usual), base, &archive)?;
        }
    }
    let (scale, rounds) = if args.quick {
        (Scale::Small, 1)
    } else {
        (Scale::Full, args.rounds)
    };
    let course = Course {
        surroundings: &surroundings,
        builders: &builders,
        scale,
        rounds,
        only: &args.only,
    };
    let mut rows = Vec::new();
    for workload in WORKLOADS.iter().filter(|it| course.is_wanted(it.name)) {
        rows.extend(course.build(workload)?);
    }
    rows.extend(crowded::rows(&course)?);
    rows.extend(transfer::rows(&course)?);
    let machine = Machine::probe();
    let report = Report {
        machine,
        rounds,
        rows,
    };
    println!("{}", report.table());
    match &args.out {
        Some(path) => std::fs::write(path, report.json()).map_err(Error::file("write", path)),
        None => Ok(()),
    }
}

impl Course<'_> {
    /// The rows of one workload.
    fn build(&self, workload: &Workload) -> Result<Vec<Row>, Error> {
        let Self { surroundings, .. } = self;
        let builders = match workload.who {
            Who::All => self.builders,
            Who::Rbuild => &[Builder::Rbuild],
        };
        let context = surroundings.scratch.dir(workload.name)?;
        (workload.prepare)(&surroundings.scratch, workload.name, self.scale)?;
        if let Some(base) = workload.base {
            for &builder in builders {
                run_command(&mut surroundings.build(builder, base, Phase::Cached))?;
            }
        }
        let mut rows = Vec::new();
        for phase in [Phase::Cold, Phase::Cached, Phase::Changed] {
            if phase == Phase::Changed && workload.changes.is_none() {
                continue;
            }
            eprintln!("{} {}", workload.name, phase.name());
            let what = (workload.name.to_owned(), phase.name());
            let names = builders.iter().map(|it| it.name().to_owned()).collect();
            rows.extend(interleaved(what, names, self.rounds, |turn, round| {
                self.build_once((workload, phase), builders[turn], round)
            })?);
        }
        let _ = std::fs::remove_dir_all(context);
        Ok(rows)
    }

    fn build_once(
        &self,
        (workload, phase): (&Workload, Phase),
        builder: Builder,
        round: u32,
    ) -> Result<Sample, Error> {
        let Self { surroundings, .. } = self;
        if let (Phase::Changed, Some(file)) = (phase, workload.changes) {
            let path = format!("{}/{file}", workload.name);
            let content = format!("{round} {}\n", builder.name());
            surroundings.scratch.file(&path, content)?;
        }
        let mut command = surroundings.build(builder, workload.name, phase);
        measure(&mut command)
    }
}

/// A B A B…, so that a slow minute of the machine is slow for everybody: `turn` measures the one
/// with that number of `names`, in that round. `what` is the work and its phase.
fn interleaved(
    what: (String, &'static str),
    names: Vec<String>,
    rounds: u32,
    mut turn: impl FnMut(usize, u32) -> Result<Sample, Error>,
) -> Result<Vec<Row>, Error> {
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); names.len()];
    for round in 0..rounds {
        for (number, samples) in samples.iter_mut().enumerate() {
            samples.push(turn(number, round)?);
        }
    }
    let (workload, phase) = what;
    let rows = names
        .into_iter()
        .zip(samples)
        .map(|(builder, samples)| Row {
            workload: workload.clone(),
            phase,
            builder,
            samples,
        });
    Ok(rows.collect())
}
