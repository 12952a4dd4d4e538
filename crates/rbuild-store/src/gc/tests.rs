//! Decisions, as tables: a store in a few words, and what goes.

use rbuild_oci::{BlobDigest, Digest, FileTimes, ImageId, RootEntry};

use super::{
    Budget, Cache, Label, Policy, Survey, SurveyedImage, SurveyedLayer, SurveyedNote,
    SurveyedRecord, Use, Victim, decide, policy::decide_release,
};
use crate::{Draft, ImageLayer, ImageRecord, Key, LayerId};

/// One object a line; what they are called is one character.
///
/// ```text
/// layer b a 10 @5       layer b on layer a (- for none), 10 bytes, last used at 5
/// image i ab named @5   image i of layers a and b, 1 byte; or `unnamed`
/// record r b @5         cache record of layer b (- for none, ? if it is damaged), 1 byte
/// note n x @5           note that names blob x (- for none), 1 byte
/// blob x 7              blob of 7 bytes
/// lease b               a living session holds layer b, or lease image:i, blob:x
/// ```
fn survey(text: &str) -> Survey {
    let mut survey = Survey::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let last = words
            .last()
            .and_then(|word| word.strip_prefix('@'))
            .map_or(0, |seconds| seconds.parse().unwrap());
        let usage = |size| Use { size, last };
        match words[..] {
            ["layer", id, parent, size, ..] => {
                let layer = SurveyedLayer {
                    parent: (parent != "-").then(|| layer(parent)),
                    usage: usage(size.parse().unwrap()),
                };
                survey.layers.insert(self::layer(id), layer);
            }
            ["image", id, layers, named, ..] => {
                let image = SurveyedImage {
                    named: named == "named",
                    labels: [("name".to_owned(), id.to_owned())].into(),
                    layers: layers.chars().map(|id| layer(&id.to_string())).collect(),
                    blobs: Vec::new(),
                    usage: usage(1),
                };
                survey.images.insert(self::image(id), image);
            }
            ["record", key, to, ..] => {
                let record = SurveyedRecord {
                    readable: to != "?",
                    layer: (to != "-" && to != "?").then(|| layer(to)),
                    usage: usage(1),
                };
                survey.records.insert(self::key(key), record);
            }
            ["note", key, to, ..] => {
                let note = SurveyedNote {
                    blobs: (to != "-").then(|| blob(to)).into_iter().collect(),
                    usage: usage(1),
                };
                survey.notes.insert(("n".to_owned(), self::key(key)), note);
            }
            ["blob", id, size] => {
                survey.blobs.insert(blob(id), usage(size.parse().unwrap()));
            }
            ["lease", what] => {
                let line = match what.split_once(':') {
                    Some(("image", id)) => image(id).to_string(),
                    Some(("blob", id)) => blob(id).to_string(),
                    _ => layer(what).to_string(),
                };
                survey.leased.insert(line);
            }
            _ => unreachable!("`{line}` is not an object"),
        }
    }
    survey
}

fn bytes(name: &str) -> [u8; 32] {
    [name.as_bytes()[0]; 32]
}

fn layer(name: &str) -> LayerId {
    LayerId::from_bytes(bytes(name))
}

fn key(name: &str) -> Key {
    Key::from_bytes(bytes(name))
}

fn image(name: &str) -> ImageId {
    ImageId(Digest::from_bytes(bytes(name)))
}

fn blob(name: &str) -> BlobDigest {
    BlobDigest(Digest::from_bytes(bytes(name)))
}

