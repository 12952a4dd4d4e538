//! A plan as text, for goldens, `rbuild util dump plan` and bug reports.
//!
//! One fact a line, each line understandable alone; what is empty is left out.

use std::fmt::{self, Write as _};

use rbuild_dockerfile::{Diagnostic, Severity};
use rbuild_oci::RunConfig;

use crate::graph::{Base, Plan, Stage, Step, StepId, Tree};
use crate::op::{
    Archives, Copy, Device, Item, Mount, MountKind, Network, Op, Run, Security, Source,
};

/// The printable form of `plan`.
pub fn dump(plan: &Plan) -> String {
    let mut out = String::new();
    write(plan, &mut out).expect("writing to a string cannot fail");
    out
}

fn write(plan: &Plan, out: &mut String) -> fmt::Result {
    let platform = plan.platform();
    writeln!(out, "platform {platform}")?;
    for (index, step) in plan.steps.iter().enumerate() {
        write_step(index, step, out)?;
    }
    for (id, stage) in plan.stages.iter().enumerate() {
        write_stage(id, stage, out)?;
        if stage.platform != platform {
            writeln!(out, "  with commands of {}", stage.platform)?;
        }
        let targets = plan.targets.iter().enumerate();
        for (number, _) in targets.filter(|(_, target)| target.0 as usize == id) {
            match plan.targets.len() {
                1 => writeln!(out, "  target")?,
                count => writeln!(out, "  target {} of {count}", number + 1)?,
            }
        }
    }
    for diagnostic in &plan.warnings {
        write_diagnostic(diagnostic, out)?;
    }
    Ok(())
}

fn write_step(index: usize, step: &Step, out: &mut String) -> fmt::Result {
    let name = StepName(StepId(u32::try_from(index).unwrap_or(u32::MAX)));
    writeln!(out, "{name} of stage {}: {}", step.stage.0, step.title)?;
    writeln!(out, "  on {}", TreeName(&step.parent))?;
    match &step.op {
        Op::Run(run) => write_run(run, out),
        Op::Copy(copy) => write_copy(copy, out),
        Op::Workdir(workdir) => {
            writeln!(out, "  create {}", workdir.path)?;
            write_text("user", &workdir.user, out)
        }
    }
}

fn write_run(run: &Run, out: &mut String) -> fmt::Result {
    writeln!(out, "  argv {:?}", run.argv)?;
    for (name, value) in &run.env {
        writeln!(out, "  run env {name}={}", one_line(value))?;
    }
    for (name, value) in &run.proxy_env {
        writeln!(out, "  proxy {name}={value}")?;
    }
    writeln!(out, "  cwd {}", run.cwd)?;
    write_text("user", &run.user, out)?;
    if let Some(script) = &run.script {
        writeln!(out, "  script {} {:?}", script.path, script.body)?;
    }
    match run.network {
        Network::Private => {}
        Network::None => writeln!(out, "  network none")?,
        Network::Host => writeln!(out, "  network host")?,
    }
    if run.security == Security::Insecure {
        writeln!(out, "  security insecure")?;
    }
    for Device { path, required } in &run.devices {
        writeln!(out, "  device /dev{path} required {required}")?;
    }
    for limit in &run.ulimits {
        writeln!(out, "  ulimit {limit}")?;
    }
    run.mounts
        .iter()
        .try_for_each(|mount| write_mount(mount, out))
}

fn write_mount(mount: &Mount, out: &mut String) -> fmt::Result {
    write!(out, "  mount {} ", mount.target)?;
    match &mount.kind {
        MountKind::Bind {
            source,
            path,
            access,
        } => {
            writeln!(out, "bind /{path} of {} {access:?}", SourceName(source))
        }
        MountKind::Cache(cache) => {
            write!(
                out,
                "cache {:?} {:?} {:?}",
                cache.id, cache.sharing, cache.access
            )?;
            write!(out, " {:04o} {:?}:{:?}", cache.mode, cache.uid, cache.gid)?;
            match &cache.seed {
                Some((source, path)) => writeln!(out, " from /{path} of {}", SourceName(source)),
                None => writeln!(out),
            }
        }
        MountKind::Tmpfs { size } => writeln!(out, "tmpfs {size:?}"),
        MountKind::Secret(secret) => writeln!(out, "{secret:?}"),
        MountKind::Ssh { id, node, required } => {
            writeln!(out, "ssh {id:?} {node:?} required {required}")
        }
    }
}

