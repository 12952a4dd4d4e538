//! Provenance: how an image was made, in the words of SLSA. Pure: same build in, same text out.
//!
//! Knows: which facts of a build are told, and which are not: passwords in URLs (but for those in the
//! Dockerfile's text), proxies, places on this machine and the values of secrets never are.
//! Does not know: where the statement goes.
//!
//! SLSA 1.1, "Build: Provenance"; the parameters are those of BuildKit's
//! docs/attestations/slsa-definitions.md where it has them; docs/attestations.md; cli.md 2.8.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use rbuild_oci::{BlobDigest, Digest, Name, Platform};
use rbuild_plan::{ImageRef, Item, MountKind, Op, Plan, Source, Step, StepId, Tree};
use serde_json::{Map, Value, json};

use crate::{purl, rfc3339};

/// What the parameters below mean.
const BUILD_TYPE: &str = "urn:uuid:61bb634a-de55-47dc-81f5-95ac6f6ea3f6";
/// Who builds, where nobody says.
const BUILDER: &str = "urn:uuid:1bcf558a-6420-4fbf-98c6-afa6ce4d6c93";

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// What the image is made from: neither build arguments nor the Dockerfile.
    Min,
    /// Also the Dockerfile, the values of build arguments, the names of secrets, and the steps.
    Max,
}

/// Something from elsewhere, as it was when it was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Material {
    /// Where it is, without logins.
    pub uri: String,
    /// What it was: the name of an algorithm in in-toto's DigestSet, and the digits.
    pub digest: (&'static str, String),
}

/// Where contexts come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// The main one; `None` if it is from this machine.
    pub main: Option<Material>,
    /// Others that were fetched, by name.
    pub named: BTreeMap<String, Material>,
    /// What is from this machine, as BuildKit calls it: `context`, `dockerfile`, the names of other
    /// contexts.
    pub locals: BTreeSet<String>,
}

/// A build.
#[derive(Clone, Copy, Debug)]
pub struct Provenance<'a> {
    /// How much is told of it.
    pub detail: Detail,
    /// Who builds: a URI.
    pub builder: Option<&'a str>,
    /// What is done.
    pub plan: &'a Plan,
    /// Where.
    pub platform: &'a Platform,
    /// The Dockerfile: what it is called, and its text.
    pub file: (&'a str, &'a str),
    /// Where contexts come from.
    pub origins: &'a Origins,
    /// What ADD has fetched, by the step and the number of the item.
    pub fetched: &'a BTreeMap<(StepId, usize), Material>,
    /// The stage that was asked for.
    pub target: Option<&'a str>,
    /// What was given for ARGs.
    pub build_args: &'a BTreeMap<String, String>,
    /// What was given as labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Digests of the manifests of images that the build takes files from, by the names that the
    /// plan has for them.
    pub images: &'a BTreeMap<ImageRef, BlobDigest>,
    /// Their full names.
    pub names: &'a BTreeMap<ImageRef, Name>,
    /// When it began and ended, in seconds since 1970; `None` where the same build is to be told
    /// of in the same words.
    pub times: Option<(i64, i64)>,
}

impl Material {
    fn digest_set(&self) -> Value {
        let (algorithm, digits) = &self.digest;
        json!({ *algorithm: digits })
    }
}