/// `victims` as `kind name`, in their order.
fn short(victims: &[Victim]) -> String {
    let name = |bytes: &[u8; 32]| char::from(bytes[0]);
    let one = |victim: &Victim| match &victim.object {
        super::Object::Image(id) => format!("image {}", name(id.0.as_bytes())),
        super::Object::Record(key) => format!("record {}", name(key.as_bytes())),
        super::Object::Note(_, key) => format!("note {}", name(key.as_bytes())),
        super::Object::Layer(id) => format!("layer {}", name(id.as_bytes())),
        super::Object::Blob(digest) => format!("blob {}", name(digest.0.as_bytes())),
    };
    victims.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[track_caller]
fn check(text: &str, policy: &Policy, expected: &str) {
    assert_eq!(short(&decide(&survey(text), policy)), expected);
}

/// Long after everything that has a time.
const NOW: i64 = 1_000_000;

/// The policy of a plain `prune` at that time.
fn plain() -> Policy {
    Policy {
        now: NOW,
        ..Policy::default()
    }
}

fn all() -> Policy {
    Policy {
        cache: Cache::All,
        ..plain()
    }
}

const BUILT: &str = "
    layer a - 100 @1
    layer b a 10 @2
    layer c b 10 @3
    layer d a 50 @4
    image i abc named @5
    record r b @2
    record s c @3
    record t d @4
    record u - @4";

#[test]
fn what_an_image_with_a_name_stands_on_stays() {
    check(BUILT, &plain(), "record t, record u, layer d");
}

#[test]
fn all_forgets_results_but_not_the_layers_of_images() {
    check(
        BUILT,
        &all(),
        "record r, record s, record t, record u, layer d",
    );
}

#[test]
fn without_its_name_an_image_goes_with_all_that_only_it_had() {
    check(
        &BUILT.replace(" named", " unnamed"),
        &plain(),
        "image i, record r, record s, record t, record u, layer c, layer b, layer d, layer a",
    );
}

#[test]
fn what_a_living_session_holds_stays_with_all_below_it() {
    check(
        &format!("{BUILT}\nlease d").replace(" named", " unnamed"),
        &all(),
        "image i, record r, record s, record t, record u, layer c, layer b",
    );
    check("image i - unnamed\nlease image:i", &all(), "");
    check("blob x 1\nblob y 1\nlease blob:x", &all(), "blob y");
}

#[test]
fn what_leads_nowhere_goes() {
    check("record r a", &plain(), "record r");
    check("record r ?", &plain(), "record r");
    check("layer b a 1\nrecord r b", &plain(), "record r, layer b");
}

#[test]
fn layers_whose_records_name_each_other_end_no_decision() {
    check(
        "layer a b 1\nlayer b a 1\nrecord r a",
        &plain(),
        "record r, layer a, layer b",
    );
}

#[test]
fn what_was_used_lately_stays() {
    let policy = Policy {
        keep_seconds: NOW - 3,
        ..plain()
    };
    check(BUILT, &policy, "");
    let policy = Policy {
        keep_seconds: NOW - 4,
        ..plain()
    };
    check(BUILT, &policy, "record t, record u, layer d");
}

#[test]
fn a_result_is_remembered_for_a_while_when_its_layer_goes() {
    let early = Policy {
        now: 1000,
        ..Policy::default()
    };
    check(BUILT, &early, "record u, layer d");
    check("record r a", &early, "");
    check("record r ?", &early, "record r");
    let all = Policy {
        cache: Cache::All,
        ..early
    };
    check("record r a", &all, "record r");
}

#[test]
fn garbage_goes_however_young_it_is() {
    let policy = Policy {
        keep_seconds: NOW,
        ..plain()
    };
    check("layer a - 1 @999999\nblob x 1", &policy, "layer a, blob x");
}

#[test]
fn a_clock_that_jumped_back_deletes_nothing_that_is_to_be_kept() {
    let policy = Policy {
        keep_seconds: 10,
        now: -5,
        ..plain()
    };
    check(BUILT, &policy, "");
}

#[test]
fn a_budget_is_met_by_the_least_recently_used() {
    let text = "
        layer a - 100 @30
        layer b - 100 @10
        layer c - 100 @20
        record r a @30
        record s b @10
        record t c @20";
    let used = |used| Policy {
        budget: Some(Budget { used, free: 0 }),
        ..plain()
    };
    check(text, &used(303), "");
    check(text, &used(302), "record s, layer b");
    check(
        text,
        &used(101),
        "record s, record t, layer c, layer b"
            .replace("layer c, layer b", "layer b, layer c")
            .as_str(),
    );
    check(
        text,
        &used(0),
        "record r, record s, record t, layer a, layer b, layer c",
    );
}

#[test]
fn what_a_newer_result_stands_on_frees_nothing() {
    let text = "
        layer a - 100 @1
        layer b a 10 @2
        record r a @1
        record s b @2";
    let policy = Policy {
        budget: Some(Budget { used: 111, free: 0 }),
        ..plain()
    };
    check(text, &policy, "record r");
    let policy = Policy {
        budget: Some(Budget { used: 110, free: 0 }),
        ..plain()
    };
    check(text, &policy, "record r, record s, layer b, layer a");
}

#[test]
fn space_that_has_to_be_free_counts_what_goes() {
    let text = "layer a - 100 @1\nrecord r a @1\nlayer b - 100 @2\nrecord s b @2";
    let free = |free| Policy {
        budget: Some(Budget {
            used: u64::MAX,
            free,
        }),
        ..plain()
    };
    check(text, &free(0), "");
    check(text, &free(101), "record r, layer a");
    check(text, &free(102), "record r, record s, layer a, layer b");
}

#[test]
fn labels_choose_images_and_spare_results() {
    let text = "
        layer a - 1
        image i a unnamed
        image j - unnamed
        record r a";
    let label = |value: Option<&str>, wanted| Policy {
        labels: vec![Label {
            key: "name".to_owned(),
            value: value.map(str::to_owned),
            wanted,
        }],
        ..plain()
    };
    check(text, &label(Some("i"), true), "image i");
    check(text, &label(Some("i"), false), "image j");
    check(text, &label(None, true), "image i, image j");
    check(text, &label(None, false), "");
}

#[test]
fn a_note_lives_a_week_and_keeps_its_blob() {
    let day = 86_400;
    let at = |days: i64| Policy {
        now: days * day,
        ..plain()
    };
    let text = "note n x @0\nblob x 1";
    check(text, &at(6), "");
    check(text, &at(7), "note n, blob x");
    check(text, &all(), "note n, blob x");
}

#[track_caller]
fn check_release(text: &str, layers: &str, expected: &str) {
    let layers = layers.chars().map(|id| ImageLayer {
        layer: layer(&id.to_string()),
        diff_id: rbuild_oci::DiffId(Digest::of(b"")),
        size: 0,
        blob: None,
        times: FileTimes::Kept,
        root: RootEntry::Unusual,
    });
    let removed = ImageRecord {
        config: String::new(),
        manifest: None,
        draft: Draft::default(),
        layers: layers.collect(),
    };
    assert_eq!(short(&decide_release(&survey(text), &[removed])), expected);
}

#[test]
fn a_removed_image_gives_back_what_only_it_used() {
    let built = BUILT.replace("image i abc named @5", "image j a named");
    check_release(&built, "abc", "record r, record s, layer c, layer b");
    check_release(&format!("{built}\nlease c"), "abc", "");
}

#[test]
fn layers_below_results_of_other_builds_stay_when_an_image_goes() {
    let built = BUILT.replace("image i abc named @5", "");
    check_release(&built, "abc", "record r, record s, layer c, layer b");
    check_release(&built, "a", "");
}

#[test]
fn garbage_of_others_is_left_to_prune() {
    check_release("layer a - 1\nlayer z - 1", "a", "layer a");
}

#[test]
fn victims_are_dumped_with_size_and_reason() {
    let victims = decide(&survey(&BUILT.replace("named", "unnamed")), &plain());
    let text = super::dump(&victims);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "image 696969696969, 1 bytes, has no name");
    assert_eq!(
        lines[1],
        "cache record 727272727272, 1 bytes, can be made again"
    );
    assert_eq!(lines[5], "layer 636363636363, 10 bytes, nothing needs it");
}
