//! The store in a temporary directory: what is visible when, and to whom.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "this crate is all tests"
)]

mod caches;
mod damage;
mod life;
mod objects;
mod prune;

use std::io::Write;

use rbuild_oci::{BlobDigest, DiffId, Digest, FileTimes, Name, RootEntry};
use rbuild_store::{
    Draft, Durability, ImageLayer, ImageRecord, LayerId, LayerRecord, Session, Store,
};

/// A store in a directory that goes away.
struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    fn store(&self) -> Store {
        Store::open(&self.path(""), Durability::None).unwrap()
    }

    fn path(&self, below: &str) -> std::path::PathBuf {
        self.dir.path().join("store").join(below)
    }

    /// Names below `below`, sorted, `,`-separated.
    fn list(&self, below: &str) -> String {
        let mut names: Vec<String> = std::fs::read_dir(self.path(below))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names.join(",")
    }
}

fn put_blob(session: &Session, bytes: &[u8]) -> BlobDigest {
    let mut blob = session.blob().unwrap();
    blob.write_all(bytes).unwrap();
    blob.commit(None).unwrap()
}

fn put_layer(session: &Session, id: LayerId, file: &str) {
    let staged = session.new_layer().unwrap();
    staged.diff.create(file.as_bytes(), 0o644).unwrap();
    session
        .commit_layer(staged, id, &LayerRecord::default())
        .unwrap();
}

fn image(layer: LayerId, text: &str) -> ImageRecord {
    ImageRecord {
        config: format!("{{\"author\":\"{text}\"}}"),
        manifest: None,
        draft: Draft::default(),
        layers: vec![ImageLayer {
            layer,
            diff_id: DiffId(Digest::of(text.as_bytes())),
            size: 1024,
            blob: None,
            times: FileTimes::Kept,
            root: RootEntry::Unusual,
        }],
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}
