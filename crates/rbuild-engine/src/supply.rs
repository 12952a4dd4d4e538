//! Layers that the store does not have: who brings them, when one is first opened.
//!
//! Knows: that a layer is brought once, however many wait for it; what is here already is not, if it
//! can be trusted.
//! Does not know: where layers come from, nor what they are for.
//!
//! A build that finds everything in a cache opens few layers, so it fetches few: neither base images
//! of stages that are not executed, nor what lies between two steps that are known.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use rbuild_oci::ImageId;
use rbuild_store::{LayerId, Session};

use crate::Error;

/// Puts layers into the store.
type Bring<'a> = Box<dyn Fn() -> Result<(), Error> + Send + Sync + 'a>;

/// Who brings which layers.
#[derive(Default)]
pub struct Supplies<'a> {
    suppliers: Vec<Supplier<'a>>,
    by_layer: BTreeMap<LayerId, usize>,
    by_image: BTreeMap<ImageId, usize>,
}

struct Supplier<'a> {
    bring: Bring<'a>,
    is_done: Mutex<bool>,
}

impl<'a> Supplies<'a> {
    /// `bring` brings `layers`, bottom first, if nobody does yet; the topmost in any case: nobody
    /// brings less with it.
    pub(crate) fn add(&mut self, layers: &[LayerId], bring: Bring<'a>) {
        let index = self.suppliers.len();
        for layer in layers {
            self.by_layer.entry(*layer).or_insert(index);
        }
        self.by_layer.extend(layers.last().map(|top| (*top, index)));
        self.suppliers.push(Supplier {
            bring,
            is_done: Mutex::new(false),
        });
    }

    /// The same for all layers of an image, and its record.
    pub(crate) fn add_image(&mut self, id: ImageId, layers: &[LayerId], bring: Bring<'a>) {
        self.by_image.insert(id, self.suppliers.len());
        self.add(layers, bring);
    }

    /// Whether somebody brings `layer`.
    pub(crate) fn has(&self, layer: &LayerId) -> bool {
        self.by_layer.contains_key(layer)
    }

    /// Puts those of `layers`, bottom first, into the store that somebody brings, and that are not
    /// there.
    ///
    /// # Errors
    /// Why one could not be had; [`Error::Store`].
    pub(crate) fn bring_all(&self, layers: &[LayerId], session: &Session) -> Result<(), Error> {
        // From the top: with an image's topmost layer come those below it, and nothing else. A lower
        // one may be another image's too, which nobody wants.
        for layer in layers.iter().rev().filter(|layer| self.has(layer)) {
            // No image vouches for what is put off, and nobody holds what there is of it.
            if session.finished_layer(layer)?.is_none() {
                self.bring(layer)?;
            }
        }
        Ok(())
    }

    /// Puts `layer` into the store.
    ///
    /// # Errors
    /// [`Error::LayerMissing`] if nobody has it; else why it could not be had.
    pub fn bring(&self, layer: &LayerId) -> Result<(), Error> {
        let index = self.by_layer.get(layer);
        self.suppliers[*index.ok_or(Error::LayerMissing(*layer))?].serve()
    }

    /// Puts the image `id` into the store, if that was put off.
    ///
    /// # Errors
    /// Why it could not be had.
    pub fn bring_image(&self, id: &ImageId) -> Result<(), Error> {
        match self.by_image.get(id) {
            Some(index) => self.suppliers[*index].serve(),
            None => Ok(()),
        }
    }
}

impl Supplier<'_> {
    fn serve(&self) -> Result<(), Error> {
        // Others wait here for the one that fetches; nothing half done is behind a panic.
        let mut is_done = self.is_done.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_done {
            (self.bring)()?;
            *is_done = true;
        }
        Ok(())
    }
}

