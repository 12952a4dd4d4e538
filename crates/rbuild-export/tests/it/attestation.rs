//! How what is said of an image is attached to it.

use expect_test::expect;
use rbuild_export::{Attestation, Claim, attested, write_index_layout};
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
    let said = [Attestation {
        claim: Claim::Sbom,
        predicate: json!({ "SPDXID": "x" }),
    }];
    let names = [name("quay.io/a/b:1"), name("localhost/c:2")];
    let index = attested(place.ends(), exported, &names, &said).unwrap();
    assert_eq!(index.images[0].descriptor.digest, digest);
    expect![[r#"
        {
          "manifests": [
            {
              "digest": "DIGEST 1",
              "mediaType": "application/vnd.oci.image.manifest.v1+json",
              "platform": {
                "architecture": "amd64",
                "os": "linux"
              },
              "size": 554
            },
            {
              "annotations": {
                "vnd.docker.reference.digest": "DIGEST 1",
                "vnd.docker.reference.type": "attestation-manifest"
              },
              "digest": "DIGEST 2",
              "mediaType": "application/vnd.oci.image.manifest.v1+json",
              "platform": {
                "architecture": "unknown",
                "os": "unknown"
              },
              "size": 690
            }
          ],
          "mediaType": "application/vnd.oci.image.index.v1+json",
          "schemaVersion": 2
        }
    "#]]
    .assert_eq(&shown(&index.text));
    expect![[r#"
        {
          "artifactType": "application/vnd.docker.attestation.manifest.v1+json",
          "config": {
            "digest": "DIGEST 1",
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "size": 167
          },
          "layers": [
            {
              "annotations": {
                "in-toto.io/predicate-type": "https://spdx.dev/Document"
              },
              "digest": "DIGEST 2",
              "mediaType": "application/vnd.in-toto+json",
              "size": 418
            }
          ],
          "mediaType": "application/vnd.oci.image.manifest.v1+json",
          "schemaVersion": 2,
          "subject": {
            "digest": "DIGEST 3",
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "size": 554
          }
        }
    "#]]
    .assert_eq(&shown(&index.images[1].manifest));
    expect![[r#"
        {
          "architecture": "unknown",
          "config": {},
          "os": "unknown",
          "rootfs": {
            "diff_ids": [
              "DIGEST 1"
            ],
            "type": "layers"
          }
        }
    "#]]
    .assert_eq(&shown(&index.images[1].config));

    let layout = place.path("layout");
    write_index_layout(place.ends(), &index, &layout, Some("t")).unwrap();
    let layer = &index.images[1].layers[0];
    let blob = layout.join("blobs/sha256").join(layer.digest.0.hex());
    let statement = std::fs::read_to_string(blob).unwrap();
    assert_eq!(statement.len() as u64, layer.size);
    let statement = statement.replace(&digest.0.hex(), "HEX");
    let statement: Value = serde_json::from_str(&statement).unwrap();
    expect![[r#"
        {
          "_type": "https://in-toto.io/Statement/v1",
          "predicate": {
            "SPDXID": "x"
          },
          "predicateType": "https://spdx.dev/Document",
          "subject": [
            {
              "digest": {
                "sha256": "HEX"
              },
              "name": "pkg:docker/quay.io/a/b@1?platform=linux%2Famd64"
            },
            {
              "digest": {
                "sha256": "HEX"
              },
              "name": "pkg:docker/localhost/c@2?platform=linux%2Famd64"
            }
          ]
        }"#]]
    .assert_eq(&format!("{statement:#}"));
}

#[test]
fn an_image_without_a_name_is_said_of_all_the_same() {
    let place = Place::new();
    let exported = place.export(&image(&place, "a"));
    let index = attested(place.ends(), exported, &[], &[]).unwrap();
    let document: Value = serde_json::from_str(&index.text).unwrap();
    assert_eq!(document["manifests"].as_array().unwrap().len(), 2);
}
