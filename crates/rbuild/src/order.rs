//! What the flags of `bud` say, understood before anything is touched.
//!
//! Knows: which flags belong together, and which contradict each other.
//! Does not know: the Dockerfile, the store, the sandbox.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rbuild_engine::Confidential;
use rbuild_oci::{Location, Name, Platform};
use rbuild_plan::{Edits, Entitlement, Inputs};

use crate::{
    allowance::Allowance,
    attest::Wishes,
    caching::CacheWish,
    cli::{Allowed, BuildArgs, NetworkMode, StepArgs},
    confine::{Confines, Insecure, confines, limits},
    containers_conf::ContainersConf,
    contexts::Named,
    description::Description,
    dockerfile,
    exchange::{self, CacheTo},
    failure::Failure,
    find::new_name,
    network,
    on_failure::{self, OnFailure},
    output::{Listing, Output, Part},
    platforms::Platforms,
    secrets, settings,
    targets::{self, Target},
};

/// What the flags say.
pub struct Order {
    /// For the plan; without images, and for no platform yet.
    pub inputs: Inputs,
    /// What is built for.
    pub platforms: Platforms,
    /// How the images are written down.
    pub description: Description,
    /// What `--build-context` names.
    pub contexts: Named,
    /// What only single commands may see.
    pub confidential: Confidential,
    /// How commands are confined.
    pub confines: Confines,
    /// Which results of earlier builds count.
    pub caching: CacheWish,
    /// Where results of other machines are.
    pub cache_from: Vec<Location>,
    /// Where ours go.
    pub cache_to: Vec<CacheTo>,
    /// How long a RUN may take.
    pub timeout: Option<Duration>,
    /// What is done with what a failed RUN leaves.
    pub on_failure: Vec<OnFailure>,
    /// At least one.
    pub targets: Vec<Target>,
    /// The list that the result is added to; `None` if there are several targets.
    pub list: Option<Name>,
    /// None but --push if there are several targets.
    pub outputs: Vec<Output>,
    /// What is made.
    pub product: Product,
    /// What is said of the result.
    pub attestations: Wishes,
    /// When the build began, in seconds since 1970.
    pub began: i64,
    /// What may stay in the store afterwards; of `storage.conf`, not of a flag.
    pub allowance: Allowance,
}

/// What a build makes of its last steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// An image of each target.
    Images,
    /// Nothing but files of the only target: nobody has asked for an image.
    Files,
}

impl Order {
    /// What `args` ask for, and `site` where they say nothing.
    ///
    /// # Errors
    /// Flags that cannot be understood, or not be obeyed together.
    pub fn of(args: &BuildArgs, site: &ContainersConf) -> Result<Self, Failure> {
        let confine = site.confine(&args.confine);
        let mut outputs = outputs(args)?;
        let attestations = Wishes::of(&args.attest)?;
        attestations.refuse_without_carrier(&outputs)?;
        let platforms = Platforms::of(&args.input)?;
        if platforms.all.len() > 1 {
            outputs.iter().try_for_each(Output::refuse_several)?;
        }
        let targets = targets::understood(&args.input.target, &names(args)?)?;
        if targets.len() > 1 {
            refuse_single(args)?;
        }
        refuse_nowhere(args, &outputs, &targets)?;
        dockerfile::refuse_two_streams(&args.input.file, &args.input.context)?;
        let contexts = Named::parse(&args.input.build_context)?;
        let inputs = Inputs {
            targets: targets.iter().filter_map(|it| it.stage.clone()).collect(),
            contexts: contexts.kinds.clone(),
            ..inputs(args, site)?
        };
        let epoch = settings::epoch(&inputs.build_args)?;
        let rewrite = rewrite(args.description.rewrite_timestamp, &outputs)?;
        let description = Description::of(&args.description, (epoch, rewrite))?;
        let listing = match (platforms.all.len(), attestations == Wishes::default()) {
            (1, true) => Listing::Single,
            (1, false) => Listing::Attested,
            _ => Listing::Several,
        };
        refuse_remarks(args, &description, &outputs, (&platforms.all, listing))?;
        for output in &mut outputs {
            output.say(&description.listed, listing);
            output.refuse_remarks(description.format, (&platforms.all, listing))?;
        }
        let mut order = Self {
            inputs: described(inputs, &description),
            platforms,
            description,
            contexts,
            confidential: secrets::confidential(&args.steps.secret, &args.steps.ssh)?,
            confines: confines(&confine, consent(&args.steps.allow))?,
            caching: CacheWish::of(&args.steps)?,
            cache_from: exchange::sources(&args.steps.cache_from)?,
            cache_to: cache_to(args)?,
            timeout: args.steps.timeout,
            on_failure: on_failure::possible(&args.steps.on_failure)?,
            targets,
            list: args.result.manifest.as_deref().map(new_name).transpose()?,
            outputs,
            product: Product::Images,
            attestations,
            began: settings::now(),
            allowance: Allowance::configured()?,
        };
        order.product = Product::of(args, &order);
        Ok(order)
    }
}

