//! `--cache-to` and `--cache-from`: results of steps, on their way between machines.
//!
//! Knows: how places of caches are written, and which steps go there.
//! Does not know: what a cache looks like there (docs/formats.md).
//!
//! Spec: cli.md 2.2, 2.7; the spellings are buildx's.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use rbuild_engine::{Bases, Event, Imports, State, Supplies};
use rbuild_export::{CacheLayer, CacheStep, Compress, Layers, cache_image};
use rbuild_oci::{BlobDigest, LocalPlace, Location, Platform};
use rbuild_plan::{Key, Plan, StageId, StepId};
use rbuild_store::{Key as StoreKey, Session};

use crate::{
    ahead::wanted,
    attributes::{Attributes, flag},
    destination::send_exported,
    failure::{Failure, hint},
    output::Ends,
    report::{self, Verbosity},
};

/// The tag of a cache in a directory that names none.
const TAG: &str = "latest";

/// One `--cache-to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheTo {
    place: To,
    extent: Extent,
    compress: Compress,
    /// Whether a build fails that cannot write it.
    is_needed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum To {
    /// An image of its own.
    Image(Location),
    /// In the configuration of the result.
    Inline,
}

/// Which steps go there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// Those whose layers the targets consist of.
    Targets,
    /// All.
    All,
}

/// Understands each of `specs`: `type=local,src=DIR[,tag=TAG|,digest=DIGEST]`,
/// `type=registry,ref=NAME`, or just NAME.
///
/// # Errors
/// What is wrong with the first that is.
pub fn sources(specs: &[String]) -> Result<Vec<Location>, Failure> {
    let parse = |spec: &String| {
        let source = || {
            let mut given = Attributes::parse(spec, "ref")?;
            let place = match given.take("type").unwrap_or("registry") {
                "local" => Location::Layout(LocalPlace {
                    path: given.need("src")?.to_owned(),
                    digest: given.take("digest").map(digest).transpose()?,
                    tag: given.take("tag").map(str::to_owned),
                }),
                "registry" => registry(given.need("ref")?)?,
                "inline" => return Err("an inline cache is read with type=registry".to_owned()),
                other => return Err(unknown(other)),
            };
            given.finish()?;
            Ok(match place {
                Location::Layout(place) if place.digest.is_none() && place.tag.is_none() => {
                    let tag = Some(TAG.to_owned());
                    Location::Layout(LocalPlace { tag, ..place })
                }
                place => place,
            })
        };
        source().map_err(|why| misunderstood("--cache-from", spec, &why))
    };
    specs.iter().map(parse).collect()
}

impl CacheTo {
    /// Understands each of `specs`: `type=local,dest=DIR[,tag=TAG]`, `type=registry,ref=NAME`, just
    /// NAME, or `type=inline`.
    ///
    /// # Errors
    /// What is wrong with the first that is.
    pub fn parse_all(specs: &[String]) -> Result<Vec<Self>, Failure> {
        let parse = |spec: &String| {
            let parsed = Self::parse(spec);
            parsed.map_err(|why| misunderstood("--cache-to", spec, &why))
        };
        specs.iter().map(parse).collect()
    }

    fn parse(spec: &str) -> Result<Self, String> {
        let mut given = Attributes::parse(spec, "ref")?;
        let place = match given.take("type").unwrap_or("registry") {
            "local" => To::Image(Location::Layout(LocalPlace {
                path: given.need("dest")?.to_owned(),
                tag: Some(given.take("tag").unwrap_or(TAG).to_owned()),
                digest: None,
            })),
            "registry" => To::Image(registry(given.need("ref")?)?),
            "inline" => To::Inline,
            other => return Err(unknown(other)),
        };
        let extent = match (given.take("mode"), &place) {
            (Some("min") | None, To::Inline) | (Some("min"), _) => Extent::Targets,
            (Some("max"), To::Inline) => return Err("inline has mode=min only".to_owned()),
            (Some("max") | None, To::Image(_)) => Extent::All,
            (Some(other), _) => return Err(format!("mode is min or max, not `{other}`")),
        };
        // What BuildKit writes otherwise only very old registries need.
        for name in ["image-manifest", "oci-mediatypes"] {
            if !given
                .take(name)
                .map_or(Ok(true), |value| flag(name, value))?
            {
                return Err(format!("`{name}=false` is not supported"));
            }
        }
        let mut compress = Compress::default();
        given.compress(&mut compress)?;
        let ignored = given.take("ignore-error");
        let is_needed = !ignored.map_or(Ok(false), |value| flag("ignore-error", value))?;
        given.finish()?;
        Ok(Self {
            place,
            extent,
            compress,
            is_needed,
        })
    }

