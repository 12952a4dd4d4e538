//! `--provenance`, `--sbom`, `--attest`: what is said of a result, and who knows it.
//!
//! Knows: what the flags mean together, and which facts of a build are told.
//! Does not know: the words of the documents, nor how they are attached.
//!
//! The store keeps no attestations: they are made for outputs, where the digests are known that
//! they speak of. Spec: cli.md 2.8; docs/attestations.md.

use std::{collections::BTreeMap, path::Path};

use rbuild_engine::BaseTree;
use rbuild_export::{Attestation, Claim, Detail, Provenance, local_digest, merged, sbom};
use rbuild_oci::{BlobDigest, Name, Platform};
use rbuild_plan::ImageRef;
use rbuild_store::{ImageRecord, Store};
use serde_json::Value;

use crate::{
    cli::AttestArgs,
    dockerfile::STANDARD_INPUT,
    failure::Failure,
    fetched::Fetched,
    order::Order,
    output::{Ends, Output},
    settings,
    source::Source,
    subject::{Subject, Variant},
};

/// What the flags ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// How much is told of how the image was made, and who is said to have made it; `None`:
    /// nothing.
    provenance: Option<(Detail, Option<String>)>,
    /// Whether packages are listed.
    sbom: bool,
}

impl Wishes {
    /// What `args` ask for; a flag of its own wins over `--attest`.
    ///
    /// # Errors
    /// For what cannot be understood, or is not supported.
    pub fn of(args: &AttestArgs) -> Result<Self, Failure> {
        let mut wishes = Self::default();
        for spec in &args.attest {
            let told = |why: &str| refused("--attest", spec, why);
            let mut parts: Vec<&str> = spec.split(',').collect();
            let kind = parts.iter().position(|part| part.starts_with("type="));
            let kind = kind.map(|at| parts.remove(at));
            match kind {
                Some("type=provenance") => wishes.provenance = provenance(&parts, &told)?,
                Some("type=sbom") => wishes.sbom = listed(&parts, &told)?,
                _ => return Err(told("type=provenance and type=sbom are known")),
            }
        }
        if let Some(spec) = &args.provenance {
            let told = |why: &str| refused("--provenance", spec, why);
            wishes.provenance = provenance(&spec.split(',').collect::<Vec<_>>(), &told)?;
        }
        if let Some(spec) = &args.sbom {
            let told = |why: &str| refused("--sbom", spec, why);
            wishes.sbom = listed(&spec.split(',').collect::<Vec<_>>(), &told)?;
        }
        Ok(wishes)
    }

    /// Refuses attestations that would go nowhere.
    ///
    /// # Errors
    /// If none of `outputs` can have them.
    pub fn refuse_without_carrier(&self, outputs: &[Output]) -> Result<(), Failure> {
        if *self == Self::default() || outputs.iter().any(Output::carries_attestations) {
            return Ok(());
        }
        Err(
            Failure::message("no --output can have attestations, and the store keeps none")
                .with_hint("add -o type=registry, type=oci, type=local or type=tar"),
        )
    }
}

fn refused(flag: &str, spec: &str, why: &str) -> Failure {
    Failure::message(format!("cannot understand {flag} `{spec}`: {why}"))
}

/// The wish in `parts`; BuildKit tells all if nobody says how much.
fn provenance(
    parts: &[&str],
    told: &dyn Fn(&str) -> Failure,
) -> Result<Option<(Detail, Option<String>)>, Failure> {
    let (mut detail, mut builder) = (Detail::Max, None);
    for part in parts {
        match part.split_once('=') {
            None if *part == "true" => {}
            None if *part == "false" => return Ok(None),
            Some(("disabled", "true")) => return Ok(None),
            Some(("disabled", "false") | ("version", "v1")) => {}
            Some(("mode", "min")) => detail = Detail::Min,
            Some(("mode", "max")) => detail = Detail::Max,
            Some(("builder-id", uri)) if !uri.is_empty() => builder = Some(uri.to_owned()),
            Some(("mode", _)) => return Err(told("the mode is min or max")),
            Some(("version", _)) => return Err(told("only version v1 of SLSA is written")),
            _ => return Err(told(&format!("`{part}` is not supported"))),
        }
    }
    Ok(Some((detail, builder)))
}

fn listed(parts: &[&str], told: &dyn Fn(&str) -> Failure) -> Result<bool, Failure> {
    match parts {
        [] | ["true" | "disabled=false"] => Ok(true),
        ["false" | "disabled=true"] => Ok(false),
        _ if parts.iter().any(|part| part.starts_with("generator=")) => Err(told(
            "there are no generators: the image's own databases of packages are read",
        )),
        _ => Err(told("it is true or false")),
    }
}

/// What is said of each image of a build.
pub struct Saying {
    provenance: Option<Value>,
    sbom: bool,
    /// The time of files with attestations, in seconds since 1970.
    pub time: i64,
}

