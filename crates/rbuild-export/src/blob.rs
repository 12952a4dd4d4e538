//! A layer's bytes on their way out: its tar, and the compressed blob of it.
//!
//! A layer is compressed when it first leaves in some way; its blob stays in the store, so the
//! second time costs nothing. Invariant: what leaves has the diff id that the configuration
//! promises, or nothing leaves (store.md, fault 24).

use std::io::{self, Write};

use rbuild_layer::{Decoder, Encoder, EncoderOptions, pack};
use rbuild_oci::{
    Descriptor, DiffId, Format, Hasher,
    media_type::{Compression, layer_compression},
};
use rbuild_store::ImageLayer;

use crate::{
    Error, Place,
    commit::{pack_options, remember},
};

/// How layers are compressed on their way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compress {
    /// The format.
    pub compression: Compression,
    /// In the format's own scale; `None`: the usual one.
    pub level: Option<u32>,
    /// Which of them.
    pub layers: Affected,
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
        }
    }
}

/// The blob of `layer` as `wish` says; it is in the store.
pub(crate) fn blob(
    place: Place<'_>,
    layer: &ImageLayer,
    wish: Compress,
) -> Result<Descriptor, Error> {
    let Compress {
        compression, level, ..
    } = wish;
    if let Some(blob) = &layer.blob
        && let Some(found) = layer_compression(&blob.media_type)
        && match wish.layers {
            Affected::New => found != Compression::None,
            Affected::All => found == compression && level.is_none(),
        }
        && place.store.open_blob(&blob.digest)?.is_some()
    {
        return Ok(blob.clone());
    }
    let diff_id = layer.diff_id;
    let (kind, what) = match (compression, level) {
        (Compression::Gzip, None) => ("gzip", diff_id.to_string()),
        (compression, level) => ("compressed", format!("{diff_id} {compression:?} {level:?}")),
    };
    let make = || compress(place, layer, (compression, level));
    let known: Descriptor = remember(place.store, place.session, (kind, what.as_bytes()), make)?;
    match place.store.open_blob(&known.digest)? {
        Some(_) => Ok(known),
        None => compress(place, layer, (compression, level)),
    }
}

/// Compresses a layer into a new blob.
fn compress(
    place: Place<'_>,
    layer: &ImageLayer,
    (compression, level): (Compression, Option<u32>),
) -> Result<Descriptor, Error> {
    let failed = || Error::file("compress", "a layer");
    let mut blob = place.session.blob()?;
    let options = EncoderOptions {
        level,
        ..EncoderOptions::new(compression)
    };
    let mut encoder = Encoder::new(&mut blob, &options).map_err(failed())?;
    write_tar(place, layer, &mut encoder)?;
    encoder.finish().map_err(failed())?;
    let size = blob.size();
    let digest = blob.commit(None)?;
    let media_type = Format::Oci
        .layer(compression)
        .expect("OCI's format knows every compression");
    Ok(Descriptor::new(media_type, digest, size))
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
            let mut tar = Decoder::new(file, compression, u64::MAX).map_err(failed())?;
            io::copy(&mut tar, &mut both).map_err(failed())?;
        }
        None => {
            let tree = place
                .store
                .layer(&layer.layer)?
                .ok_or(Error::LayerMissing(layer.layer))?;
            let options = pack_options(layer.times);
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
