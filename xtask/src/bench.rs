//! rbuild against its peers on the same work, interleaved, as medians.
//!
//! Knows: the command lines of the builders. Does not know: anything that
//! happens inside of one. The numbers of docs/performance.md are made here.

mod builder;
mod measure;
mod report;
mod workload;

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use rbuild_testkit::{Base, Scratch};

use crate::bases;
use crate::cargo::release_binary;
use crate::error::{Error, run as run_command};
use crate::packages::{FOR_DEMO, ensure};
use crate::users;
use builder::{Builder, Surroundings};
use measure::{Sample, measure};
use report::{Machine, Report, Row};
use workload::{Scale, WORKLOADS, Workload};

/// Usual number of rounds; each builder is measured once in each.
const ROUNDS: u32 = 5;

/// ext4 does not use an inode again soon after its deletion, and looks at each of
/// those for every new file: 10,000 files cost 1.3 s of system time right after as many were
/// deleted, and 0.3 s eight seconds later. So
/// what one builder throws away must not be paid for by the next one.
const SETTLING: Duration = Duration::from_secs(8);

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
    for &builder in &builders {
        for base in [Base::Busybox, Base::Golang] {
            surroundings.import(builder, base, &bases::ensure(base)?)?;
        }
    }
    let (scale, rounds) = if args.quick {
        (Scale::Small, 1)
    } else {
        (Scale::Full, args.rounds)
    };
    let mut report = Report {
        machine: Machine::probe(),
        rounds,
        rows: Vec::new(),
    };
    for workload in WORKLOADS
        .iter()
        .filter(|workload| workload.name.contains(&args.only))
    {
        let context = surroundings.scratch.dir(workload.name)?;
        (workload.prepare)(&surroundings.scratch, workload.name, scale)?;
        if let Some(base) = workload.base {
            for &builder in &builders {
                run_command(&mut surroundings.build(builder, base, Phase::Cached))?;
            }
        }
        for phase in [Phase::Cold, Phase::Cached, Phase::Changed] {
            if phase == Phase::Changed && workload.changes.is_none() {
                continue;
            }
            eprintln!("{} {}", workload.name, phase.name());
            let rows = measure_all(&surroundings, &builders, (workload, phase), rounds)?;
            report.rows.extend(rows);
        }
        let _ = std::fs::remove_dir_all(context);
    }
    println!("{}", report.table());
    match &args.out {
        Some(path) => std::fs::write(path, report.json()).map_err(Error::file("write", path)),
        None => Ok(()),
    }
}

/// A B A B…, so that a slow minute of the machine is slow for everybody.
fn measure_all(
    surroundings: &Surroundings,
    builders: &[Builder],
    (workload, phase): (&Workload, Phase),
    rounds: u32,
) -> Result<Vec<Row>, Error> {
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); builders.len()];
    for round in 0..rounds {
        for (builder, samples) in builders.iter().zip(&mut samples) {
            if let (Phase::Changed, Some(file)) = (phase, workload.changes) {
                let path = format!("{}/{file}", workload.name);
                let content = format!("{round} {}\n", builder.name());
                surroundings.scratch.file(&path, content)?;
            }
            let mut command = surroundings.build(*builder, workload.name, phase);
            if phase == Phase::Cold {
                thread::sleep(SETTLING);
            }
            samples.push(measure(&mut command)?);
        }
    }
    let rows = builders.iter().zip(samples).map(|(builder, samples)| Row {
        workload: workload.name,
        phase: phase.name(),
        builder: builder.name(),
        samples,
    });
    Ok(rows.collect())
}