impl Saying {
    /// What is told of the build of `variant`, whose steps are done.
    ///
    /// # Errors
    /// If `store` cannot be read.
    pub fn of(
        order: &Order,
        (subject, variant): (&Subject, &Variant),
        fetched: &Fetched,
        store: &Store,
    ) -> Result<Self, Failure> {
        let now = settings::now();
        let epoch = order.description.epoch;
        let wishes = &order.attestations;
        let mut provenance = None;
        if let Some((detail, builder)) = &wishes.provenance {
            let told = Provenance {
                detail: *detail,
                builder: builder.as_deref(),
                plan: &variant.plan,
                platform: &Platform::default(),
                file: (&called(&subject.source), &subject.source.text),
                origins: &subject.origins,
                fetched: &fetched.all(),
                target: order.targets.iter().find_map(|it| it.stage.as_deref()),
                build_args: &order.inputs.build_args,
                labels: &order.inputs.labels,
                images: &digests(store, &variant.resolved.trees)?,
                names: &variant.resolved.names,
                times: epoch.is_none().then_some((order.began, now)),
            };
            provenance = Some(told.predicate());
        }
        Ok(Self {
            provenance,
            sbom: wishes.sbom,
            time: epoch.unwrap_or(now),
        })
    }

    /// What is said of `image`.
    ///
    /// # Errors
    /// If its files cannot be read.
    pub fn of_image(
        &self,
        image: &ImageRecord,
        names: &[Name],
        ends: Ends<'_>,
    ) -> Result<Vec<Attestation>, Failure> {
        let mut said = Vec::new();
        if let Some(predicate) = self.provenance.clone() {
            let claim = Claim::Provenance;
            said.push(Attestation { claim, predicate });
        }
        if self.sbom {
            let tree = merged(ends.store, &image.layer_ids(), ends.empty)?;
            let predicate = sbom(image, names.first(), &tree)?;
            let claim = Claim::Sbom;
            said.push(Attestation { claim, predicate });
        }
        Ok(said)
    }
}

/// Digests of the manifests of base images; those of images that nobody needed come from the
/// registry's word.
fn digests(
    store: &Store,
    bases: &BTreeMap<ImageRef, BaseTree>,
) -> Result<BTreeMap<ImageRef, BlobDigest>, Failure> {
    let mut found = BTreeMap::new();
    for (name, base) in bases {
        let digest = match base.announced {
            Some(digest) => Some(digest),
            None => store.image(&base.image)?.as_ref().map(local_digest),
        };
        found.extend(digest.map(|digest| (name.clone(), digest)));
    }
    Ok(found)
}

/// What the Dockerfile is called wherever it is: where on this machine is nobody's business.
fn called(source: &Source) -> String {
    let on_host = source.path.as_deref().and_then(Path::file_name);
    match (on_host, source.names().next()) {
        (Some(name), _) => name.to_string_lossy().into_owned(),
        (None, Some(name)) if name != STANDARD_INPUT => name.to_owned(),
        (None, _) => "Dockerfile".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rbuild_export::Detail;

    use super::Wishes;
    use crate::cli::AttestArgs;

    /// What `--provenance`, `--sbom` and one `--attest` ask for; `-` is a flag that is not given.
    fn wishes(flags: [&str; 3]) -> Option<Wishes> {
        let [provenance, sbom, attest] = flags.map(|flag| (flag != "-").then(|| flag.to_owned()));
        let args = AttestArgs {
            provenance,
            sbom,
            attest: attest.into_iter().collect(),
        };
        Wishes::of(&args).ok()
    }

    #[track_caller]
    fn check(flags: [&str; 3], provenance: Option<Detail>, sbom: bool) {
        let wishes = wishes(flags).unwrap();
        let detail = wishes.provenance.map(|(detail, _)| detail);
        assert_eq!((detail, wishes.sbom), (provenance, sbom), "{flags:?}");
    }

    #[test]
    fn nothing_is_said_unless_asked() {
        check(["-", "-", "-"], None, false);
        check(["false", "false", "-"], None, false);
        check(["true", "-", "-"], Some(Detail::Max), false);
        check(["mode=min", "true", "-"], Some(Detail::Min), true);
        check(["-", "-", "type=sbom"], None, true);
        check(
            ["-", "-", "mode=min,type=provenance"],
            Some(Detail::Min),
            false,
        );
        check(["-", "-", "type=provenance,disabled=true"], None, false);
        check(["false", "-", "type=provenance"], None, false);
        let named = wishes(["mode=max,builder-id=https://ci.example/1", "-", "-"]);
        let builder = named.unwrap().provenance.unwrap().1;
        assert_eq!(builder.as_deref(), Some("https://ci.example/1"));
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        for flags in [
            ["yes", "-", "-"],
            ["mode=all", "-", "-"],
            ["version=v0.2", "-", "-"],
            ["-", "generator=docker/scout", "-"],
            ["-", "maybe", "-"],
            ["-", "-", "sbom"],
            ["-", "-", "type=vex"],
        ] {
            assert_eq!(wishes(flags), None, "{flags:?}");
        }
    }
}