impl Provenance<'_> {
    /// The predicate.
    pub fn predicate(&self) -> Value {
        let mut metadata = json!({
            // Commands with a network may take anything from there.
            "rbuild_completeness": {
                "request": self.detail == Detail::Max,
                "resolvedDependencies": false,
            },
        });
        if let Some((began, ended)) = self.times {
            metadata["startedOn"] = rfc3339(began).into();
            metadata["finishedOn"] = rfc3339(ended).into();
        }
        let mut internal = json!({ "builderPlatform": self.platform.to_string() });
        if self.detail == Detail::Max {
            internal["buildConfig"] = json!({ "steps": self.steps() });
        }
        json!({
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "configSource": self.config_source(),
                    "request": self.request(),
                },
                "internalParameters": internal,
                "resolvedDependencies": self.dependencies(),
            },
            "runDetails": {
                "builder": {
                    "id": self.builder.unwrap_or(BUILDER),
                    "version": { "rbuild": env!("CARGO_PKG_VERSION") },
                },
                "metadata": metadata,
            },
        })
    }

    fn config_source(&self) -> Value {
        let mut source = json!({ "path": without_logins(self.file.0) });
        if let Some(context) = &self.origins.main {
            source["uri"] = context.uri.as_str().into();
            source["digest"] = context.digest_set();
        }
        source
    }

    fn request(&self) -> Value {
        let mut args = Map::new();
        if let Some(target) = self.target {
            args.insert("target".to_owned(), target.into());
        }
        let locals = self.origins.locals.iter();
        let locals: Vec<Value> = locals.map(|name| json!({ "name": name })).collect();
        let mut request = json!({ "frontend": "dockerfile.v0", "locals": locals });
        if self.detail == Detail::Max {
            let told = self.build_args.iter().filter(|(name, _)| !is_proxy(name));
            args.extend(
                told.map(|(name, value)| {
                    (format!("build-arg:{name}"), without_logins(value).into())
                }),
            );
            let labels = self.labels.iter();
            args.extend(
                labels.map(|(key, value)| (format!("label:{key}"), without_logins(value).into())),
            );
            let (secrets, agents) = confidential(self.plan);
            let asked = |(id, required): (&str, bool)| json!({ "id": id, "optional": !required });
            for (key, all) in [("secrets", secrets), ("ssh", agents)] {
                if !all.is_empty() {
                    request[key] = all.into_iter().map(asked).collect();
                }
            }
        }
        request["args"] = args.into();
        request
    }

    /// Contexts from elsewhere, base images, what ADD fetches and, in full detail, the Dockerfile;
    /// sorted, each once.
    fn dependencies(&self) -> Vec<Value> {
        let Origins { main, named, .. } = self.origins;
        let contexts = main.iter().chain(named.values());
        let told = contexts.map(|it| {
            let value = json!({ "uri": it.uri, "digest": it.digest_set() });
            (it.uri.clone(), value)
        });
        let mut found: BTreeMap<String, Value> = told.collect();
        for (reference, digest) in self.images {
            let digest = digest.0.hex();
            let digests = json!({ "sha256": digest });
            // Where a layout is on this machine is nobody's business.
            let (uri, value) = match self.names.get(reference) {
                Some(name) => {
                    let uri = purl::of_image(name, &reference.platform);
                    (uri.clone(), json!({ "uri": uri, "digest": digests }))
                }
                None => (digest, json!({ "digest": digests })),
            };
            found.insert(uri, value);
        }
        for (id, step) in (0..).map(StepId).zip(&self.plan.steps) {
            found.extend(self.added(id, step));
        }
        let mut all: Vec<Value> = found.into_values().collect();
        if self.detail == Detail::Max {
            let (name, text) = self.file;
            all.push(json!({
                "name": name,
                "digest": { "sha256": Digest::of(text.as_bytes()).hex() },
                "mediaType": "text/x-dockerfile",
                "content": STANDARD.encode(text),
            }));
        }
        all
    }

    /// What step `id` takes from elsewhere, by its places. What was not fetched has the digest that
    /// it must have, if the Dockerfile says one.
    fn added(&self, id: StepId, step: &Step) -> BTreeMap<String, Value> {
        let Op::Copy(copy) = &step.op else {
            return BTreeMap::new();
        };
        let mut found = BTreeMap::new();
        for (number, item) in copy.items.iter().enumerate() {
            let Some((url, must)) = place(item) else {
                continue;
            };
            let fetched = self.fetched.get(&(id, number));
            let uri = without_logins(fetched.map_or(url, |it| &it.uri));
            let mut value = json!({ "uri": uri });
            if let Some(fetched) = fetched {
                value["digest"] = fetched.digest_set();
            } else if let Some((algorithm, digits)) = must {
                value["digest"] = json!({ algorithm: digits });
            }
            found.insert(uri, value);
        }
        found
    }

    fn steps(&self) -> Vec<Value> {
        let steps = (0..).map(StepId).zip(&self.plan.steps);
        steps.map(|(id, step)| self.step(id, step)).collect()
    }

    fn step(&self, id: StepId, step: &Step) -> Value {
        let stage = self.plan.stage(step.stage);
        let sources = step.op.sources().into_iter();
        let sources = sources.map(|source| self.origin(source));
        let inputs: BTreeSet<String> = sources.collect();
        json!({
            "id": number(id),
            "stage": stage.name.clone().unwrap_or_else(|| stage.index.to_string()),
            "instruction": without_logins(&step.title),
            "on": self.tree(&step.parent),
            "inputs": inputs,
        })
    }

    fn tree(&self, tree: &Tree) -> String {
        match tree {
            Tree::Empty => "scratch".to_owned(),
            // From files: where they are on this machine is nobody's business.
            Tree::Image(reference) if !self.names.contains_key(reference) => {
                let digest = self.images.get(reference);
                digest.map_or_else(|| "image".to_owned(), |digest| format!("image:{digest}"))
            }
            Tree::Image(reference) => format!("image:{reference}"),
            Tree::Step(id) => number(*id),
        }
    }

    fn origin(&self, source: &Source) -> String {
        match source {
            Source::Context => "context".to_owned(),
            Source::Named(name) => format!("context:{name}"),
            Source::Tree(from) => self.tree(from),
        }
    }
}

