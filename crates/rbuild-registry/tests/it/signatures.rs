//! Signatures beside an image: which of them make it acceptable.

use std::{path::Path, process::Command};

use base64::{Engine, engine::general_purpose::STANDARD};
use rbuild_oci::{Location, media_type};
use rbuild_registry::{Scope, SignaturePolicy};
use rbuild_testkit::fault_registry::{Access, FaultRegistry};

use crate::{amd64, blob, chain, manifest_of, reference, repository};

/// Runs `openssl args…` in `dir`.
fn openssl(dir: &Path, args: &[&str]) {
    let output = Command::new("openssl").args(args).current_dir(dir).output();
    assert!(
        output.is_ok_and(|output| output.status.success()),
        "{args:?}"
    );
}

/// A registry with an index of one image, and a key.
struct Site {
    registry: FaultRegistry,
    keys: tempfile::TempDir,
    index: String,
    manifest: String,
}

/// `None`, and a note, without openssl.
fn site() -> Option<Site> {
    if Command::new("openssl").arg("version").output().is_err() {
        rbuild_testkit::skip("`openssl` is not installed");
        return None;
    }
    let keys = tempfile::tempdir().unwrap();
    for name in ["ours", "theirs"] {
        let (key, public) = (format!("{name}.key"), format!("{name}.pub"));
        let curve = "ec_paramgen_curve:P-256";
        let args = [
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            curve,
            "-out",
            &key,
        ];
        openssl(keys.path(), &args);
        openssl(
            keys.path(),
            &["pkey", "-in", &key, "-pubout", "-out", &public],
        );
    }
    let registry = FaultRegistry::start(Access::Open, Vec::new());
    let manifest = manifest_of(b"{}", b"layer");
    let entry = blob(manifest.as_bytes());
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{}","digest":"{}","size":{},"platform":{{"os":"linux","architecture":"amd64"}}}}]}}"#,
        media_type::OCI_MANIFEST,
        entry.digest,
        entry.size
    );
    registry.add_manifest(("a/b", "m"), media_type::OCI_MANIFEST, &manifest);
    registry.add_manifest(("a/b", "1"), media_type::OCI_INDEX, &index);
    Some(Site {
        registry,
        keys,
        index,
        manifest,
    })
}

impl Site {
    /// Signs the document `text` for `name` with a key.
    fn sign(&self, text: &str, name: &str, key: &str) {
        let digest = blob(text.as_bytes()).digest;
        let payload = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"{name}"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature"}},"optional":null}}"#
        );
        let dir = self.keys.path();
        std::fs::write(dir.join("payload"), &payload).unwrap();
        let key = format!("{key}.key");
        openssl(
            dir,
            &[
                "dgst",
                "-sha256",
                "-sign",
                &key,
                "-out",
                "signature",
                "payload",
            ],
        );
        let signature = STANDARD.encode(std::fs::read(dir.join("signature")).unwrap());
        let layer = blob(payload.as_bytes());
        let signatures = format!(
            r#"{{"schemaVersion":2,"config":{{}},"layers":[{{"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json","digest":"{}","size":{},"annotations":{{"dev.cosignproject.cosign/signature":"{signature}"}}}}]}}"#,
            layer.digest, layer.size
        );
        self.registry.add_blob("a/b", payload.as_bytes());
        let tag = format!("sha256-{}.sig", digest.0.hex());
        self.registry
            .add_manifest(("a/b", &tag), media_type::OCI_MANIFEST, &signatures);
    }

    /// What our key, and a claim of the repository, leads to.
    fn verified(&self) -> Result<(), String> {
        let file = self.keys.path().join("ours.pub");
        let policy = format!(
            r#"{{"default":[{{"type":"sigstoreSigned","keyPath":"{}","signedIdentity":{{"type":"matchRepository"}}}}]}}"#,
            file.display()
        );
        let policy = SignaturePolicy::parse(&policy, &file).unwrap();
        let name = reference(&self.registry.address(), ":1");
        let repository = repository(&name, Scope::Pull);
        let found = repository.resolve(&name, &amd64()).unwrap();
        let place = Location::Registry(name.clone());
        for signed in policy.demands(&place).unwrap() {
            repository
                .verify(signed, &name, &found.digests)
                .map_err(|error| chain(&error))?;
        }
        Ok(())
    }

    fn name(&self) -> String {
        format!("{}/a/b", self.registry.address())
    }
}

#[test]
fn an_image_or_the_index_that_lists_it_is_signed() {
    let Some(site) = site() else { return };
    let error = site.verified().unwrap_err();
    assert!(error.contains("it has no signature"), "{error}");
    site.sign(&site.manifest, &site.name(), "ours");
    site.verified().unwrap();
    let Some(site) = self::site() else { return };
    site.sign(&site.index, &site.name(), "ours");
    site.verified().unwrap();
}

#[test]
fn another_key_name_or_image_does_not_count() {
    let Some(site) = site() else { return };
    site.sign(&site.manifest, &site.name(), "theirs");
    let error = site.verified().unwrap_err();
    assert!(error.contains("by another key"), "{error}");
    site.sign(&site.manifest, "elsewhere.example/a/b", "ours");
    let error = site.verified().unwrap_err();
    assert!(error.contains("for `elsewhere.example/a/b`"), "{error}");
    // The right payload of another image, under the tag of this one.
    site.sign("other", &site.name(), "ours");
    let tag = |text: &str| format!("sha256-{}.sig", blob(text.as_bytes()).digest.0.hex());
    let moved = site.registry.manifest("a/b", &tag("other")).unwrap();
    let tag = tag(&site.manifest);
    site.registry
        .add_manifest(("a/b", &tag), media_type::OCI_MANIFEST, &moved);
    let error = site.verified().unwrap_err();
    assert!(error.contains("it is for sha256:"), "{error}");
}
