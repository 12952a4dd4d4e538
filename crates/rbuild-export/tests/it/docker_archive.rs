//! Archives for `docker load`, and images in other clothes.

use std::io::Read;

use expect_test::expect;
use rbuild_export::{
    Affected, Compress, Error, Frames, Looks, Named, export, write_directory, write_docker_archive,
};
use rbuild_oci::{Digest, Format, media_type::Compression};

use crate::{
    layout::image,
    place::{Edit::File, Place, name},
};

/// The members of an archive: path and content.
fn members(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (path, content)
    });
    entries.collect()
}

#[test]
fn an_archive_has_each_layer_once_and_all_names() {
    let place = Place::new();
    let images = [image(&place, "a"), image(&place, "b")].map(|id| place.image(&id));
    let pinned = format!("localhost/a@{}", Digest::of(b""));
    let names = [name("localhost/a:1"), name("localhost/a:2"), name(&pinned)];
    let named = [
        Named {
            image: &images[0],
            names: &names,
        },
        Named {
            image: &images[1],
            names: &[],
        },
    ];
    let mut out = Vec::new();
    write_docker_archive(place.ends(), &named, &mut out).unwrap();
    let mut text = String::new();
    for (path, content) in members(&out) {
        let hex = path.split('.').next().unwrap();
        if hex.len() == 64 {
            assert_eq!(Digest::of(&content).hex(), hex, "{path}");
            text += &path.replace(hex, "HEX");
        } else {
            text += &path;
            let mut json = String::from_utf8(content).unwrap();
            for image in &images {
                json = json.replace(&image.id().0.hex(), "ID");
                for layer in &image.layers {
                    json = json.replace(&layer.diff_id.0.hex(), "LAYER");
                }
            }
            text += &format!(" {json}");
        }
        text.push('\n');
    }
    expect![[r#"
        manifest.json [{"Config":"ID.json","Layers":["LAYER.tar","LAYER.tar"],"RepoTags":["localhost/a:1","localhost/a:2"]},{"Config":"ID.json","Layers":["LAYER.tar","LAYER.tar"],"RepoTags":[]}]
        repositories {"localhost/a":{"1":"LAYER","2":"LAYER"}}
        HEX.json
        HEX.json
        HEX.tar
        HEX.tar
        HEX.tar
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_layer_that_changed_on_disk_does_not_leave() {
    let place = Place::new();
    let layer = place.layer(&[File("f", "content", 50)]);
    let image = place.image(&place.commit(&[layer]));
    std::fs::write(place.in_layer(layer, "f"), "CONTENT").unwrap();
    let named = [Named {
        image: &image,
        names: &[],
    }];
    let error = write_docker_archive(place.ends(), &named, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, Error::LayerChanged { .. }), "{error}");
}

/// Media types of the manifest, the configuration and the layers, without what all have.
fn types(place: &Place, looks: Looks) -> Result<String, Error> {
    let image = place.image(&image(place, "a"));
    let exported = export(place.ends(), &image, looks)?;
    let parts = [&exported.descriptor, &exported.config_descriptor].into_iter();
    let types: Vec<&str> = parts
        .chain(&exported.layers)
        .map(|part| part.media_type.trim_start_matches("application/vnd."))
        .collect();
    for part in [&exported.descriptor, &exported.config_descriptor] {
        assert!(exported.manifest.contains(&part.media_type));
    }
    Ok(types.join(" "))
}

fn looks(format: Format, compression: Compression) -> Looks {
    Looks {
        format: Some(format),
        compress: Compress {
            compression,
            level: None,
            layers: Affected::All,
            frames: Frames::Any,
        },
    }
}

#[test]
fn formats_and_compressions_are_what_was_asked_for() {
    let place = Place::new();
    let types = |format, compression| types(&place, looks(format, compression));
    assert_eq!(
        types(Format::Oci, Compression::Zstd).unwrap(),
        "oci.image.manifest.v1+json oci.image.config.v1+json \
         oci.image.layer.v1.tar+zstd oci.image.layer.v1.tar+zstd"
    );
    assert_eq!(
        types(Format::Docker, Compression::Gzip).unwrap(),
        "docker.distribution.manifest.v2+json docker.container.image.v1+json \
         docker.image.rootfs.diff.tar.gzip docker.image.rootfs.diff.tar.gzip"
    );
    assert!(matches!(
        types(Format::Docker, Compression::Zstd),
        Err(Error::Zstd)
    ));
}

/// An image whose layers came compressed with zstd.
#[test]
fn layers_that_came_compressed_stay_so_unless_all_are_meant() {
    let place = Place::new();
    let mut image = place.image(&image(&place, "a"));
    let came = export(place.ends(), &image, looks(Format::Oci, Compression::Zstd)).unwrap();
    for (layer, blob) in image.layers.iter_mut().zip(&came.layers) {
        layer.blob = Some(blob.clone());
    }
    image.manifest = Some(came.manifest.clone());
    let again = |looks| export(place.ends(), &image, looks).unwrap();
    assert_eq!(again(Looks::default()).manifest, came.manifest);
    let gzip = again(looks(Format::Oci, Compression::Gzip));
    assert!(gzip.layers[0].media_type.ends_with("+gzip"));
    assert_ne!(gzip.manifest, came.manifest);
    let docker = again(Looks {
        format: Some(Format::Docker),
        ..Looks::default()
    });
    assert!(docker.layers[0].media_type.ends_with(".gzip"));
}

#[test]
fn a_directory_has_a_manifest_and_blobs_and_replaces_only_its_like() {
    let place = Place::new();
    let exported = place.export(&image(&place, "a"));
    let dir = place.path("dir");
    for _ in 0..2 {
        write_directory(place.ends(), &exported, &dir).unwrap();
    }
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    assert_eq!(read("version"), "Directory Transport Version: 1.1\n");
    assert_eq!(read("manifest.json"), exported.manifest);
    assert_eq!(
        read(&exported.config_descriptor.digest.0.hex()),
        exported.config
    );
    for layer in &exported.layers {
        let bytes = std::fs::read(dir.join(layer.digest.0.hex())).unwrap();
        assert_eq!(Digest::of(&bytes), layer.digest.0);
    }
    let other = place.path("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("thesis.tex"), "").unwrap();
    let error = write_directory(place.ends(), &exported, &other).unwrap_err();
    assert!(matches!(error, Error::NotEmpty { .. }), "{error}");
}

fn chunked() -> Looks {
    let mut looks = looks(Format::Oci, Compression::Zstd);
    looks.compress.frames = Frames::PerFile;
    looks
}

#[test]
fn zstd_chunked_is_made_once_and_says_where_its_files_are() {
    let place = Place::new();
    let image = place.image(&image(&place, "a"));
    let plain = export(place.ends(), &image, looks(Format::Oci, Compression::Zstd)).unwrap();
    let first = export(place.ends(), &image, chunked()).unwrap();
    for (layer, plain) in first.layers.iter().zip(&plain.layers) {
        assert_eq!(layer.media_type, plain.media_type);
        assert!(layer.digest != plain.digest);
        assert_eq!((layer.annotations.len(), plain.annotations.len()), (3, 0));
    }
    assert!(first.manifest.contains("zstd-chunked.manifest-checksum"));
    let again = export(place.ends(), &image, chunked()).unwrap();
    assert_eq!(again.manifest, first.manifest);
    // What came so leaves so.
    let mut pulled = image.clone();
    for (layer, blob) in pulled.layers.iter_mut().zip(&first.layers) {
        layer.blob = Some(blob.clone());
    }
    let pulled = export(place.ends(), &pulled, chunked()).unwrap();
    assert_eq!(pulled.layers, first.layers);
}

#[test]
fn a_layer_that_changed_on_disk_does_not_leave_in_pieces_either() {
    let place = Place::new();
    let layer = place.layer(&[File("f", "content", 50)]);
    let image = place.image(&place.commit(&[layer]));
    std::fs::write(place.in_layer(layer, "f"), "CONTENT").unwrap();
    let error = export(place.ends(), &image, chunked()).unwrap_err();
    assert!(matches!(error, Error::LayerChanged { .. }), "{error}");
}
