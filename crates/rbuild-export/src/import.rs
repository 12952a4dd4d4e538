//! From a root file system to an image with one layer.

use std::io::{BufRead, BufReader, Read};

use rbuild_layer::{Decoder, Form, PackOptions, UnpackOptions, Whiteouts, pack, sniff, unpack};
use rbuild_oci::{FileTimes, HistoryEntry, ImageConfig, ImageId, Name};
use rbuild_store::{Draft, ImageRecord, LayerId, LayerRecord, Session, Store};
use rbuild_sys::Dir;

use crate::{Error, commit::packed, rfc3339};

/// What an image is imported from.
pub struct Import<'a> {
    /// The files.
    pub root: Root<'a>,
    /// Its configuration; `rootfs`, `history` and `created` are filled in.
    pub config: ImageConfig,
    /// For the history: where the files came from.
    pub comment: String,
    /// The time, seconds since 1970.
    pub now: i64,
    /// What it shall be called.
    pub name: &'a Name,
}

/// A root file system.
pub enum Root<'a> {
    /// A tar: plain, gzip or zstd.
    Archive(&'a mut dyn Read),
    /// A directory.
    Directory(&'a Dir),
    /// Frozen layers, bottom first, to be merged into one.
    Stack(&'a [&'a Dir]),
}

/// Imports it and names it; returns the image's id.
///
/// # Errors
/// [`Error::Unpack`] for an archive that is damaged or escapes; [`Error::Store`].
pub fn import(store: &Store, session: &Session, request: Import<'_>) -> Result<ImageId, Error> {
    let Import {
        root,
        mut config,
        comment,
        now,
        name,
    } = request;
    let layer = freeze(session, root)?;
    let packed = packed(store, session, layer, FileTimes::Kept)?;
    config.created = Some(rfc3339(now));
    config.rootfs.diff_ids = vec![packed.diff_id];
    config.history = vec![HistoryEntry {
        created: config.created.clone(),
        created_by: Some("rbuild import".to_owned()),
        comment: Some(comment),
        ..HistoryEntry::default()
    }];
    let config = serde_json::to_string(&config).expect("a configuration has string keys");
    let layers = vec![packed.layer(layer, FileTimes::Kept)];
    let id = session.put_image(&ImageRecord {
        config,
        manifest: None,
        draft: Draft::default(),
        layers,
    })?;
    session.set_name(name, &id)?;
    Ok(id)
}

/// Makes a new frozen layer of `root`; returns its id.
pub(crate) fn freeze(session: &Session, root: Root<'_>) -> Result<LayerId, Error> {
    let staged = session.new_layer()?;
    match root {
        Root::Archive(archive) => unpack_archive(archive, &staged.diff)?,
        Root::Directory(dir) => through_tar(&[dir], &PackOptions::new(Form::Plain), &staged.diff)?,
        Root::Stack(trees) => through_tar(trees, &PackOptions::new(Form::Overlay), &staged.diff)?,
    }
    let id = LayerId::random().map_err(Error::file("read", "/dev/urandom"))?;
    session.commit_layer(staged, id, &LayerRecord::default())?;
    Ok(id)
}

/// Unpacks `archive`, which may be compressed, into `to`.
pub(crate) fn unpack_archive(archive: &mut dyn Read, to: &Dir) -> Result<(), Error> {
    let failed = || Error::file("read", "the archive");
    let mut archive = BufReader::with_capacity(1 << 20, archive);
    let compression = sniff(archive.fill_buf().map_err(failed())?);
    // The user's own file: as large as they like.
    let mut tar = Decoder::new(archive, compression, u64::MAX).map_err(failed())?;
    extract(&mut tar, to, Whiteouts::Literal)
}

/// Packs `trees` on one thread and unpacks them into `to` on this one.
pub(crate) fn through_tar(trees: &[&Dir], options: &PackOptions, to: &Dir) -> Result<(), Error> {
    let (mut reader, mut writer) = std::io::pipe().map_err(Error::file("create", "a pipe"))?;
    let whiteouts = match options.form {
        Form::Plain => Whiteouts::Literal,
        Form::Overlay => Whiteouts::Overlay,
    };
    std::thread::scope(|scope| {
        let packing = scope.spawn(move || {
            let mut out = std::io::BufWriter::with_capacity(1 << 20, &mut writer);
            pack(trees, options, &mut out)
        });
        let unpacked = extract(&mut reader, to, whiteouts);
        drop(reader);
        // When unpacking failed, packing fails too, by a broken pipe: the first is the reason.
        let packed = packing
            .join()
            .expect("pack() does not panic")
            .map_err(Error::Pack);
        unpacked.and(packed.map(drop))
    })
}

fn extract(tar: &mut dyn Read, to: &Dir, whiteouts: Whiteouts) -> Result<(), Error> {
    unpack(tar, to, &UnpackOptions::new(whiteouts))
        .map(drop)
        .map_err(unpacking)
}

fn unpacking(source: rbuild_layer::Error) -> Error {
    Error::Unpack {
        path: "the root file system".into(),
        source,
    }
}
