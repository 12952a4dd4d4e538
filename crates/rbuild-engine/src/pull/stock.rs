//! What the store's blobs can give to others: the frames of zstd:chunked layers.
//!
//! Knows: where in which blob a content is, as the blobs' own tables say.
//! Does not know: who needs it.
//!
//! Invariant: a place is a guess. Who takes bytes from one verifies the digest of what they are put
//! into.

use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    os::unix::fs::FileExt,
    sync::OnceLock,
};

use rbuild_layer::{Frame, Section, TableOfContents};
use rbuild_oci::{Descriptor, Digest};
use rbuild_store::Session;

/// Bytes of a blob that follow its frames, at most: those of a longer table are not used.
pub const TAIL_LIMIT: u64 = 32 << 20;
/// Frames that are known at the same time.
const FRAMES_LIMIT: usize = 300_000;

/// The frames in the store; looked for when somebody asks for the first time.
pub struct Stock<'a> {
    session: &'a Session,
    found: OnceLock<Found>,
}

#[derive(Default)]
struct Found {
    blobs: Vec<File>,
    /// By content and compressed size.
    places: HashMap<(Digest, u64), Place>,
}

/// Where the bytes of a frame are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which of the stock's.
    pub(super) blob: usize,
    pub(super) offset: u64,
}

impl Place {
    /// Whether `next` is in the same blob, `size` bytes behind.
    pub fn leads_to(&self, next: &Self, size: u64) -> bool {
        self.blob == next.blob && self.offset + size == next.offset
    }
}

impl<'a> Stock<'a> {
    /// The frames in the store of `session`.
    pub fn new(session: &'a Session) -> Self {
        Self {
            session,
            found: OnceLock::new(),
        }
    }

    /// Whether there is nothing that another blob could need.
    pub fn is_empty(&self) -> bool {
        self.found().places.is_empty()
    }

    /// Where the bytes of `frame` probably are.
    pub fn place(&self, frame: &Frame) -> Option<Place> {
        let size = frame.range.end - frame.range.start;
        self.found().places.get(&(frame.content, size)).copied()
    }

    /// The `size` bytes at `place`.
    pub fn section(&self, place: Place, size: u64) -> Section<'_> {
        Section::new(&self.found().blobs[place.blob], place.offset, size)
    }

    fn found(&self) -> &Found {
        self.found.get_or_init(|| self.look())
    }

    /// What cannot be read is no stock: everything can be fetched too.
    fn look(&self) -> Found {
        let mut found = Found::default();
        let mut seen = BTreeSet::new();
        let images = self.session.store().images().unwrap_or_default();
        let layers = images.iter().flat_map(|(_, image)| &image.layers);
        for blob in layers.filter_map(|layer| layer.blob.as_ref()) {
            if let Some(table) = TableOfContents::announced(&blob.annotations)
                && seen.insert(blob.digest)
                && found.places.len() < FRAMES_LIMIT
                && let Ok(Some(file)) = self.session.open_blob(&blob.digest)
                && let Some(frames) = frames(&table, blob, &file)
            {
                found.add(file, frames);
            }
        }
        found
    }
}

impl Found {
    fn add(&mut self, blob: File, frames: Vec<Frame>) {
        let index = self.blobs.len();
        self.blobs.push(blob);
        for Frame { content, range } in frames {
            let place = Place {
                blob: index,
                offset: range.start,
            };
            self.places
                .insert((content, range.end - range.start), place);
        }
    }
}

fn frames(table: &TableOfContents, blob: &Descriptor, file: &File) -> Option<Vec<Frame>> {
    let size = blob.size.checked_sub(table.tail())?;
    let size = usize::try_from(size.min(TAIL_LIMIT)).ok()?;
    let mut tail = vec![0; size];
    file.read_exact_at(&mut tail, table.tail()).ok()?;
    table.frames(&tail)
}
