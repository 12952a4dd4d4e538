//! What must hold after any fault (store.md, I1, I2, I5, I6), looked at from outside.

use std::collections::BTreeSet;

use rbuild_testkit::{Host, Output};

/// A store with an image in it, and what it looks like when nothing else is there.
pub struct Witness {
    host: Host,
    store: BTreeSet<String>,
    outside: BTreeSet<String>,
}

impl Witness {
    /// Builds the image `old` and looks around.
    #[track_caller]
    pub fn of(host: Host) -> Self {
        for dir in ["tmp", "ctx"] {
            host.scratch.dir(dir).unwrap();
        }
        host.scratch.file("strace.log", "").unwrap();
        host.scratch
            .file("old.Dockerfile", "FROM alpine\nRUN echo old > /old\n")
            .unwrap();
        host.run(&["bud", "-f", "old.Dockerfile", "-t", "old", "ctx"])
            .success();
        let mut witness = Self {
            host,
            store: BTreeSet::new(),
            outside: BTreeSet::new(),
        };
        witness.look();
        witness
    }

    /// Where it is.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// From now on, what is there is what must be there.
    #[track_caller]
    pub fn look(&mut self) {
        self.host.run(&["prune", "--all", "--force"]).success();
        self.store = self.files_of_store();
        self.outside = self.files_outside();
    }

    /// The old image works, nothing in the store is damaged (I1), nothing beside it was touched
    /// (I6).
    #[track_caller]
    pub fn old_images_work(&self) {
        let host = &self.host;
        host.run(&["run", "old", "cat", "/old"])
            .success()
            .saying("old\n");
        host.run(&["store", "check"]).success();
        let outside = self.files_outside();
        assert_same(&self.outside, &outside, "outside of the store");
    }

    /// `args` work now, without any repair (I2).
    #[track_caller]
    pub fn works(&self, args: &[&str]) {
        self.host.run(args).success();
    }

    /// Without the images `new` the disk is as it was before (I5): every single file.
    #[track_caller]
    pub fn the_disk_comes_back(&self, new: &[String]) {
        for image in new {
            self.host.run(&["rmi", "-f", image]);
        }
        self.host.run(&["prune", "--all", "--force"]).success();
        let store = self.files_of_store();
        assert_same(&self.store, &store, "in the store");
    }

    fn files_of_store(&self) -> BTreeSet<String> {
        self.find(&format!("{} ! -type d", self.host.store.display()))
    }

    fn files_outside(&self) -> BTreeSet<String> {
        let store = self.host.store.display();
        let scratch = self.host.scratch.path().display();
        let home = self.host.account.home.display();
        self.find(&format!("{scratch} {home} -path {store} -prune -o -print"))
    }

    fn find(&self, what: &str) -> BTreeSet<String> {
        let mut command = self.host.account.inside("sh");
        let found = Output::of_success(command.args(["-c", &format!("find {what}")])).unwrap();
        found.stdout.lines().map(str::to_owned).collect()
    }
}

#[track_caller]
fn assert_same(before: &BTreeSet<String>, now: &BTreeSet<String>, place: &str) {
    let odd: Vec<&String> = before.symmetric_difference(now).take(5).collect();
    assert!(odd.is_empty(), "new or lost {place}: {odd:?}");
}
