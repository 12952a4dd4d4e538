//! What is to be deleted? Pure: a survey and a policy in, a list of victims out.
//!
//! Never a victim: what a name leads to, what a living session holds, and what these stand on.
//! Always victims: what cannot be of use to anybody. In between lies what would only have to be
//! made again; the policy says how much of that may stay, and the least recently used goes first.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write},
};

use rbuild_oci::{BlobDigest, ImageId};

use super::{
    holds::{Holds, is_whole},
    survey::{Survey, SurveyedImage, SurveyedRecord, Use, blobs_of},
};
use crate::{ImageRecord, Key, LayerId};

/// How long a note that nobody reads is kept, in seconds, and a record whose layer is gone: they cost
/// little and save much.
const NOTE_LIFE: i64 = 7 * 24 * 60 * 60;

/// What may stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Which results of steps may go.
    pub cache: Cache,
    /// The time, seconds since 1970.
    pub now: i64,
    /// What was used within so many seconds stays.
    pub keep_seconds: i64,
    /// Only images that fit all of these may go, and no result of a step; none: all may.
    pub labels: Vec<Label>,
    /// How much may stay; `None`: nothing that may go.
    pub budget: Option<Budget>,
}

/// Which results of steps may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cache {
    /// Those whose layers no image needs.
    #[default]
    Unused,
    /// All. Their layers stay as long as an image needs them.
    All,
}

/// What an image's labels must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The label's name.
    pub key: String,
    /// Its value; `None`: any.
    pub value: Option<String>,
    /// Whether an image fits that has it, or one that has it not.
    pub wanted: bool,
}

/// Bounds within which nothing that could be of use is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes that all objects together may have.
    pub used: u64,
    /// Bytes of the file system that are to be free.
    pub free: u64,
}

/// Something that can be deleted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    /// The record of an image.
    Image(ImageId),
    /// What a step led to.
    Record(Key),
    /// A note of a kind.
    Note(String, Key),
    /// A layer.
    Layer(LayerId),
    /// A blob.
    Blob(BlobDigest),
}

/// What is deleted, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victim {
    /// What.
    pub object: Object,
    /// Bytes on disk.
    pub size: u64,
    /// Why.
    pub why: Why,
}

/// Why something is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// An image without a name.
    Unnamed,
    /// A result that could be made again.
    Cached,
    /// Its layer is gone, or it is damaged.
    Dangling,
    /// Nothing refers to it.
    Unreferenced,
    /// It was not read for long.
    Stale,
}

/// Decides. Referrers come before what they refer to, and layers before those below.
pub fn decide(survey: &Survey, policy: &Policy) -> Vec<Victim> {
    let mut decision = Decision::new(survey);
    for (key, record) in &survey.records {
        let is_of_use = record.readable && is_remembered(record, policy);
        if !decision.is_intact(record) && !is_of_use {
            decision.doom(Object::Record(*key), record.usage, Why::Dangling);
        }
    }
    decision.doom_stale_notes(policy);
    decision.hold_all();
    decision.doom_unreferenced();
    for candidate in candidates(survey, policy) {
        if policy
            .budget
            .is_some_and(|budget| decision.is_within(budget))
        {
            break;
        }
        decision.give_up(&candidate, policy);
    }
    decision.victims()
}

/// Decides what goes with the images `removed`, whose records are not in the survey any more.
pub fn decide_release(survey: &Survey, removed: &[ImageRecord]) -> Vec<Victim> {
    let layers = removed.iter().flat_map(|image| &image.layers);
    let own: BTreeSet<LayerId> = layers.map(|layer| layer.layer).collect();
    let blobs: BTreeSet<BlobDigest> = removed.iter().flat_map(blobs_of).collect();
    let mut decision = Decision::new(survey);
    let is_own = |record: &SurveyedRecord| record.layer.is_some_and(|layer| own.contains(&layer));
    decision.hold_but(&is_own);
    let of_others: Vec<Object> = decision.unreferenced();
    for object in of_others {
        match object {
            Object::Layer(id) if own.contains(&id) => decision.doom_unreferenced_one(object),
            Object::Blob(digest) if blobs.contains(&digest) => {
                decision.doom_unreferenced_one(object);
            }
            _ => {}
        }
    }
    for (key, record) in survey.records.iter().filter(|(_, record)| is_own(record)) {
        let goes = record
            .layer
            .is_some_and(|layer| !decision.holds.has(&layer));
        if goes {
            decision.doom(Object::Record(*key), record.usage, Why::Dangling);
        }
    }
    decision.victims()
}

/// `victims` as text, one a line, for tests and for `--dry-run`.
pub fn dump(victims: &[Victim]) -> String {
    let mut text = String::new();
    for victim in victims {
        let _ = writeln!(text, "{victim}");
    }
    text
}

