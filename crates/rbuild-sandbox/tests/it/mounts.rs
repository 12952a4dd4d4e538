//! Mounts that a command asks for: what they show, and what hostile trees make of them.

use std::{
    fs::{self, Permissions},
    io::{Read, Write},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        net::UnixListener,
    },
    path::Path,
    thread,
};

use rbuild_oci::ImagePath;
use rbuild_sandbox::{
    BindAccess, CacheAccess, Error, FileOwner, Mount, MountKind, SecretBytes, users::Identity,
};
use rbuild_sys::{Dir, Upper, overlay};

use crate::world::{Ran, Wish, World};

fn path(path: &str) -> ImagePath {
    ImagePath::root().join(path).unwrap()
}

fn at<'a>(target: &str, kind: MountKind<'a>) -> Mount<'a> {
    Mount {
        target: path(target),
        kind,
    }
}

fn bind<'a>(source: &'a Dir, part: &str) -> MountKind<'a> {
    MountKind::Bind {
        source,
        path: path(part),
        access: BindAccess::ReadOnly,
    }
}

fn cache(dir: &Dir) -> MountKind<'_> {
    MountKind::Cache {
        dir,
        access: CacheAccess::ReadWrite,
    }
}

const ROOT: FileOwner = FileOwner {
    uid: 0,
    gid: 0,
    mode: 0o400,
};

fn secret(content: &[u8]) -> MountKind<'_> {
    MountKind::Secret {
        content: SecretBytes(content),
        owner: ROOT,
    }
}

fn try_with<'a>(world: &World, script: &'a str, mounts: Vec<Mount<'a>>) -> Result<Ran, Error> {
    let argv = ["/bin/sh", "-c", script];
    world.run(&Wish {
        argv: &argv,
        mounts,
        ..Wish::default()
    })
}

#[track_caller]
fn with<'a>(world: &World, script: &'a str, mounts: Vec<Mount<'a>>) -> Ran {
    let ran = try_with(world, script, mounts).unwrap();
    assert_eq!(ran.stderr, "");
    ran
}

/// A directory `name` in `place`.
fn dir(place: &Path, name: &str) -> Dir {
    fs::create_dir_all(place.join(name)).unwrap();
    Dir::open(&place.join(name)).unwrap()
}

pub fn kinds(place: &Path) {
    let world = World::new(place);
    let source = dir(place, "source");
    fs::create_dir(place.join("source/sub")).unwrap();
    fs::write(place.join("source/sub/f"), "text\n").unwrap();
    let script = "cat /m/f; echo x 2>/dev/null > /m/f || echo no; cat /file; touch /m/new 2>/dev/null || echo no";
    let mounts = vec![
        at("/m", bind(&source, "sub")),
        at("/file", bind(&source, "/sub/f")),
    ];
    let ran = with(&world, script, mounts);
    assert_eq!(
        (&*ran.stdout, ran.changed.len()),
        ("text\nno\ntext\nno\n", 0)
    );

    let kept = dir(place, "kept");
    let write = with(&world, "echo 1 > /c/f", vec![at("/c", cache(&kept))]);
    assert_eq!(write.changed, Vec::<String>::new());
    assert_eq!(fs::read_to_string(place.join("kept/f")).unwrap(), "1\n");
    let read_only = MountKind::Cache {
        dir: &kept,
        access: CacheAccess::ReadOnly,
    };
    let script = "cat /c/f; touch /c/g 2>/dev/null || echo no";
    assert_eq!(
        with(&world, script, vec![at("/c", read_only)]).stdout,
        "1\nno\n"
    );

    let tmpfs = |size| vec![at("/t/deep", MountKind::Tmpfs { size })];
    let script =
        "head -c 70000 /dev/zero 2>/dev/null > /t/deep/f; wc -c < /t/deep/f; stat -c %a /t/deep";
    assert_eq!(with(&world, script, tmpfs(None)).stdout, "70000\n1777\n");
    let full = try_with(&world, script, tmpfs(Some(65_536))).unwrap();
    assert_eq!(full.stdout, "65536\n1777\n");

    let script = "cat /run/secrets/s; stat -c %a:%u:%g:%s /run/secrets/s; touch /run/secrets/s 2>/dev/null || echo no";
    let ran = with(
        &world,
        script,
        vec![at("/run/secrets/s", secret(b"pssst\n"))],
    );
    assert_eq!(ran.stdout, "pssst\n400:0:0:6\nno\n");
    assert_eq!(ran.changed, Vec::<String>::new());
    let options = with(&world, "cat /proc/self/mounts", {
        vec![
            at("/c", cache(&kept)),
            at("/b", bind(&source, "/")),
            at("/s", secret(b"")),
            at("/t", MountKind::Tmpfs { size: None }),
        ]
    });
    let of = |point: &str| {
        let line = options.stdout.lines().find(|line| line.contains(point));
        let fields: Vec<&str> = line.unwrap().split(' ').collect();
        let options = fields[3].split(',').take_while(|o| *o != "relatime");
        options.collect::<Vec<_>>().join(",")
    };
    assert_eq!(of(" /c "), "rw,nosuid,nodev");
    assert_eq!(of(" /b "), "ro,nosuid,nodev");
    assert_eq!(of(" /s "), "ro,nosuid,nodev,noexec");
    assert_eq!(of(" /t "), "rw,nosuid,nodev");
}

