//! Runs `tests/corpus/*.txt`: Dockerfiles with the tree that they make, or the error.
//!
//! Knows: the format (`corpus/case.rs`), how rbuild builds a case.
//! Does not know: what other builders make of it; `differential.rs` asks them.
//!
//! `UPDATE_EXPECT=1` rewrites the files with what rbuild does now.

mod case;

use expect_test::expect_file;
use rbuild_testkit::{Host, Output, Tree};

pub use case::{Case, Peer, split};

use crate::surroundings::host;

/// Builds the cases of one file, one after the other, in one store.
pub struct Bench {
    host: Host,
    base: Tree,
}

impl Bench {
    /// `None` if nothing can be built here.
    #[track_caller]
    pub fn new() -> Option<Self> {
        let host = host()?;
        let mut bench = Self {
            host,
            base: Tree::default(),
        };
        let case = Case::new("base", "FROM alpine\n");
        bench.base = bench.build(&case, 0).expect("a base alone can be built");
        Some(bench)
    }

    /// The account and the directory that cases are laid out in.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// What rbuild makes of `case`, which is laid out as number `number`, as text.
    #[track_caller]
    pub fn result(&self, case: &Case, number: usize) -> String {
        match self.build(case, number) {
            Ok(tree) => self.shown(tree),
            Err(message) => message,
        }
    }

    /// A tree without its root; one with the base in it, without what the base has.
    pub fn shown(&self, mut tree: Tree) -> String {
        tree.0.remove("/");
        if !tree.0.contains_key("/bin/busybox") {
            return tree.to_string();
        }
        let lost = tree.lost(&self.base).into_iter().filter(|path| path != "/");
        let lost: String = lost.map(|path| format!("{path} gone\n")).collect();
        tree.since(&self.base).to_string() + &lost
    }

    /// Makes the context and the Dockerfile of `case` and returns their paths.
    #[track_caller]
    pub fn lay_out(&self, case: &Case, number: usize) -> (String, String) {
        let scratch = &self.host.scratch;
        let context = scratch.dir(&format!("ctx-{number}")).unwrap();
        if !case.setup.is_empty() {
            let script = format!("set -eu; umask 022\n{}", case.setup.join("\n"));
            let mut shell = self.host.account.command("bash");
            shell.current_dir(&context).args(["-c", &script]);
            // Whoever runs the tests is not in the archives.
            shell.env("TAR_OPTIONS", "--owner=0 --group=0");
            Output::of_success(&mut shell).unwrap();
        }
        let name = format!("{number}.Dockerfile");
        let dockerfile = scratch.file(&name, &case.dockerfile).unwrap();
        let text = |path: &std::path::Path| path.to_str().unwrap().to_owned();
        (text(&context), text(&dockerfile))
    }

    #[track_caller]
    fn build(&self, case: &Case, number: usize) -> Result<Tree, String> {
        let (context, dockerfile) = self.lay_out(case, number);
        let out = self.host.scratch.path().join(format!("out-{number}"));
        let output = format!("type=local,dest={}", out.display());
        // An image is made too: what cannot be one is an error.
        let mut args = vec!["bud", "-f", &dockerfile, "--load", "-o", &output];
        args.extend(case.args.iter().map(String::as_str));
        args.push(&context);
        let said = self.host.run(&args);
        if said.status == 0 {
            return Ok(Tree::read(&self.host.account, &out).unwrap());
        }
        Err(case::errors(&said.stderr, &[&context, &dockerfile]))
    }
}

/// The file `name` of the corpus: where it is, and its text.
#[track_caller]
pub fn read(name: &str) -> (String, String) {
    let path = format!("{}/corpus/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    (path, text)
}

/// Builds all cases of a file; it is as expected if nothing in it changes.
// T18: the base is there for each case, whatever the builds before did.
#[track_caller]
fn check(name: &str) {
    let Some(bench) = Bench::new() else { return };
    let (path, text) = read(name);
    let (head, cases) = split(&text);
    let rendered: String = (1..)
        .zip(&cases)
        .map(|(number, case)| case.render(&bench.result(case, number)))
        .collect();
    expect_file![path].assert_eq(&format!("{head}{}\n", rendered.trim_end()));
}

/// The files of the corpus: a test for each, here and in `differential.rs`.
macro_rules! corpus {
    ($check:path) => {
        $crate::corpus::corpus!($check: sources destinations globs links owners modes flags
            parents archives workdir run stages heredocs ignore variables volumes);
    };
    ($check:path: $($name:ident)*) => {$(
        #[test]
        fn $name() {
            $check(stringify!($name));
        }
    )*};
}
pub(crate) use corpus;

corpus!(check);
