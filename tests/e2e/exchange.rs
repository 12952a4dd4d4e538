//! Results of steps go from one machine to another. A machine is a store here; what RUN writes is
//! random, so that equal content means that it did not run again.

use std::{fs, path::PathBuf};

use rbuild_testkit::{Host, Need, Output, Registry};

use crate::surroundings::host_with;

const CACHE: &str = "type=local,dest=cache";
const FROM_CACHE: &str = "type=local,src=cache";

/// A registry with the images `base` and `tool`, and a build of two stages on them.
struct Exchange {
    host: Host,
    registry: Registry,
    dockerfile: String,
}

impl Exchange {
    #[track_caller]
    fn new() -> Option<Self> {
        let host = host_with(&[Need::Tool("docker-registry")])?;
        let registry = Registry::start(&host).unwrap();
        let at = registry.address();
        host.build("FROM alpine\nRUN echo tool > /tool\n", &["-t", "tool"])
            .success();
        for (image, name) in [("alpine", "base"), ("tool", "tool")] {
            host.run(&["push", image, &format!("docker://{at}/{name}:1")])
                .success();
        }
        let dockerfile = format!(
            "FROM {at}/tool:1 AS build\nCOPY input /input\n\
             RUN cat /proc/sys/kernel/random/uuid > /id\n\
             FROM {at}/base:1\nRUN echo x > /x\nCOPY --from=build /id /id\n"
        );
        let mut exchange = Self {
            host,
            registry,
            dockerfile,
        };
        exchange.host.scratch.file("ctx/input", "a").unwrap();
        exchange.go_to("first");
        Some(exchange)
    }

    /// Goes on on the machine `name`, whose store is empty at first.
    fn go_to(&mut self, name: &str) {
        self.host.store = self.host.scratch.path().join(name);
    }

    #[track_caller]
    fn build(&self, args: &[&str]) -> Output {
        let build = [&["-t", "it"], args].concat();
        self.host.build(&self.dockerfile, &build).success()
    }

    /// What the result's `/id` says.
    #[track_caller]
    fn id(&self) -> String {
        self.host.run(&["run", "it", "cat", "/id"]).success().stdout
    }

    /// The blobs of the cache that are layers.
    fn blobs(&self) -> Vec<PathBuf> {
        let blobs = self.host.scratch.path().join("cache/blobs/sha256");
        let paths = fs::read_dir(blobs).unwrap().map(|it| it.unwrap().path());
        paths
            .filter(|path| fs::read(path).unwrap().starts_with(&[0x1f, 0x8b]))
            .collect()
    }
}

#[test]
fn a_fresh_machine_with_the_cache_runs_nothing_and_fetches_what_the_result_needs() {
    let Some(mut it) = Exchange::new() else {
        return;
    };
    it.build(&["--cache-to", CACHE])
        .saying("cache written to oci:cache:latest");
    let first = it.id();
    it.go_to("second");
    let output = it.build(&["--cache-from", FROM_CACHE, "--require-cached"]);
    assert_eq!(output.stderr.matches("(cached)").count(), 4, "{output}");
    assert!(output.says("/base:1"), "{output}");
    assert_eq!(it.id(), first);
    let images = it.host.run(&["images"]).success().stdout;
    assert!(
        !images.contains("/tool"),
        "its layers are not needed: {images}"
    );
    // The base, `RUN echo` and the COPY; neither `tool` nor what was done to it.
    let layers = fs::read_dir(it.host.store.join("layers")).unwrap().count();
    assert_eq!(layers, 3);
    // What was imported is known without the cache.
    let output = it.build(&[]);
    assert_eq!(output.stderr.matches("(cached)").count(), 4, "{output}");
    let layers = fs::read_dir(it.host.store.join("layers")).unwrap().count();
    assert_eq!(layers, 3);
    assert_eq!(it.id(), first);
}

#[test]
fn registries_and_images_carry_caches() {
    let Some(mut it) = Exchange::new() else {
        return;
    };
    let cache = format!("{}/cache:1", it.registry.address());
    let image = format!("{}/image:1", it.registry.address());
    it.build(&["--cache-to", &cache, "--cache-to", "type=inline"]);
    it.host
        .run(&["push", "it", &format!("docker://{image}")])
        .success();
    let first = it.id();
    it.go_to("second");
    it.build(&["--cache-from", &cache, "--require-cached"]);
    assert_eq!(it.id(), first);
    // The image has the layers of the last stage only.
    it.go_to("third");
    let source = format!("type=registry,ref={image}");
    it.build(&["--cache-from", &source])
        .saying("[stage-1 1/2] RUN echo x > /x  (cached)")
        .saying("[build 2/2] RUN cat /proc/sys/kernel/random/uuid > /id\n")
        .saying("[stage-1 2/2] COPY --from=build /id /id  (cached)");
    assert_eq!(it.id(), first);
}

