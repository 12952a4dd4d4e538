//! Layouts and archives, read by the rules of the specification.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use expect_test::{Expect, expect};
use rbuild_export::{
    Error, Exported, Looks, Tagged, export, local_digest, write_archive, write_layout,
};
use rbuild_layer::{Decoder, Encoder, EncoderOptions, Form, PackOptions, pack};
use rbuild_oci::{
    Descriptor, Digest, Document, Format, Hasher, ImageConfig, ImageId,
    media_type::{self, Compression},
};
use rbuild_store::LayerId;
use serde_json::Value;

use crate::place::{
    Edit::{Dir, File},
    Order, Place,
};

/// An image of two layers.
pub fn image(place: &Place, text: &'static str) -> ImageId {
    let first = place.layer(&[Dir("d"), File("d/f", text, 50)]);
    let second = place.layer(&[File("g", "same", 50)]);
    place.commit(&[first, second])
}

/// Checks each blob against its name and each layer against the configuration; returns the tags
/// of the images with the number of their layers.
#[track_caller]
pub fn read(dir: &Path) -> String {
    let text = |file: &Path| fs::read_to_string(file).unwrap();
    assert_eq!(
        text(&dir.join("oci-layout")),
        r#"{"imageLayoutVersion":"1.0.0"}"#
    );
    let blobs = dir.join("blobs/sha256");
    for blob in fs::read_dir(&blobs).unwrap().map(Result::unwrap) {
        let digest = Digest::of(&fs::read(blob.path()).unwrap());
        assert_eq!(blob.file_name().to_str(), Some(&digest.hex()[..]));
    }
    let index: Value = serde_json::from_str(&text(&dir.join("index.json"))).unwrap();
    let mut tags = Vec::new();
    for entry in index["manifests"].as_array().unwrap() {
        let blob = |digest: &Digest| blobs.join(digest.hex());
        let digest: Digest = entry["digest"].as_str().unwrap().parse().unwrap();
        let kind = entry["mediaType"].as_str().unwrap();
        let Document::Manifest(manifest) = Document::parse(text(&blob(&digest)), kind).unwrap()
        else {
            panic!("{entry}");
        };
        assert_eq!(entry["size"].as_u64(), Some(manifest.text.len() as u64));
        let config: ImageConfig =
            serde_json::from_str(&text(&blob(&manifest.config.digest.0))).unwrap();
        assert_eq!(manifest.layers.len(), config.rootfs.diff_ids.len());
        for (layer, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
            let file = fs::File::open(blob(&layer.digest.0)).unwrap();
            assert_eq!(file.metadata().unwrap().len(), layer.size);
            let compression = media_type::layer_compression(&layer.media_type).unwrap();
            let mut tar = Vec::new();
            let mut decoder =
                Decoder::new(io::BufReader::new(file), compression, u64::MAX).unwrap();
            decoder.read_to_end(&mut tar).unwrap();
            let mut hasher = Hasher::new();
            hasher.update(&tar);
            assert_eq!(hasher.finish(), diff_id.0);
        }
        let tag = &entry["annotations"]["org.opencontainers.image.ref.name"];
        tags.push(format!(
            "{}({})",
            tag.as_str().unwrap_or("-"),
            manifest.layers.len()
        ));
    }
    tags.join(" ")
}

