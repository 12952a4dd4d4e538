//! What a step makes: prepare a tree → run or copy → freeze.
//!
//! Knows: the order of things. Does not know: how any of them is done, nor under what the result is
//! looked up.
//!
//! Invariant: the tree is unmounted before what was changed in it is frozen.

use rbuild_plan::{Copy, Key, Op, Run};
use rbuild_snapshot::{has_changes, prepare, readable, writable};
use rbuild_store::{LayerId, LayerRecord, Session, StagedLayer};
use rbuild_sys::{Dir, Upper};

use super::{Work, now};
use crate::{
    Error, Event,
    build::{Bottoms, Builder, State},
    remains::{Failure, Remains},
    selection::Selection,
    step::{
        StepError,
        copy::{Destination, Mounted, copy},
        place,
        run::{chown, run},
        workdir::workdir,
    },
};

impl Work<'_> {
    /// Executes the step on a tree of its own and freezes what it changed.
    pub(super) fn make(&self, key: Key) -> Result<State, Box<Failure>> {
        let session = self.builder.session;
        let layers = self.trees.layers(&self.parent.layers)?;
        let below = layers.top_first();
        // A linked copy looks at nothing below, not even at the root's mode (C22).
        let like = below.first().copied().filter(|_| !self.is_linked());
        let staged = session.new_layer().map_err(Error::Store)?;
        prepare(&staged.diff, like).map_err(Error::Snapshot)?;
        match self.apply(&below, &staged) {
            Ok(()) => Ok(self.freeze(key, staged, like)?),
            Err(error) => Err(Box::new(Failure {
                error,
                remains: match &self.step.op {
                    Op::Run(_) => Some(Remains::new(self, staged)),
                    Op::Copy(_) | Op::Workdir(_) => None,
                },
            })),
        }
    }

    /// Makes what the step changed, if it did, a layer.
    fn freeze(&self, key: Key, staged: StagedLayer, like: Option<&Dir>) -> Result<State, Error> {
        let mut state = self.expected_state(key);
        if has_changes(&staged.diff, like)? {
            let below = self.trees.deferred.settled(&self.parent.layers);
            let parent = below.last().copied().filter(|_| !self.is_linked());
            let added = commit(self.builder.session, staged, parent)?;
            (self.builder.emit)(Event::Frozen {
                step: self.id,
                layer: added.0,
            });
            state.layers.push(added.0);
            state.added = Some(added);
        }
        Ok(state)
    }

    /// Does to the tree what the step says; it is unmounted when this returns.
    fn apply(&self, below: &[&Dir], staged: &StagedLayer) -> Result<(), Error> {
        let Bottoms { empty, skeleton } = self.builder.bottoms;
        let upper = Upper {
            changes: &staged.diff,
            work: &staged.work,
        };
        let done = match &self.step.op {
            Op::Run(command) => {
                return self.run(writable(below, skeleton, upper)?, staged, command);
            }
            Op::Copy(command) => {
                let tree = readable(below, empty)?;
                let tree = place::Tree {
                    // A linked copy does not look at what is below (C22).
                    below: if command.link { empty } else { &tree },
                    changes: &staged.diff,
                };
                return self.copy((tree, below), command);
            }
            Op::Workdir(command) => workdir(&writable(below, empty, upper)?, command),
        };
        done.map_err(|error| self.failed(error))
    }

    /// Runs `command` in `tree`, the changes of which are in `staged`.
    fn run(&self, tree: Dir, staged: &StagedLayer, command: &Run) -> Result<(), Error> {
        let mut output = |stream, line: &[u8]| {
            let line = line.to_vec();
            (self.builder.emit)(Event::Output {
                step: self.id,
                stream,
                line,
            });
        };
        let ran = run(self, &tree, command, &mut output);
        drop(tree);
        let ran = ran.map_err(|error| self.failed(error))?;
        let erased = ran.traces.erase(&staged.diff).map_err(Error::Traces);
        ran.outcome.map_err(|error| self.failed(error))?;
        erased
    }

    fn copy(
        &self,
        (tree, layers): (place::Tree<'_>, &[&Dir]),
        command: &Copy,
    ) -> Result<(), Error> {
        let Builder {
            session, bottoms, ..
        } = self.builder;
        let source = self.sources.first().and_then(Option::as_ref);
        let other = source.map(|state| self.trees.open(state)).transpose()?;
        let root = self.root(0, other.as_ref());
        let mount = || {
            let work = session.new_layer()?;
            let upper = Upper {
                changes: tree.changes,
                work: &work.work,
            };
            let layers = if command.link { &[] } else { layers };
            let tree = writable(layers, &bottoms.empty, upper).map_err(StepError::Mount)?;
            Ok(Mounted { tree, _work: work })
        };
        let copied = || {
            let owner = command.chown.as_deref();
            let owner = owner.map(|owner| match chown(tree.below, owner) {
                Err(StepError::User { user, .. }) if command.link => {
                    Err(StepError::LinkedUser { user })
                }
                found => found,
            });
            let owner = owner.transpose()?;
            let selection = Selection::of(command, root, self.builder.staging())?;
            self.tell_fetched(&selection);
            if other.is_some() && command.exclude.is_empty() {
                self.tell_unmatched(&selection);
            }
            copy(
                Destination {
                    tree,
                    mount: &mount,
                },
                command,
                &selection,
                owner,
            )
        };
        copied().map_err(|error| self.failed(error))
    }

    /// Tells which wildcards matched nothing: without `--exclude`, nothing else selects nothing.
    fn tell_unmatched(&self, selection: &Selection<'_>) {
        for (item, group) in selection.groups.iter().enumerate() {
            if group.sources.is_empty() {
                let step = self.id;
                (self.builder.emit)(Event::Unmatched { step, item });
            }
        }
    }
}

/// Freezes `staged` as a layer on `parent`; says which it is and when that was.
pub(crate) fn commit(
    session: &Session,
    staged: StagedLayer,
    parent: Option<LayerId>,
) -> Result<(LayerId, i64), Error> {
    let id = LayerId::random().map_err(Error::Random)?;
    let record = LayerRecord {
        parent,
        ..LayerRecord::default()
    };
    session.commit_layer(staged, id, &record)?;
    Ok((id, now()))
}