pub fn discarded(place: &Path) {
    let world = World::new(place);
    let source = dir(place, "source");
    fs::write(place.join("source/f"), "old\n").unwrap();
    fs::write(place.join("source/gone"), "").unwrap();
    fs::set_permissions(place.join("source"), Permissions::from_mode(0o750)).unwrap();
    let script = "echo new > /m/f; rm /m/gone; mkdir /m/d; cat /m/f; ls /m; stat -c %a /m";
    let (changes, work) = (dir(place, "changes"), dir(place, "work"));
    let access = BindAccess::Discard(Upper {
        changes: &changes,
        work: &work,
    });
    let discard = |part: &str| MountKind::Bind {
        source: &source,
        path: path(part),
        access,
    };
    let ran = with(&world, script, vec![at("/m", discard("/"))]);
    assert_eq!(ran.stdout, "new\nd\nf\n750\n");
    assert_eq!(ran.changed, Vec::<String>::new());
    assert_eq!(fs::read_to_string(place.join("source/f")).unwrap(), "old\n");
    assert!(place.join("source/gone").exists());
    let (changes, work) = (dir(place, "changes2"), dir(place, "work2"));
    let access = BindAccess::Discard(Upper {
        changes: &changes,
        work: &work,
    });
    let file = MountKind::Bind {
        source: &source,
        path: path("/f"),
        access,
    };
    let ran = with(
        &world,
        "cat /m; echo new > /m; cat /m",
        vec![at("/m", file)],
    );
    assert_eq!(ran.stdout, "old\nnew\n");
    assert_eq!(fs::read_to_string(place.join("source/f")).unwrap(), "old\n");
}

/// CVE-2024-1753: a link in a stage, resolved on the host.
pub fn hostile_sources(place: &Path) {
    let world = World::new(place);
    let below = dir(place, "below");
    let empty = dir(place, "empty");
    fs::create_dir(place.join("below/etc")).unwrap();
    fs::write(place.join("below/etc/passwd"), "mine\n").unwrap();
    symlink("/", place.join("below/root")).unwrap();
    symlink("/etc/passwd", place.join("below/file")).unwrap();
    symlink("../../../../..", place.join("below/up")).unwrap();
    symlink("/proc/self/root", place.join("below/magic")).unwrap();
    // As another stage's tree is: a mount that has no place.
    let stage = overlay(&[&below, &empty], None).unwrap();
    for source in [&below, &stage] {
        for part in ["/root", "/up", "/../..", "/up/root/up"] {
            let ran = with(
                &world,
                "cat /m/etc/passwd",
                vec![at("/m", bind(source, part))],
            );
            assert_eq!(ran.stdout, "mine\n", "{part}");
        }
        let ran = with(&world, "cat /m", vec![at("/m", bind(source, "/file"))]);
        assert_eq!(ran.stdout, "mine\n");
        let error = try_with(&world, "true", vec![at("/m", bind(source, "/magic"))]);
        assert!(matches!(error, Err(Error::MountSource { .. })), "{error:?}");
    }
    let device = dir(Path::new("/"), "dev");
    let error = try_with(&world, "true", vec![at("/m", bind(&device, "/null"))]);
    assert!(matches!(error, Err(Error::MountSourceKind { .. })));
}