#[test]
fn with_mode_min_a_cache_has_the_layers_of_the_targets() {
    let Some(mut it) = Exchange::new() else {
        return;
    };
    it.build(&["--cache-to", "type=local,dest=cache,mode=min"]);
    assert_eq!(it.blobs().len(), 2);
    it.go_to("second");
    it.build(&["--cache-from", FROM_CACHE])
        .saying("[stage-1 1/2] RUN echo x > /x  (cached)")
        .saying("[build 1/2] COPY input /input\n");
}

#[test]
fn a_cache_goes_on_where_it_came_from_without_being_fetched() {
    let Some(mut it) = Exchange::new() else {
        return;
    };
    it.build(&["--cache-to", CACHE]);
    let before = it.blobs().len();
    it.go_to("second");
    it.build(&["--cache-from", FROM_CACHE, "--cache-to", CACHE]);
    let layers = fs::read_dir(it.host.store.join("layers")).unwrap().count();
    assert_eq!((it.blobs().len(), layers), (before, 3));
    it.go_to("third");
    it.build(&["--cache-from", FROM_CACHE, "--require-cached"]);
}

#[test]
fn what_is_damaged_is_executed_again() {
    let Some(mut it) = Exchange::new() else {
        return;
    };
    it.build(&["--cache-to", CACHE]);
    let first = it.id();
    for (machine, damage) in [("emptied", Vec::new()), ("other", b"other".to_vec())] {
        for blob in it.blobs() {
            fs::write(blob, &damage).unwrap();
        }
        it.go_to(machine);
        let output = it.build(&["--cache-from", FROM_CACHE]);
        output.saying("warning: cannot take an imported layer");
        assert_ne!(it.id(), first);
        it.host.run(&["store", "check"]).success();
        it.build(&["--cache-to", CACHE]);
    }
}

#[test]
fn what_is_not_there_or_no_cache_is_told_and_left_alone() {
    let Some(it) = Exchange::new() else { return };
    let base = format!("{}/base:1", it.registry.address());
    it.build(&["--cache-from", "type=local,src=nowhere"])
        .saying("nothing is imported: cannot take the image from `oci:nowhere:latest`");
    it.build(&["--cache-from", &base])
        .saying("is of no use as a cache: it has no cache records");
    for (spec, why) in [
        ("type=gha", "there is no type `gha`"),
        ("type=inline", "is read with type=registry"),
        ("type=local", "src= is missing"),
    ] {
        it.host
            .build(&it.dockerfile, &["--cache-from", spec])
            .failure()
            .saying(why);
    }
    let nowhere = "type=local,dest=/proc/nowhere";
    it.host
        .build(&it.dockerfile, &["--cache-to", nowhere])
        .failure()
        .saying("/proc/nowhere");
    it.build(&["--cache-to", &format!("{nowhere},ignore-error=true")])
        .saying("/proc/nowhere");
}

#[test]
fn a_base_image_is_pulled_when_and_if_a_step_needs_it() {
    let Some(mut it) = Exchange::new() else {
        return;
    };
    let at = it.registry.address();
    let output = it.build(&[]);
    assert!(output.says("pulling") && output.says("/tool:1"), "{output}");
    let images = it.host.run(&["images"]).success().stdout;
    assert!(images.contains(&format!("{at}/tool")), "{images}");
    let output = it.build(&["--pull=never", "--no-cache"]);
    assert!(!output.says("pulling"), "{output}");
    // Only its configuration is needed for this one.
    it.go_to("second");
    it.host
        .build(
            &format!("FROM {at}/tool:1 AS a\nENV A=1\nFROM scratch\nCOPY input /\n"),
            &["--all-stages"],
        )
        .success();
    let images = it.host.run(&["images"]).success().stdout;
    assert!(!images.contains("/tool"), "{images}");
    it.host
        .build(&it.dockerfile, &["--pull=never"])
        .failure()
        .saying("no registry is asked for it: that is the policy");
}
