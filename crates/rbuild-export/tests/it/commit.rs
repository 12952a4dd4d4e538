//! From layers to an image in the store.

use std::fs;

use expect_test::{Expect, expect};
use rbuild_export::{Commit, Error, Layers, Telling, commit, is_intact};
use rbuild_layer::{Form, PackOptions, pack};
use rbuild_oci::{
    DiffId, Digest, FileTimes, Format, Hasher, HistoryEntry, ImageConfig, ImageId, RootEntry,
};
use rbuild_store::{ImageRecord, LayerId};
use rbuild_testkit::Tree;

use crate::place::{
    Edit::{Dir, File, Gone, Opaque},
    NOTHING_SAID, Order, Place, built, name, origin, stage,
};

/// Two steps: the second one deletes, replaces and hides.
fn layers(place: &Place) -> [LayerId; 2] {
    let first = place.layer(&[
        Dir("d"),
        File("d/x", "1", 50),
        File("d/y", "1", 50),
        Dir("e"),
        File("e/x", "1", 50),
        File("f", "1", 50),
    ]);
    let second = place.layer(&[
        Dir("d"),
        Gone("d/x"),
        File("d/z", "2", 5000),
        Dir("e"),
        Opaque("e"),
        File("e/y", "2", 5000),
        Gone("f"),
        Gone("below"),
    ]);
    [first, second]
}

/// A base image with one layer and this history.
fn base(place: &Place, history: &[bool]) -> ImageRecord {
    let layer = place.layer(&[File("below", "0", 1)]);
    let id = place.commit(&[layer]);
    let mut record = place.image(&id);
    let mut config: ImageConfig = serde_json::from_str(&record.config).unwrap();
    config.history = history
        .iter()
        .map(|&empty_layer| HistoryEntry {
            created_by: Some("base".to_owned()),
            created: Some("2001-01-01T00:00:00Z".to_owned()),
            empty_layer,
            ..HistoryEntry::default()
        })
        .collect();
    record.config = serde_json::to_string(&config).unwrap();
    record
}

/// The image's history, and its layers as trees in a tar.
#[track_caller]
fn check(grouping: Layers, expected: &Expect) {
    let place = Place::new();
    let base = base(&place, &[true, false]);
    let order = Order {
        grouping,
        base: Some(&base),
        ..Order::default()
    };
    let id = place.commit_as(&layers(&place), order);
    let config = place.config(&id);
    let mut text = format!("created {}\n", config.created.unwrap());
    for entry in &config.history {
        let layer = if entry.empty_layer { "" } else { " layer" };
        let (by, time) = (entry.created_by.as_deref(), entry.created.as_deref());
        text += &format!("{} {}{layer}\n", by.unwrap_or("-"), time.unwrap_or("-"));
    }
    for layer in &place.image(&id).layers {
        text += "layer\n";
        text += &tree(&place, layer.layer);
    }
    expected.assert_eq(&text);
}

/// A layer as it is in a tar.
fn tree(place: &Place, layer: LayerId) -> String {
    let diff = place.store.layer(&layer).unwrap().unwrap().diff;
    let mut tar = Vec::new();
    pack(&[&diff], &PackOptions::new(Form::Overlay), &mut tar).unwrap();
    let mut tree = Tree::from_tar(&tar[..]).unwrap();
    // Whoever runs the tests owns the files, and the root, which is listed for that.
    tree.0.remove("/");
    for entry in tree.0.values_mut() {
        entry.owner = (0, 0);
    }
    tree.to_string()
}