    /// Whether the image that is built tells of the steps.
    pub fn is_inline(&self) -> bool {
        self.place == To::Inline
    }
}

fn registry(name: &str) -> Result<Location, String> {
    let reference = name.strip_prefix("docker://").unwrap_or(name).parse();
    reference
        .map(Location::Registry)
        .map_err(|error: rbuild_oci::Error| error.to_string())
}

fn digest(text: &str) -> Result<BlobDigest, String> {
    text.parse::<rbuild_oci::Digest>()
        .map(BlobDigest)
        .map_err(|error| error.to_string())
}

fn unknown(kind: &str) -> String {
    format!("there is no type `{kind}`: registry, local and inline are")
}

fn misunderstood(flag: &str, spec: &str, why: &str) -> Failure {
    let failure = Failure::message(format!("cannot understand {flag} `{spec}`: {why}"));
    let key = if flag == "--cache-to" { "dest" } else { "src" };
    match spec.starts_with(['/', '.', '~']) {
        true => failure.with_hint(format!("a directory is type=local,{key}={spec}")),
        false => failure,
    }
}

/// What `places` have for `platforms`, as far as it can be had: `supplies` brings its layers. What
/// is of no use is told.
pub fn imports<'a>(
    (places, platforms): (&[Location], &[Platform]),
    bases: &Bases<'_>,
    (supplies, session): (&mut Supplies<'a>, &'a Session),
) -> Imports {
    let mut imports = Imports::default();
    for place in places {
        for found in bases.cache_images(place, platforms) {
            match found {
                Ok(image) => imports.add((place.to_string(), image), supplies, session),
                Err(error) => {
                    let why = report::one_line(&error);
                    report::note(&format!("nothing is imported: {why}"));
                    if let Some(hint) = hint(&error) {
                        report::note(&hint);
                    }
                }
            }
        }
    }
    imports
}

/// What steps can be looked up by, and when they ended, gathered while a build tells of them.
#[derive(Default)]
pub struct KeyBook(Mutex<BTreeMap<StepId, (Vec<Key>, i64)>>);

impl KeyBook {
    /// Notes what `event` tells of keys, if it does.
    pub fn note(&self, event: &Event) {
        if let Event::Recorded {
            step,
            keys,
            created,
        } = event
        {
            let mut book = self.0.lock().expect("no holder panics");
            book.insert(*step, (keys.clone(), *created));
        }
    }

    /// The keys of `step`, and when it ended (seconds since 1970).
    fn of(&self, step: StepId) -> (Vec<StoreKey>, i64) {
        let book = self.0.lock().expect("no holder panics");
        let (keys, created) = book.get(&step).cloned().unwrap_or_default();
        let keys = keys.iter();
        let keys = keys.map(|key| StoreKey::from_bytes(*key.as_bytes()));
        (keys.collect(), created)
    }
}

/// A build whose results are known.
pub struct Results<'a> {
    pub plan: &'a Plan,
    /// After each step.
    pub states: &'a [State],
    pub keys: &'a KeyBook,
    pub imports: &'a Imports,
    pub supplies: &'a Supplies<'a>,
}

