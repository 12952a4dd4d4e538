//! Archives of images, honest ones and others: the error names what is wrong, and the store shows
//! nothing afterwards.

use std::{fs, io::Write, path::PathBuf};

use expect_test::{Expect, expect};
use rbuild_engine::{Offered, Shelf, load};
use rbuild_oci::{Digest, ImageId, Platform};
use rbuild_registry::SignaturePolicy;
use serde_json::{Value, json};

use crate::{
    bases::Place,
    layout::{Layout, descriptor, index, tar_of},
    site::causes,
};

/// The members of an archive, in their order.
struct Archive {
    members: Vec<(String, Vec<u8>)>,
    /// Symbolic links: path and target.
    links: Vec<(&'static str, &'static str)>,
}

const LAYER: &str = "1/layer.tar";

impl Archive {
    /// As `docker save` writes an image with the file `/f`.
    fn honest() -> Self {
        let layout = Layout::new(&PathBuf::new());
        let config = layout.config.to_string().into_bytes();
        let path = format!("{}.json", Digest::of(&config).hex());
        let manifest =
            json!([{ "Config": path, "RepoTags": ["a:1", "quay.io/b:2"], "Layers": [LAYER] }]);
        Self {
            members: vec![
                (LAYER.to_owned(), layout.layer),
                (path, config),
                (
                    "manifest.json".to_owned(),
                    manifest.to_string().into_bytes(),
                ),
            ],
            links: Vec::new(),
        }
    }

    fn member(&mut self, path: &str) -> &mut Vec<u8> {
        let found = self.members.iter_mut().find(|(name, _)| name == path);
        &mut found.unwrap().1
    }

    fn remove(&mut self, path: &str) {
        self.members.retain(|(name, _)| name != path);
    }

    /// Changes what `manifest.json` says of the image.
    fn say(&mut self, key: &str, value: Value) {
        let manifest = self.member("manifest.json");
        let mut parsed: Value = serde_json::from_slice(manifest).unwrap();
        parsed[0][key] = value;
        *manifest = parsed.to_string().into_bytes();
    }

