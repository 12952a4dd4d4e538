//! A layer's bytes on their way out: its tar, and the compressed blob of it.
//!
//! A layer is compressed when it first leaves in some way; its blob stays in the store, so the
//! second time costs nothing. Invariant: what leaves has the diff id that the configuration
//! promises, or nothing leaves (store.md, fault 24).

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write},
};

use rbuild_layer::{Decoder, Encoder, EncoderOptions, TableOfContents, pack, write_chunked};
use rbuild_oci::{
    Descriptor, DiffId, Format, Hasher,
    media_type::{Compression, layer_compression},
};
use rbuild_store::ImageLayer;

use crate::{
    Error, Place,
    commit::{pack_options, remember},
};

/// How much of a tar is handed over at once, in bytes.
const PIPE_BUFFER: usize = 1 << 20;

/// How layers are compressed on their way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compress {
    /// The format.
    pub compression: Compression,
    /// In the format's own scale; `None`: the usual one.
    pub level: Option<u32>,
    /// Which of them.
    pub layers: Affected,
    /// For zstd: how a layer is cut.
    pub frames: Frames,
}

/// How the frames of a layer in zstd are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frames {
    /// As they come.
    Any,
    /// One for each file, with a table of contents: zstd:chunked.
    PerFile,
}

/// Which layers are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affected {
    /// Those that are not compressed yet.
    New,
    /// Those too that are, in another format or to a level that nobody knows.
    All,
}

impl Default for Compress {
    /// Layers leave as they came; new ones with gzip.
    fn default() -> Self {
        Self {
            compression: Compression::Gzip,
            level: None,
            layers: Affected::New,
            frames: Frames::Any,
        }
    }
}

/// Tells whether nobody waits any more for what is being made.
pub type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// The blob of `layer` as `wish` says; it is in the store.
///
/// # Errors
/// [`Error::LayerMissing`], [`Error::LayerChanged`]; [`Error::File`] after a `stop`.
pub(crate) fn blob(
    place: Place<'_>,
    layer: &ImageLayer,
    wish: Compress,
    stop: Stop<'_>,
) -> Result<Descriptor, Error> {
    let Compress {
        compression, level, ..
    } = wish;
    if let Some(blob) = &layer.blob
        && let Some(found) = layer_compression(&blob.media_type)
        && match wish.layers {
            Affected::New => found != Compression::None,
            Affected::All => found == compression && level.is_none() && is_cut(blob, wish.frames),
        }
        && place.session.open_blob(&blob.digest)?.is_some()
    {
        return Ok(blob.clone());
    }
    let diff_id = layer.diff_id;
    let (kind, what) = match (compression, level, wish.frames) {
        (Compression::Gzip, None, _) => ("gzip", diff_id.to_string()),
        (_, _, Frames::Any) => ("compressed", format!("{diff_id} {compression:?} {level:?}")),
        (_, _, Frames::PerFile) => ("chunked", format!("{diff_id} {level:?}")),
    };
    let make = || compress(place, layer, wish, stop);
    let known: Descriptor = remember(place.store, place.session, (kind, what.as_bytes()), make)?;
    match place.session.open_blob(&known.digest)? {
        Some(_) => Ok(known),
        None => compress(place, layer, wish, stop),
    }
}

/// Whether a blob in the right compression has the wanted frames.
fn is_cut(blob: &Descriptor, frames: Frames) -> bool {
    frames == Frames::Any || TableOfContents::announced(&blob.annotations).is_some()
}