pub fn hostile_targets(place: &Path) {
    let world = World::new(place);
    let kept = dir(place, "kept");
    let victim = place.join("victim");
    fs::create_dir(&victim).unwrap();
    fs::create_dir(world.image("inside")).unwrap();
    let outside = victim.to_str().unwrap().to_owned();
    symlink(&outside, world.image("out")).unwrap();
    symlink("../../../../inside", world.image("up")).unwrap();
    symlink("/", world.image("root")).unwrap();
    symlink("/proc/self", world.image("kernel")).unwrap();
    symlink("loop", world.image("loop")).unwrap();
    // What looks like a path of the host is made inside.
    let mounts = || vec![at("/out/x", cache(&kept))];
    let ran = with(&world, "echo 1 > /out/x/f", mounts());
    assert_eq!(ran.changed, Vec::<String>::new());
    assert!(place.join("kept/f").exists());
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
    let ran = with(&world, "ls /inside/y", vec![at("/up/y", cache(&kept))]);
    assert_eq!(ran.stdout, "f\n");
    for target in [
        "/", "/root", "/root/..", "/kernel", "/proc", "/proc/x", "/sys/fs",
    ] {
        let error = try_with(&world, "true", vec![at(target, cache(&kept))]).unwrap_err();
        let forbidden = matches!(error, Error::ForbiddenTarget { .. });
        assert!(forbidden, "{target}: {error:?}");
    }
    for target in ["/loop", "/etc/passwd", "/etc/passwd/x"] {
        let error = try_with(&world, "true", vec![at(target, cache(&kept))]).unwrap_err();
        assert!(
            matches!(error, Error::MountTarget { .. }),
            "{target}: {error:?}"
        );
    }
    let error = try_with(&world, "true", vec![at("/etc", secret(b""))]).unwrap_err();
    assert_eq!(error.to_string(), "cannot mount a file at `/etc`");
}

pub fn traces(place: &Path) {
    let world = World::new(place);
    let kept = dir(place, "kept");
    fs::create_dir_all(world.image("usr/local/lib")).unwrap();
    let mounts = || {
        vec![
            at("/usr/local/lib/a/b", cache(&kept)),
            at("/usr/local/f", secret(b"s")),
            at("/new/deep/dir", cache(&kept)),
        ]
    };
    let changed = |script: &str| with(&world, script, mounts()).changed.join(" ");
    assert_eq!(changed("true"), "");
    assert_eq!(changed("echo 1 > /new/deep/dir/x"), "");
    // What the command does itself is kept.
    assert_eq!(changed("touch /new/mine"), "new new/mine");
    assert_eq!(changed("chmod 700 /usr/local"), "usr usr/local");
    assert_eq!(
        changed("touch /usr/local/lib/x; rm /usr/local/lib/x"),
        "usr usr/local usr/local/lib"
    );
    // CVE-2024-23652: what can be moved away is, and a link put in its place.
    fs::create_dir(world.image("victim")).unwrap();
    fs::create_dir(world.image("victim/dir")).unwrap();
    let swapped = changed("mv /new /old; mkdir /new; ln -s /victim /new/deep; ls /old/deep/dir");
    assert_eq!(swapped, "new new/deep old");
    let before = fs::metadata(world.image("usr/local/lib")).unwrap().mtime();
    let script = "stat -c %Y /usr/local/lib; echo x > /usr/local/lib/x";
    let ran = with(&world, script, mounts());
    assert_ne!(ran.stdout, "");
    assert_eq!(
        fs::metadata(world.image("usr/local/lib")).unwrap().mtime(),
        before
    );
    assert!(fs::read_dir(world.image("victim")).unwrap().count() == 1);
}

