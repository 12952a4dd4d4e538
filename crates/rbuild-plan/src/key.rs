//! When are two steps the same step? This module alone answers.
//!
//! Knows: step definitions, parent keys, content digests.
//! Does not know: where results are stored, how they were made, how content is hashed.
//!
//! Invariant: equal keys ⇒ interchangeable results. All that a result depends on is in
//! the key: the operation with its variables replaced, the tree it works on, the bytes
//! it copies, the platform (through the tree that everything starts from, K5). A change
//! of the recipe bumps [`RECIPE`], so an old cache is never misread, only missed.
//!
//! Not in a key: titles, history, configuration that no command sees, proxies (A7),
//! times.
//!
//! Spec: dockerfile.md 1.15, K1–K5.

use std::fmt;

use rbuild_oci::Platform;

use crate::graph::Step;
use crate::op::{
    Access, CacheMount, Copy, Device, Item, Mount, MountKind, Op, Run, Secret, Workdir,
};

/// Version of the recipe below; part of every key.
pub(crate) const RECIPE: u32 = 4;

/// Names a file system state by how it is made. Printed as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// The tree with nothing in it.
    pub fn of_empty_tree(platform: &Platform) -> Self {
        Recipe::new("empty").platform(platform).finish()
    }

    /// The tree of a base image; `tree_key` as in [`crate::BaseImage::tree_key`].
    pub fn of_image_tree(tree_key: &str, platform: &Platform) -> Self {
        Recipe::new("image")
            .text(tree_key)
            .platform(platform)
            .finish()
    }

    /// Stands for whatever tree: the parent of a step whose changes do not depend on it.
    pub fn of_any_tree() -> Self {
        Recipe::new("any").finish()
    }

    /// From the 32 raw bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 raw bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hexadecimal digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// From 64 lower-case hexadecimal digits; `None` if it is anything else:
    /// keys become path components.
    pub fn from_hex(hex: &str) -> Option<Self> {
        if hex.len() != 64 || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The key of the tree after `step`, when `parent` is the key of the tree before it.
///
/// `sources` has one entry for each of [`Op::sources`]. It may be either of two things that
/// name what is read: a digest of the selected files' content (names, modes, owners, bytes;
/// never times; for `COPY` of all items), or the [`Key`] of the tree that they come from,
/// which is known before that tree exists. Keys of the two kinds never meet. After them comes one
/// for each of [`Op::counted_secrets`], which nobody else can compute.
pub fn step_key(step: &Step, parent: &Key, sources: &[SourceDigest]) -> Key {
    debug_assert_eq!(
        step.op.sources().len() + step.op.counted_secrets().len(),
        sources.len(),
        "one for each source, and for each secret that counts"
    );
    match &step.op {
        Op::Run(run) => run_key(run, parent, sources),
        Op::Copy(copy) => copy_key(copy, parent, sources),
        Op::Workdir(workdir) => workdir_key(workdir, parent),
    }
}

/// What names the files that a step reads besides its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceDigest {
    /// Their content.
    Content([u8; 32]),
    /// The tree that they are in; what is selected follows from the patterns.
    Tree(Key),
}

fn run_key(run: &Run, parent: &Key, sources: &[SourceDigest]) -> Key {
    let Run {
        argv,
        env,
        args: _,      // the command cannot tell
        proxy_env: _, // where bytes come from must not change what they are (A7)
        cwd,
        user,
        script,
        mounts,
        network,
        security,
        devices,
        ulimits,
    } = run;
    let mut recipe = Recipe::new("run").key(parent).texts(argv).count(env.len());
    for (name, value) in env {
        recipe = recipe.text(name).text(value);
    }
    recipe = recipe
        .text(cwd.as_str())
        .text(user)
        .optional(script.as_ref().map(|script| script.body.as_str()))
        .count(*network as usize)
        .count(*security as usize)
        .texts(ulimits)
        .count(mounts.len());
    let recipe = mounts.iter().fold(recipe, mount);
    let recipe = devices.iter().fold(
        recipe.count(devices.len()),
        // Without an error it is there, or the command has seen that it is not.
        |recipe, Device { path, required: _ }| recipe.text(path.as_str()),
    );
    recipe.digests(sources).finish()
}

