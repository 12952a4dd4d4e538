//! What is ready to leave the store: an image, or an index with the images that it lists.
//!
//! Knows: which documents and blobs belong to it. Does not know: how a place arranges them.

use std::slice;

use rbuild_oci::Descriptor;

use crate::{Exported, ExportedIndex};

/// One thing that a tag can lead to.
#[derive(Clone, Copy, Debug)]
pub enum Outgoing<'a> {
    /// An image.
    Image(&'a Exported),
    /// An index, with all its images.
    Index(&'a ExportedIndex),
}

impl<'a> From<&'a Exported> for Outgoing<'a> {
    fn from(image: &'a Exported) -> Self {
        Self::Image(image)
    }
}

impl<'a> From<&'a ExportedIndex> for Outgoing<'a> {
    fn from(index: &'a ExportedIndex) -> Self {
        Self::Index(index)
    }
}

impl<'a> Outgoing<'a> {
    /// Of the manifest or the index.
    pub fn descriptor(self) -> &'a Descriptor {
        match self {
            Self::Image(image) => &image.descriptor,
            Self::Index(index) => &index.descriptor,
        }
    }

    /// The manifest or the index.
    pub(crate) fn text(self) -> &'a str {
        match self {
            Self::Image(image) => &image.manifest,
            Self::Index(index) => &index.text,
        }
    }

    /// The image, or those of the index, each once.
    pub(crate) fn images(self) -> &'a [Exported] {
        match self {
            Self::Image(image) => slice::from_ref(image),
            Self::Index(index) => &index.images,
        }
    }

    /// The layers of all images.
    pub(crate) fn layers(self) -> impl Iterator<Item = &'a Descriptor> {
        self.images().iter().flat_map(|image| &image.layers)
    }

    /// Everything else that belongs to it; what names others comes after these.
    pub(crate) fn documents(self) -> impl Iterator<Item = (&'a Descriptor, &'a str)> {
        let of_image = |image: &'a Exported| {
            [
                (&image.config_descriptor, &image.config[..]),
                (&image.descriptor, &image.manifest[..]),
            ]
        };
        let index = match self {
            Self::Image(_) => None,
            Self::Index(index) => Some((&index.descriptor, &index.text[..])),
        };
        self.images().iter().flat_map(of_image).chain(index)
    }
}
