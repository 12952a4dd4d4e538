//! A store whose layers are made by hand, and stages as a plan would have them.

use std::{collections::BTreeMap, io::Write, path::PathBuf};

use rbuild_export::{
    Annotations, BuiltLayer, Commit, Exported, Layers, Looks, Origin, Place as Ends, Stamp,
    Telling, commit, export,
};
use rbuild_oci::{FileTimes, Format, ImageConfig, ImageId, Name};
use rbuild_plan::{Base, History, Inheritance, Stage, StepId, Tree};
use rbuild_store::{Durability, ImageRecord, LayerId, LayerRecord, Session, Store};
use rbuild_sys::{Dir, FileKind, Node, Timestamp};

/// A store in a directory that goes away.
pub struct Place {
    dir: tempfile::TempDir,
    pub store: Store,
    pub session: Session,
}

/// How an image is committed.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    pub base: Option<&'a ImageRecord>,
    pub grouping: Layers,
    pub epoch: Option<i64>,
    pub files: FileTimes,
    pub format: Format,
    pub telling: Telling,
    pub now: i64,
    pub names: &'a [Name],
}

impl Default for Order<'_> {
    fn default() -> Self {
        Self {
            base: None,
            grouping: Layers::PerStep,
            epoch: None,
            files: FileTimes::Kept,
            format: Format::Oci,
            telling: Telling::Told,
            now: 999,
            names: &[],
        }
    }
}

/// What happens to a layer that is being made.
pub enum Edit {
    /// A directory.
    Dir(&'static str),
    /// A file: path, content, time of modification.
    File(&'static str, &'static str, i64),
    /// A deletion of what is below.
    Gone(&'static str),
    /// The directory hides what is below.
    Opaque(&'static str),
}

impl Place {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store"), Durability::None).unwrap();
        let session = store.begin().unwrap();
        Self {
            dir,
            store,
            session,
        }
    }

    /// A host path beside the store.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The host path of a file of a layer.
    pub fn in_layer(&self, layer: LayerId, name: &str) -> PathBuf {
        self.path("store/layers")
            .join(layer.to_string())
            .join("diff")
            .join(name)
    }

    /// Freezes a layer with these `edits`; a directory comes before what is in it.
    pub fn layer(&self, edits: &[Edit]) -> LayerId {
        let staged = self.session.new_layer().unwrap();
        for edit in edits {
            make(&staged.diff, edit);
        }
        let id = LayerId::random().unwrap();
        self.session
            .commit_layer(staged, id, &LayerRecord::default())
            .unwrap();
        id
    }

    /// Commits `layers`, made by steps 0, 1, …, in the seconds 100, 101, …
    pub fn commit(&self, layers: &[LayerId]) -> ImageId {
        self.commit_as(layers, Order::default())
    }

    pub fn commit_as(&self, layers: &[LayerId], order: Order<'_>) -> ImageId {
        let layers: Vec<BuiltLayer> = (0..)
            .zip(layers)
            .map(|(step, layer)| built(step, *layer))
            .collect();
        let steps: Vec<Option<u32>> = (0..).map(Some).take(layers.len()).collect();
        let request = Commit {
            stage: &stage(&steps),
            base: order.base.map(origin),
            layers: &layers,
            grouping: order.grouping,
            epoch: order.epoch,
            files: order.files,
            telling: order.telling,
            format: order.format,
            annotations: NOTHING_SAID,
            cache: &[],
            now: order.now,
            names: order.names,
        };
        commit(&self.store, &self.session, &request).unwrap()
    }

    pub fn image(&self, id: &ImageId) -> ImageRecord {
        self.store.image(id).unwrap().unwrap()
    }

    pub fn config(&self, id: &ImageId) -> ImageConfig {
        serde_json::from_str(&self.image(id).config).unwrap()
    }

    pub fn ends(&self) -> Ends<'_> {
        Ends {
            store: &self.store,
            session: &self.session,
        }
    }

    pub fn export(&self, id: &ImageId) -> Exported {
        export(self.ends(), &self.image(id), Looks::default()).unwrap()
    }
}

/// No annotations but those of the base.
pub const NOTHING_SAID: Annotations<'_> = Annotations {
    set: &BTreeMap::new(),
    unset: &[],
    of_base: Inheritance::Kept,
    created: Stamp::Omitted,
};

/// A base image without a name.
pub fn origin(image: &ImageRecord) -> Origin<'_> {
    Origin { image, name: None }
}

pub fn built(step: u32, layer: LayerId) -> BuiltLayer {
    BuiltLayer {
        step: StepId(step),
        layer,
        created: 100 + i64::from(step),
    }
}

/// A stage with an `ENV` and then these entries of history.
pub fn stage(steps: &[Option<u32>]) -> Stage {
    let entry = |step: &Option<u32>| History {
        created_by: step.map_or("LABEL".to_owned(), |step| format!("RUN {step}")),
        step: step.map(StepId),
    };
    Stage {
        platform: rbuild_oci::Platform::default(),
        name: None,
        index: 0,
        after: Vec::new(),
        base: Base::Scratch,
        tree: Tree::Empty,
        config: ImageConfig {
            architecture: "amd64".to_owned(),
            os: "linux".to_owned(),
            ..ImageConfig::default()
        },
        history: [None].iter().chain(steps).map(entry).collect(),
    }
}

pub fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn make(root: &Dir, edit: &Edit) {
    let at = |path: &str, act: &dyn Fn(&Dir, &[u8])| {
        let (dir, name) = root.resolve_parent(path.as_bytes()).unwrap();
        act(&dir, name.unwrap());
    };
    match *edit {
        Edit::Dir(path) => at(path, &|dir, name| {
            dir.mkdir(name, 0o755).unwrap();
            dir.set_mode(name, 0o755).unwrap();
        }),
        Edit::File(path, content, mtime) => at(path, &|dir, name| {
            let mut file = dir.create(name, 0o644).unwrap();
            file.write_all(content.as_bytes()).unwrap();
            dir.set_mode(name, 0o644).unwrap();
            let mtime = Timestamp {
                seconds: mtime,
                nanoseconds: 0,
            };
            dir.set_mtime(name, mtime).unwrap();
        }),
        Edit::Gone(path) => at(path, &|dir, name| {
            let whiteout = Node {
                kind: FileKind::CharDevice,
                mode: 0,
                rdev: (0, 0),
            };
            dir.mknod(name, whiteout).unwrap();
        }),
        Edit::Opaque(path) => at(path, &|dir, name| {
            dir.set_xattr(name, b"user.overlay.opaque", b"y").unwrap();
        }),
    }
}