/// Writes the cache of `builds`, which are for different platforms, to each of `places` that is not
/// the result itself: one for all.
///
/// # Errors
/// If one cannot be written, and must be.
pub fn export_cache(
    builds: &[&Results<'_>],
    places: &[CacheTo],
    ends: Ends<'_>,
    verbosity: Verbosity,
) -> Result<(), Failure> {
    let place = ends.place();
    for to in places {
        let To::Image(location) = &to.place else {
            continue;
        };
        let exported = || {
            let mut steps = Vec::new();
            for build in builds {
                for step in build.steps(to.extent) {
                    steps.extend(build.known(step, (ends, Some(location)))?);
                }
            }
            let looks = (&builds[0].plan.platform(), to.compress);
            let image = cache_image(place, &steps, looks)?;
            send_exported((place, &image), location, ends.registry.line())
        };
        let exported = exported()
            .map_err(|failure| failure.within(format!("cannot write the cache to `{location}`")));
        match exported {
            Ok(()) => verbosity.progress(&format!("cache written to {location}")),
            Err(failure) if to.is_needed => return Err(failure),
            Err(failure) => drop(failure.report()),
        }
    }
    Ok(())
}

impl Results<'_> {
    /// What the image of stage `target` tells of its steps.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn inline(
        &self,
        target: StageId,
        ends: Ends<'_>,
    ) -> Result<Vec<(StepId, CacheStep)>, Failure> {
        let history = &self.plan.stage(target).history;
        let steps = history.iter().filter_map(|entry| entry.step);
        let known = |step| {
            let known = self.known(step, (ends, None)).transpose()?;
            Some(known.map(|known| (step, known)))
        };
        steps.filter_map(known).collect()
    }

    fn steps(&self, extent: Extent) -> BTreeSet<StepId> {
        match extent {
            Extent::Targets => wanted(self.plan, Layers::PerStep),
            Extent::All => (0..).map(StepId).take(self.states.len()).collect(),
        }
    }

    /// What `step` led to, for `destination`: a layer that came from there stays there. `None`: the
    /// files of the step are gone, and nobody wanted them.
    fn known(
        &self,
        step: StepId,
        (ends, destination): (Ends<'_>, Option<&Location>),
    ) -> Result<Option<CacheStep>, Failure> {
        let state = &self.states[step.0 as usize];
        let layer = state.added.map(|(layer, _)| layer);
        let from_there = destination.map(ToString::to_string);
        let layer = layer.map(|layer| match self.imports.origin(&layer) {
            Some((place, blob, diff_id)) if Some(place) == from_there.as_deref() => {
                Ok(CacheLayer::There(blob.clone(), *diff_id))
            }
            Some(_) => {
                self.supplies.bring(&layer)?;
                Ok(CacheLayer::Here(layer))
            }
            None => Ok::<_, Failure>(CacheLayer::Here(layer)),
        });
        let layer = layer.transpose()?;
        if let Some(CacheLayer::Here(id)) = &layer
            && ends.store.layer(id)?.is_none()
        {
            return Ok(None);
        }
        let (keys, created) = self.keys.of(step);
        Ok(Some(CacheStep {
            keys,
            state: StoreKey::from_bytes(*state.key.as_bytes()),
            layer,
            created,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{CacheTo, sources};

    /// Parses `spec` as both flags; `None` is an error.
    #[track_caller]
    fn check(spec: &str, from: Option<&str>, to: Option<&str>) {
        let specs = [spec.to_owned()];
        let source = sources(&specs).ok().map(|found| found[0].to_string());
        assert_eq!(source.as_deref(), from, "{spec}");
        let target = CacheTo::parse_all(&specs).ok();
        let target = target.map(|found| format!("{:?} {:?}", found[0].extent, found[0].place));
        let target = target.as_deref();
        assert_eq!(target.is_some(), to.is_some(), "{spec}: {target:?}");
        if let (Some(target), Some(to)) = (target, to) {
            assert!(target.starts_with(to), "{spec}: {target}");
        }
    }

    #[test]
    fn caches_have_types_and_places() {
        check("host/a:1", Some("docker://host/a:1"), Some("All Image"));
        check("host/a", Some("docker://host/a"), Some("All Image"));
        let registry = "type=registry,ref=host/a:1";
        check(registry, Some("docker://host/a:1"), Some("All Image"));
        check("type=local,src=d", Some("oci:d:latest"), None);
        check("type=local,src=d,tag=x", Some("oci:d:x"), None);
        check("type=local,dest=d,mode=min", None, Some("Targets Image"));
        let all = "type=local,dest=d,mode=max,compression=zstd,ignore-error=true";
        check(all, None, Some("All Image"));
        check("type=inline", None, Some("Targets Inline"));
    }

    #[test]
    fn what_cannot_be_obeyed_is_refused() {
        for spec in [
            "type=gha",
            "type=inline,mode=max",
            "type=local",
            "type=registry",
            "type=local,dest=d,mode=x",
            "type=local,dest=d,image-manifest=false",
            "type=local,dest=d,color=red",
            "type=local,dest=d,ignore-error=maybe",
            "type=registry,ref=A B",
            "",
        ] {
            check(spec, None, None);
        }
    }
}
