//! Pulls of zstd:chunked layers: what another layer of the store has is not fetched again.
//!
//! Knows: the bytes that a registry was asked for. Does not know: how they are found in the store.

use std::ops::Range;

use rbuild_testkit::{
    Host, Need, Output,
    fault_registry::{Access, Deed, Fault, FaultRegistry},
};

use crate::{
    archives::peer,
    surroundings::{host, host_with},
};

/// Files of the image, and bytes that do not compress of each.
const FILES: usize = 24;
const SIZE: usize = 256 * 1024;

/// Two versions of an image, pushed by somebody else, of which one file differs.
struct Site {
    registry: FaultRegistry,
    pusher: Pusher,
    builder: Host,
    here: Host,
}

/// Who pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pusher {
    Rbuild,
    Podman,
}

impl Site {
    /// `None` if this machine cannot build.
    fn new(pusher: Pusher, faults: Vec<Fault>) -> Option<Self> {
        let needs = match pusher {
            Pusher::Rbuild => &[][..],
            Pusher::Podman => &[Need::Tool("podman")],
        };
        let site = Self {
            registry: FaultRegistry::start(Access::Open, faults),
            pusher,
            builder: host_with(needs)?,
            here: host()?,
        };
        for number in 0..FILES {
            site.write(number, &noise(number as u64));
        }
        site.push("1");
        site.write(FILES / 2, &noise(1000));
        site.push("2");
        site.here.run(&["pull", "-q", &site.name("1")]).success();
        Some(site)
    }

    fn write(&self, number: usize, content: &[u8]) {
        let name = format!("ctx/tree/{number}");
        self.builder.scratch.file(&name, content).unwrap();
    }

    fn name(&self, tag: &str) -> String {
        format!("{}/team/app:{tag}", self.registry.address())
    }

    fn push(&self, tag: &str) {
        let name = self.name(tag);
        let dockerfile = "FROM alpine\nCOPY tree /tree\n";
        self.builder.build(dockerfile, &["-t", &name]).success();
        let push = ["push", "--compression-format", "zstd:chunked"];
        if self.pusher == Pusher::Rbuild {
            let push = [&push[..], &[&name]].concat();
            self.builder.run(&push).success();
            return;
        }
        let archive = format!("{tag}.tar");
        let save = ["save", "-o", &archive, &name];
        self.builder.run(&save).success();
        peer(&self.builder, "podman", &["load", "-q", "-i", &archive]);
        let push = [
            &push[..],
            &["-q", "--format=oci", "--tls-verify=false", &name],
        ]
        .concat();
        peer(&self.builder, "podman", &push);
    }

    /// The manifest of the second version in `repository`.
    fn manifest(&self, repository: &str) -> serde_json::Value {
        let text = self.registry.manifest(repository, "2").unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Whether the second version has the files that were built.
    fn is_the_same(&self) {
        let list = "cd /tree && stat -c '%n %a %u %g %Y' * && sha256sum *";
        let image = self.name("2");
        let files = |host: &Host| {
            host.run(&["run", &image, "sh", "-c", list])
                .success()
                .stdout
        };
        assert_eq!(files(&self.here), files(&self.builder));
    }

    /// Pulls the second version; returns which bytes of its layers were asked for, `None` for all.
    fn update(&self) -> Vec<Option<Range<u64>>> {
        let before = self.registry.server.seen().len();
        self.here.run(&["pull", "-q", &self.name("2")]).success();
        self.is_the_same();
        self.here.run(&["store", "check"]).success();
        let manifest = self.manifest("team/app");
        let config = manifest["config"]["digest"].as_str().unwrap();
        let seen = self.registry.server.seen();
        let asked = seen[before..].iter();
        let asked = asked.filter(|it| it.path.contains("/blobs/") && !it.path.contains(config));
        asked
            .map(|it| it.headers.get("range").map(|it| range(it)))
            .collect()
    }
}

/// Bytes that do not compress, others for each `seed`.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..SIZE / 8).flat_map(|_| next().to_le_bytes()).collect()
}

/// What `bytes=FIRST-LAST` means.
fn range(text: &str) -> Range<u64> {
    let (first, last) = text
        .strip_prefix("bytes=")
        .unwrap()
        .split_once('-')
        .unwrap();
    first.parse().unwrap()..last.parse::<u64>().unwrap() + 1
}

