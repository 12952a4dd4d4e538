//! Build contexts: the main one, and those that `--build-context` names.
//!
//! Knows: how each form is opened, or fetched into the session's staging.
//! Does not know: which file is the Dockerfile, nor what the build reads.
//!
//! Spec: dockerfile.md 1.13, I1 and I2; 1.5, F5; X4, X6.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use rbuild_context::{Asked, ContextSpec, GitDir, GitRequest, NamedContext, NamedSource};
use rbuild_engine::{
    BuildContext, Ignoring,
    fetch::{ContextFetcher, FetchedContext, Fetcher},
};
use rbuild_export::{Material, Origins};
use rbuild_plan::{ContextKind, Plan, Source};
use rbuild_store::Session;
use rbuild_sys::Dir;

use crate::{failure::Failure, fetched::material, report::Verbosity, settings};

/// The main context, before its Dockerfile is read.
pub enum Main {
    /// A directory of this machine.
    Directory(PathBuf),
    /// Files that came from elsewhere.
    Fetched {
        /// Their root.
        tree: Dir,
        /// Where they came from.
        from: ContextSpec,
        /// What there was; `None`: a stream or a file of this machine.
        material: Option<Material>,
    },
    /// A Dockerfile that came instead of files: the context is empty.
    Dockerfile {
        /// Its bytes.
        text: Vec<u8>,
        /// Where it came from.
        from: ContextSpec,
        /// What there was; `None`: a stream or a file of this machine.
        material: Option<Material>,
    },
}

impl Main {
    /// What was fetched; `None` if all of it comes from this machine.
    pub fn material(&self) -> Option<&Material> {
        match self {
            Self::Directory(_) => None,
            Self::Fetched { material, .. } | Self::Dockerfile { material, .. } => material.as_ref(),
        }
    }
}

impl fmt::Display for Main {
    /// For messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "`{}`", path.display()),
            Self::Fetched { from, .. } | Self::Dockerfile { from, .. } => {
                f.write_str(&quoted(from))
            }
        }
    }
}

/// Opens contexts.
pub struct Opener<'a> {
    /// Where what is fetched goes; it is gone with the session.
    pub session: &'a Session,
    /// Fetches.
    pub fetcher: Fetcher<'a>,
    /// Whether a checkout keeps its `.git`.
    pub git_dir: GitDir,
    /// Whether it is told what is fetched.
    pub verbosity: Verbosity,
}

impl Opener<'_> {
    /// Understands CONTEXT, and fetches what is not here.
    ///
    /// # Errors
    /// If it is not there, or is no context.
    pub fn main(&self, context: &str) -> Result<Main, Failure> {
        let from = ContextSpec::parse(context)?;
        if let Some(path) = directory(&from) {
            return Ok(Main::Directory(path.into()));
        }
        let (context, material) = self.fetch(&from)?;
        Ok(match context {
            FetchedContext::Tree(tree) => Main::Fetched {
                tree,
                from,
                material,
            },
            FetchedContext::Dockerfile(text) => Main::Dockerfile {
                text,
                from,
                material,
            },
        })
    }

    /// The context that COPY sees; `dockerfile` is on this machine, and says which ignore file
    /// counts if none is given.
    ///
    /// # Errors
    /// If it cannot be opened, or an ignore file is wrong.
    pub fn open(
        &self,
        context: Main,
        ignore_file: Option<&Path>,
        dockerfile: Option<&Path>,
    ) -> Result<BuildContext, Failure> {
        let tree = match context {
            Main::Directory(path) => {
                let usual = Ignoring::Usual(dockerfile);
                let ignoring = ignore_file.map_or(usual, Ignoring::File);
                return Ok(BuildContext::open(&path, ignoring, settings::now())?);
            }
            Main::Fetched { tree, .. } => tree,
            Main::Dockerfile { .. } => self.session.new_layer()?.diff,
        };
        Ok(BuildContext::fetched(tree, ignore_file)?)
    }

    /// The named context `name`, fetched, and what was fetched.
    fn files(
        &self,
        name: &str,
        spec: &ContextSpec,
    ) -> Result<(BuildContext, Option<Material>), Failure> {
        let (context, material) = self.fetch(spec)?;
        match context {
            FetchedContext::Tree(tree) => Ok((BuildContext::fetched(tree, None)?, material)),
            FetchedContext::Dockerfile(_) => Err(Failure::message(format!(
                "the build context `{name}` is a text, where files are needed: {}",
                quoted(spec)
            ))
            .with_hint("it is a directory, an archive or a git repository")),
        }
    }

    fn fetch(&self, spec: &ContextSpec) -> Result<(FetchedContext, Option<Material>), Failure> {
        let into = self.session.new_layer()?.diff;
        let from = quoted(spec);
        let fetcher = |authorization| ContextFetcher {
            http: self.fetcher.http,
            git: self.fetcher.git,
            authorization,
        };
        let fetched = match spec {
            ContextSpec::Local(path) => {
                let mut file = File::open(path).map_err(|error| {
                    Failure::message(format!("cannot open the build context {from}: {error}"))
                        .with_hint("it is a directory, an archive, a git repository or a URL")
                })?;
                let context = fetcher(None).stream(&mut file, &from, &into)?;
                return Ok((context, None));
            }
            ContextSpec::Stdin => {
                let context = fetcher(None).stream(&mut io::stdin().lock(), &from, &into)?;
                return Ok((context, None));
            }
            ContextSpec::Url(url) => {
                self.verbosity.progress(&format!("fetching {url}"));
                let authorization = self.fetcher.authorization(Asked::File, &url.host());
                fetcher(authorization.as_deref()).url(url, &into)?
            }
            ContextSpec::Git(source) => {
                self.verbosity.progress(&format!("fetching {source}"));
                let host = source.http_host();
                let authorization =
                    host.and_then(|host| self.fetcher.authorization(Asked::Git, &host));
                let request = GitRequest {
                    git_dir: self.git_dir,
                    authorization: authorization.as_deref(),
                    checksum: None,
                };
                fetcher(None).git(source, &request, &into)?
            }
        };
        Ok((fetched.context, Some(material(&fetched.remote))))
    }
}

