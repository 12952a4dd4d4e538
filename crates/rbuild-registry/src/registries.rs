//! Where an image may come from: containers-registries.conf(5), version 2.
//!
//! Pure: text in, endpoints out. Short names, aliases, mirrors, other locations, what is blocked
//! and what need not be encrypted. Whether somebody is asked which registry a short name means is
//! said here, too; how is not.
//!
//! Invariant: without any configuration a short name is Docker Hub's and a full one is itself.

use std::collections::BTreeMap;

use rbuild_oci::Reference;
use serde::Deserialize;

use crate::{Error, Result};

/// The name under which the list of helpers means the files of logins.
const AUTH_FILES: &str = "containers-auth.json";

/// What all files together say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registries {
    /// `None`: not configured.
    search: Option<Vec<String>>,
    mode: ShortNameMode,
    aliases: BTreeMap<String, Reference>,
    rules: BTreeMap<String, Rule>,
    helpers: Vec<String>,
}

/// What is done with a short name that has several candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ShortNameMode {
    /// The user is asked; where that is impossible it is refused.
    Enforcing,
    /// The user is asked; where that is impossible all are tried.
    #[default]
    Permissive,
    /// All are tried.
    Disabled,
}

/// A full name, and where it can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What the image is called.
    pub name: Reference,
    /// Best first: mirrors, then the registry itself.
    pub endpoints: Vec<Endpoint>,
}