#[test]
fn only_what_is_missing_of_a_chunked_layer_is_fetched() {
    let Some(site) = Site::new(Pusher::Rbuild, Vec::new()) else {
        return;
    };
    let asked = site.update();
    let sizes = asked.iter().map(|it| it.clone().expect("a part"));
    let fetched: u64 = sizes.map(|part| part.end - part.start).sum();
    let file = SIZE as u64;
    assert!((file..file * 2).contains(&fetched), "{asked:?}");
    // Whoever fetches it says so, but for the quiet.
    let again = |flags: &[&str]| {
        site.here.run(&["rmi", &site.name("2")]).success();
        let name = site.name("2");
        let pull = [&["pull"], flags, &[&*name]].concat();
        site.here.run(&pull).success().stderr
    };
    let said = again(&[]);
    assert!(
        said.contains("fetched ") && said.contains(" kB of 6."),
        "{said}"
    );
    assert!(again(&["-q"]).is_empty());
    let dockerfile = format!("FROM {}\nRUN true\n", site.name("2"));
    site.here.run(&["rmi", &site.name("2")]).success();
    site.here
        .build(&dockerfile, &[])
        .success()
        .saying("fetched ");
    // It is the same blob, and leaves as it came.
    let again = format!("{}/team/copy:2", site.registry.address());
    let place = format!("docker://{again}");
    site.here
        .run(&["push", "-q", &site.name("2"), &place])
        .success();
    let layers = |repository| site.manifest(repository)["layers"].take();
    assert_eq!(layers("team/copy"), layers("team/app"));
}

#[test]
fn a_registry_that_serves_no_parts_serves_all() {
    let elsewhere = Deed::Header("Content-Range", "bytes 0-0/1".to_owned());
    let faults = vec![Fault::always("GET", "/blobs/", elsewhere)];
    let Some(site) = Site::new(Pusher::Rbuild, faults) else {
        return;
    };
    let asked = site.update();
    assert!(matches!(asked[..], [Some(_), None]), "{asked:?}");
}

#[test]
fn what_the_store_has_is_not_believed() {
    let Some(site) = Site::new(Pusher::Rbuild, Vec::new()) else {
        return;
    };
    let store = site.here.store.display();
    let flip = "printf '\\377\\0' | dd of=$f bs=1 seek=1000000 conv=notrunc status=none";
    let script = format!(
        "for f in $(find {store}/blobs -size +4M); do chmod u+w $f && {flip} || exit; done"
    );
    Output::of_success(site.here.account.inside("sh").args(["-c", &script])).unwrap();
    let before = site.registry.server.seen().len();
    site.here.run(&["pull", "-q", &site.name("2")]).success();
    let seen = site.registry.server.seen();
    assert!(
        seen[before..]
            .iter()
            .any(|it| it.headers.contains_key("range"))
    );
    site.is_the_same();
}

#[test]
fn a_lost_connection_is_resumed_within_the_missing_part() {
    let Some(site) = Site::new(Pusher::Rbuild, Vec::new()) else {
        return;
    };
    let manifest = site.manifest("team/app");
    let layer = manifest["layers"][1]["digest"].as_str().unwrap();
    let cut = Fault::once("GET", layer, Deed::Cut(1000));
    site.registry.add_fault(cut);
    let asked = site.update();
    let starts: Vec<u64> = asked.iter().map(|it| it.clone().unwrap().start).collect();
    assert_eq!(starts[0] + 1000, starts[1], "{asked:?}");
    let ends: Vec<u64> = asked.iter().map(|it| it.clone().unwrap().end).collect();
    assert_eq!(ends[0], ends[1], "{asked:?}");
}

#[test]
fn layers_of_podman_are_taken_over_too() {
    let Some(site) = Site::new(Pusher::Podman, Vec::new()) else {
        return;
    };
    let asked = site.update();
    assert!(asked.len() > 1, "{asked:?}");
    let sizes = asked.iter().map(|it| it.clone().expect("a part"));
    let fetched: u64 = sizes.map(|part| part.end - part.start).sum();
    assert!(fetched < SIZE as u64 * 4, "{asked:?}");
}
