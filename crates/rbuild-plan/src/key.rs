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

use crate::graph::{Copy, Op, Run, Source, Step, Workdir};

/// Version of the recipe below; part of every key.
const RECIPE: u32 = 1;

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
/// `source` belongs to `COPY` alone and may be either of two things that name what is
/// copied: a digest of the selected files' content (names, modes, owners, bytes; never
/// times), or the [`Key`] of the tree that they come from, which is known before that tree
/// exists. Keys of the two kinds never meet.
pub fn step_key(step: &Step, parent: &Key, source: Option<&SourceDigest>) -> Key {
    debug_assert_eq!(
        matches!(step.op, Op::Copy(_)),
        source.is_some(),
        "a source belongs to COPY, and COPY has one"
    );
    match &step.op {
        Op::Run(run) => run_key(run, parent),
        Op::Copy(copy) => copy_key(copy, parent, source),
        Op::Workdir(workdir) => workdir_key(workdir, parent),
    }
}

/// What names the files that `COPY` selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceDigest {
    /// Their content.
    Content([u8; 32]),
    /// The tree that they are in; what is selected follows from the patterns.
    Tree(Key),
}

fn run_key(run: &Run, parent: &Key) -> Key {
    let Run {
        argv,
        env,
        proxy_env: _, // where bytes come from must not change what they are (A7)
        cwd,
        user,
    } = run;
    let mut recipe = Recipe::new("run").key(parent).texts(argv).count(env.len());
    for (name, value) in env {
        recipe = recipe.text(name).text(value);
    }
    recipe.text(cwd.as_str()).text(user).finish()
}

/// Where a selected file lies does not matter, only its name: of the patterns, the last
/// components count, unless the content is not known yet.
fn copy_key(copy: &Copy, parent: &Key, digest: Option<&SourceDigest>) -> Key {
    let Copy {
        source,
        patterns,
        destination,
        destination_is_dir,
        chown,
        chmod,
    } = copy;
    let recipe = Recipe::new("copy")
        .key(parent)
        .text(destination.as_str())
        .count(usize::from(*destination_is_dir))
        .optional(chown.as_deref())
        .optional(chmod.map(|mode| mode.to_string()).as_deref())
        // Owners are kept from a tree and dropped from the context (C11).
        .count(usize::from(*source == Source::Context));
    let recipe = match digest {
        None => recipe.text("nothing"),
        Some(SourceDigest::Content(digest)) => {
            let names: Vec<&str> = patterns.iter().map(|it| base_name(it)).collect();
            recipe.text("content").texts(&names).bytes(digest)
        }
        Some(SourceDigest::Tree(key)) => recipe.text("tree").texts(patterns).key(key),
    };
    recipe.finish()
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
