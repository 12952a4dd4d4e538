//! Does a layer still have the files that its image says?

use rbuild_layer::pack;
use rbuild_oci::{DiffId, Hasher};
use rbuild_store::{ImageLayer, Layer};

use crate::commit::pack_options;

/// Packs `layer` again and compares. A layer that came as a blob was packed by somebody else, so
/// only its blob can tell: it passes.
pub fn is_intact(known: &ImageLayer, layer: &Layer) -> bool {
    if known.blob.is_some() {
        return true;
    }
    let mut hasher = Hasher::new();
    let options = pack_options(known.times, known.root);
    let packed = pack(&[&layer.diff], &options, &mut hasher);
    packed.is_ok() && DiffId(hasher.finish()) == known.diff_id
}
