//! How what is said of an image is attached to it.

use expect_test::expect_file;
use rbuild_export::{Attestation, Claim, attested, write_layout};
use serde_json::{Value, json};

use crate::{
    layout::image,
    place::{Place, name},
};

/// `text` as people read it, digests numbered in the order in which they appear.
fn shown(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap();
    let mut shown = format!("{value:#}\n");
    let mut number = 0;
    while let Some(at) = shown.find("sha256:") {
        let digest = shown[at..at + 71].to_owned();
        number += 1;
        shown = shown.replace(&digest, &format!("DIGEST {number}"));
        shown = shown.replace(&digest[7..], &format!("HEX {number}"));
    }
    shown
}

#[test]
fn an_index_and_a_manifest_attach_statements_to_an_image() {
    let place = Place::new();
    let exported = place.export(&image(&place, "a"));
    let digest = exported.descriptor.digest;
    let said = vec![Attestation {
        claim: Claim::Sbom,
        predicate: json!({ "SPDXID": "x" }),
    }];
    let names = [name("quay.io/a/b:1"), name("localhost/c:2")];
    let index = attested(place.ends(), vec![(exported, said)], &names).unwrap();
    assert_eq!(index.images[0].descriptor.digest, digest);
    let layout = place.path("layout");
    write_layout(place.ends(), &index, &layout, Some("t")).unwrap();
    let layer = &index.images[1].layers[0];
    let blob = layout.join("blobs/sha256").join(layer.digest.0.hex());
    let statement = std::fs::read_to_string(blob).unwrap();
    assert_eq!(statement.len() as u64, layer.size);
    let attached = &index.images[1];
    let texts = [&index.text, &attached.manifest, &attached.config];
    let shown: String = texts.into_iter().map(|text| shown(text)).collect();
    let statement = self::shown(&statement.replace(&digest.0.hex(), "HEX"));
    expect_file!["attestation.txt"].assert_eq(&(shown + &statement));
}

#[test]
fn an_image_without_a_name_is_said_of_all_the_same() {
    let place = Place::new();
    let exported = place.export(&image(&place, "a"));
    let index = attested(place.ends(), vec![(exported, Vec::new())], &[]).unwrap();
    let document: Value = serde_json::from_str(&index.text).unwrap();
    assert_eq!(document["manifests"].as_array().unwrap().len(), 2);
}
