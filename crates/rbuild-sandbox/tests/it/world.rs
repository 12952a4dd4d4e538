//! A small tree with busybox, and a sandbox to run it in.

use std::{
    fs,
    os::{fd::AsFd, unix::fs::symlink},
    path::{Path, PathBuf},
    process::exit,
    time::Duration,
};

use rbuild_oci::ImagePath;
use rbuild_sandbox::{
    Cancel, Confinement, DEFAULT_CAPABILITIES, Entered, Error, Exit, Mount, Network, Sandbox,
    Security, Spec, Stdio, Stream, enter, skeleton, users::Identity,
};
use rbuild_sys::{Dir, MountLimits, new_mount};

pub struct World {
    pub sandbox: Sandbox,
    place: PathBuf,
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub exit: Exit,
    pub stdout: String,
    pub stderr: String,
    /// Paths in the upper directory afterwards.
    pub changed: Vec<String>,
}

/// What may be different from run to run.
pub struct Wish<'a> {
    pub argv: &'a [&'a str],
    pub env: &'a [&'a str],
    pub cwd: &'a str,
    pub identity: Identity,
    pub stdio: Stdio<'a>,
    pub timeout: Option<Duration>,
    pub mounts: Vec<Mount<'a>>,
    pub network: Network,
    pub security: Security,
}

impl Default for Wish<'_> {
    fn default() -> Self {
        Self {
            argv: &["true"],
            env: &["PATH=/bin"],
            cwd: "/",
            identity: Identity::root(),
            stdio: Stdio::Capture,
            timeout: None,
            mounts: Vec::new(),
            network: Network::Host,
            security: Security::Sandbox,
        }
    }
}

/// Enters, or prints why that is not possible and ends.
pub fn enter_or_skip() -> Entered {
    match enter() {
        Ok(entered) => entered,
        Err(error) => {
            println!("SKIP {error} ({error:?})");
            exit(0);
        }
    }
}

impl World {
    pub fn new(place: &Path) -> Self {
        let entered = enter_or_skip();
        for dir in [
            "scratch",
            "skeleton",
            "image/bin",
            "image/etc",
            "image/tmp",
            "runs",
        ] {
            fs::create_dir_all(place.join(dir)).unwrap();
        }
        fs::copy("/bin/busybox", place.join("image/bin/busybox")).unwrap();
        for name in [
            "cat",
            "env",
            "hostname",
            "id",
            "ls",
            "mkdir",
            "mount",
            "pwd",
            "readlink",
            "rm",
            "setsid",
            "setuidgid",
            "sh",
            "su",
            "sleep",
            "stat",
            "touch",
            "true",
            "awk",
            "head",
            "ip",
            "ln",
            "mv",
            "nc",
            "ping",
            "rmdir",
            "tail",
            "unshare",
            "wc",
            "umount",
            "chmod",
            "chown",
            "mknod",
        ] {
            symlink("busybox", place.join("image/bin").join(name)).unwrap();
        }
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:100::/home/ann:/bin/sh\n";
        fs::write(place.join("image/etc/passwd"), passwd).unwrap();
        fs::write(place.join("image/etc/group"), "root:x:0:\nusers:x:100:\n").unwrap();
        skeleton(&Dir::open(&place.join("skeleton")).unwrap()).unwrap();
        let scratch = Dir::open(&place.join("scratch")).unwrap();
        let confinement = Confinement::usual("rbuild", DEFAULT_CAPABILITIES).unwrap();
        Self {
            sandbox: Sandbox::new(entered, &scratch, &confinement).unwrap(),
            place: place.to_owned(),
        }
    }

    /// A path in the image, to be changed before the first run.
    pub fn image(&self, path: &str) -> PathBuf {
        self.place.join("image").join(path)
    }

    pub fn sh(&self, script: &str) -> Ran {
        self.run(&Wish {
            argv: &["/bin/sh", "-c", script],
            ..Wish::default()
        })
        .unwrap()
    }

    pub fn run(&self, wish: &Wish<'_>) -> Result<Ran, Error> {
        self.run_cancelled_by(wish, &Cancel::new().unwrap(), |_| {})
    }

    pub fn run_cancelled_by(
        &self,
        wish: &Wish<'_>,
        cancel: &Cancel,
        mut seen: impl FnMut(&str),
    ) -> Result<Ran, Error> {
        let run = tempfile::tempdir_in(self.place.join("runs")).unwrap();
        let of = |path: &Path| path.to_str().unwrap().to_owned();
        let (upper, work) = (of(&run.path().join("upper")), of(&run.path().join("work")));
        fs::create_dir(&upper).unwrap();
        fs::create_dir(&work).unwrap();
        let (image, bottom) = (
            of(&self.place.join("image")),
            of(&self.place.join("skeleton")),
        );
        let options = [
            ("userxattr", None),
            ("lowerdir+", Some(image.as_str())),
            ("lowerdir+", Some(bottom.as_str())),
            ("upperdir", Some(upper.as_str())),
            ("workdir", Some(work.as_str())),
        ];
        let root = new_mount("overlay", &options, MountLimits::default()).unwrap();
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let spec = Spec {
            root: root.as_fd(),
            argv: texts(wish.argv),
            env: texts(wish.env),
            cwd: ImagePath::root().join(wish.cwd).unwrap(),
            identity: wish.identity.clone(),
            capabilities: DEFAULT_CAPABILITIES,
            hostname: "rbuild".to_owned(),
            stdio: wish.stdio,
            mounts: wish.mounts.clone(),
            network: wish.network,
            security: wish.security,
            timeout: wish.timeout,
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let exit = self.sandbox.run(&spec, cancel, &mut |stream, bytes| {
            seen(&String::from_utf8_lossy(bytes));
            match stream {
                Stream::Stdout => stdout.extend_from_slice(bytes),
                Stream::Stderr => stderr.extend_from_slice(bytes),
            }
        })?;
        drop(root);
        exit.traces
            .erase(&Dir::open(Path::new(&upper)).unwrap())
            .unwrap();
        Ok(Ran {
            exit,
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
            changed: listing(Path::new(&upper)),
        })
    }
}

/// Paths below `dir`, sorted.
fn listing(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            }
            let path = entry.path().strip_prefix(dir).unwrap().to_owned();
            found.push(path.to_str().unwrap().to_owned());
        }
    }
    found.sort();
    found
}