/// The shape of a mount: what the command can tell about it without reading it. Content of bind
/// mounts is in the digests that the caller adds ([`step_key`]); contents of caches and agents
/// never count, those of secrets only if they are told to (K4), nor does which cache it is.
fn mount(recipe: Recipe, mount: &Mount) -> Recipe {
    let recipe = recipe.text(mount.target.as_str());
    match &mount.kind {
        MountKind::Bind { path, access, .. } => recipe.text("bind").text(path).access(*access),
        MountKind::Cache(CacheMount { access, .. }) => recipe.text("cache").access(*access),
        MountKind::Tmpfs { size } => {
            let size = size.map(|size| size.to_string());
            recipe.text("tmpfs").optional(size.as_deref())
        }
        MountKind::Secret(Secret {
            file, env, counts, ..
        }) => {
            let kind = if *counts { "counted secret" } else { "secret" };
            let recipe = recipe.text(kind).count(usize::from(*file));
            recipe.optional(env.as_deref())
        }
        MountKind::Ssh { .. } => recipe.text("ssh"),
    }
}

/// Where a selected file lies does not matter, only its name: of the patterns, the last
/// components count, unless the content is not known yet or parents are kept.
fn copy_key(copy: &Copy, parent: &Key, sources: &[SourceDigest]) -> Key {
    let Copy {
        source,
        items,
        destination,
        destination_is_dir,
        chown,
        chmod,
        link,
        parents,
        exclude,
        archives,
    } = copy;
    let chmod = chmod.as_ref().map(ToString::to_string);
    let recipe = Recipe::new("copy")
        .key(parent)
        .text(destination.as_str())
        .count(usize::from(*destination_is_dir))
        .optional(chown.as_deref())
        .optional(chmod.as_deref())
        .count(usize::from(*link))
        .count(usize::from(*parents))
        .texts(exclude)
        .count(*archives as usize)
        // Owners are kept from a tree and dropped from a context (C11).
        .count(usize::from(source.tree().is_none()));
    let known = matches!(sources, [SourceDigest::Content(_)]) && !parents;
    let recipe = items
        .iter()
        .fold(recipe.count(items.len()), |recipe, item| match item {
            Item::Path(path) if known => recipe.text("path").text(base_name(path)),
            Item::Path(path) => recipe.text("path").text(path),
            Item::Inline { name, content } => recipe.text("inline").text(name).text(content),
            Item::Url {
                url,
                checksum,
                archives,
            } => {
                let recipe = recipe.text("url").text(url).optional(checksum.as_deref());
                recipe.count(*archives as usize)
            }
            Item::Git {
                url,
                checksum,
                keep_git_dir,
            } => {
                let recipe = recipe.text("git").text(url).optional(checksum.as_deref());
                recipe.optional(keep_git_dir.map(|keep| keep.to_string()).as_deref())
            }
        });
    recipe.digests(sources).finish()
}

fn workdir_key(workdir: &Workdir, parent: &Key) -> Key {
    let Workdir { path, user } = workdir;
    Recipe::new("workdir")
        .key(parent)
        .text(path.as_str())
        .text(user)
        .finish()
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What a key is computed from. Every field is preceded by its length and every list by
/// its count, so that no two sequences of fields have the same bytes.
struct Recipe(blake3::Hasher);

impl Recipe {
    fn new(kind: &str) -> Self {
        Self(blake3::Hasher::new())
            .text("rbuild step key")
            .count(RECIPE as usize)
            .text(kind)
    }

    fn count(mut self, count: usize) -> Self {
        self.0.update(&(count as u64).to_le_bytes());
        self
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        let mut recipe = self.count(bytes.len());
        recipe.0.update(bytes);
        recipe
    }

    fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    fn texts(self, texts: &[impl AsRef<str>]) -> Self {
        let recipe = self.count(texts.len());
        texts
            .iter()
            .fold(recipe, |recipe, text| recipe.text(text.as_ref()))
    }

    /// Written as a list of at most one.
    fn optional(self, text: Option<&str>) -> Self {
        self.texts(text.as_slice())
    }

    fn digests(self, sources: &[SourceDigest]) -> Self {
        sources
            .iter()
            .fold(self.count(sources.len()), |recipe, source| match source {
                SourceDigest::Content(digest) => recipe.text("content").bytes(digest),
                SourceDigest::Tree(key) => recipe.text("tree").key(key),
            })
    }

    fn access(self, access: Access) -> Self {
        self.count(access as usize)
    }

    fn key(self, key: &Key) -> Self {
        self.bytes(&key.0)
    }

    fn platform(self, platform: &Platform) -> Self {
        self.text(&platform.os)
            .text(&platform.architecture)
            .optional(platform.variant.as_deref())
    }

    fn finish(self) -> Key {
        Key(*self.0.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests;
