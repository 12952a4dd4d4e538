//! Samples as a table for people and as JSON for programs.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::measure::Sample;

/// Everything that one `bench` measured.
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// How often.
    pub rounds: u32,
    /// One per workload, phase and builder.
    pub rows: Vec<Row>,
}

/// The samples of one builder at one workload.
pub struct Row {
    /// Name of the workload.
    pub workload: String,
    /// `cold`, `cached`…
    pub phase: &'static str,
    /// Name of the builder.
    pub builder: String,
    /// In the order in which they were taken.
    pub samples: Vec<Sample>,
}

/// What the numbers depend on.
pub struct Machine {
    cpu: String,
    cpus: usize,
    kernel: String,
}

impl Machine {
    /// Asks `/proc`.
    pub fn probe() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo
            .lines()
            .find_map(|line| line.strip_prefix("model name"));
        Self {
            cpu: model.map_or_else(String::new, |it| {
                it.trim_matches([' ', '\t', ':']).to_owned()
            }),
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

impl Report {
    /// A markdown table of medians: wall and CPU seconds, peak memory.
    pub fn table(&self) -> String {
        let Self {
            machine: Machine { cpu, cpus, kernel },
            rounds,
            rows,
        } = self;
        let mut table = format!(
            "{cpus} × {cpu}, Linux {kernel}, median of {rounds}\n\n\
             | workload | builder | wall s | CPU s | builder memory MiB |\n\
             |---|---|---:|---:|---:|\n"
        );
        for row in rows {
            let (wall, cpu) = (row.median(|it| it.wall), row.median(|it| it.cpu));
            table += &format!(
                "| {} {} | {} | {:.3} | {:.3} | {:.0} |\n",
                row.workload,
                row.phase,
                row.builder,
                wall.as_secs_f64(),
                cpu.as_secs_f64(),
                row.memory_kib() as f64 / 1024.0,
            );
        }
        table
    }

    /// All samples; times in seconds, memory in KiB.
    pub fn json(&self) -> String {
        let Self {
            machine: Machine { cpu, cpus, kernel },
            rounds,
            rows,
        } = self;
        let machine = json!({ "cpu": cpu, "cpus": cpus, "kernel": kernel });
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        let report = json!({ "machine": machine, "rounds": rounds, "results": rows });
        format!("{report:#}\n")
    }
}

impl Row {
    fn median(&self, of: impl Fn(&Sample) -> Duration) -> Duration {
        let mut values: Vec<Duration> = self.samples.iter().map(of).collect();
        values.sort();
        values.get(values.len() / 2).copied().unwrap_or_default()
    }

    fn memory_kib(&self) -> u64 {
        self.samples
            .iter()
            .map(|sample| sample.memory_kib)
            .max()
            .unwrap_or(0)
    }

    fn json(&self) -> Value {
        let sample = |it: &Sample| {
            json!({
                "wall_s": it.wall.as_secs_f64(),
                "cpu_s": it.cpu.as_secs_f64(),
                "memory_kib": it.memory_kib,
            })
        };
        json!({
            "workload": self.workload,
            "phase": self.phase,
            "builder": self.builder,
            "median_wall_s": self.median(|it| it.wall).as_secs_f64(),
            "median_cpu_s": self.median(|it| it.cpu).as_secs_f64(),
            "max_memory_kib": self.memory_kib(),
            "samples": self.samples.iter().map(sample).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_medians_and_the_largest_memory() {
        let sample = |ms, memory_kib| Sample {
            wall: Duration::from_millis(ms),
            cpu: Duration::from_millis(2 * ms),
            memory_kib,
        };
        let report = Report {
            machine: Machine {
                cpu: "Z80".to_owned(),
                cpus: 2,
                kernel: "6.1".to_owned(),
            },
            rounds: 3,
            rows: vec![Row {
                workload: "run-true".to_owned(),
                phase: "cold",
                builder: "rbuild".to_owned(),
                samples: vec![sample(100, 1024), sample(900, 4096), sample(200, 2048)],
            }],
        };
        let expected = expect_test::expect![[r#"
            2 × Z80, Linux 6.1, median of 3

            | workload | builder | wall s | CPU s | builder memory MiB |
            |---|---|---:|---:|---:|
            | run-true cold | rbuild | 0.200 | 0.400 | 4 |
        "#]];
        expected.assert_eq(&report.table());
    }
}