impl Product {
    /// What `args` ask for, by what is understood of them in `order`.
    fn of(args: &BuildArgs, order: &Order) -> Self {
        let result = &args.result;
        let names_image = result.load
            || order.list.is_some()
            || result.iidfile.is_some()
            || result.metadata_file.is_some()
            || order.targets.iter().any(|target| !target.names.is_empty());
        let is_told = order.cache_to.iter().any(CacheTo::is_inline)
            || order.attestations != Wishes::default();
        let is_files = !order.outputs.is_empty() && order.outputs.iter().all(Output::is_files);
        match is_files && order.targets.len() == 1 && !names_image && !is_told {
            true => Self::Files,
            false => Self::Images,
        }
    }
}

fn cache_to(args: &BuildArgs) -> Result<Vec<CacheTo>, Failure> {
    let places = CacheTo::parse_all(&args.result.cache_to)?;
    match args.result.squash && places.iter().any(CacheTo::is_inline) {
        true => Err(Failure::message(
            "--cache-to=type=inline names layers of the image, and --squash leaves none of them",
        )
        .with_hint("type=registry or type=local have layers of their own")),
        false => Ok(places),
    }
}

/// What `--tag` says that is no place.
fn names(args: &BuildArgs) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for tag in &args.result.tag {
        if Output::of_tag(tag)?.is_none() {
            names.push(tag.clone());
        }
    }
    Ok(names)
}

fn outputs(args: &BuildArgs) -> Result<Vec<Output>, Failure> {
    let mut outputs = Output::parse_all(&args.result.output)?;
    for tag in &args.result.tag {
        outputs.extend(Output::of_tag(tag)?);
    }
    if args.result.push {
        outputs.push(Output::to_own_registries());
    }
    if args.result.no_push && outputs.iter().any(Output::is_push) {
        return Err(Failure::message(
            "--no-push contradicts an --output that goes to a registry",
        ));
    }
    Ok(outputs)
}

/// Whether files get new times, by the flag and all outputs: they share their layers.
fn rewrite(flag: Option<bool>, outputs: &[Output]) -> Result<Option<bool>, Failure> {
    let said = outputs.iter().filter_map(|output| output.rewrite);
    let mut said = flag.into_iter().chain(said);
    let first = said.next();
    match said.all(|other| Some(other) == first) {
        true => Ok(first),
        false => Err(Failure::message(
            "rewrite-timestamp is true and false: all outputs have the same layers",
        )),
    }
}

/// Refuses an --annotation that neither the store nor one of `outputs` has a place for.
fn refuse_remarks(
    args: &BuildArgs,
    description: &Description,
    outputs: &[Output],
    (platforms, listing): (&[Platform], Listing),
) -> Result<(), Failure> {
    for said in [&description.said, &description.listed] {
        if let Some(platform) = said.stranger(platforms) {
            return Err(Failure::message(format!(
                "--annotation: nothing is built for {platform}"
            )));
        }
    }
    let is_listed = listing == Listing::Several || args.result.manifest.is_some();
    let is_here = |part| part != Part::IndexEntry && is_listed;
    let is_there = |part| outputs.iter().any(|it| it.has_place(part, listing));
    let mut parts = description.listed.parts();
    match parts.find(|&part| !is_here(part) && !is_there(part)) {
        None => Ok(()),
        Some(part) => Err(Failure::message(format!(
            "--annotation: there will be no `{}`",
            part.name()
        ))
        .with_hint(
            "an index is of images for several platforms; -o type=oci has descriptors of what is in it",
        )),
    }
}