#[test]
fn each_step_is_a_layer() {
    check(
        Layers::PerStep,
        &expect![[r#"
        created 1970-01-01T00:01:41Z
        base 2001-01-01T00:00:00Z
        base 2001-01-01T00:00:00Z layer
        LABEL 1970-01-01T00:01:40Z
        RUN 0 1970-01-01T00:01:40Z layer
        RUN 1 1970-01-01T00:01:41Z layer
        layer
        /below f 0644 0:0 1 "0"
        layer
        /d d 0755 0:0
        /d/x f 0644 0:0 1 "1"
        /d/y f 0644 0:0 1 "1"
        /e d 0755 0:0
        /e/x f 0644 0:0 1 "1"
        /f f 0644 0:0 1 "1"
        layer
        /d d 0755 0:0
        /d/.wh.x f 0000 0:0 0 ""
        /d/z f 0644 0:0 1 "2"
        /e d 0755 0:0
        /e/.wh..wh..opq f 0000 0:0 0 ""
        /e/y f 0644 0:0 1 "2"
        /wh.below f 0000 0:0 0 ""
        /wh.f f 0000 0:0 0 ""
    "#]],
    );
}

#[test]
fn squashed_steps_are_one_layer_that_still_deletes_from_the_base() {
    check(
        Layers::Squashed,
        &expect![[r#"
        created 1970-01-01T00:01:41Z
        base 2001-01-01T00:00:00Z
        base 2001-01-01T00:00:00Z layer
        LABEL 1970-01-01T00:01:41Z
        RUN 0 1970-01-01T00:01:41Z
        RUN 1 1970-01-01T00:01:41Z layer
        layer
        /below f 0644 0:0 1 "0"
        layer
        /d d 0755 0:0
        /d/.wh.x f 0000 0:0 0 ""
        /d/y f 0644 0:0 1 "1"
        /d/z f 0644 0:0 1 "2"
        /e d 0755 0:0
        /e/.wh..wh..opq f 0000 0:0 0 ""
        /e/y f 0644 0:0 1 "2"
        /wh.below f 0000 0:0 0 ""
        /wh.f f 0000 0:0 0 ""
    "#]],
    );
}

#[test]
fn there_are_as_many_layers_as_entries_that_have_one_g3() {
    let place = Place::new();
    let layers = layers(&place);
    let [one, two] = [built(0, layers[0]), built(2, layers[1])];
    let bases = [
        None,
        Some(base(&place, &[])),
        Some(base(&place, &[false])),
        Some(base(&place, &[true, false, true])),
        Some(base(&place, &[false, false, false])),
    ];
    let histories: [&[Option<u32>]; 3] = [
        &[Some(0), Some(1), Some(2)],
        &[Some(0), None, Some(2), None],
        &[Some(0), Some(2), Some(3)],
    ];
    for base in &bases {
        for history in histories {
            for built in [&[][..], &[one], &[two], &[one, two]] {
                for grouping in [Layers::PerStep, Layers::Squashed] {
                    let request = Commit {
                        stage: &stage(history),
                        base: base.as_ref().map(origin),
                        layers: built,
                        grouping,
                        epoch: None,
                        files: FileTimes::Kept,
                        telling: Telling::Told,
                        format: Format::Oci,
                        annotations: NOTHING_SAID,
                        cache: &[],
                        now: 0,
                        names: &[],
                    };
                    let id = commit(&place.store, &place.session, &request).unwrap();
                    let config = place.config(&id);
                    let full = config.history.iter().filter(|entry| !entry.empty_layer);
                    assert_eq!(full.count(), config.rootfs.diff_ids.len());
                    let omitted = Commit {
                        telling: Telling::Omitted,
                        format: Format::Docker,
                        ..request
                    };
                    let omitted = commit(&place.store, &place.session, &omitted).unwrap();
                    let omitted = place.config(&omitted);
                    assert_eq!(omitted.history, []);
                    assert_eq!(omitted.rootfs.diff_ids.len(), config.rootfs.diff_ids.len());
                    assert_eq!(place.image(&id).layers.len(), config.rootfs.diff_ids.len());
                }
            }
        }
    }
}

#[test]
fn the_epoch_is_the_latest_time_of_what_is_new() {
    let place = Place::new();
    let base = base(&place, &[false]);
    let layer = place.layer(&[File("old", "", 50), File("new", "", 5000)]);
    let order = Order {
        epoch: Some(1000),
        files: FileTimes::AtMost(1000),
        base: Some(&base),
        ..Order::default()
    };
    let id = place.commit_as(&[layer], order);
    let config = place.config(&id);
    let times: Vec<_> = config
        .history
        .iter()
        .map(|entry| entry.created.as_deref().unwrap())
        .collect();
    let epoch = "1970-01-01T00:16:40Z";
    assert_eq!(times, ["2001-01-01T00:00:00Z", epoch, epoch]);
    assert_eq!(config.created.as_deref(), Some(epoch));
    let diff = place.store.layer(&layer).unwrap().unwrap().diff;
    let options = PackOptions {
        times: FileTimes::AtMost(1000),
        ..PackOptions::new(Form::Overlay)
    };
    let mut tar = Vec::new();
    pack(&[&diff], &options, &mut tar).unwrap();
    let mut archive = tar::Archive::new(&tar[..]);
    let entries = archive.entries().unwrap().map(Result::unwrap);
    // The root is listed for whoever owns it.
    let files = entries.filter(|entry| &*entry.path_bytes() != b"./");
    let times: Vec<u64> = files.map(|entry| entry.header().mtime().unwrap()).collect();
    assert_eq!(times, [1000, 50]);
    let mut hasher = Hasher::new();
    hasher.update(&tar);
    assert_eq!(config.rootfs.diff_ids[1].0, hasher.finish());
    let bytes = &place.image(&id).layers[0];
    assert_eq!(bytes.times, FileTimes::Kept, "the base is as it was");
}

#[test]
fn other_times_of_files_are_another_layer() {
    let place = Place::new();
    let layer = place.layer(&[File("f", "", 5000)]);
    let times = [
        FileTimes::Kept,
        FileTimes::AtMost(1000),
        FileTimes::AtMost(253_402_300_799),
    ];
    let ids = times.map(|files| {
        let id = place.commit_as(
            &[layer],
            Order {
                files,
                ..Order::default()
            },
        );
        place.config(&id).rootfs.diff_ids
    });
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[0], ids[2], "no file is younger");
}

#[test]
fn a_second_commit_reads_no_layer() {
    let place = Place::new();
    let layer = place.layer(&[File("f", "1", 50)]);
    let id = place.commit(&[layer]);
    fs::write(place.in_layer(layer, "f"), "poison").unwrap();
    assert_eq!(place.commit(&[layer]), id);
    let other = place.commit_as(
        &[layer],
        Order {
            files: FileTimes::Exactly { exactly: 70 },
            ..Order::default()
        },
    );
    assert_ne!(
        place.config(&other).rootfs,
        place.config(&id).rootfs,
        "it was packed anew"
    );
}

#[test]
fn the_clock_is_in_no_image_that_was_built_before() {
    let place = Place::new();
    let layer = place.layer(&[File("f", "1", 50)]);
    for layers in [&[][..], &[layer]] {
        let [first, second] = [1000, 2000].map(|now| {
            place.commit_as(
                layers,
                Order {
                    now,
                    ..Order::default()
                },
            )
        });
        assert_eq!(first, second);
    }
}

#[test]
fn all_names_lead_to_the_image() {
    let place = Place::new();
    let names = ["localhost/a:1", "b.c/d:2"].map(name);
    let id = place.commit_as(
        &[],
        Order {
            names: &names,
            ..Order::default()
        },
    );
    assert_eq!(
        place.store.names().unwrap(),
        names
            .map(|name| (name, id))
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
    );
}

#[test]
fn without_a_layer_nothing_becomes_visible() {
    let place = Place::new();
    let there = place.layer(&[File("f", "1", 50)]);
    let lost = LayerId::random().unwrap();
    for grouping in [Layers::PerStep, Layers::Squashed] {
        let request = Commit {
            stage: &stage(&[Some(0), Some(1)]),
            base: None,
            layers: &[built(0, there), built(1, lost)],
            grouping,
            epoch: None,
            files: FileTimes::Kept,
            telling: Telling::Told,
            format: Format::Oci,
            annotations: NOTHING_SAID,
            cache: &[],
            now: 0,
            names: &[name("localhost/a:1")],
        };
        let error = commit(&place.store, &place.session, &request).unwrap_err();
        assert!(
            matches!(error, Error::LayerMissing(id) if id == lost),
            "{error}"
        );
        assert_eq!(place.store.images().unwrap(), []);
        assert_eq!(place.store.names().unwrap(), []);
    }
}

#[test]
fn a_layer_that_was_packed_before_roots_were_listed_leaves_as_it_was() {
    let place = Place::new();
    let layer = place.layer(&[File("f", "1", 50)]);
    let unusual = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(place.in_layer(layer, ""), unusual).unwrap();
    let new = place.commit(&[layer]);
    let found = place.store.layer(&layer).unwrap().unwrap();
    let options = PackOptions {
        root: RootEntry::Omitted,
        ..PackOptions::new(Form::Overlay)
    };
    let mut tar = Vec::new();
    pack(&[&found.diff], &options, &mut tar).unwrap();
    let old = as_before(&place, &new, &tar);
    for (id, root) in [(old, RootEntry::Omitted), (new, RootEntry::Unusual)] {
        let layer = &place.image(&id).layers[0];
        assert_eq!(layer.root, root);
        assert!(is_intact(layer, &found), "{root:?}");
        assert_eq!(place.config(&id).rootfs.diff_ids, [layer.diff_id]);
        // An error if it packs to anything else.
        place.export(&id);
    }
}

/// Image `new` of one layer, which packs to `tar`, with a record as it was when it did not say how its
/// layer was packed.
fn as_before(place: &Place, new: &ImageId, tar: &[u8]) -> ImageId {
    let diff_id = DiffId(Digest::of(tar));
    let mut config = place.config(new);
    config.rootfs.diff_ids = vec![diff_id];
    let config = serde_json::to_string(&config).unwrap();
    let id = ImageId(Digest::of(config.as_bytes()));
    let layer = place.image(new).layers[0].layer;
    let record = serde_json::json!({
        "config": config,
        "manifest": null,
        "draft": {"format": "oci", "annotations": {}},
        "layers": [{
            "layer": layer,
            "diff_id": diff_id,
            "size": tar.len(),
            "blob": null,
            "mtime_limit": null,
        }],
    });
    let path = place.path("store/images").join(id.0.hex());
    fs::write(path, record.to_string()).unwrap();
    id
}
