//! What a step is looked up by: what it is, what it stands on, what it reads.
//!
//! Knows: which trees, contexts and secrets count for a step. Does not know: what is recorded.
//!
//! Invariant: all that a step can see is in one of its keys (K3).

use rbuild_plan::{Account, Key, Listing, Op, Parent, SourceDigest, Tree, step_key};
use rbuild_sys::Dir;

use super::Work;
use crate::{
    Error, Event,
    build::State,
    list::{List, Unlisted},
    selection::{Root, Selection},
    step::mounts,
};

/// What the step reads besides its tree, looked at.
pub(crate) struct Reading {
    digests: Vec<SourceDigest>,
    files: Vec<Listing>,
}

impl Work<'_> {
    /// The key by how the trees are made that are read.
    pub fn definition(&self) -> Result<Key, Error> {
        let mut digests = Vec::with_capacity(self.sources.len());
        for (index, state) in self.sources.iter().enumerate() {
            digests.push(match state {
                Some(state) => SourceDigest::Tree(state.key),
                None => SourceDigest::Content(self.content(index, None, &mut Unlisted)?),
            });
        }
        digests.extend(self.secrets()?.into_iter().map(SourceDigest::Content));
        Ok(step_key(self.step, &self.parent.key, &digests))
    }

    /// What stands for each secret that counts: without the store's own secret nobody can tell
    /// whether it is that of a content that he guesses.
    fn secrets(&self) -> Result<Vec<[u8; 32]>, Error> {
        let counted = self.step.op.counted_secrets();
        if counted.is_empty() {
            return Ok(Vec::new());
        }
        let own = self.builder.session.secret()?;
        let known = &self.builder.confidential.secrets;
        let digest = |id: &str| match known.get(id) {
            Some(content) => *blake3::keyed_hash(&own, content).as_bytes(),
            None => [0; 32],
        };
        Ok(counted.into_iter().map(digest).collect())
    }

    /// Looks at all that the step reads, also in other trees (K3, T55).
    pub fn read(&self) -> Result<Reading, Error> {
        let mut reading = Reading {
            digests: Vec::new(),
            files: Vec::new(),
        };
        for (index, state) in self.sources.iter().enumerate() {
            let mut listing = Listing::default();
            let content = self.content(index, state.as_ref(), &mut listing)?;
            reading.digests.push(SourceDigest::Content(content));
            reading.files.push(listing);
        }
        let secrets = self.secrets()?.into_iter().map(SourceDigest::Content);
        reading.digests.extend(secrets);
        Ok(reading)
    }

    /// Digest of what the step reads from its source number `index`, which is the context if it
    /// has no `state`; `list` is told of the files.
    fn content(
        &self,
        index: usize,
        state: Option<&State>,
        list: &mut dyn List,
    ) -> Result<[u8; 32], Error> {
        let tree = state.map(|state| self.trees.open(state)).transpose()?;
        let root = self.root(index, tree.as_ref());
        let staging = self.builder.staging();
        let digest = match &self.step.op {
            Op::Copy(copy) => Selection::of(copy, root, staging).and_then(|selection| {
                self.tell_fetched(&selection);
                selection.digest(root, staging, list)
            }),
            Op::Run(run) => mounts::digest((run, index), root, staging, list),
            Op::Workdir(_) => unreachable!("WORKDIR has no sources"),
        };
        digest.map_err(|error| self.failed(error))
    }

    /// Tells what was fetched for `selection`.
    pub(super) fn tell_fetched(&self, selection: &Selection<'_>) {
        for (item, group) in selection.groups.iter().enumerate() {
            if let Some(remote) = group.remote.clone() {
                let step = self.id;
                (self.builder.emit)(Event::Fetched { step, item, remote });
            }
        }
    }

    /// Where the source number `index` is; `tree` if it is one.
    pub(super) fn root<'r>(&'r self, index: usize, tree: Option<&'r Dir>) -> Root<'r> {
        let context = |source| Root::Context(self.builder.context_of(source));
        let source = self.step.op.sources().get(index).copied();
        let main = Root::Context(self.builder.context);
        tree.map_or_else(|| source.map_or(main, context), Root::Tree)
    }

    /// What the keys of the step are made of.
    pub fn account(&self, reading: Reading) -> Account {
        let base = match &self.step.parent {
            Tree::Image(image) => Some(&image.name[..]),
            Tree::Empty | Tree::Step(_) => None,
        };
        let parent = match self.is_linked() {
            true => Parent::default(),
            false => Parent::of(&self.parent.key, base),
        };
        let mut account = Account::of(self.step, parent, reading.files);
        let secrets = &reading.digests[self.sources.len()..];
        for (id, digest) in self.step.op.counted_secrets().into_iter().zip(secrets) {
            if let SourceDigest::Content(digest) = digest {
                account.secret(id, digest);
            }
        }
        account
    }

    /// The key by the content of what is read; `definition` if nothing else is read than the
    /// context, whose content that has already.
    pub fn content_key(&self, definition: Key, reading: &Reading) -> Key {
        match self.sources.iter().any(Option::is_some) {
            true => step_key(self.step, &self.parent.key, &reading.digests),
            false => definition,
        }
    }

    /// The key of a step whose changes do not depend on what it stands on (C22); `None` for all
    /// others.
    pub fn alone(&self, reading: &Reading) -> Option<Key> {
        let key = || step_key(self.step, &Key::of_any_tree(), &reading.digests);
        self.is_linked().then(key)
    }

    pub(super) fn is_linked(&self) -> bool {
        matches!(&self.step.op, Op::Copy(copy) if copy.link)
    }
}