/// Writes images with these contents and tags to one layout.
#[track_caller]
fn check(images: &[(&'static str, Option<&str>)], expected: &str) {
    let place = Place::new();
    let dir = place.path("deep/layout");
    for (text, tag) in images {
        let exported = place.export(&image(&place, text));
        write_layout(place.ends(), &exported, &dir, *tag).unwrap();
        read(&dir);
    }
    assert_eq!(read(&dir), expected);
}

#[test]
fn images_are_added_and_tags_move() {
    check(&[("a", None)], "-(2)");
    check(&[("a", Some("1")), ("b", Some("2"))], "1(2) 2(2)");
    check(&[("a", Some("1")), ("b", Some("1"))], "1(2)");
    check(&[("a", Some("1")), ("b", None)], "1(2) -(2)");
}

#[test]
fn the_same_image_again_changes_nothing() {
    let place = Place::new();
    let exported = place.export(&image(&place, "a"));
    let dir = place.path("layout");
    let write = || {
        write_layout(place.ends(), &exported, &dir, Some("t")).unwrap();
        let blobs = fs::read_dir(dir.join("blobs/sha256")).unwrap().count();
        (fs::read(dir.join("index.json")).unwrap(), blobs)
    };
    assert_eq!(write(), write());
}

#[test]
fn what_an_attempt_left_is_completed() {
    let place = Place::new();
    let exported = place.export(&image(&place, "a"));
    let dir = place.path("layout");
    fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
    fs::write(dir.join("oci-layout"), "").unwrap();
    fs::write(dir.join("index.rbuild-77"), "{").unwrap();
    write_layout(place.ends(), &exported, &dir, None).unwrap();
    assert_eq!(read(&dir), "-(2)");
}

#[test]
fn what_is_no_layout_stays_as_it_is() {
    let place = Place::new();
    let exported = place.export(&image(&place, "a"));
    let refused = |name: &str, content: &str| {
        let dir = place.path(content);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join(name), content).unwrap();
        let error = write_layout(place.ends(), &exported, &dir, None).unwrap_err();
        assert!(matches!(error, Error::NotALayout { .. }), "{error}");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    };
    refused("thesis.tex", "text");
    refused("index.json", "no json");
    refused("index.json", "[]");
    refused("index.json", "{\"manifests\":{}}");
    fs::write(place.path("file"), "").unwrap();
    assert!(write_layout(place.ends(), &exported, &place.path("file"), None).is_err());
}

/// The archive of an image that was made in a store of its own.
fn archive(tag: Option<&str>) -> Vec<u8> {
    let place = Place::new();
    archived(&place, &image(&place, "a"), tag)
}

fn archived(place: &Place, id: &ImageId, tag: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    let exported = &place.export(id);
    let what = exported.into();
    write_archive(place.ends(), &[Tagged { what, tag }], &mut out).unwrap();
    out
}

#[test]
fn the_same_input_gives_the_same_archive() {
    // No directory in it: that would have the time at which it was made.
    let place = Place::new();
    let layer = place.layer(&[File("f", "x", 50)]);
    let write = |place: &Place, id| archived(place, &id, Some("t"));
    let first = write(&place, place.commit(&[layer]));
    let other = Place::new();
    let layer = other.layer(&[File("f", "x", 50)]);
    assert_eq!(first, write(&other, other.commit(&[layer])));
}

#[track_caller]
fn check_archive(tag: Option<&str>, expected: &Expect) {
    let bytes = archive(tag);
    let mut entries = tar::Archive::new(&bytes[..]);
    let mut out = String::new();
    for entry in entries.entries().unwrap().map(Result::unwrap) {
        let header = entry.header();
        let path = entry.path().unwrap().display().to_string();
        let path = if path.len() > 64 {
            "blobs/sha256/…"
        } else {
            &path
        };
        let owner = (header.uid().unwrap(), header.gid().unwrap());
        out += &format!(
            "{path} {:o} {owner:?} {}\n",
            header.mode().unwrap(),
            header.mtime().unwrap()
        );
    }
    expected.assert_eq(&out);
}

#[test]
fn an_archive_is_a_layout_of_nobody_from_1970() {
    check_archive(
        Some("t"),
        &expect![[r#"
        blobs/ 755 (0, 0) 0
        blobs/sha256/ 755 (0, 0) 0
        oci-layout 644 (0, 0) 0
        index.json 644 (0, 0) 0
        blobs/sha256/… 644 (0, 0) 0
        blobs/sha256/… 644 (0, 0) 0
        blobs/sha256/… 644 (0, 0) 0
        blobs/sha256/… 644 (0, 0) 0
    "#]],
    );
}

#[test]
fn an_archive_unpacks_to_a_layout() {
    for (tag, expected) in [(Some("t"), "t(2)"), (None, "-(2)")] {
        let dir = tempfile::tempdir().unwrap();
        tar::Archive::new(&archive(tag)[..])
            .unpack(dir.path())
            .unwrap();
        assert_eq!(read(dir.path()), expected);
    }
}

#[test]
fn a_layer_that_is_there_twice_is_written_once() {
    let place = Place::new();
    let layer = place.layer(&[File("f", "x", 50)]);
    let id = place.commit(&[layer, layer]);
    let mut out = Vec::new();
    let image = &place.export(&id);
    write_archive(
        place.ends(),
        &[Tagged {
            what: image.into(),
            tag: None,
        }],
        &mut out,
    )
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    tar::Archive::new(&out[..]).unpack(dir.path()).unwrap();
    assert_eq!(read(dir.path()), "-(2)");
    assert_eq!(
        fs::read_dir(dir.path().join("blobs/sha256"))
            .unwrap()
            .count(),
        3
    );
}

#[test]
fn a_pulled_image_keeps_its_manifest() {
    let place = Place::new();
    let id = image(&place, "a");
    let exported = place.export(&id);
    let mut record = place.image(&id);
    // Another order of keys, and something that we would not write.
    record.manifest = Some(
        exported
            .manifest
            .replacen('{', "{ \"annotations\": {}, ", 1),
    );
    for (layer, blob) in record.layers.iter_mut().zip(&exported.layers) {
        layer.blob = Some(blob.clone());
    }
    let again = export(place.ends(), &record, Looks::default()).unwrap();
    assert_eq!(Some(&again.manifest), record.manifest.as_ref());
    assert_eq!(again.descriptor.digest, local_digest(&record));
    write_layout(place.ends(), &again, &place.path("layout"), None).unwrap();
    assert_eq!(read(&place.path("layout")), "-(2)");
}

#[test]
fn an_image_without_layers_leaves_too() {
    let place = Place::new();
    let exported = place.export(&place.commit(&[]));
    write_layout(place.ends(), &exported, &place.path("layout"), None).unwrap();
    assert_eq!(read(&place.path("layout")), "-(0)");
}

/// Media types of a manifest, its configuration and its layers, without what they have in common.
#[track_caller]
fn types(exported: &Exported) -> String {
    let manifest: Value = serde_json::from_str(&exported.manifest).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter();
    let parts = [&manifest, &manifest["config"]].into_iter().chain(layers);
    let short = |part: &Value| {
        let kind = part["mediaType"].as_str().unwrap();
        kind.trim_start_matches("application/vnd.").to_owned()
    };
    assert_eq!(exported.descriptor.media_type, manifest["mediaType"]);
    parts.map(short).collect::<Vec<_>>().join(" ")
}

const IN_OCI: &str = "oci.image.manifest.v1+json oci.image.config.v1+json \
    oci.image.layer.v1.tar+gzip oci.image.layer.v1.tar+gzip";
const IN_DOCKER: &str = "docker.distribution.manifest.v2+json docker.container.image.v1+json \
    docker.image.rootfs.diff.tar.gzip docker.image.rootfs.diff.tar.gzip";

#[test]
fn all_parts_of_an_image_are_of_its_format() {
    let place = Place::new();
    let layers = [
        place.layer(&[File("f", "1", 50)]),
        place.layer(&[File("g", "2", 50)]),
    ];
    for (format, expected) in [(Format::Oci, IN_OCI), (Format::Docker, IN_DOCKER)] {
        let order = Order {
            format,
            ..Order::default()
        };
        let id = place.commit_as(&layers, order);
        let exported = place.export(&id);
        assert_eq!(types(&exported), expected);
        let dir = place.path(exported.descriptor.digest.0.hex().as_str());
        write_layout(place.ends(), &exported, &dir, Some("t")).unwrap();
        assert_eq!(read(&dir), "t(2)");
        let looks = Looks {
            format: Some(Format::Oci),
            ..Looks::default()
        };
        let converted = export(place.ends(), &place.image(&id), looks).unwrap();
        assert_eq!(types(&converted), IN_OCI);
        assert_eq!(converted.config, exported.config);
    }
}

#[test]
fn layers_of_a_base_take_the_format_of_what_is_built_on_it() {
    let place = Place::new();
    let below = place.layer(&[File("f", "1", 50)]);
    for compression in [Compression::Gzip, Compression::Zstd] {
        let mut base = place.image(&place.commit(&[below]));
        base.layers[0].blob = Some(blob(&place, below, compression));
        let order = Order {
            format: Format::Docker,
            base: Some(&base),
            ..Order::default()
        };
        let id = place.commit_as(&[place.layer(&[File("g", "2", 50)])], order);
        let exported = place.export(&id);
        assert_eq!(types(&exported), IN_DOCKER, "{compression:?}");
        let dir = place.path(&format!("{compression:?}"));
        write_layout(place.ends(), &exported, &dir, Some("t")).unwrap();
        assert_eq!(read(&dir), "t(2)");
    }
}

/// The blob that a registry would have of `layer`.
fn blob(place: &Place, layer: LayerId, compression: Compression) -> Descriptor {
    let diff = place.store.layer(&layer).unwrap().unwrap().diff;
    let mut blob = place.session.blob().unwrap();
    let mut encoder = Encoder::new(&mut blob, &EncoderOptions::new(compression)).unwrap();
    pack(&[&diff], &PackOptions::new(Form::Overlay), &mut encoder).unwrap();
    encoder.finish().unwrap();
    let size = blob.size();
    let media_type = Format::Oci.layer(compression).unwrap();
    Descriptor::new(media_type, blob.commit(None).unwrap(), size)
}