/// Compresses a layer into a new blob.
fn compress(
    place: Place<'_>,
    layer: &ImageLayer,
    wish: Compress,
    stop: Stop<'_>,
) -> Result<Descriptor, Error> {
    let mut file = place.session.blob()?;
    let out = &mut file;
    let mut blob = Stoppable { out, stop };
    let annotations = match (wish.compression, wish.frames) {
        (Compression::Zstd, Frames::PerFile) => chunk(place, layer, (&mut blob, wish.level))?,
        _ => {
            let failed = || Error::file("compress", "a layer");
            let options = EncoderOptions {
                level: wish.level,
                ..EncoderOptions::new(wish.compression)
            };
            let mut encoder = Encoder::new(&mut blob, &options).map_err(failed())?;
            write_tar(place, layer, &mut encoder)?;
            encoder.finish().map_err(failed())?;
            BTreeMap::new()
        }
    };
    let size = file.size();
    let digest = file.commit(None)?;
    let media_type = Format::Oci
        .layer(wish.compression)
        .expect("OCI's format knows every compression");
    Ok(Descriptor {
        annotations,
        ..Descriptor::new(media_type, digest, size)
    })
}

/// Writes a layer as zstd:chunked; returns what its descriptor is to say.
fn chunk(
    place: Place<'_>,
    layer: &ImageLayer,
    (out, level): (&mut dyn Write, Option<u32>),
) -> Result<BTreeMap<String, String>, Error> {
    let (mut reader, writer) = io::pipe().map_err(Error::file("create", "a pipe"))?;
    let (chunked, written) = std::thread::scope(|scope| {
        let writing = scope.spawn(move || {
            let mut writer = BufWriter::with_capacity(PIPE_BUFFER, writer);
            write_tar(place, layer, &mut writer)?;
            writer.flush().map_err(Error::file("write", "a layer"))
        });
        let chunked = write_chunked(&mut reader, out, level);
        drop(reader);
        (chunked, writing.join().expect("write_tar() does not panic"))
    });
    match (chunked, written) {
        (Ok(chunks), Ok(())) => Ok(chunks.map(|it| it.annotations()).unwrap_or_default()),
        // The tar ended too early: why it did is what matters.
        (Ok(_) | Err(rbuild_layer::Error::Damaged { .. }), Err(error)) => Err(error),
        (Err(error), _) => Err(Error::Chunk(error)),
    }
}

/// Writes the tar of `layer`, of [`ImageLayer::size`] bytes: the one it came with, byte for byte,
/// else its tree packed again.
///
/// # Errors
/// [`Error::LayerMissing`]; [`Error::LayerChanged`] after everything was written.
pub(crate) fn write_tar(
    place: Place<'_>,
    layer: &ImageLayer,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut hasher = Hasher::new();
    let mut both = Tee {
        first: &mut hasher,
        second: out,
    };
    let came = match &layer.blob {
        Some(blob) => place.store.open_blob(&blob.digest)?.zip(Some(blob)),
        None => None,
    };
    match came {
        Some((file, blob)) => {
            let failed = || Error::file("read", blob.digest.to_string());
            let compression = layer_compression(&blob.media_type).unwrap_or(Compression::None);
            // It was unpacked before: that it is not too large is known.
            let mut tar = Decoder::of_layer(file, compression, u64::MAX).map_err(failed())?;
            io::copy(&mut tar, &mut both).map_err(failed())?;
        }
        None => {
            let tree = place
                .store
                .layer(&layer.layer)?
                .ok_or(Error::LayerMissing(layer.layer))?;
            let options = pack_options(layer.times, layer.root);
            pack(&[&tree.diff], &options, &mut both).map_err(Error::Pack)?;
        }
    }
    let found = DiffId(hasher.finish());
    if found == layer.diff_id {
        return Ok(());
    }
    Err(Error::LayerChanged {
        expected: layer.diff_id,
        found,
    })
}

/// Writes until it is told to stop.
struct Stoppable<'a, W> {
    out: &'a mut W,
    stop: Stop<'a>,
}

impl<W: Write> Write for Stoppable<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match (self.stop)() {
            true => Err(given_up()),
            false => self.out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Why something ends that was told to stop.
pub(crate) fn given_up() -> io::Error {
    io::Error::other("nobody waits for it any more")
}

/// Writes to two places.
struct Tee<'a> {
    first: &'a mut dyn Write,
    second: &'a mut dyn Write,
}

impl Write for Tee<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.first.write_all(bytes)?;
        self.second.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.first.flush()?;
        self.second.flush()
    }
}