pub fn nested(place: &Path) {
    let world = World::new(place);
    let (outer, inner) = (dir(place, "outer"), dir(place, "inner"));
    fs::write(place.join("inner/f"), "in\n").unwrap();
    symlink("/cache", world.image("link")).unwrap();
    let ran = with(
        &world,
        "cat /cache/sub/f; ls /cache; cat /cache/s; cat /dev/shm/s; ls /dev/shm",
        vec![
            at("/link/s", secret(b"one\n")),
            at("/cache/sub", bind(&inner, "/")),
            at("/cache", cache(&outer)),
            at("/dev/shm/s", secret(b"two\n")),
        ],
    );
    assert_eq!(ran.stdout, "in\ns\nsub\none\ntwo\ns\n");
    assert_eq!(fs::read_dir(place.join("outer")).unwrap().count(), 0);
    assert_eq!(ran.changed, Vec::<String>::new());
    let error = try_with(
        &world,
        "true",
        vec![
            at("/m", bind(&inner, "/")),
            at("/m/new", MountKind::Tmpfs { size: None }),
        ],
    );
    assert!(matches!(error, Err(Error::MountTarget { .. })), "{error:?}");
    let twice = vec![at("/m", cache(&outer)), at("/m", bind(&inner, "/"))];
    assert_eq!(with(&world, "cat /m/f", twice).stdout, "in\n");
}

pub fn agent(place: &Path) {
    let world = World::new(place);
    let host = place.join("agent.sock");
    let listener = UnixListener::bind(&host).unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut asked = [0; 4];
            if client.read_exact(&mut asked).is_ok() {
                client.write_all(b"re:").unwrap();
                client.write_all(&asked).unwrap();
            }
        }
    });
    let owner = FileOwner {
        uid: 1000,
        gid: 100,
        mode: 0o600,
    };
    let kind = MountKind::Ssh {
        agent: &host,
        owner,
    };
    let ann = Identity {
        uid: 1000,
        gid: 100,
        groups: Vec::new(),
        home: "/".to_owned(),
    };
    // Perl is everywhere, and busybox has nothing that connects to such a socket.
    let script = r#"stat -c %a:%u:%g /run/a; exec /usr/bin/perl -e '
        use IO::Socket::UNIX;
        for (1, 2) {
            my $s = IO::Socket::UNIX->new(Peer => "/run/a") or die $!;
            print $s "abc\n"; $s->flush; print <$s>;
        }'"#;
    let argv = ["/bin/sh", "-c", script];
    let root = dir(Path::new("/"), "");
    let ran = world.run(&Wish {
        argv: &argv,
        identity: ann,
        mounts: vec![
            at("/run/a", kind),
            at("/usr", bind(&root, "/usr")),
            at("/lib", bind(&root, "/lib")),
            at("/lib64", bind(&root, "/lib64")),
        ],
        ..Wish::default()
    });
    let ran = ran.unwrap();
    assert_eq!(
        ran.stdout, "600:1000:100\nre:abc\nre:abc\n",
        "{}",
        ran.stderr
    );
    assert_eq!(ran.changed, Vec::<String>::new());
    let nobody = place.join("nobody.sock");
    let kind = MountKind::Ssh {
        agent: &nobody,
        owner,
    };
    let error = try_with(&world, "true", vec![at("/run/a", kind)]);
    assert!(matches!(error, Err(Error::Agent { .. })), "{error:?}");
}
