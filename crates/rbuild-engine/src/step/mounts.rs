//! `RUN --mount` and `RUN --device`: what the plan names, found and opened.
//!
//! Knows: where mounts get their files from. Does not know: how the sandbox attaches them.
//!
//! Invariant: a secret is read from memory and given to the sandbox; it is in no key, no event
//! and no file.
//!
//! Spec: dockerfile.md R8-R12; traps T44-T46.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
};

use rbuild_context::{
    Filter, Owners, ReadFiles, Selection as Select, digest as digest_of, sources,
};
use rbuild_oci::ImagePath;
use rbuild_plan::{
    Access, CacheMount, Device, Mount, MountKind, Node, Run, Script, Sharing, Source,
};
use rbuild_sandbox::{
    self as sandbox, BindAccess, CacheAccess, FileOwner, SecretBytes, users::Identity,
};
use rbuild_store::{CacheClaim, CacheName, Key, StagedLayer, Wait};
use rbuild_sys::{Dir, Error as SysError, Upper};

use super::{StepError, copy::fill};
use crate::{
    build::Builder,
    list::{List, Listed},
    selection::{Root, Staging, literal},
    work::Work,
};

/// What only single commands may see.
#[derive(Clone, Debug, Default)]
pub struct Confidential {
    /// Secrets, by id.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// Sockets of ssh agents, by id.
    pub agents: BTreeMap<String, PathBuf>,
}

/// A mount whose files are there.
pub(crate) struct Opened<'a> {
    target: ImagePath,
    kind: OpenedKind<'a>,
}

enum OpenedKind<'a> {
    Bind {
        root: Dir,
        path: ImagePath,
        discarded: Option<StagedLayer>,
    },
    Cache {
        dir: Dir,
        access: CacheAccess,
        _claim: rbuild_store::CacheMount,
    },
    Tmpfs(Option<u64>),
    Secret(&'a [u8], FileOwner),
    Ssh(&'a Path, FileOwner),
    Device(ImagePath),
}

/// Digest of what the source number `index` of `run` gives it (R11, T46); `list` is told of the
/// files.
///
/// # Errors
/// [`StepError::Source`] if it is not there.
pub(crate) fn digest(
    (run, index): (&Run, usize),
    root: Root<'_>,
    staging: Staging<'_>,
    list: &mut dyn List,
) -> Result<[u8; 32], StepError> {
    let mounts = run.mounts.iter().filter(|mount| mount.source().is_some());
    let path = mounts.skip(index).find_map(|mount| match &mount.kind {
        MountKind::Bind { path, .. } => Some(path),
        MountKind::Cache(CacheMount {
            seed: Some((_, path)),
            ..
        }) => Some(path),
        _ => None,
    });
    let pattern = literal(path.map_or(&b""[..], |path| path.as_bytes()));
    match root {
        Root::Context(context) => {
            let filter = Filter {
                ignored: context.rules(),
                excluded: None,
            };
            let selected = Select {
                filter,
                ..Select::default()
            };
            let found = sources(context.root(), &pattern, &selected)?;
            context.with_digests(staging.store, &mut |known| {
                let mut known = Listed { known, list };
                Ok(digest_of(&found, &filter, Owners::Ignored, &mut known)?)
            })
        }
        Root::Tree(tree) => {
            let found = sources(tree, &pattern, &Select::default())?;
            Ok(digest_of(
                &found,
                &Filter::default(),
                Owners::Counted,
                &mut Listed {
                    known: &mut ReadFiles,
                    list,
                },
            )?)
        }
    }
}

/// Opens all that `run` mounts; caches are claimed for as long as the result lives.
///
/// # Errors
/// [`StepError::Missing`] for a required secret or agent, [`StepError::Device`],
/// [`StepError::Stage`].
pub(crate) fn open<'a>(
    work: &Work<'a>,
    run: &'a Run,
    identity: &Identity,
) -> Result<Vec<Opened<'a>>, StepError> {
    let builder = work.builder;
    let mut claims = claim(work, run, identity)?.into_iter();
    let mut states = work.sources.iter();
    let mut opened = Vec::with_capacity(run.mounts.len() + 1);
    for mount in &run.mounts {
        let state = mount
            .source()
            .and_then(|_| states.next())
            .and_then(Option::as_ref);
        let tree = state.map(|state| work.trees.open(state)).transpose();
        let tree = tree.map_err(|error| StepError::Tree(Box::new(error)))?;
        let kind = match &mount.kind {
            MountKind::Cache(cache) => {
                let claim = claims.next().expect("every cache was claimed");
                Some(open_cache(builder, cache, (claim, tree.as_ref()))?)
            }
            _ => open_one(builder, mount, tree)?,
        };
        opened.extend(kind.map(|kind| Opened {
            target: mount.target.clone(),
            kind,
        }));
    }
    for device in &run.devices {
        opened.extend(open_device(device)?);
    }
    if let Some(script) = &run.script {
        opened.push(open_script(builder, script)?);
    }
    Ok(opened)
}

