//! Base images from distribution packages, as tar archives of their root
//! file systems under `target/bases/`; made once.
//!
//! Invariant: an archive appears under its name only when it is complete.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rbuild_testkit::Base;

use crate::error::{Error, capture, run};
use crate::foreign;
use crate::packages::path_of;
use crate::release::Release;

/// Every base image; returns at once when they are all there.
pub fn ensure_all() -> Result<(), Error> {
    ensure(Base::Busybox)?;
    ensure(Base::BusyboxArm64)?;
    ensure(Base::Golang)?;
    foreign::ensure_emulator()
}

/// Makes the archive of `base` unless it is there, and returns its path.
pub fn ensure(base: Base) -> Result<PathBuf, Error> {
    let archive = base.archive();
    if archive.is_file() {
        return Ok(archive);
    }
    let dir = archive
        .parent()
        .expect("`Base::archive` names a file in a directory");
    fs::create_dir_all(dir).map_err(Error::file("create", dir))?;
    println!("making {}", archive.display());
    let part = archive.with_extension("part");
    match base {
        Base::Busybox => busybox(&part, &own_busybox())?,
        Base::BusyboxArm64 => foreign::with_busybox(&part, |program| busybox(&part, program))?,
        Base::Golang => golang(&part)?,
    }
    fs::rename(&part, &archive).map_err(Error::file("rename", &part))?;
    Ok(archive)
}

/// The files of the busybox image besides its programs.
const BUSYBOX_FILES: &[(&str, &str)] = &[
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    ),
    ("etc/group", "root:x:0:\nusers:x:100:\nnobody:x:65534:\n"),
    ("etc/shells", "/bin/sh\n/bin/ash\n"),
    (
        "etc/os-release",
        "ID=busybox\nNAME=\"busybox from the distribution\"\n",
    ),
];

/// Its directories, with their modes.
const BUSYBOX_DIRS: &[(&str, u32)] = &[
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sbin", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/sbin", 0o755),
    ("var", 0o755),
    ("var/tmp", 0o1777),
];

fn own_busybox() -> PathBuf {
    path_of("busybox").expect("`packages::ensure` was asked for it")
}

/// The static program `busybox` and a link for each applet that this machine's has.
fn busybox(archive: &Path, program: &Path) -> Result<(), Error> {
    let root = archive.with_extension("root");
    let _ = fs::remove_dir_all(&root);
    fs::create_dir(&root).map_err(Error::file("create", &root))?;
    for (name, _) in BUSYBOX_DIRS {
        fs::create_dir(root.join(name)).map_err(Error::file("create", root.join(name)))?;
    }
    for (name, content) in BUSYBOX_FILES {
        fs::write(root.join(name), content).map_err(Error::file("write", root.join(name)))?;
        set_mode(&root.join(name), 0o644)?;
    }
    let copy = root.join("bin/busybox");
    fs::copy(program, &copy).map_err(Error::file("copy", program))?;
    set_mode(&copy, 0o755)?;
    for applet in capture(Command::new(own_busybox()).arg("--list-full"))?.lines() {
        let link = root.join(applet);
        if applet != "bin/busybox" && link.parent().is_some_and(Path::is_dir) {
            symlink("/bin/busybox", &link).map_err(Error::file("create", &link))?;
        }
    }
    for (name, mode) in BUSYBOX_DIRS {
        set_mode(&root.join(name), *mode)?;
    }
    set_mode(&root, 0o755)?;
    run(Command::new("tar")
        .args([
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--sort=name",
            "--mtime=@0",
            "-C",
        ])
        .arg(&root)
        .arg("-cf")
        .arg(archive)
        .arg("."))?;
    fs::remove_dir_all(&root).map_err(Error::file("remove", &root))
}

fn set_mode(path: &Path, mode: u32) -> Result<(), Error> {
    let permissions = fs::Permissions::from_mode(mode);
    fs::set_permissions(path, permissions).map_err(Error::file("chmod", path))
}

/// A minimal Debian or Ubuntu with its Go toolchain, by mmdebstrap: as root
/// directly, else in a user namespace.
fn golang(archive: &Path) -> Result<(), Error> {
    let Release {
        suite,
        components,
        mirror,
    } = Release::of_host();
    let log = archive.with_extension("log");
    let output = fs::File::create(&log).map_err(Error::file("create", &log))?;
    let errors = output.try_clone().map_err(Error::file("open", &log))?;
    let made = run(Command::new("mmdebstrap")
        .args([
            "--variant=minbase",
            "--include=golang-go,ca-certificates",
            "--format=tar",
        ])
        // Device nodes cannot be made by an unprivileged import.
        .args(["--skip=output/dev", "--aptopt=Acquire::Languages \"none\""])
        .arg(format!("--components={components}"))
        .arg(suite)
        .arg(archive)
        .arg(mirror)
        .env("SOURCE_DATE_EPOCH", "0")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors));
    if made.is_err() {
        eprintln!("{}", fs::read_to_string(&log).unwrap_or_default());
    }
    made
}