/// Whether `record` stays when its layer goes: what others made of that is looked up by the key of
/// the state that the record leads to.
fn is_remembered(record: &SurveyedRecord, policy: &Policy) -> bool {
    let since = policy.now - NOTE_LIFE;
    policy.cache != Cache::All && record.layer.is_some() && record.usage.last > since
}

/// Something that may go, and that others may need.
#[derive(Clone, Copy)]
enum Candidate<'a> {
    Image(ImageId, &'a SurveyedImage),
    Record(Key, &'a SurveyedRecord),
}

/// What may go, the least recently used first.
fn candidates<'a>(survey: &'a Survey, policy: &Policy) -> Vec<Candidate<'a>> {
    let decision = Decision::new(survey);
    let mut needed = Holds::new(&survey.layers);
    let leased = |object: &dyn fmt::Display| survey.leased.contains(&object.to_string());
    let may_go = |id: &ImageId, image: &SurveyedImage| {
        !image.named && !leased(id) && policy.labels.iter().all(|label| label.fits(image))
    };
    let last = |usage: Use, layer: Option<&LayerId>| {
        let layer = layer.and_then(|layer| survey.layers.get(layer));
        usage.last.max(layer.map_or(0, |layer| layer.usage.last))
    };
    let is_old = |last: i64| policy.keep_seconds == 0 || last <= policy.now - policy.keep_seconds;
    let mut found = Vec::new();
    for (id, image) in &survey.images {
        let last = last(image.usage, image.layers.last());
        if may_go(id, image) && is_old(last) {
            found.push((last, Candidate::Image(*id, image)));
        } else {
            image.layers.iter().for_each(|layer| needed.hold(*layer));
        }
    }
    survey.leased_layers().for_each(|layer| needed.hold(layer));
    let records = survey
        .records
        .iter()
        .filter(|(_, it)| decision.is_intact(it));
    for (key, record) in records.filter(|_| policy.labels.is_empty()) {
        let last = last(record.usage, record.layer.as_ref());
        let unused = record.layer.is_none_or(|layer| !needed.has(&layer));
        if (unused || policy.cache == Cache::All) && is_old(last) {
            found.push((last, Candidate::Record(*key, record)));
        }
    }
    found.sort_by_key(|(last, _)| *last);
    found.into_iter().map(|(_, candidate)| candidate).collect()
}

struct Decision<'a> {
    survey: &'a Survey,
    holds: Holds<'a>,
    doomed: BTreeMap<Object, Victim>,
    /// Bytes of all objects that stay.
    used: u64,
    /// Bytes of those that go.
    freed: u64,
}

impl<'a> Decision<'a> {
    fn new(survey: &'a Survey) -> Self {
        Self {
            survey,
            holds: Holds::new(&survey.layers),
            doomed: BTreeMap::new(),
            used: survey.size(),
            freed: 0,
        }
    }

    fn is_intact(&self, record: &SurveyedRecord) -> bool {
        let whole = |layer| is_whole(layer, &self.survey.layers);
        record.readable && record.layer.is_none_or(whole)
    }

    fn is_within(&self, budget: Budget) -> bool {
        self.used <= budget.used && self.survey.free + self.freed >= budget.free
    }

    /// Holds all that anything refers to.
    fn hold_all(&mut self) {
        self.hold_but(&|_| false);
    }

    /// Holds all that anything but the records that `free` names refers to.
    fn hold_but(&mut self, free: &dyn Fn(&SurveyedRecord) -> bool) {
        let survey = self.survey;
        for image in survey.images.values() {
            image
                .layers
                .iter()
                .for_each(|layer| self.holds.hold(*layer));
            image
                .blobs
                .iter()
                .for_each(|blob| self.holds.hold_blob(*blob));
        }
        survey
            .leased_layers()
            .for_each(|layer| self.holds.hold(layer));
        let blobs = survey.blobs.keys();
        for blob in blobs.filter(|blob| survey.leased.contains(&blob.to_string())) {
            self.holds.hold_blob(*blob);
        }
        for ((kind, key), note) in &survey.notes {
            if !self.doomed.contains_key(&Object::Note(kind.clone(), *key)) {
                note.blobs
                    .iter()
                    .for_each(|blob| self.holds.hold_blob(*blob));
            }
        }
        for (key, record) in &survey.records {
            if !self.doomed.contains_key(&Object::Record(*key)) && !free(record) {
                record
                    .layer
                    .iter()
                    .for_each(|layer| self.holds.hold(*layer));
            }
        }
    }

    fn doom(&mut self, object: Object, usage: Use, why: Why) {
        self.used = self.used.saturating_sub(usage.size);
        self.freed += usage.size;
        let victim = Victim {
            object: object.clone(),
            size: usage.size,
            why,
        };
        self.doomed.insert(object, victim);
    }