/// A place to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// What to ask for, and where.
    pub reference: Reference,
    /// Whether plain http and any certificate are fine there.
    pub insecure: bool,
    /// Whether it only repeats what another one says.
    pub is_mirror: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Text {
    unqualified_search_registries: Option<Vec<String>>,
    short_name_mode: Option<ShortNameMode>,
    credential_helpers: Option<Vec<String>>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    #[serde(default)]
    registry: Vec<Rule>,
    /// Version 1.
    registries: Option<toml::Value>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
#[derive(Default)]
struct Rule {
    prefix: String,
    location: String,
    insecure: bool,
    blocked: bool,
    mirror_by_digest_only: bool,
    mirror: Vec<Mirror>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Mirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: PullFromMirror,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PullFromMirror {
    #[default]
    All,
    DigestOnly,
    TagOnly,
}

impl Registries {
    /// Adds what a file says. It wins over those before: its search list, its mode, its rules by
    /// prefix, its aliases by name (an empty value removes one).
    ///
    /// # Errors
    /// Says what is wrong with `text`; nothing was added then.
    pub fn add(&mut self, text: &str) -> std::result::Result<(), String> {
        let text: Text = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        if text.registries.is_some() {
            return Err("it is of version 1, `[registries.…]`; only version 2 is known".to_owned());
        }
        let mut next = self.clone();
        for (name, value) in text.aliases {
            match value.as_str() {
                "" => drop(next.aliases.remove(&name)),
                full => drop(next.aliases.insert(name, alias(full)?)),
            }
        }
        for mut rule in text.registry {
            rule.complete()?;
            next.rules.insert(rule.prefix.clone(), rule);
        }
        next.search = text.unqualified_search_registries.or(next.search);
        next.mode = text.short_name_mode.unwrap_or(next.mode);
        next.helpers = text.credential_helpers.unwrap_or(next.helpers);
        *self = next;
        Ok(())
    }

    /// Those of the `targets` of `reference` that are to be asked: all, unless a short name has
    /// several. Then `choose` may say the number of the one that is meant; `None` where nobody
    /// can say.
    ///
    /// # Errors
    /// [`Error::Ambiguous`] if it has to be said and nobody can.
    pub fn chosen(
        &self,
        reference: &Reference,
        mut targets: Vec<Target>,
        choose: &dyn Fn(&[Target]) -> Option<usize>,
    ) -> Result<Vec<Target>> {
        if targets.len() < 2 || self.mode == ShortNameMode::Disabled {
            return Ok(targets);
        }
        match choose(&targets).filter(|number| *number < targets.len()) {
            Some(number) => Ok(vec![targets.swap_remove(number)]),
            None if self.mode == ShortNameMode::Permissive => Ok(targets),
            None => {
                let names = targets.iter().map(|target| format!("`{}`", target.name));
                Err(Error::Ambiguous {
                    name: reference.to_string(),
                    candidates: names.collect::<Vec<_>>().join(", "),
                })
            }
        }
    }

    /// Programs that keep logins, besides the files.
    pub fn credential_helpers(&self) -> Vec<String> {
        let programs = self.helpers.iter().filter(|name| *name != AUTH_FILES);
        programs.cloned().collect()
    }

    /// The full names that `reference` may mean, best first. One that is full, or has an alias,
    /// means one.
    pub fn names(&self, reference: &Reference) -> Vec<Reference> {
        if reference.registry.is_some() {
            return vec![reference.on_docker_hub()];
        }
        let named = |full: &Reference| Reference {
            tag: reference.tag.clone(),
            digest: reference.digest,
            ..full.clone()
        };
        if let Some(full) = self.aliases.get(&reference.repository) {
            return vec![named(full)];
        }
        let Some(search) = &self.search else {
            return vec![reference.on_docker_hub()];
        };
        let within = |registry: &String| {
            let mut full = reference.clone();
            full.registry = Some(registry.clone());
            full.on_docker_hub()
        };
        search.iter().map(within).collect()
    }

    /// Where to pull `reference` from: every name it may mean, without those that are blocked.
    ///
    /// # Errors
    /// [`Error::Blocked`] if none is left.
    pub fn pull_targets(&self, reference: &Reference) -> Result<Vec<Target>> {
        let mut refusal = Error::Blocked {
            name: reference.to_string(),
            why: "it is a short name, and `unqualified-search-registries` is empty".to_owned(),
        };
        let mut targets = Vec::new();
        for name in self.names(reference) {
            match self.endpoints(&name) {
                Ok(endpoints) => targets.push(Target { name, endpoints }),
                Err(error) => refusal = error,
            }
        }
        if targets.is_empty() {
            return Err(refusal);
        }
        Ok(targets)
    }

    /// Where to push `reference` to; never a mirror.
    ///
    /// # Errors
    /// [`Error::Blocked`].
    pub fn push_endpoint(&self, reference: &Reference) -> Result<Endpoint> {
        let mut endpoints = self.endpoints(&reference.on_docker_hub())?;
        Ok(endpoints
            .pop()
            .expect("the registry itself is the last endpoint"))
    }

    fn endpoints(&self, name: &Reference) -> Result<Vec<Endpoint>> {
        let text = name.to_string();
        let rules = self.rules.values();
        let fitting = rules.filter_map(|rule| Some((rule.matched(&text)?, rule)));
        let Some((matched, rule)) = fitting.max_by_key(|(matched, rule)| {
            // A host's own rule is closer than that of its domain.
            (*matched, !rule.prefix.starts_with("*."))
        }) else {
            return Ok(vec![Endpoint {
                reference: name.clone(),
                insecure: false,
                is_mirror: false,
            }]);
        };
        let blocked = |why: String| Error::Blocked {
            name: text.clone(),
            why,
        };
        if rule.blocked {
            return Err(blocked(format!("`{}` is blocked", rule.prefix)));
        }
        let at = |location: &str| {
            let moved = format!("{location}{}", &text[matched..]);
            moved
                .parse::<Reference>()
                .map_err(|_| blocked(format!("its location `{moved}` is no image")))
        };
        let mut endpoints = Vec::new();
        for mirror in rule.mirrors(name.digest.is_some()) {
            endpoints.push(Endpoint {
                reference: at(&mirror.location)?,
                insecure: mirror.insecure,
                is_mirror: true,
            });
        }
        let reference = match rule.location.as_str() {
            "" => name.clone(),
            location => at(location)?,
        };
        endpoints.push(Endpoint {
            reference: reference.on_docker_hub(),
            insecure: rule.insecure,
            is_mirror: false,
        });
        Ok(endpoints)
    }
}

impl Rule {
    /// Fills in what may be left out, and refuses what has no meaning.
    fn complete(&mut self) -> std::result::Result<(), String> {
        for location in self.mirror.iter().map(|mirror| &mirror.location) {
            check_location(location)?;
        }
        if self.prefix.is_empty() {
            self.prefix.clone_from(&self.location);
        }
        if let Some(domain) = self.prefix.strip_prefix("*.") {
            if domain.is_empty() || domain.contains(['*', '/']) {
                return Err(format!("prefix `{}` is not `*.DOMAIN`", self.prefix));
            }
        } else {
            check_location(&self.prefix)?;
        }
        match self.location.as_str() {
            "" => Ok(()),
            location => check_location(location),
        }
    }

    /// How much of `name` the prefix covers, in bytes; `None` if it is not its prefix.
    fn matched(&self, name: &str) -> Option<usize> {
        if let Some(domain) = self.prefix.strip_prefix('*') {
            let host = name.split('/').next().unwrap_or_default();
            let bare = host.split(':').next().unwrap_or_default();
            let fits = host.ends_with(domain) || bare.ends_with(domain);
            return fits.then_some(host.len());
        }
        let rest = name.strip_prefix(self.prefix.as_str())?;
        let is_host = !self.prefix.contains('/');
        let ends = match rest.bytes().next() {
            None | Some(b'/' | b'@') => true,
            Some(b':') => !is_host,
            Some(_) => false,
        };
        ends.then_some(self.prefix.len())
    }

    /// The mirrors that may be asked for something that is named by digest, or by tag.
    fn mirrors(&self, by_digest: bool) -> impl Iterator<Item = &Mirror> {
        self.mirror.iter().filter(move |mirror| {
            let by_rule = by_digest || !self.mirror_by_digest_only;
            by_rule
                && match mirror.pull_from_mirror {
                    PullFromMirror::All => true,
                    PullFromMirror::DigestOnly => by_digest,
                    PullFromMirror::TagOnly => !by_digest,
                }
        })
    }
}

fn alias(full: &str) -> std::result::Result<Reference, String> {
    let reference: Reference = full
        .parse()
        .map_err(|error: rbuild_oci::Error| error.to_string())?;
    let bare = reference.tag.is_none() && reference.digest.is_none();
    if reference.registry.is_none() || !bare {
        return Err(format!("alias `{full}` is not HOST/NAME"));
    }
    Ok(reference.on_docker_hub())
}

fn check_location(location: &str) -> std::result::Result<(), String> {
    let fine = !location.is_empty()
        && !location.contains("://")
        && !location.ends_with('/')
        && !location.contains(char::is_whitespace);
    fine.then_some(())
        .ok_or_else(|| format!("`{location}` is not HOST[:PORT][/NAME]"))
}

#[cfg(test)]
mod tests;
