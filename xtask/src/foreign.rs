//! What tests of another architecture need: its busybox, and QEMU to execute it. Both are taken out
//! of distribution packages by mmdebstrap and not installed: what a package manager knows of
//! architectures stays, and so does what the kernel of this machine executes.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rbuild_testkit::emulator;

use crate::error::{Error, run};
use crate::release::Release;

/// A file of a package.
struct Wanted {
    package: &'static str,
    /// The package's; `None`: this machine's.
    architecture: Option<&'static str>,
    /// The file, and links to it: in `/bin` or, where that is a part of it, in `/usr/bin`.
    file: &'static str,
}

const BUSYBOX: Wanted = Wanted {
    package: "busybox-static",
    architecture: Some("arm64"),
    file: "busybox",
};

/// From Debian 13 on the package only has a link to QEMU's own name.
const QEMU: Wanted = Wanted {
    package: "qemu-user-static",
    architecture: None,
    file: "qemu-aarch64",
};

/// Calls `make` with the static busybox for arm64, which is gone afterwards; works beside `part`.
pub fn with_busybox(
    part: &Path,
    make: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<(), Error> {
    let dir = part.with_extension("package");
    extract(&BUSYBOX, &dir)?;
    let places = ["bin/busybox", "usr/bin/busybox"].map(|place| dir.join(place));
    let program = places.iter().find(|place| place.is_file());
    make(program.unwrap_or(&places[0]))?;
    fs::remove_dir_all(&dir).map_err(Error::file("remove", &dir))
}

/// The static QEMU for arm64, unless it is there.
pub fn ensure_emulator() -> Result<(), Error> {
    let program = emulator();
    if program.is_file() {
        return Ok(());
    }
    println!("getting {}", program.display());
    let home = program.parent().expect("it is in a directory");
    fs::create_dir_all(home).map_err(Error::file("create", home))?;
    let dir = home.with_extension("package");
    extract(&QEMU, &dir)?;
    let found = dir.join("usr/bin/qemu-aarch64-static");
    let part = program.with_extension("part");
    // Follows the link.
    fs::copy(&found, &part).map_err(Error::file("copy", &found))?;
    fs::rename(&part, &program).map_err(Error::file("rename", &part))?;
    fs::remove_dir_all(&dir).map_err(Error::file("remove", &dir))
}

/// Makes the directory `dir` with what is wanted.
fn extract(wanted: &Wanted, dir: &Path) -> Result<(), Error> {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir(dir).map_err(Error::file("create", dir))?;
    let Release {
        suite,
        components,
        mirror,
    } = Release::of_host().for_architecture(wanted.architecture);
    let archive = dir.join("package.tar");
    let log = dir.with_extension("log");
    let output = fs::File::create(&log).map_err(Error::file("create", &log))?;
    let errors = output.try_clone().map_err(Error::file("open", &log))?;
    let architecture = wanted
        .architecture
        .map(|it| format!("--architectures={it}"));
    let made = run(Command::new("mmdebstrap")
        .args(["--variant=extract", "--format=tar", "--skip=output/dev"])
        .arg("--dpkgopt=path-exclude=/*")
        .arg(format!("--dpkgopt=path-include=*bin/{}*", wanted.file))
        .arg(format!("--include={}", wanted.package))
        .arg(format!("--components={components}"))
        .args(architecture)
        .arg(suite)
        .arg(&archive)
        .arg(mirror)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors));
    if made.is_err() {
        eprintln!("{}", fs::read_to_string(&log).unwrap_or_default());
    }
    made?;
    run(Command::new("tar")
        .args(["--wildcards", "--no-same-owner", "-C"])
        .arg(dir)
        .arg("-xf")
        .arg(&archive)
        .arg(format!("*bin/{}*", wanted.file)))
}
