//! What was a step's key made of? By name, so that two can be compared.
//!
//! Knows: the fields of a key's recipe ([`crate::key`]), and how much of each may be shown.
//! Does not know: which two are compared ([`crate::ledger`]), what is said ([`crate::reason`]).
//!
//! Invariant: what makes a key differ makes the account differ. A value that may be a secret is
//! only there as a print; proxies are not there at all, as they are in no key (A7).

use std::collections::BTreeMap;

use rbuild_dockerfile::lint::may_name_secret;
use serde::{Deserialize, Serialize};

use crate::graph::Step;
use crate::key::{Key, RECIPE};
use crate::listing::Listing;
use crate::op::{Copy, Item, Mount, MountKind, Op, Run, Workdir};

/// Longest value that is shown, in characters.
const LONGEST: usize = 60;

/// What a step's key was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The instruction, as [`Step::title`].
    pub title: String,
    /// What it stood on.
    pub parent: Parent,
    /// Everything else but files. A name is there once.
    pub parts: BTreeMap<Part, Value>,
    /// The files that each source gave it.
    pub files: Vec<Listing>,
}

/// What a step stands on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The name of the base image, if the step is the first on it.
    pub base: Option<String>,
    /// Of its key; empty if the tree does not matter.
    pub print: String,
}

/// A part of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Part {
    /// An ARG in a command's environment.
    Arg(String),
    /// Any other variable of it.
    Env(String),
    /// Something that every step of its kind has, e.g. `user`.
    Field(String),
}

/// What a part is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Value {
    /// As it is.
    Text(String),
    /// Stands for what is too long, or not to be shown.
    Print(String),
}

impl Account {
    /// Of `step` on a tree with the key `parent`, whose sources give it `files`.
    pub fn of(step: &Step, parent: Parent, files: Vec<Listing>) -> Self {
        let mut account = Self {
            title: step.title.clone(),
            parent,
            parts: BTreeMap::new(),
            files,
        };
        account.field("recipe", &RECIPE.to_string());
        match &step.op {
            Op::Run(run) => account.run(run),
            Op::Copy(copy) => account.copy(copy),
            Op::Workdir(workdir) => account.workdir(workdir),
        }
        account
    }

    fn run(&mut self, run: &Run) {
        let script = run.script.as_ref().map(|script| script.body.as_str());
        let command = format!("{:?} {script:?}", run.argv);
        self.parts.insert(
            Part::Field("command".to_owned()),
            Value::Print(print(command.as_bytes())),
        );
        for (name, value) in &run.env {
            let part = match run.args.contains(name) {
                true => Part::Arg(name.clone()),
                false => Part::Env(name.clone()),
            };
            self.parts.insert(part, Value::of(name, value));
        }
        self.field("working directory", run.cwd.as_str());
        self.field("user", &run.user);
        self.field("network", &format!("{:?}", run.network).to_lowercase());
        self.field("security", &format!("{:?}", run.security).to_lowercase());
        self.field("limits", &run.ulimits.join(" "));
        let devices = run.devices.iter().map(|device| device.path.as_str());
        self.field("devices", &devices.collect::<Vec<_>>().join(" "));
        let mounts: Vec<String> = run.mounts.iter().map(shape).collect();
        self.field("mounts", &mounts.join(" "));
    }

    fn copy(&mut self, copy: &Copy) {
        let into = if copy.destination_is_dir { "/" } else { "" };
        self.field("destination", &format!("{}{into}", copy.destination));
        self.field("--chown", copy.chown.as_deref().unwrap_or_default());
        let chmod = copy.chmod.as_ref().map(ToString::to_string);
        self.field("--chmod", &chmod.unwrap_or_default());
        self.field("--link", &copy.link.to_string());
        self.field("--parents", &copy.parents.to_string());
        self.field("--exclude", &copy.exclude.join(" "));
        let from = if copy.source.tree().is_some() {
            "tree"
        } else {
            "context"
        };
        self.field("source", from);
        let archives = format!("{:?}", copy.archives).to_lowercase();
        self.field("archives", &archives);
        let items: Vec<String> = copy.items.iter().map(item).collect();
        self.field("sources", &items.join(" "));
    }

    fn workdir(&mut self, workdir: &Workdir) {
        self.field("working directory", workdir.path.as_str());
        self.field("user", &workdir.user);
    }

    /// Adds that the secret `id` has the content that `digest` stands for.
    pub fn secret(&mut self, id: &str, digest: &[u8; 32]) {
        let name = Part::Field(format!("secret {id}"));
        self.parts.insert(name, Value::Print(short(digest)));
    }

    fn field(&mut self, name: &str, value: &str) {
        let value = Value::of("", value);
        self.parts.insert(Part::Field(name.to_owned()), value);
    }
}

impl Parent {
    /// A tree with the key `key`: that of the image `base`, or of a step.
    pub fn of(key: &Key, base: Option<&str>) -> Self {
        Self {
            base: base.map(str::to_owned),
            print: short(key.as_bytes()),
        }
    }
}

impl Value {
    /// `value` of something called `name`, as far as it may be shown.
    fn of(name: &str, value: &str) -> Self {
        let is_long = value.chars().count() > LONGEST || value.chars().any(char::is_control);
        match is_long || may_name_secret(name) || has_login(value) {
            true => Self::Print(print(value.as_bytes())),
            false => Self::Text(value.to_owned()),
        }
    }
}

/// Whether there is `//user:password@` in `value`.
fn has_login(value: &str) -> bool {
    let after = value.split_once("//").map(|(_, rest)| rest);
    after.is_some_and(|rest| rest.contains('@'))
}

/// What a command can tell about `mount` without reading it.
fn shape(mount: &Mount) -> String {
    let kind = match &mount.kind {
        MountKind::Bind { path, access, .. } => format!("bind {path} {access:?}"),
        MountKind::Cache(cache) => format!("cache {:?}", cache.access),
        MountKind::Tmpfs { size } => format!("tmpfs {size:?}"),
        MountKind::Secret(secret) => format!("secret {} {:?}", secret.file, secret.env),
        MountKind::Ssh { .. } => "ssh".to_owned(),
    };
    format!("{}={kind}", mount.target).to_lowercase()
}

fn item(item: &Item) -> String {
    match item {
        Item::Path(path) => path.clone(),
        Item::Inline { name, content } => format!("{name}={}", print(content.as_bytes())),
        // They are more than one would show, and a URL can have a login in it.
        fetched @ (Item::Url { .. } | Item::Git { .. }) => print(format!("{fetched:?}").as_bytes()),
    }
}

/// Stands for `bytes`.
fn print(bytes: &[u8]) -> String {
    short(blake3::hash(bytes).as_bytes())
}

fn short(digest: &[u8; 32]) -> String {
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl From<Part> for String {
    fn from(part: Part) -> Self {
        match part {
            Part::Arg(name) => format!("ARG {name}"),
            Part::Env(name) => format!("ENV {name}"),
            Part::Field(name) => name,
        }
    }
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        let of = |keyword: &str| text.strip_prefix(keyword).map(str::to_owned);
        of("ARG ")
            .map(Self::Arg)
            .or_else(|| of("ENV ").map(Self::Env))
            .unwrap_or(Self::Field(text))
    }
}
