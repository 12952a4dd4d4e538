//! OCI layouts made for a test, honest ones and others.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rbuild_oci::{Digest, media_type};
use serde_json::{Value, json};

/// Files of an image with one layer, each of which a test can spoil.
pub struct Layout {
    pub dir: PathBuf,
    /// The layer's tar.
    pub layer: Vec<u8>,
    pub config: Value,
    pub manifest: Value,
    pub index: Value,
}

impl Layout {
    /// An image with the file `/f`, not written yet.
    pub fn new(dir: &Path) -> Self {
        let layer = tar_of("f", b"content");
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["A=1"]},
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer).to_string()]},
        });
        let mut layout = Self {
            dir: dir.to_owned(),
            layer,
            config,
            manifest: Value::Null,
            index: Value::Null,
        };
        layout.describe();
        layout
    }

    /// Makes manifest and index fit the configuration and the layer.
    pub fn describe(&mut self) {
        self.manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": descriptor(media_type::OCI_CONFIG, self.config.to_string().as_bytes()),
            "layers": [descriptor(media_type::OCI_LAYER, &self.layer)],
        });
        self.index_manifest();
    }

    /// Makes the index fit the manifest.
    pub fn index_manifest(&mut self) {
        let manifest = self.manifest.to_string();
        self.index = index(&[descriptor(media_type::OCI_MANIFEST, manifest.as_bytes())]);
    }

    /// Writes all of it, each blob under the digest of its bytes.
    pub fn write(&self) {
        fs::create_dir_all(self.dir.join("blobs/sha256")).unwrap();
        fs::write(
            self.dir.join("oci-layout"),
            "{\"imageLayoutVersion\":\"1.0.0\"}",
        )
        .unwrap();
        fs::write(self.dir.join("index.json"), self.index.to_string()).unwrap();
        self.write_blob(&self.layer);
        for document in [&self.config, &self.manifest] {
            self.write_blob(document.to_string().as_bytes());
        }
    }

    pub fn write_blob(&self, bytes: &[u8]) {
        fs::write(self.blob(bytes), bytes).unwrap();
    }

    /// Where the blob with these bytes is.
    pub fn blob(&self, bytes: &[u8]) -> PathBuf {
        self.dir.join("blobs/sha256").join(Digest::of(bytes).hex())
    }
}

pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({
        "mediaType": media_type,
        "digest": Digest::of(bytes).to_string(),
        "size": bytes.len(),
    })
}

pub fn index(manifests: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests})
}

/// An archive of one file, of the caller's.
pub fn tar_of(path: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    let (uid, gid) = rbuild_sys::effective_ids();
    header.set_uid(uid.into());
    header.set_gid(gid.into());
    // Names that `Header::set_path` refuses are what some tests are about.
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
    archive.append(&header, content).unwrap();
    archive.into_inner().unwrap()
}
