//! Signatures beside an image: which of them make it acceptable.

use std::process::Command;

use rbuild_oci::{Location, media_type};
use rbuild_registry::{Scope, SignaturePolicy};
use rbuild_testkit::{
    Signer,
    fault_registry::{Access, FaultRegistry},
};

use crate::{amd64, blob, chain, manifest_of, reference, repository};

/// A registry with an index of one image, and a key.
struct Site {
    registry: FaultRegistry,
    ours: Signer,
    theirs: Signer,
    _keys: tempfile::TempDir,
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
    let signer = |name| Signer::new(keys.path(), name).unwrap();
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
        ours: signer("ours"),
        theirs: signer("theirs"),
        _keys: keys,
        index,
        manifest,
    })
}

impl Site {
    /// Signs the document `text` for `name`.
    fn sign(&self, signer: &Signer, text: &str, name: &str) {
        let place = (&self.registry, "a/b");
        signer.sign(place, text, name).unwrap();
    }

    /// What our key, and a claim of the repository, leads to.
    fn verified(&self) -> Result<(), String> {
        let file = self.ours.public_key();
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
    site.sign(&site.ours, &site.manifest, &site.name());
    site.verified().unwrap();
    let Some(site) = self::site() else { return };
    site.sign(&site.ours, &site.index, &site.name());
    site.verified().unwrap();
}

#[test]
fn another_key_name_or_image_does_not_count() {
    let Some(site) = site() else { return };
    site.sign(&site.theirs, &site.manifest, &site.name());
    let error = site.verified().unwrap_err();
    assert!(error.contains("by another key"), "{error}");
    site.sign(&site.ours, &site.manifest, "elsewhere.example/a/b");
    let error = site.verified().unwrap_err();
    assert!(error.contains("for `elsewhere.example/a/b`"), "{error}");
    // The right payload of another image, under the tag of this one.
    site.sign(&site.ours, "other", &site.name());
    let tag = |text: &str| format!("sha256-{}.sig", blob(text.as_bytes()).digest.0.hex());
    let moved = site.registry.manifest("a/b", &tag("other")).unwrap();
    let tag = tag(&site.manifest);
    site.registry
        .add_manifest(("a/b", &tag), media_type::OCI_MANIFEST, &moved);
    let error = site.verified().unwrap_err();
    assert!(error.contains("it is for sha256:"), "{error}");
}
