//! `ARG`: which build-time variables are in scope, and what they are worth.
//!
//! Knows: precedence of `--build-arg`, defaults and global values; the automatic ARGs.
//! Does not know: `ENV`, which hides an ARG of the same name (A4): [`crate::variables`].
//!
//! Spec: dockerfile.md 1.6.

use std::collections::BTreeMap;

use rbuild_dockerfile::Diagnostic;
use rbuild_dockerfile::ast::{ArgPair, Dockerfile, Instruction, Kind};
use rbuild_dockerfile::lint::rules;
use rbuild_oci::Platform;

use crate::inputs::Inputs;
use crate::variables::{Certainty, Variables};
use rbuild_dockerfile::suggest::did_you_mean;

/// Passed to `RUN` without an `ARG`; neither in the key nor in history (A7).
const PROXIES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// They are for the builder, so they are never unused (A8).
const CONTROLS: [&str; 11] = [
    "SOURCE_DATE_EPOCH",
    "BUILDKIT_BUILD_NAME",
    "BUILDKIT_CACHE_MOUNT_NS",
    "BUILDKIT_CONTEXT_KEEP_GIT_DIR",
    "BUILDKIT_DOCKERFILE_CHECK",
    "BUILDKIT_INLINE_CACHE",
    "BUILDKIT_MULTI_PLATFORM",
    "BUILDKIT_SANDBOX_HOSTNAME",
    "BUILDKIT_SBOM_SCAN_CONTEXT",
    "BUILDKIT_SBOM_SCAN_STAGE",
    "BUILDKIT_SYNTAX",
];

/// ARGs in scope, in the order of their declaration, each once (T8).
#[derive(Clone, Debug, Default)]
pub(crate) struct Args(Vec<(String, Option<String>)>);

impl Args {
    /// The ARGs that exist before the first line of the file (A6). `--build-arg` overrides each.
    pub(crate) fn automatic(inputs: &Inputs, target_stage: &str) -> Self {
        let mut args = Self::default();
        for (prefix, platform) in [
            ("TARGET", &inputs.platform),
            ("BUILD", &inputs.build_platform),
        ] {
            for (suffix, value) in platform_values(platform) {
                args.set(&format!("{prefix}{suffix}"), Some(value));
            }
        }
        args.set("TARGETSTAGE", Some(target_stage.to_owned()));
        for (name, value) in &mut args.0 {
            if let Some(given) = inputs.build_args.get(name) {
                *value = Some(given.clone());
            }
        }
        args
    }

    /// The value of `name`; `None` if it is not declared or has none (A5).
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(declared, _)| declared == name)?;
        value.as_deref()
    }

    /// Whether an `ARG name` was seen, with or without a value.
    pub(crate) fn declares(&self, name: &str) -> bool {
        self.0.iter().any(|(declared, _)| declared == name)
    }

    /// All names, for suggestions.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Those with a value, in order.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)))
    }

    /// Declares `name`. Without a value, one that it already has (from a parent stage, A3) stays.
    pub(crate) fn set(&mut self, name: &str, value: Option<String>) {
        match self.0.iter_mut().find(|(declared, _)| declared == name) {
            Some((_, old)) => *old = value.or_else(|| old.take()),
            None => self.0.push((name.to_owned(), value)),
        }
    }
}

/// What gives an ARG its value, besides its default (A2).
pub(crate) struct Givers<'a> {
    /// `--build-arg`.
    pub given: &'a BTreeMap<String, String>,
    /// ARGs before the first `FROM`; for those themselves, the automatic ones.
    pub globals: &'a Args,
}