    fn doom_stale_notes(&mut self, policy: &Policy) {
        let life = match policy.cache {
            Cache::All if policy.budget.is_none() => policy.keep_seconds,
            _ => policy.keep_seconds.max(NOTE_LIFE),
        };
        for ((kind, key), note) in &self.survey.notes {
            let old = life == 0 || note.usage.last <= policy.now - life;
            if old && policy.labels.is_empty() {
                self.doom(Object::Note(kind.clone(), *key), note.usage, Why::Stale);
            }
        }
    }

    /// Layers and blobs that nothing holds.
    fn unreferenced(&self) -> Vec<Object> {
        let layers = self.survey.layers.keys().filter(|id| !self.holds.has(id));
        let blobs = self.survey.blobs.keys();
        let blobs = blobs.filter(|digest| !self.holds.has_blob(digest));
        let layers = layers.map(|id| Object::Layer(*id));
        layers.chain(blobs.map(|it| Object::Blob(*it))).collect()
    }

    fn doom_unreferenced(&mut self) {
        for object in self.unreferenced() {
            self.doom_unreferenced_one(object);
        }
    }

    /// Dooms `object` unless it is not there anyway.
    fn doom_unreferenced_one(&mut self, object: Object) {
        let usage = match &object {
            Object::Layer(id) => self.survey.layers.get(id).map(|layer| layer.usage),
            Object::Blob(digest) => self.survey.blobs.get(digest).copied(),
            Object::Image(_) | Object::Record(_) | Object::Note(..) => None,
        };
        if let Some(usage) = usage {
            self.doom(object, usage, Why::Unreferenced);
        }
    }

    /// Dooms `candidate`, and what nothing else holds.
    fn give_up(&mut self, candidate: &Candidate<'_>, policy: &Policy) {
        let (layers, blobs) = match candidate {
            Candidate::Image(id, image) => {
                self.doom(Object::Image(*id), image.usage, Why::Unnamed);
                (&image.layers[..], &image.blobs[..])
            }
            Candidate::Record(key, record) => {
                if !is_remembered(record, policy) {
                    self.doom(Object::Record(*key), record.usage, Why::Cached);
                }
                (record.layer.as_slice(), &[][..])
            }
        };
        for layer in layers {
            for freed in self.holds.release(*layer) {
                self.doom_unreferenced_one(Object::Layer(freed));
            }
        }
        for blob in blobs {
            if self.holds.release_blob(*blob) {
                self.doom_unreferenced_one(Object::Blob(*blob));
            }
        }
    }

    fn victims(self) -> Vec<Victim> {
        let holds = self.holds;
        let mut victims: Vec<Victim> = self.doomed.into_values().collect();
        victims.sort_by_key(|victim| match victim.object {
            Object::Image(_) => (0, 0),
            Object::Record(_) => (1, 0),
            Object::Note(..) => (2, 0),
            Object::Layer(id) => (3, usize::MAX - holds.depth(id)),
            Object::Blob(_) => (4, 0),
        });
        victims
    }
}

impl Survey {
    /// Bytes of all objects.
    pub fn size(&self) -> u64 {
        let images = self.images.values().map(|it| it.usage.size);
        let records = self.records.values().map(|it| it.usage.size);
        let notes = self.notes.values().map(|it| it.usage.size);
        let layers = self.layers.values().map(|it| it.usage.size);
        let blobs = self.blobs.values().map(|it| it.size);
        let small = images.chain(records).chain(notes);
        small.chain(layers).chain(blobs).sum()
    }

    fn leased_layers(&self) -> impl Iterator<Item = LayerId> {
        self.leased
            .iter()
            .filter_map(|line| LayerId::from_hex(line))
    }
}

impl Label {
    fn fits(&self, image: &SurveyedImage) -> bool {
        let found = image.labels.get(&self.key);
        let has = found.is_some_and(|found| self.value.as_ref().is_none_or(|it| it == found));
        has == self.wanted
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(id) => write!(f, "image {:.12}", id.0.hex()),
            Self::Record(key) => write!(f, "cache record {:.12}", key.to_string()),
            Self::Note(kind, key) => write!(f, "note {kind} {:.12}", key.to_string()),
            Self::Layer(id) => write!(f, "layer {:.12}", id.to_string()),
            Self::Blob(digest) => write!(f, "blob {:.12}", digest.0.hex()),
        }
    }
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} bytes, {}", self.object, self.size, self.why)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unnamed => "has no name",
            Self::Cached => "can be made again",
            Self::Dangling => "leads nowhere",
            Self::Unreferenced => "nothing needs it",
            Self::Stale => "not read for long",
        })
    }
}