/// Where `spec` is, if it is a directory of this machine.
pub fn directory(spec: &ContextSpec) -> Option<&Path> {
    match spec {
        ContextSpec::Local(path) => Some(Path::new(path)).filter(|path| path.is_dir()),
        ContextSpec::Stdin | ContextSpec::Url(_) | ContextSpec::Git(_) => None,
    }
}

/// `spec` in a sentence.
fn quoted(spec: &ContextSpec) -> String {
    match spec {
        ContextSpec::Stdin => spec.to_string(),
        _ => format!("`{spec}`"),
    }
}

/// What `--build-context` names.
pub struct Named {
    /// What each name stands for.
    pub kinds: BTreeMap<String, ContextKind>,
    /// Where the files are of those that are files.
    files: BTreeMap<String, ContextSpec>,
}

impl Named {
    /// Understands the flags.
    ///
    /// # Errors
    /// If one is wrong.
    pub fn parse(flags: &[String]) -> Result<Self, Failure> {
        let (mut kinds, mut files) = (BTreeMap::new(), BTreeMap::new());
        for flag in flags {
            let named = NamedContext::parse(flag)?;
            let name = match &named.platform {
                Some(platform) => format!("{}::{platform}", named.name),
                None => named.name,
            };
            let kind = match named.source {
                NamedSource::Image(reference) => ContextKind::Image(reference),
                NamedSource::Layout(layout) => ContextKind::Layout(format!("oci:{layout}")),
                NamedSource::Files(spec) => {
                    files.insert(name.clone(), spec);
                    ContextKind::Files
                }
            };
            kinds.insert(name, kind);
        }
        Ok(Self { kinds, files })
    }

    /// Opens those that are files. What is not on this machine is fetched only if one of `plans`
    /// reads it; `origins` gets to know what that was.
    ///
    /// # Errors
    /// If one cannot be opened or fetched, or is a Dockerfile.
    pub fn open(
        &self,
        plans: &[&Plan],
        opener: &Opener<'_>,
        origins: &mut Origins,
    ) -> Result<BTreeMap<String, BuildContext>, Failure> {
        let used: BTreeSet<&str> = plans.iter().flat_map(|plan| used(plan)).collect();
        let mut contexts = self.directories()?;
        for (name, spec) in &self.files {
            let is_local = matches!(spec, ContextSpec::Local(_));
            if !contexts.contains_key(name) && (is_local || used.contains(name.as_str())) {
                let (context, material) = opener.files(name, spec)?;
                contexts.insert(name.clone(), context);
                origins.named.extend(material.map(|it| (name.clone(), it)));
            }
        }
        let ours = contexts
            .keys()
            .filter(|name| !origins.named.contains_key(*name));
        origins.locals.extend(ours.cloned());
        Ok(contexts)
    }

    /// Opens those that are directories of this machine.
    ///
    /// # Errors
    /// If one cannot be opened.
    pub fn directories(&self) -> Result<BTreeMap<String, BuildContext>, Failure> {
        let mut contexts = BTreeMap::new();
        for (name, spec) in &self.files {
            if let Some(path) = directory(spec) {
                let context = BuildContext::open(path, Ignoring::Usual(None), settings::now())?;
                contexts.insert(name.clone(), context);
            }
        }
        Ok(contexts)
    }
}

/// The named contexts that `plan` takes files from.
fn used(plan: &Plan) -> BTreeSet<&str> {
    let sources = plan.steps.iter().flat_map(|step| step.op.sources());
    let names = sources.filter_map(|source| match source {
        Source::Named(name) => Some(name.as_str()),
        Source::Context | Source::Tree(_) => None,
    });
    names.collect()
}
