//! Each kind of object comes back as it was written.

use std::io::{Read, Write};

use rbuild_oci::{BlobDigest, Digest};
use rbuild_store::{CacheRecord, Error, Key, LayerId, LayerRecord};

use crate::{Scratch, image, name, put_blob, put_layer};

#[test]
fn a_blob_is_visible_only_when_it_is_what_was_announced() {
    let scratch = Scratch::new();
    let session = scratch.store().begin().unwrap();
    let digest = BlobDigest(Digest::of(b"hello"));
    let attempt = |bytes: &[u8], size| {
        let mut blob = session.blob().unwrap();
        blob.write_all(bytes).unwrap();
        blob.commit(Some((digest, size)))
    };
    assert!(matches!(attempt(b"hellO", 5), Err(Error::Mismatch { .. })));
    assert!(matches!(attempt(b"hello", 6), Err(Error::Mismatch { .. })));
    assert!(session.store().open_blob(&digest).unwrap().is_none());
    attempt(b"hello", 5).unwrap();
    attempt(b"hello", 5).unwrap();
    let mut text = String::new();
    let mut file = session.store().open_blob(&digest).unwrap().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

#[test]
fn the_first_layer_of_an_id_stays() {
    let scratch = Scratch::new();
    let session = scratch.store().begin().unwrap();
    let id = LayerId::random().unwrap();
    assert!(session.layer(&id).unwrap().is_none());
    put_layer(&session, id, "first");
    put_layer(&session, id, "second");
    let layer = session.layer(&id).unwrap().unwrap();
    assert_eq!(layer.record, LayerRecord::default());
    assert_eq!(layer.diff.entries().unwrap()[0].name, b"first");
    assert_eq!(layer.diff.stat_self().unwrap().mode, 0o755);
    assert_eq!(scratch.list(&format!("layers/{id}")), "diff,record.json");
}

#[test]
fn names_lead_to_images_until_they_are_removed() {
    let scratch = Scratch::new();
    let session = scratch.store().begin().unwrap();
    let store = session.store();
    let (one, two) = (
        image(LayerId::from_bytes([1; 32]), "one"),
        image(LayerId::from_bytes([2; 32]), "two"),
    );
    let ids = [&one, &two].map(|image| session.put_image(image).unwrap());
    assert_eq!(ids[0], one.id());
    let name = name("localhost:5000/a_b/c.d:V1-x");
    for id in ids {
        session.set_name(&name, &id).unwrap();
    }
    assert_eq!(store.name(&name).unwrap(), Some(ids[1]));
    assert_eq!(store.names().unwrap(), [(name.clone(), ids[1])]);
    assert!(matches!(
        store.remove_image(&ids[1]),
        Err(Error::StillNamed { .. })
    ));
    assert!(store.remove_image(&ids[0]).unwrap());
    assert!(!store.remove_image(&ids[0]).unwrap());
    assert!(store.remove_name(&name).unwrap());
    assert!(!store.remove_name(&name).unwrap());
    assert_eq!(store.images().unwrap(), [(ids[1], two)]);
}

#[test]
fn cache_records_and_notes_are_replaced() {
    let scratch = Scratch::new();
    let session = scratch.store().begin().unwrap();
    let store = session.store();
    let key = Key::from_bytes([9; 32]);
    assert_eq!(store.lookup(&key).unwrap(), None);
    for layer in [Some(LayerId::from_bytes([1; 32])), None] {
        let record = CacheRecord {
            layer,
            state: key,
            created: 7,
        };
        session.record(&key, &record).unwrap();
        assert_eq!(store.lookup(&key).unwrap(), Some(record));
    }
    assert_eq!(store.note("stat", &key).unwrap(), None);
    session.put_note("stat", &key, b"a").unwrap();
    session.put_note("stat", &key, b"b").unwrap();
    assert_eq!(store.note("stat", &key).unwrap(), Some(b"b".to_vec()));
}

#[test]
fn threads_share_a_session() {
    let scratch = Scratch::new();
    let session = scratch.store().begin().unwrap();
    let id = LayerId::from_bytes([3; 32]);
    std::thread::scope(|scope| {
        for thread in 0..8u8 {
            let session = &session;
            scope.spawn(move || {
                put_blob(session, b"same");
                put_blob(session, &[thread]);
                put_layer(session, id, "same");
                session.set_name(
                    &name("a.b/c:d"),
                    &session.put_image(&image(id, "x")).unwrap(),
                )
            });
        }
    });
    assert_eq!(session.store().names().unwrap().len(), 1);
    assert_eq!(scratch.list("layers"), id.to_string());
}
