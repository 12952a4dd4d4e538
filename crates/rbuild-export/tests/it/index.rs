//! What a list of images looks like outside of the store, in either format.

use std::collections::BTreeMap;

use rbuild_export::{Looks, export_index, local_digest, local_index, write_layout};
use rbuild_oci::{Document, Format, ImageId, ListedPlatform, Platform};
use rbuild_store::{IndexRecord, ListedImage};
use serde_json::Value;

use crate::place::{Edit::File, Order, Place};

fn listed(image: ImageId, architecture: &str) -> ListedImage {
    ListedImage {
        image,
        platform: ListedPlatform {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            ..ListedPlatform::default()
        },
        annotations: BTreeMap::from([("of".to_owned(), architecture.to_owned())]),
    }
}

/// A list of two images in these formats.
fn index(place: &Place, formats: [Format; 2]) -> IndexRecord {
    let parts = formats.into_iter().zip(["amd64", "arm64"]);
    let images = parts.map(|(format, architecture)| {
        let layer = place.layer(&[File("f", architecture, 1)]);
        let order = Order {
            format,
            ..Order::default()
        };
        listed(place.commit_as(&[layer], order), architecture)
    });
    IndexRecord {
        images: images.collect(),
        annotations: BTreeMap::new(),
    }
}

/// The kind of the list, and of the manifests that it names.
#[track_caller]
fn check(formats: [Format; 2], wanted: Option<Format>, expected: &str) {
    let place = Place::new();
    let index = index(&place, formats);
    let looks = Looks {
        format: wanted,
        ..Looks::default()
    };
    let exported = export_index(place.ends(), &index, looks).unwrap();
    let document: Value = serde_json::from_str(&exported.text).unwrap();
    let entries = document["manifests"].as_array().unwrap();
    let kinds = [&document].into_iter().chain(entries);
    let kinds = kinds.map(|it| it["mediaType"].as_str().unwrap().split('.').nth(1).unwrap());
    let kinds: Vec<&str> = kinds.collect();
    assert_eq!(kinds.join(" "), expected);
    assert_eq!(exported.descriptor.media_type, document["mediaType"]);
    let said = entries[1]["annotations"]["of"].as_str();
    assert_eq!(said, (kinds[0] == "oci").then_some("arm64"));
    let Ok(Document::Index(parsed)) = Document::parse(exported.text, "") else {
        unreachable!("it is one")
    };
    let arm = parsed
        .choose(&Platform::new("linux", "arm64", None))
        .unwrap();
    assert_eq!(arm.digest, exported.images[1].descriptor.digest);
}

#[test]
fn a_list_is_docker_s_if_all_its_images_are() {
    use Format::{Docker, Oci};
    check([Oci, Oci], None, "oci oci oci");
    check([Docker, Docker], None, "docker docker docker");
    check([Docker, Oci], None, "oci docker oci");
    check([Docker, Oci], Some(Oci), "oci oci oci");
    check([Oci, Oci], Some(Docker), "docker docker docker");
}

#[test]
fn the_list_in_the_store_names_what_is_in_the_store() {
    let place = Place::new();
    let index = index(&place, [Format::Oci; 2]);
    let text = local_index(&place.store, &index).unwrap();
    for listed in &index.images {
        let digest = local_digest(&place.image(&listed.image)).to_string();
        assert!(text.contains(&digest), "{text}");
    }
}

#[test]
fn a_tag_of_a_layout_leads_to_the_list() {
    let place = Place::new();
    let index = index(&place, [Format::Oci; 2]);
    let exported = export_index(place.ends(), &index, Looks::default()).unwrap();
    let dir = place.path("layout");
    write_layout(place.ends(), &exported, &dir, Some("t")).unwrap();
    let document = std::fs::read_to_string(dir.join("index.json")).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let manifests = document["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 1);
    assert_eq!(
        manifests[0]["digest"],
        exported.descriptor.digest.to_string()
    );
    let blobs = std::fs::read_dir(dir.join("blobs/sha256")).unwrap();
    // The list; a manifest and a layer of each image, and their configurations.
    assert_eq!(blobs.count(), 7);
}