/// Refuses what would turn out to lead nowhere when all the work is done.
fn refuse_nowhere(args: &BuildArgs, outputs: &[Output], targets: &[Target]) -> Result<(), Failure> {
    for output in outputs {
        for target in targets {
            output.registries(&target.names)?;
        }
    }
    match args.result.digestfile.is_some() && !outputs.iter().any(Output::has_manifest) {
        true => Err(Failure::message(
            "--digestfile is for the digest of a manifest, and none is written",
        )
        .with_hint("--push sends one to a registry; --iidfile has the image's id")),
        false => Ok(()),
    }
}

/// Refuses what takes one image: the caller has several.
fn refuse_single(args: &BuildArgs) -> Result<(), Failure> {
    let flags = [
        ("--output", !args.result.output.is_empty()),
        (
            "--tag of a place",
            names(args)?.len() < args.result.tag.len(),
        ),
        ("--manifest", args.result.manifest.is_some()),
        ("--iidfile", args.result.iidfile.is_some()),
        ("--digestfile", args.result.digestfile.is_some()),
        ("--metadata-file", args.result.metadata_file.is_some()),
    ];
    match flags.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Failure::message(format!(
            "{flag} is for one image, and several are asked for"
        ))
        .with_hint("a second build with one --target takes all steps from the cache")),
        None => Ok(()),
    }
}

fn inputs(args: &BuildArgs, site: &ContainersConf) -> Result<Inputs, Failure> {
    Ok(Inputs {
        build_args: build_args(args, site)?,
        extent: args.steps.extent(),
        from: args.input.from.clone(),
        labels: settings::pairs(&args.result.label),
        edits: Edits {
            env: settings::pairs(&args.result.env).into_iter().collect(),
            unsetenv: args.result.unsetenv.clone(),
            unsetlabel: args.result.unsetlabel.clone(),
            ..Edits::default()
        },
        allowed: allowed(&args.steps),
        network: network::of_plan(args.steps.network),
        ulimits: limits(&site.confine(&args.confine).ulimit)?
            .iter()
            .map(ToString::to_string)
            .collect(),
        ..Inputs::default()
    })
}

fn build_args(
    args: &BuildArgs,
    site: &ContainersConf,
) -> Result<BTreeMap<String, String>, Failure> {
    let proxies = match args.steps.http_proxy.or(site.http_proxy) {
        None | Some(true) => settings::proxies(),
        Some(false) => BTreeMap::new(),
    };
    settings::build_args(proxies, &args.input.build_arg_file, &args.input.build_arg)
}

/// `inputs` with what `description` wants of the plan.
fn described(mut inputs: Inputs, description: &Description) -> Inputs {
    description.add_epoch(&mut inputs.build_args);
    inputs.edits.labels_of_base = description.labels_of_base;
    inputs.edits.identity.clone_from(&description.identity);
    inputs
}

/// What the Dockerfile may ask for; who gave the build the host's network has allowed it to RUN.
fn allowed(args: &StepArgs) -> BTreeSet<Entitlement> {
    let allowed = args.allow.iter().filter_map(|allowed| match allowed {
        Allowed::NetworkHost => Some(Entitlement::NetworkHost),
        Allowed::SecurityInsecure => Some(Entitlement::SecurityInsecure),
        Allowed::Device => Some(Entitlement::Device),
        Allowed::LocalDelete => None,
    });
    let network = (args.network == NetworkMode::Host).then_some(Entitlement::NetworkHost);
    allowed.chain(network).collect()
}

fn consent(allowed: &[Allowed]) -> Insecure {
    match allowed.contains(&Allowed::SecurityInsecure) {
        true => Insecure::Allowed,
        false => Insecure::Refused,
    }
}
