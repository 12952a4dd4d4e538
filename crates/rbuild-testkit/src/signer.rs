//! Who signs images as `cosign` does: a key in a directory, and openssl.
//!
//! cosign's specs/SIGNATURE_SPEC.md. Knows where a signature is kept; not who believes it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{Error, Output, fault_registry::FaultRegistry};

/// A key pair, `NAME.key` and `NAME.pub` in a directory.
#[derive(Debug)]
pub struct Signer {
    dir: PathBuf,
    name: &'static str,
}

impl Signer {
    /// Makes a key for ECDSA on P-256.
    ///
    /// # Errors
    /// [`Error`] if openssl does not.
    pub fn new(dir: &Path, name: &'static str) -> Result<Self, Error> {
        let curve = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
        openssl(dir, &format!("genpkey {curve} -out {name}.key"))?;
        openssl(dir, &format!("pkey -in {name}.key -pubout -out {name}.pub"))?;
        let dir = dir.to_owned();
        Ok(Self { dir, name })
    }

    /// The file of the public key.
    pub fn public_key(&self) -> PathBuf {
        self.dir.join(format!("{}.pub", self.name))
    }

    /// Gives `repository` a signature of the manifest `text`, which says that it is for `claimed`.
    ///
    /// # Errors
    /// [`Error`] if openssl does not make it.
    pub fn sign(
        &self,
        (registry, repository): (&FaultRegistry, &str),
        text: &str,
        claimed: &str,
    ) -> Result<(), Error> {
        let digest = registry.digest(text.as_bytes());
        let payload = json!({
            "critical": {
                "identity": { "docker-reference": claimed },
                "image": { "docker-manifest-digest": digest },
                "type": "cosign container image signature",
            },
            "optional": null,
        })
        .to_string();
        let descriptor = |media_type: &str, text: &str| -> Value {
            let digest = registry.digest(text.as_bytes());
            json!({ "mediaType": media_type, "digest": digest, "size": text.len() })
        };
        let mut layer = descriptor("application/vnd.dev.cosign.simplesigning.v1+json", &payload);
        let signature = self.signature(&payload)?;
        layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": signature });
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": descriptor("application/vnd.oci.image.config.v1+json", "{}"),
            "layers": [layer],
        });
        registry.add_blob(repository, payload.as_bytes());
        let tag = format!("{}.sig", digest.replace(':', "-"));
        registry.add_manifest((repository, &tag), media_type, &manifest.to_string());
        Ok(())
    }

    /// The signature of `payload`, in base64.
    fn signature(&self, payload: &str) -> Result<String, Error> {
        let file = self.dir.join("payload");
        fs::write(&file, payload).map_err(Error::file("write", &file))?;
        let sign = format!(
            "dgst -sha256 -sign {}.key -out signature payload",
            self.name
        );
        openssl(&self.dir, &sign)?;
        let file = self.dir.join("signature");
        let bytes = fs::read(&file).map_err(Error::file("read", &file))?;
        Ok(STANDARD.encode(bytes))
    }
}

/// Runs `openssl args…`, which have no spaces in them, in `dir`.
///
/// # Errors
/// [`Error`] if it does not succeed.
pub fn openssl(dir: &Path, args: &str) -> Result<(), Error> {
    let mut command = Command::new("openssl");
    command.args(args.split(' ')).current_dir(dir);
    Output::of_success(&mut command).map(drop)
}
