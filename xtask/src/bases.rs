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
use crate::packages::path_of;

/// Every base image; returns at once when they are all there.
pub fn ensure_all() -> Result<(), Error> {
    ensure(Base::Busybox)?;
    ensure(Base::Golang)?;
    Ok(())
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
        Base::Busybox => busybox(&part)?,
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

/// One static program and a link for each of its applets.
fn busybox(archive: &Path) -> Result<(), Error> {
    let program = path_of("busybox").expect("`packages::ensure` was asked for it");
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
    fs::copy(&program, &copy).map_err(Error::file("copy", &program))?;
    set_mode(&copy, 0o755)?;
    for applet in capture(Command::new(&program).arg("--list-full"))?.lines() {
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

/// Which distribution release the Go image is made of.
#[derive(Debug, PartialEq, Eq)]
struct Release {
    suite: String,
    components: &'static str,
    mirror: String,
}

impl Release {
    /// The host's own release and mirror where the host is Debian or Ubuntu,
    /// so that nothing but the configured mirror is asked; else Debian 12.
    fn of_host() -> Self {
        let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let targets = Command::new("apt-get")
            .args([
                "indextargets",
                "--format",
                "$(CODENAME) $(REPO_URI)",
                "Created-By: Packages",
            ])
            .output();
        let targets = targets.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        Self::from_texts(&os_release, &targets.unwrap_or_default())
    }

    fn from_texts(os_release: &str, targets: &str) -> Self {
        let value = |key: &str| {
            let mut lines = os_release.lines();
            lines.find_map(|line| Some(line.strip_prefix(key)?.trim_matches('"').to_owned()))
        };
        let suite = value("VERSION_CODENAME=").unwrap_or_else(|| "bookworm".to_owned());
        let own = targets.lines().filter_map(|line| line.split_once(' '));
        let mirror = own.into_iter().find(|(codename, _)| *codename == suite);
        let Some((_, mirror)) = mirror else {
            return Self {
                suite: "bookworm".to_owned(),
                components: "main",
                mirror: "http://deb.debian.org/debian".to_owned(),
            };
        };
        let ubuntu = value("ID=").is_some_and(|id| id == "ubuntu");
        let components = if ubuntu { "main,universe" } else { "main" };
        Self {
            mirror: mirror.to_owned(),
            suite,
            components,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(os_release: &str, targets: &str, expected: (&str, &str, &str)) {
        let Release {
            suite,
            components,
            mirror,
        } = Release::from_texts(os_release, targets);
        assert_eq!((suite.as_str(), components, mirror.as_str()), expected);
    }

    #[test]
    fn the_host_release_and_mirror_are_used_where_they_can_be() {
        check(
            "ID=debian\nVERSION_CODENAME=trixie\n",
            "trixie-updates http://m/u\ntrixie http://m/debian\n",
            ("trixie", "main", "http://m/debian"),
        );
        check(
            "ID=ubuntu\nVERSION_CODENAME=noble\n",
            "noble http://m/ubuntu\n",
            ("noble", "main,universe", "http://m/ubuntu"),
        );
    }

    #[test]
    fn another_host_gets_debian() {
        check(
            "ID=fedora\n",
            "",
            ("bookworm", "main", "http://deb.debian.org/debian"),
        );
    }
}