/// The variables that `run` gets secrets in.
///
/// # Errors
/// [`StepError::Missing`].
pub(crate) fn variables(builder: &Builder<'_>, run: &Run) -> Result<Vec<String>, StepError> {
    let mut variables = Vec::new();
    for mount in &run.mounts {
        if let MountKind::Secret(secret) = &mount.kind
            && let Some(name) = &secret.env
            && let Some(value) = find_secret(builder, &secret.id, secret.required)?
        {
            variables.push(format!("{name}={}", String::from_utf8_lossy(value)));
        }
    }
    Ok(variables)
}

/// As the sandbox wants them.
pub(crate) fn for_sandbox<'a>(opened: &'a [Opened<'_>]) -> Vec<sandbox::Mount<'a>> {
    let kind = |opened: &'a Opened<'_>| match &opened.kind {
        OpenedKind::Bind {
            root,
            path,
            discarded,
        } => sandbox::MountKind::Bind {
            source: root,
            path: path.clone(),
            access: discarded.as_ref().map_or(BindAccess::ReadOnly, |staged| {
                BindAccess::Discard(Upper {
                    changes: &staged.diff,
                    work: &staged.work,
                })
            }),
        },
        OpenedKind::Cache { dir, access, .. } => sandbox::MountKind::Cache {
            dir,
            access: *access,
        },
        OpenedKind::Tmpfs(size) => sandbox::MountKind::Tmpfs { size: *size },
        OpenedKind::Secret(content, owner) => sandbox::MountKind::Secret {
            content: SecretBytes(content),
            owner: *owner,
        },
        OpenedKind::Ssh(agent, owner) => sandbox::MountKind::Ssh {
            agent,
            owner: *owner,
        },
        OpenedKind::Device(path) => sandbox::MountKind::Device { path: path.clone() },
    };
    let mount = |opened| sandbox::Mount {
        target: Opened::target(opened),
        kind: kind(opened),
    };
    opened.iter().map(mount).collect()
}

impl Opened<'_> {
    fn target(&self) -> ImagePath {
        self.target.clone()
    }
}

/// All but caches; `None` for an optional secret or agent that is not there.
fn open_one<'a>(
    builder: &'a Builder<'a>,
    mount: &'a Mount,
    tree: Option<Dir>,
) -> Result<Option<OpenedKind<'a>>, StepError> {
    Ok(match &mount.kind {
        MountKind::Bind {
            path,
            access,
            source,
        } => {
            let discarded = match access {
                Access::ReadOnly => None,
                Access::ReadWrite => Some(builder.session.new_layer().map_err(StepError::Store)?),
            };
            let root = tree.map_or_else(|| visible(builder, source), Ok)?;
            let path = ImagePath::root().join(path).unwrap_or_else(ImagePath::root);
            Some(OpenedKind::Bind {
                root,
                path,
                discarded,
            })
        }
        MountKind::Tmpfs { size } => Some(OpenedKind::Tmpfs(*size)),
        MountKind::Secret(secret) if secret.file => {
            let value = find_secret(builder, &secret.id, secret.required)?;
            value.map(|value| OpenedKind::Secret(value, owner(secret.node)))
        }
        MountKind::Secret(_) | MountKind::Cache(_) => None,
        MountKind::Ssh { id, node, required } => match builder.confidential.agents.get(id) {
            Some(agent) => Some(OpenedKind::Ssh(agent, owner(*node))),
            None if *required => {
                return Err(StepError::Missing {
                    what: "ssh agent",
                    id: id.clone(),
                    flag: "--ssh",
                });
            }
            None => None,
        },
    })
}

/// The context that `source` names, as a command may see it.
fn visible(builder: &Builder<'_>, source: &Source) -> Result<Dir, StepError> {
    let context = builder.context_of(source);
    context.visible(builder.session, &builder.bottoms.empty)
}

fn find_secret<'a>(
    builder: &'a Builder<'_>,
    id: &str,
    required: bool,
) -> Result<Option<&'a [u8]>, StepError> {
    match builder.confidential.secrets.get(id) {
        Some(value) => Ok(Some(value)),
        None if required => Err(StepError::Missing {
            what: "secret",
            id: id.to_owned(),
            flag: "--secret",
        }),
        None => Ok(None),
    }
}

