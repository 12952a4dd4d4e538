//! `Policy::Newer`: when an image of the store gives way to another one, and when it stays.

use rbuild_engine::{Bases, Error, Notice, Policy, Supplies};
use rbuild_oci::{Digest, ImageId, Platform, media_type};
use rbuild_testkit::fault_registry::{Access, Deed, Fault, FaultRegistry};

use crate::{
    bases::Place,
    layout::{Layout, tar_of},
};

/// What a registry has of an image.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Has {
    All,
    NoLayer,
}

/// A registry, and a store with the image that it had at first.
struct Site {
    place: Place,
    registry: FaultRegistry,
    name: String,
    first: ImageId,
}

impl Site {
    fn new(faults: Vec<Fault>) -> Self {
        let registry = FaultRegistry::start(Access::Open, faults);
        let name = format!("{}/it:1", registry.address());
        let mut site = Self {
            place: Place::new(),
            registry,
            name,
            first: ImageId(Digest::of(b"")),
        };
        site.first = site.serve("first", Has::All);
        assert_eq!(site.pull(Policy::Missing).0.unwrap(), site.first);
        site
    }

    /// From now on the registry has an image with a file of this content; returns its id.
    fn serve(&self, content: &str, has: Has) -> ImageId {
        let mut image = Layout::new(self.place.dir.path());
        image.layer = tar_of("f", content.as_bytes());
        let diff_id = Digest::of(&image.layer).to_string();
        image.config["rootfs"]["diff_ids"][0] = diff_id.into();
        image.describe();
        let config = image.config.to_string();
        self.registry.add_blob("it", config.as_bytes());
        if has == Has::All {
            self.registry.add_blob("it", &image.layer);
        }
        let manifest = image.manifest.to_string();
        self.registry
            .add_manifest(("it", "1"), media_type::OCI_MANIFEST, &manifest);
        ImageId(Digest::of(config.as_bytes()))
    }

    /// The image as `rbuild pull` gets it, and how often it was told that the store's stays.
    fn pull(&self, policy: Policy) -> (Result<ImageId, Error>, usize) {
        let session = self.place.store.begin().unwrap();
        let kept = std::cell::Cell::new(0);
        let platform = Platform::new("linux", "amd64", None);
        let ask = |bases: &Bases<'_>| {
            let mut tell = |notice: Notice<'_>| {
                kept.set(kept.get() + usize::from(matches!(notice, Notice::Kept { .. })));
            };
            bases.pull(&self.name, policy, &mut tell)
        };
        let found = self.place.asked(&session, &platform, &ask);
        (found, kept.get())
    }

    /// The image as a build gets it, with all its layers in the store.
    #[track_caller]
    fn resolve(&self) -> ImageId {
        let session = self.place.store.begin().unwrap();
        let platform = Platform::new("linux", "amd64", None);
        let found = self.place.asked(&session, &platform, &|bases| {
            let supplies = &mut Supplies::default();
            bases.resolve((&self.name, Policy::Newer), supplies, &|_| {})
        });
        let found = found.unwrap();
        for layer in &found.tree.layers {
            assert!(self.place.store.layer(layer).unwrap().is_some());
        }
        found.tree.image
    }

    fn named(&self) -> Vec<ImageId> {
        let names = self.place.store.names().unwrap();
        names.into_iter().map(|(_, id)| id).collect()
    }
}

#[test]
fn of_the_same_image_only_the_manifest_is_asked_for() {
    let site = Site::new(Vec::new());
    let before = site.registry.requests().len();
    assert_eq!(site.resolve(), site.first);
    assert_eq!(site.pull(Policy::Newer).0.unwrap(), site.first);
    assert_eq!(
        site.registry.requests()[before..],
        ["GET /v2/it/manifests/1"; 2]
    );
}

#[test]
fn another_image_takes_the_place_and_the_name() {
    for by_build in [true, false] {
        let site = Site::new(Vec::new());
        let second = site.serve("second", Has::All);
        match by_build {
            true => assert_eq!(site.resolve(), second),
            false => assert_eq!(site.pull(Policy::Newer).0.unwrap(), second),
        }
        assert_eq!(site.named(), [second]);
    }
}

#[test]
fn what_does_not_come_in_full_leaves_the_store_s_in_its_place() {
    let site = Site::new(Vec::new());
    site.serve("second", Has::NoLayer);
    assert_eq!(site.resolve(), site.first);
    let (found, kept) = site.pull(Policy::Newer);
    assert_eq!((found.unwrap(), kept), (site.first, 1));
    assert_eq!(site.named(), [site.first]);
    assert!(site.pull(Policy::Always).0.is_err());
}

#[test]
fn where_nobody_answers_the_store_s_is_used_if_there_is_one() {
    let down = Fault::always("GET", "/other/", Deed::Answer(500, Vec::new()));
    let mut site = Site::new(vec![down]);
    site.name = site.name.replace("/it:", "/other:");
    assert!(site.pull(Policy::Newer).0.is_err());
    let name = rbuild_oci::Name::parse(&site.name).unwrap();
    let session = site.place.store.begin().unwrap();
    session.set_name(&name, &site.first).unwrap();
    assert_eq!(site.resolve(), site.first);
    let (found, kept) = site.pull(Policy::Newer);
    assert_eq!((found.unwrap(), kept), (site.first, 1));
}

#[test]
fn nobody_is_asked_for_what_was_built_here_or_is_named_by_its_digest() {
    let mut site = Site::new(Vec::new());
    let pinned = site
        .name
        .replace("/it:1", &format!("/it@{}", Digest::of(b"any")));
    let asked = site.registry.requests().len();
    for (full, name) in [("localhost/mine:latest", "mine"), (&pinned, &pinned)] {
        let full = rbuild_oci::Name::parse(full).unwrap();
        let session = site.place.store.begin().unwrap();
        session.set_name(&full, &site.first).unwrap();
        site.name = name.to_owned();
        assert_eq!(site.resolve(), site.first);
        let (found, kept) = site.pull(Policy::Newer);
        assert_eq!((found.unwrap(), kept), (site.first, 0));
    }
    assert_eq!(site.registry.requests().len(), asked);
}
