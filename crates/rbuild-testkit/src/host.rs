//! One test's place on this host: an account, a scratch directory with a
//! fresh store in it, and the rbuild binary where that account can reach it.

use std::path::PathBuf;
use std::process::Command;

use crate::{Account, Base, Error, Output, Scratch, Size, Terminal, Tree, target_dir, unpack};

/// Where a test runs rbuild.
#[derive(Debug)]
pub struct Host {
    /// Who runs it.
    pub account: Account,
    /// The test's own directory.
    pub scratch: Scratch,
    /// What `--root` says.
    pub store: PathBuf,
    program: PathBuf,
}

impl Host {
    /// A place for `account`, with an empty store.
    ///
    /// # Errors
    /// [`Error`] if the directory or the copy of the binary cannot be made.
    pub fn new(account: Account) -> Result<Self, Error> {
        let scratch = Scratch::new(&account)?;
        let store = scratch.path().join("store");
        let program = scratch.path().join("rbuild");
        if let Ok(binary) = rbuild_binary() {
            // Copied by another process: a descriptor open for writing that
            // a parallel test inherits would make the binary "text file busy".
            Output::of_success(Command::new("cp").arg(binary).arg(&program))?;
        }
        Ok(Self {
            account,
            scratch,
            store,
            program,
        })
    }

    /// `rbuild --root STORE args…`, ready to be started.
    pub fn rbuild(&self, args: &[&str]) -> Command {
        let mut command = self.account.command(&self.program);
        command
            .arg("--root")
            .arg(&self.store)
            .args(args)
            .current_dir(self.scratch.path());
        command
    }

    /// `rbuild --root STORE args…` in a terminal of that size.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn in_terminal(&self, args: &[&str], size: Size) -> Terminal {
        self.started_in_terminal(&self.rbuild(args), size)
    }

    /// The same for a command of [`Host::rbuild`] that has more variables.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn started_in_terminal(&self, rbuild: &Command, size: Size) -> Terminal {
        let mut command = self.account.command("setsid");
        command
            .arg("--ctty")
            .arg(&self.program)
            .args(rbuild.get_args());
        let variables = rbuild.get_envs();
        command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(self.scratch.path());
        Terminal::start(&mut command, size).expect("setsid is part of every system")
    }

    /// The files of an image as umoci unpacks them after a push to a layout.
    ///
    /// # Panics
    /// If rbuild cannot push it or umoci does not accept it.
    #[track_caller]
    pub fn tree(&self, image: &str) -> Tree {
        let layout = self.push_to_layout(image);
        unpack(self, &layout, "it").expect("umoci accepts what rbuild pushes")
    }

    /// Pushes an image to a new OCI layout, as tag `it`, and returns its path.
    ///
    /// # Panics
    /// If rbuild does not succeed.
    #[track_caller]
    pub fn push_to_layout(&self, image: &str) -> PathBuf {
        let layouts = self
            .scratch
            .dir("layouts")
            .expect("the scratch directory is ours");
        let taken = layouts.read_dir().map_or(0, Iterator::count);
        let layout = layouts.join(taken.to_string());
        self.run(&["push", image, &format!("oci:{}:it", layout.display())])
            .success();
        layout
    }

    /// Runs rbuild to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Output {
        Output::of(&mut self.rbuild(args)).expect("the binary was copied by `Host::new`")
    }

    /// Runs rbuild to its end, with `input` on its standard input.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn run_with(&self, args: &[&str], input: &[u8]) -> Output {
        Output::of_input(&mut self.rbuild(args), input)
            .expect("the binary was copied by `Host::new`")
    }

    /// Builds `dockerfile` in the context `ctx/` of the scratch directory;
    /// `args` come before the context.
    ///
    /// # Panics
    /// If the Dockerfile cannot be written or rbuild not be started.
    #[track_caller]
    pub fn build(&self, dockerfile: &str, args: &[&str]) -> Output {
        self.scratch
            .file("ctx/Dockerfile", dockerfile)
            .expect("the scratch directory is ours");
        self.run(&[&["bud"], args, &["ctx"]].concat())
    }

    /// Imports a base image under the name that examples use.
    ///
    /// # Panics
    /// If rbuild does not succeed.
    #[track_caller]
    pub fn import(&self, base: Base) {
        let archive = base.archive();
        let archive = archive
            .to_str()
            .expect("target directories of tests are UTF-8");
        let platform = base.platform();
        let platform: Vec<&str> = platform
            .into_iter()
            .flat_map(|it| ["--platform", it])
            .collect();
        let import = [
            "import",
            archive,
            base.image(),
            "--change",
            "CMD [\"/bin/sh\"]",
            "--change",
            "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ];
        self.run(&[&import, &platform[..]].concat()).success();
    }
}

/// The binary under test: `RBUILD_BIN`, else cargo's `release/rbuild`.
///
/// # Errors
/// [`Error::File`] if it is not there.
pub fn rbuild_binary() -> Result<PathBuf, Error> {
    let path = std::env::var_os("RBUILD_BIN")
        .map_or_else(|| target_dir().join("release/rbuild"), PathBuf::from);
    std::fs::metadata(&path).map_err(Error::file("find", &path))?;
    Ok(path)
}
