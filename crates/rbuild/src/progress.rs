//! Draws a build's events as lines on standard error.
//!
//! Every line of a command carries the name of its step, so that a log can be searched; bytes
//! that could command a terminal are made visible.

use std::{
    collections::HashMap,
    io::{self, Write},
    sync::Mutex,
    time::Instant,
};

use rbuild_engine::Event;
use rbuild_plan::{Base, Plan, Reason, StageId, StepId};
use rbuild_sandbox::Cancel;

use crate::{report::Verbosity, signals};

/// Shows what a build does.
pub struct Progress {
    /// `builder 2/5` for each step.
    labels: Vec<String>,
    titles: Vec<String>,
    /// `FROM …` of each stage, shown before its first step.
    stages: HashMap<StepId, String>,
    /// Nothing but warnings is shown when it is quiet; output of a failing step is kept then.
    verbosity: Verbosity,
    started: Mutex<HashMap<StepId, Instant>>,
    kept: Mutex<HashMap<StepId, Vec<u8>>>,
    /// Ends the build when nobody reads standard error any more.
    cancel: Cancel,
}

/// What a plan is of what is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The steps for one of several platforms, which each line tells then.
    Platform,
}

/// Most bytes of output that a quiet build keeps to show when it fails.
const KEPT: usize = 64 << 10;

impl Progress {
    /// Ready to draw a build of `plan`, which `cancel` ends.
    pub fn new((plan, part): (&Plan, Part), verbosity: Verbosity, cancel: Cancel) -> Self {
        let (labels, stages) = labels(plan, part);
        Self {
            labels,
            titles: plan.steps.iter().map(|step| step.title.clone()).collect(),
            stages,
            verbosity,
            started: Mutex::default(),
            kept: Mutex::default(),
            cancel,
        }
    }

    /// Draws one event.
    pub fn show(&self, event: &Event) {
        match event {
            Event::Cached(id) => self.head(*id, "  (cached)"),
            Event::Started { step, why } => {
                self.started
                    .lock()
                    .expect("no holder panics")
                    .insert(*step, Instant::now());
                self.head(*step, &because(why));
            }
            Event::Output { step, line, .. } => {
                let text = [self.label(*step).as_bytes(), b" ", &visible(line)].concat();
                if self.verbosity == Verbosity::Usual {
                    self.line(&text);
                } else {
                    self.keep(*step, &text);
                }
            }
            Event::Finished(id) => {
                let started = self.started.lock().expect("no holder panics").remove(id);
                if let Some(seconds) = started.map(|then| then.elapsed().as_secs_f32())
                    && seconds >= 1.0
                {
                    self.line(format!("{} done in {seconds:.1} s", self.label(*id)).as_bytes());
                }
                self.kept.lock().expect("no holder panics").remove(id);
            }
            Event::Waiting(id) => {
                self.line(
                    format!("{} waiting for another build of it", self.label(*id)).as_bytes(),
                );
            }
            // Told with the findings of checks, or of interest to others.
            Event::Unmatched { .. }
            | Event::Frozen { .. }
            | Event::Known { .. }
            | Event::Fetched { .. }
            | Event::Recorded { .. } => {}
            Event::Warning(text) => self.write(format!("warning: {text}").as_bytes()),
        }
    }

    /// Writes the output of the failed step `id` that a quiet build did not show.
    pub fn show_kept(&self, id: StepId) {
        let kept = self.kept.lock().expect("no holder panics").remove(&id);
        let _ = io::stderr().lock().write_all(&kept.unwrap_or_default());
    }

    fn head(&self, id: StepId, suffix: &str) {
        if let Some(stage) = self.stages.get(&id) {
            self.line(&visible(stage.as_bytes()));
        }
        let title = visible(self.titles[id.0 as usize].as_bytes());
        let label = self.label(id).as_bytes();
        let suffix = visible(suffix.as_bytes());
        self.line(&[label, b" ", &title, &suffix].concat());
    }

    fn label(&self, id: StepId) -> &str {
        &self.labels[id.0 as usize]
    }

    fn keep(&self, id: StepId, line: &[u8]) {
        let mut all = self.kept.lock().expect("no holder panics");
        let kept = all.entry(id).or_default();
        kept.extend_from_slice(line);
        kept.push(b'\n');
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
    }

    fn line(&self, text: &[u8]) {
        if self.verbosity == Verbosity::Usual {
            self.write(text);
        }
    }

    /// One write for the whole line, so that lines of parallel steps do not mix.
    fn write(&self, line: &[u8]) {
        let written = io::stderr().lock().write_all(&[line, b"\n"].concat());
        if written.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            signals::broken_pipe(&self.cancel);
        }
    }
}

/// `[builder 2/5]` for each step, or `[linux/arm64 builder 2/5]`; and what is shown before the first
/// of each stage.
pub fn labels(plan: &Plan, part: Part) -> (Vec<String>, HashMap<StepId, String>) {
    let platform = match part {
        Part::Whole => String::new(),
        Part::Platform => format!("{} ", plan.platform()),
    };
    let mut labels = Vec::with_capacity(plan.steps.len());
    let mut stages = HashMap::new();
    let mut position: HashMap<StageId, usize> = HashMap::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let stage = plan.stage(step.stage);
        let name = stage
            .name
            .clone()
            .unwrap_or_else(|| format!("stage-{}", stage.index));
        let total = plan
            .steps
            .iter()
            .filter(|other| other.stage == step.stage)
            .count();
        let number = position.entry(step.stage).or_insert(0);
        if *number == 0 {
            let id = StepId(u32::try_from(index).expect("a plan has at most 10,000 steps"));
            stages.insert(
                id,
                format!("[{platform}{name}] FROM {}", base(plan, &stage.base)),
            );
        }
        *number += 1;
        labels.push(format!("[{platform}{name} {number}/{total}]"));
    }
    (labels, stages)
}

/// What changed, behind the instruction; nothing where that goes without saying.
fn because(why: &Reason) -> String {
    match why {
        Reason::Asked | Reason::First => String::new(),
        Reason::Expired | Reason::Deleted | Reason::Changed(_) => format!("  ({why})"),
    }
}

fn base(plan: &Plan, base: &Base) -> String {
    match base {
        Base::Scratch => "scratch".to_owned(),
        Base::Image(name) => name.to_string(),
        Base::Stage(id) => {
            let stage = plan.stage(*id);
            stage
                .name
                .clone()
                .unwrap_or_else(|| format!("stage-{}", stage.index))
        }
    }
}

/// `line` with control characters other than tab spelled out (`^[`), the last carriage return gone.
fn visible(line: &[u8]) -> Vec<u8> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // What a progress bar drew over is not worth a log.
    let last = line.rsplit(|&b| b == b'\r').next().unwrap_or(line);
    let mut text = Vec::with_capacity(last.len());
    for &byte in last {
        match byte {
            b'\t' | b' '..=b'~' | 0x80.. => text.push(byte),
            0x7F => text.extend_from_slice(b"^?"),
            control => text.extend_from_slice(&[b'^', control + b'@']),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn lines_cannot_command_the_terminal() {
        assert_eq!(visible(b"a\x1b]0;x\x07\tb"), b"a^[]0;x^G\tb");
        assert_eq!(visible("ü\r".as_bytes()), "ü".as_bytes());
        assert_eq!(visible(b"10%\r20%\r30%"), b"30%");
    }
}
