//! From the name of an image to an image: which one it is, and what comes with it.

use rbuild_engine::{Bases, Error, Policy, Resolved, Supplies};
use rbuild_http::{Backoff, Client, Security, Settings};
use rbuild_oci::{ListedPlatform, Platform};
use rbuild_registry::{CredentialSources, Registries, SignaturePolicy};
use rbuild_store::{Durability, ImageRecord, IndexRecord, ListedImage, Session, Store};
use serde_json::json;

use crate::{
    layout::{Layout, descriptor, index},
    site::causes,
};

/// A store and a layout beside it.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub store: Store,
    pub layout: Layout,
}

impl Place {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store"), Durability::None).unwrap();
        let layout = Layout::new(&dir.path().join("layout"));
        Self { dir, store, layout }
    }

    pub fn resolve(&self, name: &str) -> Result<Resolved, Error> {
        self.resolve_in(&self.store.begin().unwrap(), name)
    }

    fn resolve_in(&self, session: &Session, name: &str) -> Result<Resolved, Error> {
        self.asked(session, &Platform::new("linux", "amd64", None), &|bases| {
            let mut supplies = Supplies::default();
            let found = bases.resolve((name, Policy::Missing), &mut supplies, &|_| {})?;
            supplies.bring_image(&found.tree.image)?;
            Ok(found)
        })
    }

    /// What `ask` has from those who find images for `platform`.
    pub fn asked<T>(
        &self,
        session: &Session,
        platform: &Platform,
        ask: &dyn Fn(&Bases<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let http = Client::new(Settings {
            backoff: Backoff {
                attempts: 1,
                ..Backoff::default()
            },
            ..Settings::default()
        });
        let bases = Bases {
            store: &self.store,
            session,
            http: &http,
            registries: &Registries::default(),
            security: Some(Security::Verified),
            credentials: &CredentialSources::default(),
            signatures: &SignaturePolicy::default(),
            platform: platform.clone(),
            choose: &|_| None,
            tally: std::sync::Arc::default(),
        };
        ask(&bases)
    }

    /// What the store has of `found`.
    pub fn record(&self, found: &Resolved) -> ImageRecord {
        self.store.image(&found.tree.image).unwrap().unwrap()
    }

    /// The layout's image, as it is named after `FROM`.
    pub fn resolve_layout(&self, tag: &str) -> Result<Resolved, Error> {
        self.resolve(&format!("oci:{}{tag}", self.layout.dir.display()))
    }
}

#[test]
fn an_image_of_a_layout_gets_no_name_and_is_fetched_once() {
    let place = Place::new();
    place.layout.write();
    let first = place.resolve_layout("").unwrap();
    assert_eq!(first.image.config.config.env, ["A=1"]);
    assert_eq!(
        place.record(&first).manifest,
        Some(place.layout.manifest.to_string())
    );
    assert_eq!(place.store.names().unwrap(), []);
    let layer = place.store.layer(&first.tree.layers[0]).unwrap().unwrap();
    assert_eq!(layer.diff.entries().unwrap()[0].name, b"f");
    std::fs::remove_file(place.layout.blob(&place.layout.layer)).unwrap();
    assert_eq!(place.resolve_layout("").unwrap().tree, first.tree);
}

#[test]
fn names_of_the_store_come_before_registries() {
    let place = Place::new();
    place.layout.write();
    let record = place.record(&place.resolve_layout("").unwrap());
    let session = place.store.begin().unwrap();
    let (own, hub) = ("localhost/x:latest", "docker.io/library/y:1");
    for name in [own, hub] {
        session
            .set_name(&rbuild_oci::Name::parse(name).unwrap(), &record.id())
            .unwrap();
    }
    for name in [
        "x",
        "x:latest",
        "localhost/x",
        "y:1",
        "docker.io/y:1",
        "docker://y:1",
        "library/y:1",
    ] {
        let found = place
            .resolve_in(&session, name)
            .map_err(|error| causes(&error));
        assert_eq!(found.map(|it| it.tree.image), Ok(record.id()), "{name}");
    }
    for name in ["X", "a b", ""] {
        let error = place.resolve_in(&session, name).unwrap_err();
        assert!(
            matches!(error, Error::Reference(_)),
            "{name}: {}",
            causes(&error)
        );
    }
}

