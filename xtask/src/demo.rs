//! The point of a multi-stage build, shown: the same Go program as a naive
//! image and as a multi-stage image, built without privileges.

use std::path::{Path, PathBuf};
use std::process::Command;

use rbuild_testkit::{Account, Base, Scratch};

use crate::bases;
use crate::cargo::{release_binary, workspace};
use crate::error::{Error, command_line, run as run_command};
use crate::packages::{FOR_DEMO, ensure};
use crate::users;

/// Prepares, builds both images of examples/go-hello, shows their sizes and
/// runs the small one. Leaves nothing behind but `target/`.
pub fn run() -> Result<(), Error> {
    ensure(&[FOR_DEMO])?;
    let account = users::ensure_unprivileged()?;
    let binary = release_binary()?;
    let busybox = bases::ensure(Base::Busybox)?;
    let golang = bases::ensure(Base::Golang)?;
    let stage = Stage::set(account, &binary)?;
    println!("\nas user {}:", stage.account.name);
    stage.import(&busybox, Base::Busybox)?;
    stage.import(&golang, Base::Golang)?;
    stage.rbuild(&["bud", "-t", "mygoapp:naive", "."])?;
    stage.rbuild(&["bud", "-f", "Dockerfile.multi", "-t", "mygoapp:multi", "."])?;
    stage.rbuild(&["images"])?;
    stage.rbuild(&["run", "--rm", "mygoapp:multi"])
}

/// Where the demonstration plays: a directory of the user's with the example,
/// the binary and an empty store.
struct Stage {
    account: Account,
    scratch: Scratch,
    example: PathBuf,
}

impl Stage {
    fn set(account: Account, binary: &Path) -> Result<Self, Error> {
        let scratch = Scratch::new(&account)?;
        let example = scratch.dir("go-hello")?;
        let source = workspace().join("examples/go-hello");
        run_command(Command::new("cp").arg("-rT").arg(source).arg(&example))?;
        run_command(
            Command::new("cp")
                .arg(binary)
                .arg(scratch.path().join("rbuild")),
        )?;
        Ok(Self {
            account,
            scratch,
            example,
        })
    }

    fn import(&self, archive: &Path, base: Base) -> Result<(), Error> {
        let mut command = self.command(&["import"]);
        command
            .arg(archive)
            .args([base.image(), "--change", "CMD [\"/bin/sh\"]"]);
        println!("$ rbuild import {} {}", archive.display(), base.image());
        run_command(&mut command)
    }

    fn rbuild(&self, args: &[&str]) -> Result<(), Error> {
        let mut shown = Command::new("rbuild");
        println!("\n$ {}", command_line(shown.args(args)));
        run_command(&mut self.command(args))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.account.command(self.scratch.path().join("rbuild"));
        let store = self.scratch.path().join("store");
        command
            .current_dir(&self.example)
            .env("RBUILD_STORE", store)
            .args(args);
        command
    }
}
