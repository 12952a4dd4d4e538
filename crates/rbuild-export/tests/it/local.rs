//! An image's files as a directory.

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink},
};

use expect_test::{Expect, expect};
use rbuild_export::{Error, Others, Replica, write_tree};
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

fn write(place: &Place, id: &ImageId, others: Others) -> Result<(), Error> {
    let to = Replica::open(&place.path("out"), others)?;
    write_tree(
        &place.store,
        &place.image(id).layer_ids(),
        &empty(place),
        &to,
    )
}

/// Writes an image of two layers over what `prepare` put there; checks the files that are there
/// then.
#[track_caller]
fn check(prepare: impl FnOnce(&Place), expected: &Expect) {
    check_as(Others::Kept, prepare, expected);
}

#[track_caller]
fn check_as(others: Others, prepare: impl FnOnce(&Place), expected: &Expect) {
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
    write(&place, &id, others).unwrap();
    let mut out = String::new();
    list(&Handle::open(&place.path("out")).unwrap(), "", &mut out);
    expected.assert_eq(&out);
    let outside = fs::read_dir(place.path("outside")).unwrap();
    assert!(outside.flatten().all(|it| it.file_name() == "spared"));
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

/// The files of the result, and no others.
const RESULT: &str = "/d Directory\n/d/x File\n/d/y File\n/e Directory\n";

#[test]
fn what_the_result_does_not_have_is_removed_and_not_what_links_lead_to() {
    fn link(place: &Place, name: &str) {
        let outside = place.path("outside");
        fs::write(outside.join("spared"), "").unwrap();
        symlink(&outside, place.path(name)).unwrap();
    }
    fn file(place: &Place, name: &[u8]) {
        let path = place.path("out").join(std::ffi::OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let attacks: [fn(&Place); 10] = [
        |place| file(place, b"old"),
        |place| file(place, b"old/deep/er"),
        |place| file(place, b"d/old"),
        |place| file(place, b"e/old/er"),
        |place| file(place, b"\xff\n-rf /\x1b[2J"),
        // A directory is where the result has a file.
        |place| file(place, b"d/x/old"),
        |place| link(place, "out/old"),
        |place| link(place, "out/d"),
        |place| {
            fs::create_dir(place.path("out/d")).unwrap();
            link(place, "out/d/x");
            link(place, "out/d/old");
        },
        |place| {
            // As deep as no path is long.
            let mut dir = Handle::open(&place.path("out")).unwrap();
            for _ in 0..30 {
                dir.mkdir(&[b'o'; 200], 0o700).unwrap();
                dir = dir.child(&[b'o'; 200]).unwrap();
            }
            dir.symlink(b"/", b"root").unwrap();
        },
    ];
    for attack in attacks {
        let mut expected = expect![[""]];
        expected.data = RESULT;
        expected.indent = false;
        check_as(Others::Removed, attack, &expected);
    }
}

#[test]
fn directories_keep_the_times_of_the_result() {
    let place = Place::new();
    if let Err(error) = readable(&[&empty(&place)], &empty(&place)) {
        return skip(&error.to_string());
    }
    let layer = place.layer(&[Dir("d"), File("d/x", "1", 50)]);
    let id = place.commit(&[layer]);
    let seconds = |path: &str| {
        let time = fs::metadata(place.path(path)).unwrap().modified().unwrap();
        let since = time.duration_since(std::time::UNIX_EPOCH).unwrap();
        since.as_secs()
    };
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(60);
    let of_layer = place.in_layer(layer, "d");
    fs::File::open(of_layer).unwrap().set_modified(old).unwrap();
    fs::create_dir_all(place.path("out/d/old")).unwrap();
    write(&place, &id, Others::Removed).unwrap();
    assert!(!place.path("out/d/old").exists());
    assert_eq!(seconds("out/d"), 60);
}

#[test]
fn parts_that_were_not_written_are_removed_with_the_rest() {
    let place = Place::new();
    for others in [Others::Kept, Others::Removed] {
        for name in ["linux_amd64", "linux_s390x", "outside"] {
            fs::create_dir_all(place.path("out").join(name)).unwrap();
        }
        symlink(place.path("out/outside"), place.path("out/linux_arm64")).unwrap();
        let all = Replica::open(&place.path("out"), others).unwrap();
        let names = ["linux_amd64", "linux_arm64"].map(str::to_owned);
        for name in &names {
            let part = all.part(name).unwrap();
            assert_eq!(
                part.host_path().unwrap(),
                fs::canonicalize(place.path("out")).unwrap().join(name)
            );
        }
        all.finish(&names).unwrap();
        let left = fs::read_dir(place.path("out")).unwrap().count();
        assert_eq!(left, if others == Others::Kept { 4 } else { 2 });
        fs::remove_dir_all(place.path("out")).unwrap();
    }
}

#[test]
fn an_image_without_layers_is_an_empty_directory() {
    let place = Place::new();
    for others in [Others::Kept, Others::Removed] {
        write(&place, &place.commit(&[]), others).unwrap();
        assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 0);
    }
}

#[test]
fn a_vanished_layer_is_named() {
    let place = Place::new();
    let layer = place.layer(&[File("f", "1", 50)]);
    let id = place.commit(&[layer]);
    fs::remove_dir_all(place.path("store/layers").join(layer.to_string())).unwrap();
    fs::create_dir(place.path("out")).unwrap();
    fs::write(place.path("out/old"), "").unwrap();
    let error = write(&place, &id, Others::Removed).unwrap_err();
    assert!(place.path("out/old").exists(), "nothing is removed");
    assert!(
        matches!(error, Error::LayerMissing(id) if id == layer),
        "{error}"
    );
}