#[test]
fn f13_a_name_in_the_store_means_the_image_for_the_platform_or_none() {
    let place = Place::new();
    place.layout.write();
    let ours = place.record(&place.resolve_layout("").unwrap());
    let session = place.store.begin().unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&ours.config).unwrap();
    (config["architecture"], config["variant"]) = ("arm".into(), "v6".into());
    let theirs = ImageRecord {
        config: config.to_string(),
        manifest: None,
        ..ours.clone()
    };
    let name = rbuild_oci::Name::parse("localhost/x:latest").unwrap();
    session
        .set_name(&name, &session.put_image(&theirs).unwrap())
        .unwrap();
    let found = |platform: &str| {
        let platform = platform.parse().unwrap();
        let found = place.asked(&session, &platform, &|bases| bases.find("x"));
        found.unwrap().map(|found| found.tree.image)
    };
    assert_eq!(found("linux/amd64"), None);
    assert_eq!(found("linux/arm/v7"), None);
    assert_eq!(found("linux/arm/v6"), Some(theirs.id()));
    let images = [&ours, &theirs].map(|record| ListedImage {
        image: record.id(),
        platform: ListedPlatform::default(),
        annotations: Default::default(),
    });
    let index = IndexRecord {
        images: images.into(),
        ..IndexRecord::default()
    };
    session.set_index(&name, &index).unwrap();
    place.store.remove_name(&name).unwrap();
    assert_eq!(found("linux/amd64"), Some(ours.id()));
    assert_eq!(found("linux/arm/v6"), Some(theirs.id()));
    assert_eq!(found("linux/s390x"), None);
}

#[test]
fn an_image_that_lost_a_layer_is_fetched_again() {
    let place = Place::new();
    place.layout.write();
    let found = place.resolve_layout("").unwrap();
    let layer = place
        .dir
        .path()
        .join("store/layers")
        .join(found.tree.layers[0].to_string());
    std::fs::remove_dir_all(&layer).unwrap();
    place.resolve_layout("").unwrap();
    assert!(layer.is_dir());
}

#[test]
fn tags_and_platforms_choose() {
    let mut place = Place::new();
    place.layout.write();
    let other = Layout::new(&place.layout.dir);
    let manifest = place.layout.manifest.to_string();
    let here = descriptor(rbuild_oci::media_type::OCI_MANIFEST, manifest.as_bytes());
    let with = |field: &str, value| {
        let mut entry = here.clone();
        entry[field] = value;
        entry
    };
    let tagged = |tag| {
        with(
            "annotations",
            json!({"org.opencontainers.image.ref.name": tag}),
        )
    };
    let another = with("digest", json!(format!("sha256:{}", "1".repeat(64))));
    let on = |arch| with("platform", json!({"os": "linux", "architecture": arch}));
    let nested = index(&[on("arm64"), on("amd64")]).to_string();
    other.write_blob(nested.as_bytes());
    let nested = descriptor(rbuild_oci::media_type::OCI_INDEX, nested.as_bytes());
    for (entries, tag, fine) in [
        (vec![tagged("a"), tagged("b")], ":b", true),
        (vec![tagged("a"), tagged("b")], ":c", false),
        (vec![tagged("a"), tagged("b")], "", true),
        (vec![tagged("a"), another], "", false),
        (vec![tagged("a")], "", true),
        (vec![nested], "", true),
        (vec![], "", false),
    ] {
        place.layout.index = index(&entries);
        place.layout.write();
        let found = place.resolve_layout(tag);
        assert_eq!(found.is_ok(), fine, "{tag} of {}", place.layout.index);
    }
}
