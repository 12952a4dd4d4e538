//! Layers go to registries while later steps still run.
//!
//! Knows: which layers the images consist of that registries get, and that each is a blob first.
//! Does not know: when a layer is there ([`crate::ahead`]), how a blob is made or sent.
//!
//! Invariant: nothing depends on it, nor waits for it when the build has failed. What fails here
//! is left to the output, which sends what is missing and says what is wrong; blobs without a
//! manifest do no harm.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use rbuild_export::{Compress, Place, Stop, layer_blob, push_layer};
use rbuild_http::Security;
use rbuild_oci::{BlobDigest, Descriptor, Format, Location, Reference};
use rbuild_plan::{Plan, StageId, StepId};
use rbuild_registry::Repository;
use rbuild_store::{ImageLayer, Store};

use crate::{
    ahead,
    commission::base_image,
    destination::repository,
    order::Order,
    output::{Ends, Output},
    planning::Resolved,
};

/// Blobs that are uploaded at the same time, for all platforms of a build.
pub const CONNECTIONS: usize = 4;

/// What goes to registries, as far as that is known before the build.
pub struct Uploads<'a> {
    place: Place<'a>,
    plan: &'a Plan,
    resolved: &'a Resolved,
    ways: Vec<Arc<Way>>,
}

/// An image's way to a repository.
struct Way {
    repository: Repository,
    /// What it is called, and how its blobs are made.
    called: (String, Compress, Format),
    /// How far its registry is trusted, if its output says that.
    security: Option<Security>,
    stage: StageId,
    /// Those whose layers it will consist of.
    steps: BTreeSet<StepId>,
    /// Something has failed: no use trying the rest.
    is_closed: AtomicBool,
}

/// A layer of the build that was hashed.
pub type Hashed = (StepId, ImageLayer);

impl<'a> Uploads<'a> {
    /// Nothing.
    pub fn none(ends: Ends<'a>, (plan, resolved): (&'a Plan, &'a Resolved)) -> Self {
        Self {
            place: ends.place(),
            plan,
            resolved,
            ways: Vec::new(),
        }
    }

    /// What `order` sends to registries, if each step's layer is one of the image.
    pub fn of(order: &Order, ends: Ends<'a>, planned: (&'a Plan, &'a Resolved)) -> Self {
        let mut uploads = Self::none(ends, planned);
        let plan = uploads.plan;
        for output in &order.outputs {
            for (&stage, target) in plan.targets.iter().zip(&order.targets) {
                let places = output.registries(&target.names).unwrap_or_default();
                for place in &places {
                    uploads.add(place, (output, order.description.format), (stage, ends));
                }
            }
        }
        uploads
    }

    /// Adds the way to `place`, if that is a registry and it is not there yet.
    fn add(
        &mut self,
        place: &Location,
        (output, format): (&Output, Format),
        (stage, ends): (StageId, Ends<'a>),
    ) {
        let (Location::Name(reference) | Location::Registry(reference)) = place else {
            return;
        };
        let line = output.line(ends);
        let found = repository((ends.place(), line), &reference.on_docker_hub());
        let Ok((repository, to)) = found else { return };
        let untagged = Reference {
            tag: None,
            digest: None,
            ..to
        };
        let looks = output.looks;
        let called = (
            untagged.to_string(),
            looks.compress,
            looks.format.unwrap_or(format),
        );
        let mut same = self.ways.iter().filter(|way| way.called == called);
        if same.any(|way| way.stage == stage && way.security == output.security) {
            return;
        }
        self.ways.push(Arc::new(Way {
            repository,
            called,
            security: output.security,
            stage,
            steps: ahead::steps_of(self.plan, stage),
            is_closed: AtomicBool::new(false),
        }));
    }

    /// Whether nothing goes anywhere.
    pub fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// Sends the layers of the base images, and those that come, `connections` at the same time, until
    /// there are no more, or the build has `failed`: then nobody waits for registries, which may be
    /// slow.
    pub fn send(&self, layers: &Receiver<Hashed>, connections: usize, failed: &Arc<AtomicBool>) {
        let (blobs, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let sender = |_| {
            let (store, waiting) = (self.place.store.clone(), Arc::clone(&waiting));
            let failed = Arc::clone(failed);
            thread::spawn(move || push_all(&store, &waiting, &|| failed.load(Ordering::Relaxed)))
        };
        let senders: Vec<_> = (0..connections).map(sender).collect();
        let stop = &|| failed.load(Ordering::Relaxed);
        let press = Press {
            place: self.place,
            blobs,
            stop,
            made: BTreeSet::new(),
        };
        self.compress(press, layers);
        if !stop() {
            // One that panicked has told so; the output does its work again.
            senders.into_iter().for_each(|it| drop(it.join()));
        }
    }

    /// Makes the layers blobs, bottom first.
    fn compress(&self, mut press: Press<'_>, layers: &Receiver<Hashed>) {
        let mut without_base: Vec<&Arc<Way>> = self.ways.iter().collect();
        without_base.retain(|way| !self.compress_base(way, &mut press));
        for (step, layer) in layers {
            // When a step was executed, the store has what it stands on, if not before.
            without_base
                .retain(|way| !way.steps.contains(&step) || !self.compress_base(way, &mut press));
            for way in self.ways.iter().filter(|way| way.steps.contains(&step)) {
                press.make(way, &layer);
            }
        }
    }

    /// Does so with the layers of the base image; tells whether there is nothing left to do.
    fn compress_base(&self, way: &Arc<Way>, press: &mut Press<'_>) -> bool {
        let plan = (self.plan, way.stage);
        let Ok(base) = base_image(self.place.store, plan, self.resolved) else {
            return false;
        };
        let layers = base.iter().flat_map(|(image, _)| &image.layers);
        layers.for_each(|layer| press.make(way, layer));
        true
    }
}

/// Makes layers blobs, and hands them on.
struct Press<'a> {
    place: Place<'a>,
    blobs: Sender<(Arc<Way>, Descriptor)>,
    stop: Stop<'a>,
    /// What was handed on.
    made: BTreeSet<(String, BlobDigest)>,
}

impl Press<'_> {
    fn make(&mut self, way: &Arc<Way>, layer: &ImageLayer) {
        if (self.stop)() || way.is_closed.load(Ordering::Relaxed) {
            return;
        }
        let (name, compress, format) = &way.called;
        match layer_blob(self.place, layer, (*compress, *format), self.stop) {
            Ok(blob) if self.made.insert((name.clone(), blob.digest)) => {
                // Fails only when nobody sends any more.
                let _ = self.blobs.send((Arc::clone(way), blob));
            }
            Ok(_) => {}
            Err(_) => way.is_closed.store(true, Ordering::Relaxed),
        }
    }
}

/// Uploads blobs until there are no more.
fn push_all(store: &Store, blobs: &Mutex<Receiver<(Arc<Way>, Descriptor)>>, stop: Stop<'_>) {
    let next = || blobs.lock().expect("no holder panics").recv();
    while let Ok((way, blob)) = next() {
        let is_closed = &way.is_closed;
        if !stop()
            && !is_closed.load(Ordering::Relaxed)
            && push_layer(store, &way.repository, &blob, stop).is_err()
        {
            is_closed.store(true, Ordering::Relaxed);
        }
    }
}
