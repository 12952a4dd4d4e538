//! The format of a file of `tests/corpus`:
//!
//! ```text
//! What the file is about.
//!
//! --- C4 what the case says, with the statement of dockerfile.md
//! #$ a line of the script for bash that fills the context
//! #@ args --target a
//! #@ differs why buildah makes something else of it
//! FROM scratch
//! COPY a /x/
//! =>
//! /x d 0755 0:0
//! /x/a f 0644 0:0 2 "a\n"
//! ```
//!
//! The result is the tree as `rbuild_testkit::Tree` prints it; where the base is in it, only
//! what is not the base's, and `PATH gone`. Or it is what the build says from `error:` on.

/// A Dockerfile, what it needs, and what it makes.
pub struct Case {
    name: String,
    /// Lines of a script for bash, run in the context with umask 022.
    pub setup: Vec<String>,
    /// Arguments of `bud`.
    pub args: Vec<String>,
    /// What buildah is expected to make of it.
    pub peer: Peer,
    settings: String,
    /// What is built.
    pub dockerfile: String,
    /// The result in the file.
    pub expected: String,
}

/// Whether another builder makes the same.
#[derive(PartialEq, Eq)]
pub enum Peer {
    /// The same tree, or an error too.
    Same,
    /// Another tree, or an error only here or there; the case says why.
    Differs,
}

impl Case {
    /// A case that needs nothing.
    pub fn new(name: &str, dockerfile: &str) -> Self {
        Self {
            name: name.to_owned(),
            setup: Vec::new(),
            args: Vec::new(),
            peer: Peer::Same,
            settings: String::new(),
            dockerfile: dockerfile.to_owned(),
            expected: String::new(),
        }
    }

    /// Its title.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Is its result an error?
    pub fn fails(&self) -> bool {
        self.expected.starts_with("error: ")
    }

    /// The case as text, with `result`.
    pub fn render(&self, result: &str) -> String {
        let Self {
            name,
            settings,
            dockerfile,
            ..
        } = self;
        format!("--- {name}\n{settings}{dockerfile}=>\n{result}\n")
    }

    fn parse(text: &str) -> Self {
        let (name, body) = text.split_once('\n').expect("a case has a body");
        let (input, expected) = body.split_once("=>\n").unwrap_or((body, ""));
        let (settings, lines): (Vec<&str>, Vec<&str>) = input
            .trim_end_matches('\n')
            .split_inclusive('\n')
            .partition(|line| line.starts_with("#$ ") || line.starts_with("#@ "));
        let mut case = Self::new(
            name,
            &(lines.concat().trim_end_matches('\n').to_owned() + "\n"),
        );
        case.settings = settings.concat();
        expected.trim_end().clone_into(&mut case.expected);
        for setting in settings.iter().map(|line| line.trim_end()) {
            match setting.split_at(3) {
                ("#$ ", command) => case.setup.push(command.to_owned()),
                (_, setting) => case.set(setting),
            }
        }
        case
    }

    fn set(&mut self, setting: &str) {
        let (key, value) = setting.split_once(' ').expect("a setting has a value");
        if key == "args" {
            self.args = value.split(' ').map(str::to_owned).collect();
        } else {
            assert_eq!(key, "differs", "a setting of `{}`", self.name);
            self.peer = Peer::Differs;
        }
    }
}

/// What stands before the cases of a file, and the cases.
pub fn split(text: &str) -> (&str, Vec<Case>) {
    let start = text.find("--- ").expect("a file has cases");
    let (head, cases) = text.split_at(start);
    let cases = cases["--- ".len()..].split("\n--- ");
    (head, cases.map(Case::parse).collect())
}

/// What a failed build said, from `error:` on, without the `paths` of this run.
pub fn errors(stderr: &str, paths: &[&str]) -> String {
    let start = stderr.find("error: ").unwrap_or(0);
    let mut text = stderr[start..].to_owned();
    for path in paths {
        let name = path.rsplit('/').next().unwrap_or(path);
        let plain = if name.ends_with("Dockerfile") {
            "Dockerfile"
        } else {
            "CONTEXT"
        };
        text = text.replace(path, plain);
    }
    text
}