    fn bytes(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, target) in &self.links {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            archive.append_link(&mut header, path, target).unwrap();
        }
        for (path, bytes) in &self.members {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            archive.append(&header, &bytes[..]).unwrap();
        }
        archive.into_inner().unwrap()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Writes `bytes` beside the store and resolves them as `docker-archive:`.
fn resolve(place: &Place, bytes: &[u8], tag: &str) -> Result<ImageId, String> {
    let file = place.dir.path().join("archive.tar");
    fs::write(&file, bytes).unwrap();
    let found = place.resolve(&format!("docker-archive:{}{tag}", file.display()));
    found
        .map(|found| found.tree.image)
        .map_err(|error| causes(&error))
}

/// Resolves the archive after `spoil` and checks the causes of the error.
#[track_caller]
fn check(spoil: impl FnOnce(&mut Archive), expected: &Expect) {
    let mut archive = Archive::honest();
    spoil(&mut archive);
    check_bytes(&archive.bytes(), expected);
}

#[track_caller]
fn check_bytes(bytes: &[u8], expected: &Expect) {
    let place = Place::new();
    let error = resolve(&place, bytes, "").unwrap_err();
    let (first, causes) = error.split_once('\n').unwrap();
    assert!(first.starts_with("cannot take the image from `docker-archive:"));
    expected.assert_eq(&without_digests(causes));
    assert_eq!(place.store.images().unwrap(), []);
    assert_eq!(place.store.names().unwrap(), []);
    for leftover in ["layers", "staging"] {
        let entries = fs::read_dir(place.dir.path().join("store").join(leftover));
        assert_eq!(entries.map_or(0, Iterator::count), 0, "{leftover}");
    }
}

/// They depend on who runs the tests.
fn without_digests(text: &str) -> String {
    let words = text.split_inclusive(|c: char| !c.is_ascii_hexdigit());
    words
        .map(|word| {
            let digits = word.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
            match digits.len() {
                64 => word.replace(digits, "…"),
                _ => word.to_owned(),
            }
        })
        .collect()
}

#[test]
fn an_honest_archive_is_an_image_in_every_wrapping() {
    let plain = Archive::honest();
    let mut compressed_layer = Archive::honest();
    let layer = compressed_layer.member(LAYER);
    *layer = gzip(layer);
    let mut linked_layer = Archive::honest();
    linked_layer.members[0].0 = "2/layer.tar".to_owned();
    linked_layer.links.push((LAYER, "../2/layer.tar"));
    let whole = plain.bytes();
    let expected = resolve(&Place::new(), &whole, "").unwrap();
    for bytes in [gzip(&whole), compressed_layer.bytes(), linked_layer.bytes()] {
        assert_eq!(resolve(&Place::new(), &bytes, ""), Ok(expected));
    }
    for tag in [":a:1", ":docker.io/library/a:1", ":quay.io/b:2"] {
        assert_eq!(resolve(&Place::new(), &whole, tag), Ok(expected), "{tag}");
    }
    let error = resolve(&Place::new(), &whole, ":b:2").unwrap_err();
    assert!(error.contains("no image has the tag `b:2`"), "{error}");
}

#[test]
fn what_is_named_must_be_in_the_archive() {
    check(
        |archive| archive.remove(LAYER),
        &expect![[r#"
        there is no file `1/layer.tar` in the archive
    "#]],
    );
    check(
        |archive| archive.remove("manifest.json"),
        &expect![[r#"
        there is no file `manifest.json` in the archive
    "#]],
    );
    check(
        |archive| archive.say("Layers", json!(["../../../../etc/passwd"])),
        &expect![[r#"
            there is no file `../../../../etc/passwd` in the archive
        "#]],
    );
    check(
        |archive| archive.say("Config", json!("/etc/hostname")),
        &expect![[r#"
            there is no file `/etc/hostname` in the archive
        "#]],
    );
    check(
        |archive| {
            archive.remove("manifest.json");
            archive.links.push(("manifest.json", "/etc/passwd"));
        },
        &expect![[r#"
            there is no file `manifest.json` in the archive
        "#]],
    );
    check(
        |archive| {
            archive.remove(LAYER);
            archive.links.push((LAYER, "../../../etc/passwd"));
        },
        &expect![[r#"
            there is no file `1/layer.tar` in the archive
        "#]],
    );
}

#[test]
fn what_is_in_the_archive_must_be_what_it_is_called() {
    check(
        |archive| *archive.member(LAYER) = tar_of("g", b"other"),
        &expect![[r#"
            cannot store layer sha256:…
            blob sha256:… of 2048 bytes turned out to be sha256:… of 2048 bytes
        "#]],
    );
    check(
        |archive| *archive.member(LAYER) = gzip(&tar_of("g", b"other")),
        &expect![[r#"
            layer sha256:… unpacks to sha256:…, but the image's configuration says sha256:…
        "#]],
    );
    check(
        |archive| {
            let path = archive.members[1].0.clone();
            *archive.member(&path) = b"{}".to_vec();
        },
        &expect![[r#"
            `….json` is damaged: it has another digest
        "#]],
    );
}

#[test]
fn manifests_that_are_wrong_or_too_large_are_refused() {
    check(
        |archive| *archive.member("manifest.json") = vec![b' '; (8 << 20) + 1],
        &expect![[r#"
            `manifest.json` is larger than 8 MiB
        "#]],
    );
    check(
        |archive| *archive.member("manifest.json") = b"{}".to_vec(),
        &expect![[r#"
            `manifest.json` is of no use
            it is not a list of images: invalid type: map, expected a sequence at line 1 column 0
        "#]],
    );
    check(
        |archive| *archive.member("manifest.json") = b"[]".to_vec(),
        &expect![[r#"
            `manifest.json` is of no use
            there are 0 images: a tag must say which
        "#]],
    );
    check(
        |archive| archive.say("Layers", json!([LAYER, LAYER])),
        &expect![[r#"
            `manifest.json` is of no use
            it has 2 layers, the configuration 1
        "#]],
    );
}

#[test]
fn archives_that_two_readers_read_differently_are_refused() {
    check(
        |archive| {
            let twice = archive.members[0].clone();
            archive.members.push(twice);
        },
        &expect![[r#"
            cannot use the archive
            archive entry `1/layer.tar` is there twice
        "#]],
    );
    let whole = Archive::honest().bytes();
    check_bytes(
        &whole[..700],
        &expect![[r#"
        cannot use the archive
        the archive is damaged at byte 700: it ends within a member
    "#]],
    );
    check_bytes(
        &gzip(&whole)[..100],
        &expect![[r#"
        cannot read the archive
        incomplete deflate stream
    "#]],
    );
    check_bytes(
        b"no archive",
        &expect![[r#"
        cannot use the archive
        the archive is damaged at byte 0: it ends within a header
    "#]],
    );
}

/// The layout as an archive.
fn oci_archive(place: &Place) -> PathBuf {
    place.layout.write();
    let file = place.dir.path().join("oci.tar");
    let mut archive = tar::Builder::new(fs::File::create(&file).unwrap());
    archive.append_dir_all(".", &place.layout.dir).unwrap();
    archive.finish().unwrap();
    file
}

#[test]
fn an_archive_of_a_layout_is_read_like_the_layout() {
    let place = Place::new();
    let file = oci_archive(&place);
    let found = place
        .resolve(&format!("oci-archive:{}", file.display()))
        .unwrap();
    assert_eq!(found.tree, place.resolve_layout("").unwrap().tree);
    assert_eq!(place.store.names().unwrap(), []);
}

#[test]
fn a_digest_pins_the_image_of_a_layout() {
    let place = Place::new();
    let file = oci_archive(&place);
    let right = Digest::of(place.layout.manifest.to_string().as_bytes());
    let wrong = Digest::of(b"");
    for transport in [
        format!("oci:{}", place.layout.dir.display()),
        format!("oci-archive:{}", file.display()),
    ] {
        assert!(place.resolve(&format!("{transport}@{right}")).is_ok());
        let error = place.resolve(&format!("{transport}@{wrong}")).unwrap_err();
        let error = causes(&error);
        assert!(error.contains("no image has the digest"), "{error}");
    }
}

#[test]
fn a_directory_with_a_manifest_is_an_image() {
    let place = Place::new();
    let dir = place.dir.path().join("dir");
    fs::create_dir(&dir).unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.join(name), bytes).unwrap();
    let (manifest, config) = (
        place.layout.manifest.to_string(),
        place.layout.config.to_string(),
    );
    write("version", b"Directory Transport Version: 1.1\n");
    write("manifest.json", manifest.as_bytes());
    write(&Digest::of(config.as_bytes()).hex(), config.as_bytes());
    let layer = Digest::of(&place.layout.layer).hex();
    write(&layer, &place.layout.layer);
    let name = format!("dir:{}", dir.display());
    let found = place.resolve(&name).unwrap();
    assert_eq!(place.record(&found).manifest, Some(manifest));
    let place = Place::new();
    write(&layer, &tar_of("g", b"content"));
    let error = causes(&place.resolve(&name).unwrap_err());
    assert!(error.contains("turned out to be"), "{error}");
    assert_eq!(place.store.images().unwrap(), []);
}

/// Loads `shelf`; returns the names of each image.
#[track_caller]
fn loaded(place: &Place, bytes: &[u8]) -> Result<Vec<Vec<String>>, String> {
    let session = place.store.begin().unwrap();
    let shelf = Shelf::stream(&mut &bytes[..], &session).map_err(|error| causes(&error))?;
    let platform = Platform::new("linux", "amd64", None);
    let offered = Offered {
        shelf: &shelf,
        path: "",
        signatures: &SignaturePolicy::default(),
    };
    let loaded = load(offered, &session, &platform).map_err(|error| causes(&error))?;
    let names = |names: Vec<rbuild_oci::Name>| names.iter().map(ToString::to_string).collect();
    Ok(loaded.into_iter().map(|image| names(image.names)).collect())
}

#[test]
fn all_images_are_loaded_with_their_names() {
    let place = Place::new();
    let bytes = Archive::honest().bytes();
    let names = loaded(&place, &bytes).unwrap();
    assert_eq!(names, [["docker.io/library/a:1", "quay.io/b:2"]]);
    assert_eq!(place.store.names().unwrap().len(), 2);
}

#[test]
fn what_is_known_of_an_image_survives_an_archive_that_says_less() {
    let place = Place::new();
    place.layout.write();
    let known = place.record(&place.resolve_layout("").unwrap());
    assert!(known.manifest.is_some());
    loaded(&place, &Archive::honest().bytes()).unwrap();
    assert_eq!(place.store.image(&known.id()).unwrap(), Some(known));
}

#[test]
fn an_archive_that_is_a_layout_too_is_read_as_one() {
    let mut place = Place::new();
    let manifest = place.layout.manifest.to_string();
    let mut entry = descriptor(rbuild_oci::media_type::OCI_MANIFEST, manifest.as_bytes());
    entry["annotations"] = json!({
        "io.containerd.image.name": "docker.io/library/a:1",
        "org.opencontainers.image.ref.name": "1",
    });
    place.layout.index = index(&[entry]);
    place.layout.write();
    fs::write(place.layout.dir.join("manifest.json"), "[]").unwrap();
    let bytes = fs::read(oci_archive(&place)).unwrap();
    assert_eq!(loaded(&place, &bytes).unwrap(), [["docker.io/library/a:1"]]);
}

#[test]
fn artifacts_of_a_layout_are_not_loaded() {
    let mut place = Place::new();
    let manifest = place.layout.manifest.to_string();
    let image = descriptor(rbuild_oci::media_type::OCI_MANIFEST, manifest.as_bytes());
    let mut artifact = descriptor(rbuild_oci::media_type::OCI_MANIFEST, b"not here");
    artifact["artifactType"] = json!("application/vnd.test.thing");
    place.layout.index = index(&[artifact.clone(), image]);
    place.layout.write();
    let bytes = fs::read(oci_archive(&place)).unwrap();
    assert_eq!(loaded(&place, &bytes).unwrap().len(), 1);
    place.layout.index = index(&[artifact]);
    place.layout.write();
    let bytes = fs::read(oci_archive(&place)).unwrap();
    let error = loaded(&place, &bytes).unwrap_err();
    assert!(error.contains("it lists no image"), "{error}");
}

#[test]
fn a_root_file_system_is_not_loaded() {
    let place = Place::new();
    let error = loaded(&place, &tar_of("etc/passwd", b"")).unwrap_err();
    assert_eq!(error, "it is an archive of files, not of an image\n");
    let error = loaded(&place, &tar_of("x", b"")).unwrap_err();
    assert!(error.contains("neither an OCI layout"), "{error}");
}