impl Givers<'_> {
    /// The values that the ARGs `pairs` of one instruction get: `--build-arg`, else the
    /// default, else the global value (A2). Defaults see `variables` from before it (V1).
    pub(crate) fn values(
        &self,
        pairs: &[ArgPair],
        variables: &Variables<'_>,
        found: &mut Vec<Diagnostic>,
    ) -> Vec<(String, Option<String>)> {
        let value = |pair: &ArgPair| {
            let name = &pair.name.value;
            // A wrong default is reported even when it is not used.
            let default = pair
                .default
                .as_ref()
                .map(|word| variables.expand(word, found));
            let value = match (self.given.get(name), default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => default,
                (None, None) => self.globals.value(name).map(str::to_owned),
            };
            (name.clone(), value)
        };
        pairs.iter().map(value).collect()
    }

    /// Declares in `scope` the ARGs `pairs` whose values follow from the command line, from
    /// global ARGs and from others in `scope`: those that need no `ENV`.
    pub(crate) fn declare(&self, pairs: &[ArgPair], escape: char, scope: &mut Args) {
        let mut values = Vec::new();
        for pair in pairs {
            let variables = Variables {
                escape,
                env: &[],
                args: scope,
                certainty: Certainty::Complete,
            };
            let mut doubts = Vec::new();
            let value = self.values(std::slice::from_ref(pair), &variables, &mut doubts);
            if doubts.is_empty() {
                values.extend(value);
            }
        }
        for (name, value) in values {
            scope.set(&name, value);
        }
    }
}

/// The automatic ARGs and those before the first `FROM`: what `FROM` sees (A1).
pub(crate) fn globals(
    file: &Dockerfile,
    given: &BTreeMap<String, String>,
    automatic: Args,
    found: &mut Vec<Diagnostic>,
) -> Args {
    let mut args = automatic;
    for instruction in &file.globals {
        let Kind::Arg(pairs) = &instruction.kind else {
            continue; // the parser lets nothing else stand before FROM (P12)
        };
        let givers = Givers {
            given,
            globals: &args,
        };
        let variables = Variables {
            escape: file.escape,
            env: &[],
            args: &args,
            certainty: Certainty::Complete,
        };
        for (name, value) in givers.values(pairs, &variables, found) {
            args.set(&name, value);
        }
    }
    args
}

/// Proxies among `given`, as `(name, value)` (A7).
pub(crate) fn proxies(
    given: &BTreeMap<String, String>,
) -> impl Iterator<Item = (&String, &String)> {
    given
        .iter()
        .filter(|(name, _)| PROXIES.contains(&name.as_str()))
}

/// A warning for each `--build-arg` that no `ARG` of the file or of `triggers` takes (A9).
///
/// An `ARG` in a stage that is not built counts as well: there is nothing to
/// warn about when the same arguments are used for several targets (T13).
pub(crate) fn unused<'a>(
    file: &'a Dockerfile,
    triggers: impl Iterator<Item = &'a Instruction>,
    inputs: &Inputs,
    automatic: &Args,
) -> Vec<Diagnostic> {
    let stages = file.stages.iter().flat_map(|stage| &stage.instructions);
    let declared: Vec<&str> = file
        .globals
        .iter()
        .chain(stages)
        .chain(triggers)
        .filter_map(|instruction| match &instruction.kind {
            Kind::Arg(pairs) => Some(pairs),
            _ => None,
        })
        .flatten()
        .map(|pair| pair.name.value.as_str())
        .collect();
    let known = |name: &str| {
        declared.contains(&name)
            || PROXIES.contains(&name)
            || CONTROLS.contains(&name)
            || automatic.declares(name)
    };
    inputs
        .build_args
        .keys()
        .filter(|name| !known(name))
        .map(|name| Diagnostic {
            hint: did_you_mean(name, declared.iter().copied()),
            ..Diagnostic::warning(0..0, format!("no `ARG` takes build argument `{name}`"))
                .of_rule(rules::UNUSED_BUILD_ARG)
        })
        .collect()
}

/// Suffixes of the automatic platform ARGs and their values. The version of the
/// operating system is empty on Linux.
fn platform_values(platform: &Platform) -> [(&'static str, String); 5] {
    [
        ("PLATFORM", platform.to_string()),
        ("OS", platform.os.clone()),
        ("ARCH", platform.architecture.clone()),
        ("VARIANT", platform.variant.clone().unwrap_or_default()),
        ("OSVERSION", String::new()),
    ]
}
