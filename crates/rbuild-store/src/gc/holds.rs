//! What is reachable, counted: an object that nothing holds any more is garbage.
//!
//! Pure. A layer is held by images, cache records and leases, and by each held layer on top of it.

use std::collections::BTreeMap;

use rbuild_oci::BlobDigest;

use super::survey::SurveyedLayer;
use crate::LayerId;

/// How many holders each object has; one without any is not in the map.
#[derive(Debug)]
pub struct Holds<'a> {
    parents: &'a BTreeMap<LayerId, SurveyedLayer>,
    layers: BTreeMap<LayerId, u32>,
    blobs: BTreeMap<BlobDigest, u32>,
}

impl<'a> Holds<'a> {
    /// Nothing is held yet.
    pub fn new(parents: &'a BTreeMap<LayerId, SurveyedLayer>) -> Self {
        Self {
            parents,
            layers: BTreeMap::new(),
            blobs: BTreeMap::new(),
        }
    }

    /// Adds a holder of `layer`; the first one holds what is below, too.
    pub fn hold(&mut self, layer: LayerId) {
        let mut next = Some(layer);
        while let Some(layer) = next {
            let count = self.layers.entry(layer).or_insert(0);
            *count += 1;
            next = if *count == 1 { self.below(layer) } else { None };
        }
    }

    /// Takes a holder of `layer` away; returns the layers that have none left, topmost first.
    pub fn release(&mut self, layer: LayerId) -> Vec<LayerId> {
        let mut freed = Vec::new();
        let mut next = Some(layer);
        while let Some(layer) = next.take() {
            let Some(count) = self.layers.get_mut(&layer) else {
                continue;
            };
            *count -= 1;
            if *count == 0 {
                self.layers.remove(&layer);
                freed.push(layer);
                next = self.below(layer);
            }
        }
        freed
    }

    /// Adds a holder of `blob`.
    pub fn hold_blob(&mut self, blob: BlobDigest) {
        *self.blobs.entry(blob).or_insert(0) += 1;
    }

    /// Takes a holder of `blob` away; returns whether it was the last.
    pub fn release_blob(&mut self, blob: BlobDigest) -> bool {
        let Some(count) = self.blobs.get_mut(&blob) else {
            return false;
        };
        *count -= 1;
        let last = *count == 0;
        if last {
            self.blobs.remove(&blob);
        }
        last
    }

    /// Whether anything holds `layer`.
    pub fn has(&self, layer: &LayerId) -> bool {
        self.layers.contains_key(layer)
    }

    /// Whether anything holds `blob`.
    pub fn has_blob(&self, blob: &BlobDigest) -> bool {
        self.blobs.contains_key(blob)
    }

    /// How many layers are below `layer`; damaged records that name each other end the count.
    pub fn depth(&self, layer: LayerId) -> usize {
        let below = std::iter::successors(Some(layer), |&layer| self.below(layer));
        below.take(self.parents.len() + 1).count()
    }

    fn below(&self, layer: LayerId) -> Option<LayerId> {
        self.parents.get(&layer).and_then(|layer| layer.parent)
    }
}

/// Whether `layer` and all that is below it is there.
pub fn is_whole(layer: LayerId, layers: &BTreeMap<LayerId, SurveyedLayer>) -> bool {
    let mut next = Some(layer);
    for _ in 0..=layers.len() {
        let Some(layer) = next else { return true };
        let Some(found) = layers.get(&layer) else {
            return false;
        };
        next = found.parent;
    }
    false
}
