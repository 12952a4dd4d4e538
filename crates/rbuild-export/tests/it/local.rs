//! An image's files as a directory.

use std::{fs, os::unix::fs::symlink};

use expect_test::{Expect, expect};
use rbuild_export::{Error, write_tree};
use rbuild_oci::ImageId;
use rbuild_snapshot::readable;
use rbuild_sys::Dir as Handle;
use rbuild_testkit::skip;

use crate::place::{
    Edit::{Dir, File, Gone, Opaque},
    Place,
};

fn empty(place: &Place) -> Handle {
    place.session.new_layer().unwrap().diff
}

fn write(place: &Place, id: &ImageId) -> Result<(), Error> {
    write_tree(
        &place.store,
        &place.image(id).layer_ids(),
        &empty(place),
        &place.path("out"),
    )
}

/// Writes an image of two layers over what `prepare` put there; checks the files that are there
/// then.
#[track_caller]
fn check(prepare: impl FnOnce(&Place), expected: &Expect) {
    let place = Place::new();
    if let Err(error) = readable(&[&empty(&place)], &empty(&place)) {
        return skip(&error.to_string());
    }
    let first = place.layer(&[
        Dir("d"),
        File("d/x", "1", 50),
        Dir("e"),
        File("e/x", "1", 50),
        File("f", "1", 50),
    ]);
    let second = place.layer(&[
        Dir("d"),
        File("d/y", "2", 50),
        Dir("e"),
        Opaque("e"),
        Gone("f"),
    ]);
    let id = place.commit(&[first, second]);
    fs::create_dir(place.path("out")).unwrap();
    fs::create_dir(place.path("outside")).unwrap();
    prepare(&place);
    write(&place, &id).unwrap();
    let mut out = String::new();
    list(&Handle::open(&place.path("out")).unwrap(), "", &mut out);
    expected.assert_eq(&out);
    assert_eq!(fs::read_dir(place.path("outside")).unwrap().count(), 0);
}

fn list(dir: &Handle, path: &str, out: &mut String) {
    for entry in dir.entries().unwrap() {
        let path = format!("{path}/{}", String::from_utf8_lossy(&entry.name));
        *out += &format!("{path} {:?}\n", entry.kind);
        if let Ok(child) = dir.child(&entry.name) {
            list(&child, &path, out);
        }
    }
}

#[test]
fn deletions_are_done() {
    check(
        |_| {},
        &expect![[r#"
        /d Directory
        /d/x File
        /d/y File
        /e Directory
    "#]],
    );
}

#[test]
fn what_has_another_name_stays() {
    check(
        |place| {
            fs::write(place.path("out/other"), "").unwrap();
            fs::create_dir(place.path("out/d")).unwrap();
            fs::write(place.path("out/d/y"), "old").unwrap();
            fs::write(place.path("out/d/z"), "").unwrap();
        },
        &expect![[r#"
            /d Directory
            /d/x File
            /d/y File
            /d/z File
            /e Directory
            /other File
        "#]],
    );
}

#[test]
fn links_in_the_directory_do_not_lead_out() {
    check(
        |place| symlink(place.path("outside"), place.path("out/d")).unwrap(),
        &expect![[r#"
            /d Directory
            /d/x File
            /d/y File
            /e Directory
        "#]],
    );
    check(
        |place| {
            fs::create_dir(place.path("out/d")).unwrap();
            symlink(place.path("outside/x"), place.path("out/d/x")).unwrap();
        },
        &expect![[r#"
            /d Directory
            /d/x File
            /d/y File
            /e Directory
        "#]],
    );
}

#[test]
fn an_image_without_layers_is_an_empty_directory() {
    let place = Place::new();
    write(&place, &place.commit(&[])).unwrap();
    assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 0);
}

#[test]
fn a_vanished_layer_is_named() {
    let place = Place::new();
    let layer = place.layer(&[File("f", "1", 50)]);
    let id = place.commit(&[layer]);
    fs::remove_dir_all(place.path("store/layers").join(layer.to_string())).unwrap();
    let error = write(&place, &id).unwrap_err();
    assert!(
        matches!(error, Error::LayerMissing(id) if id == layer),
        "{error}"
    );
}