fn owner(node: Node) -> FileOwner {
    FileOwner {
        uid: node.uid,
        gid: node.gid,
        mode: node.mode,
    }
}

/// Claims the caches of `run`, in their order.
fn claim(
    work: &Work<'_>,
    run: &Run,
    identity: &Identity,
) -> Result<Vec<rbuild_store::CacheMount>, StepError> {
    let mut states = work.sources.iter();
    let mut claims = Vec::new();
    for mount in &run.mounts {
        let state = mount
            .source()
            .and_then(|_| states.next())
            .and_then(Option::as_ref);
        if let MountKind::Cache(cache) = &mount.kind {
            let seed = cache.seed.as_ref().map(|(_, path)| {
                let key = state.map_or_else(String::new, |state| state.key.hex());
                Key::of(format!("{key} {path}").as_bytes())
            });
            claims.push(CacheClaim {
                name: name(cache, identity, seed),
                sharing: sharing(cache.sharing),
            });
        }
    }
    let builder = work.builder;
    let mut wait = Wait {
        waiting: &mut || (builder.emit)(crate::Event::Waiting(work.id)),
        give_up: &|| builder.runner.is_cancelled(),
    };
    builder
        .session
        .claim_caches(&claims, &mut wait)
        .map_err(StepError::Store)
}

/// A cache belongs to who runs the command unless it says otherwise.
fn name(cache: &CacheMount, identity: &Identity, seed: Option<Key>) -> CacheName {
    CacheName {
        id: cache.id.clone(),
        uid: cache.uid.unwrap_or(identity.uid),
        gid: cache.gid.unwrap_or(identity.gid),
        mode: cache.mode,
        seed,
    }
}

fn sharing(sharing: Sharing) -> rbuild_store::Sharing {
    match sharing {
        Sharing::Shared => rbuild_store::Sharing::Shared,
        Sharing::Private => rbuild_store::Sharing::Private,
        Sharing::Locked => rbuild_store::Sharing::Locked,
    }
}

fn open_cache<'a>(
    builder: &Builder<'_>,
    cache: &CacheMount,
    (claim, tree): (rbuild_store::CacheMount, Option<&Dir>),
) -> Result<OpenedKind<'a>, StepError> {
    let dir = claim.open(builder.session, |dir| match &cache.seed {
        None => Ok(()),
        Some((source, path)) => {
            let context = match tree {
                Some(_) => None,
                None => Some(visible(builder, source)?),
            };
            let Some(root) = tree.or(context.as_ref()) else {
                return Ok(()); // one of the two is there
            };
            let all = sources(root, &literal(path.as_bytes()), &Select::default())?;
            fill(dir, &builder.bottoms.empty, &all)
        }
    })?;
    let access = match cache.access {
        Access::ReadOnly => CacheAccess::ReadOnly,
        Access::ReadWrite => CacheAccess::ReadWrite,
    };
    Ok(OpenedKind::Cache {
        dir,
        access,
        _claim: claim,
    })
}

/// `None` for an optional device that is not there (R7).
fn open_device<'a>(device: &Device) -> Result<Option<Opened<'a>>, StepError> {
    let host = Path::new("/dev").join(device.path.relative());
    let exists = std::fs::metadata(&host).is_ok();
    if !exists && device.required {
        let path = host.display().to_string();
        return Err(StepError::Device { path });
    }
    let target = ImagePath::root().join(&host.to_string_lossy());
    Ok(target.filter(|_| exists).map(|target| Opened {
        target,
        kind: OpenedKind::Device(device.path.clone()),
    }))
}

/// The program from a heredoc, in a directory of its own (H6).
fn open_script<'a>(builder: &Builder<'_>, script: &Script) -> Result<Opened<'a>, StepError> {
    let stage = |source| StepError::Stage {
        what: format!("`{}`", script.path),
        source,
    };
    let staged = builder.session.new_layer().map_err(StepError::Store)?;
    const NAME: &[u8] = b"script";
    let mut file = staged.diff.create(NAME, 0o755).map_err(stage)?;
    file.write_all(script.body.as_bytes()).map_err(|source| {
        stage(SysError {
            call: "write",
            operand: script.path.to_string(),
            source,
        })
    })?;
    staged.diff.set_mode(NAME, 0o755).map_err(stage)?;
    let path = ImagePath::root()
        .join("script")
        .unwrap_or_else(ImagePath::root);
    let kind = OpenedKind::Bind {
        root: staged.diff,
        path,
        discarded: None,
    };
    Ok(Opened {
        target: script.path.clone(),
        kind,
    })
}
