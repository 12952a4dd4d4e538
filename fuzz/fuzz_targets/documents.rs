//! Manifests, indexes and configurations are understood or refused. What is understood says one
//! thing only: its digests are digests, an index's choice is one of its entries, a configuration is
//! written and read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rbuild_oci::{Document, ImageConfig, ListedPlatform, Platform, media_type};

fuzz_target!(|text: &str| {
    let kinds = [
        "",
        media_type::OCI_MANIFEST,
        media_type::OCI_INDEX,
        media_type::DOCKER_MANIFEST,
        media_type::DOCKER_INDEX,
    ];
    let mut is_index = Vec::new();
    for kind in kinds {
        match Document::parse(text.to_owned(), kind) {
            Ok(Document::Manifest(manifest)) => {
                assert_eq!(manifest.text, text);
                for layer in &manifest.layers {
                    assert!(media_type::layer_compression(&layer.media_type).is_some());
                }
                is_index.push(false);
            }
            Ok(Document::Index(index)) => {
                let entries = index.entries();
                for platform in ["linux/amd64", "linux/arm/v7"] {
                    let platform: Platform = platform.parse().expect("it is one");
                    if let (Ok(chosen), Ok(entries)) = (index.choose(&platform), &entries) {
                        assert!(entries.iter().any(|(entry, _)| *entry == chosen));
                    }
                }
                let _ = (index.images(), index.tagged(None), index.tagged(Some("a")));
                is_index.push(true);
            }
            Err(_) => {}
        }
    }
    is_index.dedup();
    assert!(is_index.len() < 2, "it is a manifest and an index");
    if let Ok(config) = serde_json::from_str::<ImageConfig>(text) {
        let _ = ListedPlatform::from(&config);
        let written = serde_json::to_string(&config).expect("it has string keys");
        let again: ImageConfig = serde_json::from_str(&written).expect("what we wrote is read");
        assert_eq!(again, config);
    }
});
