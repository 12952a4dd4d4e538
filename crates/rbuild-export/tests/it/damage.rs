//! What changed on disk does not leave (store.md, fault 24).

use std::{error::Error as _, fs};

use rbuild_export::{Error, Exported, Looks, Tagged, export, write_archive, write_layout};
use rbuild_oci::BlobDigest;

use crate::{
    layout::read,
    place::{Edit::File, Place},
};

/// Flips a bit in the middle of a file.
fn flip(path: &std::path::Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(path, mode).unwrap();
    fs::write(path, bytes).unwrap();
}

fn blob(place: &Place, digest: &BlobDigest) -> std::path::PathBuf {
    let hex = digest.0.hex();
    place.path("store/blobs/sha256").join(&hex[..2]).join(hex)
}

#[test]
fn a_layer_with_another_bit_does_not_leave() {
    let place = Place::new();
    let layer = place.layer(&[File("f", "content", 50)]);
    let id = place.commit(&[layer]);
    flip(&place.in_layer(layer, "f"));
    for _ in 0..2 {
        let error = export(place.ends(), &place.image(&id), Looks::default()).unwrap_err();
        let expected = place.config(&id).rootfs.diff_ids[0];
        assert!(
            matches!(error, Error::LayerChanged { expected: named, .. } if named == expected),
            "{error}"
        );
    }
    let blobs = fs::read_dir(place.path("store/blobs")).unwrap();
    assert_eq!(blobs.count(), 0);
}

#[test]
fn a_layer_that_left_before_is_not_packed_again() {
    let place = Place::new();
    let layer = place.layer(&[File("f", "content", 50)]);
    let id = place.commit(&[layer]);
    let first = place.export(&id);
    flip(&place.in_layer(layer, "f"));
    assert_eq!(place.export(&id).manifest, first.manifest);
}

/// Exports an image with a damaged blob, which must fail and name it, and then once more.
#[track_caller]
fn check_blob(write: impl Fn(&Place, &Exported) -> Result<(), Error>) {
    let place = Place::new();
    let layer = place.layer(&[File("f", "content", 50)]);
    let id = place.commit(&[layer]);
    let digest = place.export(&id).layers[0].digest;
    flip(&blob(&place, &digest));
    let error = write(&place, &place.export(&id)).unwrap_err();
    let cause = error.source().unwrap().to_string();
    assert!(
        cause.starts_with(&format!("blob {digest} has changed on disk")),
        "{cause}"
    );
    write(&place, &place.export(&id)).unwrap();
}

#[test]
fn a_blob_with_another_bit_does_not_leave_and_is_made_again() {
    check_blob(|place, image| {
        write_archive(
            place.ends(),
            &[Tagged {
                what: image.into(),
                tag: None,
            }],
            &mut Vec::new(),
        )
    });
    check_blob(|place, image| {
        let dir = place.path("layout");
        write_layout(place.ends(), image, &dir, None)?;
        assert_eq!(read(&dir), "-(1)");
        Ok(())
    });
}

#[test]
fn a_vanished_blob_is_made_again() {
    let place = Place::new();
    let layer = place.layer(&[File("f", "content", 50)]);
    let id = place.commit(&[layer]);
    let first = place.export(&id);
    place.store.remove_blob(&first.layers[0].digest).unwrap();
    assert_eq!(place.export(&id).manifest, first.manifest);
    assert!(
        place
            .store
            .open_blob(&first.layers[0].digest)
            .unwrap()
            .is_some()
    );
}

#[test]
fn a_vanished_layer_is_named() {
    let place = Place::new();
    let layer = place.layer(&[File("f", "content", 50)]);
    let id = place.commit(&[layer]);
    fs::remove_dir_all(place.path("store/layers").join(layer.to_string())).unwrap();
    let error = export(place.ends(), &place.image(&id), Looks::default()).unwrap_err();
    assert!(
        matches!(error, Error::LayerMissing(id) if id == layer),
        "{error}"
    );
}