impl fmt::Debug for Supplies<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_layer.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::Path,
        sync::{
            Mutex,
            atomic::{AtomicU32, Ordering},
        },
    };

    use rbuild_store::{Durability, LayerId, LayerRecord, Session, Store};

    use super::Supplies;
    use crate::Error;

    const A: LayerId = LayerId::from_bytes([1; 32]);
    const B: LayerId = LayerId::from_bytes([2; 32]);
    const C: LayerId = LayerId::from_bytes([3; 32]);

    #[test]
    fn layers_that_come_together_are_brought_once() {
        let count = AtomicU32::new(0);
        let mut supplies = Supplies::default();
        let bring = || {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        supplies.add(&[A, B], Box::new(bring));
        std::thread::scope(|scope| {
            for layer in [A, B, A] {
                let supplies = &supplies;
                scope.spawn(move || supplies.bring(&layer).unwrap());
            }
        });
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn who_was_first_brings_and_who_failed_is_asked_again() {
        let mut supplies = Supplies::default();
        supplies.add(&[A], Box::new(|| Err(Error::LayerMissing(C))));
        supplies.add(&[A, B], Box::new(|| Ok(())));
        for _ in 0..2 {
            let error = supplies.bring(&A).unwrap_err();
            assert!(matches!(error, Error::LayerMissing(C)), "{error}");
        }
        supplies.bring(&B).unwrap();
        let error = supplies.bring(&C).unwrap_err();
        assert!(matches!(error, Error::LayerMissing(C)), "{error}");
    }

    /// Makes the layer `id` with the file `name`.
    fn make(session: &Session, id: LayerId, name: &str) {
        let staged = session.new_layer().unwrap();
        staged.diff.create(name.as_bytes(), 0o644).unwrap();
        let record = LayerRecord::default();
        session.commit_layer(staged, id, &record).unwrap();
    }

    /// Opens `wanted` where each of `images` is put off; returns the numbers of those that came.
    #[track_caller]
    fn brought(images: &[&[LayerId]], wanted: &[LayerId]) -> Vec<usize> {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Durability::None).unwrap();
        let session = store.begin().unwrap();
        let came = Mutex::new(Vec::new());
        let mut supplies = Supplies::default();
        for (number, layers) in images.iter().enumerate() {
            let (came, session) = (&came, &session);
            let bring = move || {
                came.lock().unwrap().push(number);
                layers.iter().for_each(|id| make(session, *id, "f"));
                Ok(())
            };
            supplies.add(layers, Box::new(bring));
        }
        supplies.bring_all(wanted, &session).unwrap();
        for id in wanted {
            assert!(store.layer(id).unwrap().is_some());
        }
        drop(supplies);
        came.into_inner().unwrap()
    }

    #[test]
    fn an_image_comes_without_another_one_that_shares_layers_with_it() {
        assert_eq!(brought(&[&[A, B], &[A, C]], &[A, C]), [1]);
        assert_eq!(brought(&[&[A, B], &[A, C]], &[A, B]), [0]);
        assert_eq!(brought(&[&[A, B, C], &[A, B]], &[A, B]), [1]);
        assert_eq!(brought(&[&[A, B], &[A, B, C]], &[A, B]), [0]);
    }

    /// Opens the layer [`A`], which was there as `edit` leaves its record, and which somebody
    /// brings if `is_supplied`; returns the name of its only file.
    #[track_caller]
    fn check(edit: impl Fn(&Path), is_supplied: bool, expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Durability::Commit).unwrap();
        make(&store.begin().unwrap(), A, "here");
        edit(&dir.path().join(format!("layers/{A}/record.json")));
        let session = store.begin().unwrap();
        let mut supplies = Supplies::default();
        if is_supplied {
            let bring = || {
                make(&session, A, "brought");
                Ok(())
            };
            supplies.add(&[A], Box::new(bring));
        }
        supplies.bring_all(&[A], &session).unwrap();
        let opened = store.layer(&A).unwrap().unwrap();
        let entries = opened.diff.entries().unwrap();
        assert_eq!(entries[0].name, expected.as_bytes());
    }

    #[test]
    fn what_a_power_cut_may_have_emptied_is_brought_again() {
        let before = |record: &Path| {
            let text = fs::read_to_string(record).unwrap();
            let mut record_of: serde_json::Value = serde_json::from_str(&text).unwrap();
            record_of["boot"] = "an earlier one".into();
            fs::write(record, record_of.to_string()).unwrap();
        };
        check(|_| {}, true, "here");
        check(before, true, "brought");
        // An image vouches for it, or nobody could open it at all.
        check(before, false, "here");
    }
}