fn number(id: StepId) -> String {
    format!("step{}", id.0)
}

/// The secrets and the ssh agents that commands may see, and whether one of them must.
fn confidential(plan: &Plan) -> (BTreeMap<&str, bool>, BTreeMap<&str, bool>) {
    let (mut secrets, mut agents) = (BTreeMap::new(), BTreeMap::new());
    let runs = plan.steps.iter().filter_map(|step| match &step.op {
        Op::Run(run) => Some(run),
        Op::Copy(_) | Op::Workdir(_) => None,
    });
    for mount in runs.flat_map(|run| &run.mounts) {
        let (all, id, required) = match &mount.kind {
            MountKind::Secret(secret) => (&mut secrets, &secret.id, secret.required),
            MountKind::Ssh { id, required, .. } => (&mut agents, id, *required),
            _ => continue,
        };
        *all.entry(id.as_str()).or_insert(false) |= required;
    }
    (secrets, agents)
}

/// Where `item` is, if that is elsewhere, and what the Dockerfile says that it must be.
fn place(item: &Item) -> Option<(&str, Option<(&'static str, &str)>)> {
    match item {
        Item::Url { url, checksum, .. } => {
            let checksum = checksum.as_deref();
            let digits = checksum.and_then(|it| it.strip_prefix("sha256:"));
            Some((url, digits.map(|it| ("sha256", it))))
        }
        Item::Git { url, checksum, .. } => {
            // The start of a number is no digest.
            let commit = checksum.as_deref().filter(|it| it.len() == 40);
            Some((url, commit.map(|it| ("gitCommit", it))))
        }
        Item::Path(_) | Item::Inline { .. } => None,
    }
}

/// Proxies are this machine's business, and may have passwords.
fn is_proxy(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with("_proxy")
}

/// `text` without the user and the password of each URL in it.
fn without_logins(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once("://") {
        let is_end = |it: char| "/?#\"".contains(it) || it.is_whitespace();
        let (authority, left) = after.split_at(after.find(is_end).unwrap_or(after.len()));
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        out.extend([before, "://", host]);
        rest = left;
    }
    out + rest
}

#[cfg(test)]
mod tests;