fn write_copy(copy: &Copy, out: &mut String) -> fmt::Result {
    writeln!(out, "  from {}", SourceName(&copy.source))?;
    let paths = copy.items.iter().filter_map(|item| match item {
        Item::Path(path) => Some(path),
        _ => None,
    });
    writeln!(out, "  select {:?}", paths.collect::<Vec<_>>())?;
    for item in &copy.items {
        match item {
            Item::Path(_) => {}
            Item::Inline { name, content } => writeln!(out, "  inline {name:?} {content:?}")?,
            other => writeln!(out, "  fetch {other:?}")?,
        }
    }
    let kind = if copy.destination_is_dir {
        " (a directory)"
    } else {
        ""
    };
    writeln!(out, "  to {}{kind}", copy.destination)?;
    write_text("chown", copy.chown.as_deref().unwrap_or_default(), out)?;
    if let Some(change) = &copy.chmod {
        match change.octal() {
            Some(mode) => writeln!(out, "  chmod {mode:04o}")?,
            None => writeln!(out, "  chmod {change}")?,
        }
    }
    for pattern in &copy.exclude {
        writeln!(out, "  exclude {pattern:?}")?;
    }
    for (flag, set) in [
        ("link", copy.link),
        ("parents", copy.parents),
        ("unpack", copy.archives == Archives::Unpack),
    ] {
        if set {
            writeln!(out, "  {flag}")?;
        }
    }
    Ok(())
}

fn write_stage(id: usize, stage: &Stage, out: &mut String) -> fmt::Result {
    write!(out, "stage {id}, FROM number {}", stage.index)?;
    if let Some(name) = &stage.name {
        write!(out, ", `{name}`")?;
    }
    writeln!(out, ":")?;
    match &stage.base {
        Base::Scratch => writeln!(out, "  based on scratch")?,
        Base::Image(reference) => writeln!(out, "  based on image {reference}")?,
        Base::Stage(base) => writeln!(out, "  based on stage {}", base.0)?,
    }
    for after in &stage.after {
        writeln!(out, "  after stage {}", after.0)?;
    }
    writeln!(out, "  ends with {}", TreeName(&stage.tree))?;
    write_text(
        "author",
        stage.config.author.as_deref().unwrap_or_default(),
        out,
    )?;
    write_config(&stage.config.config, out)?;
    for entry in &stage.history {
        write!(out, "  history {}", one_line(&entry.created_by))?;
        match entry.step {
            Some(step) => writeln!(out, " [{}]", StepName(step))?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}

fn write_config(config: &RunConfig, out: &mut String) -> fmt::Result {
    for entry in &config.env {
        writeln!(out, "  env {}", one_line(entry))?;
    }
    for (key, value) in &config.labels {
        writeln!(out, "  label {key}={}", one_line(value))?;
    }
    write_text("config user", &config.user, out)?;
    write_text("working dir", &config.working_dir, out)?;
    for (name, argv) in [
        ("shell", &config.shell),
        ("entrypoint", &config.entrypoint),
        ("cmd", &config.cmd),
        ("onbuild", &config.on_build),
    ] {
        if let Some(argv) = argv {
            writeln!(out, "  {name} {argv:?}")?;
        }
    }
    if config.args_escaped {
        writeln!(out, "  args escaped")?;
    }
    for port in config.exposed_ports.keys() {
        writeln!(out, "  port {port}")?;
    }
    for path in config.volumes.keys() {
        writeln!(out, "  volume {path}")?;
    }
    write_text(
        "stop signal",
        config.stop_signal.as_deref().unwrap_or_default(),
        out,
    )?;
    for (name, value) in &config.other {
        writeln!(out, "  other {name}={value}")?;
    }
    Ok(())
}

fn write_diagnostic(diagnostic: &Diagnostic, out: &mut String) -> fmt::Result {
    let severity = match diagnostic.severity {
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let span = &diagnostic.span;
    let message = &diagnostic.message;
    write!(out, "{severity} at {}-{}: {message}", span.start, span.end)?;
    match diagnostic.rule {
        Some(rule) => writeln!(out, " ({rule})")?,
        None => writeln!(out)?,
    }
    write_text("hint", diagnostic.hint.as_deref().unwrap_or_default(), out)
}

/// A line with `text`, unless there is none.
fn write_text(name: &str, text: &str, out: &mut String) -> fmt::Result {
    if text.is_empty() {
        return Ok(());
    }
    writeln!(out, "  {name} {text}")
}

fn one_line(text: &str) -> String {
    text.replace('\n', "\\n")
}

struct StepName(StepId);

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}", self.0.0)
    }
}

struct SourceName<'a>(&'a Source);

impl fmt::Display for SourceName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Source::Context => f.write_str("context"),
            Source::Named(name) => write!(f, "context {name}"),
            Source::Tree(tree) => TreeName(tree).fmt(f),
        }
    }
}

struct TreeName<'a>(&'a Tree);

impl fmt::Display for TreeName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Tree::Empty => f.write_str("nothing"),
            Tree::Image(reference) => write!(f, "image {reference}"),
            Tree::Step(id) => StepName(*id).fmt(f),
        }
    }
}
