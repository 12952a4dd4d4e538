//! One walk over several trees, merged as overlayfs merges them.
//!
//! Parents come before what is in them, siblings in the order of their names' bytes.
//!
//! Invariant: the number of open descriptors does not depend on the depth of the trees, and
//! nothing recurses on the stack.

use std::cmp::Reverse;

use rbuild_sys::{Descent, Dir, Result, Stat};

use crate::{attribute, pack::Form};

/// Descriptors for all trees together, besides one for each tree.
const DESCRIPTORS: usize = 128;

/// The walk.
pub(crate) struct Merge {
    /// One for each tree, bottom first.
    descents: Vec<Descent>,
    form: Form,
    levels: Vec<Level>,
    /// Path of the node that was returned last.
    path: Vec<u8>,
    /// The trees that have the directory which was returned last.
    enter: Option<Vec<usize>>,
}

/// A directory that the walk is in.
struct Level {
    /// The trees that have it, top first.
    trees: Vec<usize>,
    /// What is in it, in reverse order; of one name the topmost tree's last.
    left: Vec<(Vec<u8>, Reverse<usize>)>,
    /// Length of its path.
    path: usize,
}

/// One name in the merged tree.
pub(crate) struct Node {
    /// Index of the tree that shows it.
    pub tree: usize,
    pub name: Vec<u8>,
    pub stat: Stat,
    /// A deletion of what is below all of the trees.
    pub whiteout: bool,
    /// A directory that hides what is below all of the trees.
    pub opaque: bool,
}

impl Merge {
    /// Starts in the roots of `trees`, bottom first. Returns whether the root is opaque, too.
    pub(crate) fn new(trees: &[&Dir], form: Form) -> Result<(Self, bool)> {
        let limit = DESCRIPTORS / trees.len().max(1);
        let roots = trees.iter().map(|dir| dir.try_clone());
        let roots = roots.collect::<Result<Vec<Dir>>>()?;
        let mut shown = Vec::new();
        let mut opaque = false;
        for (tree, root) in roots.iter().enumerate().rev() {
            shown.push(tree);
            if form == Form::Overlay && attribute::is_opaque(root, b"")? {
                opaque = true;
                break;
            }
        }
        let mut merge = Self {
            descents: roots
                .into_iter()
                .map(|root| Descent::new(root, limit))
                .collect(),
            form,
            levels: Vec::new(),
            path: Vec::new(),
            enter: None,
        };
        merge.push_level(shown)?;
        Ok((merge, opaque))
    }

    /// The next node; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Node>> {
        if let Some(trees) = self.enter.take() {
            let name_at = self.levels.last().map_or(0, |level| level.path);
            let name = self.path[name_at..].to_vec();
            for &tree in &trees {
                self.descents[tree].enter(&name)?;
            }
            self.path.push(b'/');
            self.push_level(trees)?;
        }
        while let Some(level) = self.levels.last_mut() {
            self.path.truncate(level.path);
            if let Some((name, Reverse(top))) = level.left.pop() {
                let mut trees = vec![top];
                while let Some((_, Reverse(tree))) = level.left.pop_if(|(other, _)| *other == name)
                {
                    trees.push(tree);
                }
                self.path.extend_from_slice(&name);
                return self.node(name, trees).map(Some);
            }
            let trees = std::mem::take(&mut level.trees);
            self.levels.pop();
            if !self.levels.is_empty() {
                for tree in trees {
                    self.descents[tree].leave()?;
                }
            }
        }
        Ok(None)
    }

    /// The directory of `tree` that the last node is in.
    pub(crate) fn dir(&self, tree: usize) -> &Dir {
        self.descents[tree].dir()
    }

    /// Path of the last node below the root.
    pub(crate) fn path(&self) -> &[u8] {
        &self.path
    }

    /// What `name` is when `trees` (top first) have it.
    fn node(&mut self, name: Vec<u8>, trees: Vec<usize>) -> Result<Node> {
        let tree = trees[0];
        let stat = self.dir(tree).stat(&name)?;
        let overlay = self.form == Form::Overlay;
        let mut node = Node {
            tree,
            stat,
            whiteout: overlay && stat.is_whiteout(),
            opaque: false,
            name,
        };
        if stat.is_dir() {
            let mut shown = Vec::with_capacity(trees.len());
            for tree in trees {
                if !self.dir(tree).stat(&node.name)?.is_dir() {
                    node.opaque = overlay;
                    break;
                }
                shown.push(tree);
                if overlay && attribute::is_opaque(self.dir(tree), &node.name)? {
                    node.opaque = true;
                    break;
                }
            }
            self.enter = Some(shown);
        }
        Ok(node)
    }

    fn push_level(&mut self, trees: Vec<usize>) -> Result<()> {
        let mut left = Vec::new();
        for &tree in &trees {
            let entries = self.dir(tree).entries()?;
            left.extend(entries.into_iter().map(|entry| (entry.name, Reverse(tree))));
        }
        left.sort_unstable_by(|a, b| b.cmp(a));
        self.levels.push(Level {
            trees,
            left,
            path: self.path.len(),
        });
        Ok(())
    }
}
